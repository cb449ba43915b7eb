"""What a person says of an inspection comes back into the project."""

from contextlib import redirect_stdout
from io import StringIO

import pytest
from kedro.io import DatasetError

from flawline.checks import FlawlineError

FOLDER = "data/01_raw/chess/test"


def test_decisions_on_the_newest_inspection_are_counted_and_put_to_use(finished):
    finished.run("inspection", images=FOLDER)
    verdicts = finished.load("verdicts")
    good, bad = "good/000.png", "deformed/000.png"
    decisions = finished.path / "decisions.csv"
    decisions.write_text(f"image,decision\n{good},good\n{bad},defective\nnowhere.png,good\n")
    with redirect_stdout(StringIO()) as printed, pytest.raises(SystemExit) as ended:
        finished.run("feedback", decisions=str(decisions))
    assert ended.value.code == 3
    assert "category chess: 2 of 3 decisions were used.\nnot used: line 4: nowhere.png: was never" in printed.getvalue()
    assert "data/05_challenge/chess: 1." in printed.getvalue()
    digests = verdicts.set_index("image")["sha256"]
    (kept,) = (finished.path / "data/05_feedback/chess/good").iterdir()
    assert kept.name == f"{digests[good][:12]}-000.png"
    (challenge,) = finished.load("challenge_set").challenges
    assert (challenge.sha256, challenge.wanted) == (digests[bad], "not_pass")
    finished.run("inspection", images=FOLDER)  # missed before or held: the same detector is not blocked by it
    assert finished.load("challenge_results")["verdict"].tolist() == [challenge.verdict]


def test_without_decisions_or_an_inspection_it_is_said_what_is_wanted(finished, tmp_path):
    with pytest.raises(DatasetError, match=r"there is no verdicts.csv in .*Inspect images first"):
        finished.make("feedback")
    (tmp_path / "verdicts.csv").write_text("image,verdict\n")
    with pytest.raises(FlawlineError, match=r"give it as --params decisions=FILE,category=NAME"):
        finished.make("feedback", verdicts=str(tmp_path / "verdicts.csv"))

"""What people said of images, matched with what was judged."""

import pytest
from written_verdicts import write

from flawline.checks import FlawlineError
from flawline.detector.challenge_set import Addition, Challenge, add_challenges, read_challenge_set
from flawline.detector.feedback import COLUMNS, counted, problems_in, read_decisions, read_judged, take_feedback
from flawline.storage.digests import content_digest

LINE = "line 1/ü {}.png"  # images of `write`: every third is rejected, and the content of each is its number


@pytest.fixture
def judged(tmp_path):
    """Nine verdicts, of which images 2, 5 and 8 are rejects, with their photographs."""
    folder = tmp_path / "monday" / "line 1"
    folder.mkdir(parents=True)
    for k in range(9):
        (folder / f"ü {k}.png").write_text(str(k))
    write(tmp_path / "verdicts.csv", 9, origin={"folder": str(folder.parent), "MLflow run": "ab12"})
    return read_judged(tmp_path / "verdicts.csv")


def said(tmp_path, *rows, header="image,decision"):
    path = tmp_path / "decisions.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def take(tmp_path, judged, *rows, learned=(), into="defective", folder=None, header="image,decision"):
    challenges = read_challenge_set(tmp_path / "set")
    return take_feedback(read_decisions(said(tmp_path, *rows, header=header)), judged, folder=folder,
                         challenges=challenges, learned=learned, into_challenge=into)  # fmt: skip


def test_good_images_are_for_the_next_training_and_defective_ones_for_the_challenge_set(tmp_path, judged):
    found = take(tmp_path, judged, f"{LINE.format(2)},good", f"{LINE.format(5)}, Defective ", f"{LINE.format(0)},")
    assert found.table.columns.tolist() == list(COLUMNS)
    assert found.table["taken"].tolist() == ["training", "challenge"]
    assert found.table["verdict"].tolist() == ["reject", "reject"]
    (good,), (bad,) = found.good, found.challenges
    assert good.source.read_text() == "2"
    assert (bad.challenge.wanted, bad.challenge.verdict) == ("not_pass", "reject")
    assert bad.challenge.why == f"defective: {LINE.format(5)}; inspection ab12"


def test_of_a_page_note_and_digest_are_taken_too(tmp_path, judged):
    row = f"{LINE.format(5)},{content_digest('5')},reject,0.8,defective,a dent"
    found = take(tmp_path, judged, row, header="image,sha256,verdict,score,decision,note")
    assert found.challenges[0].challenge.why == f"defective: {LINE.format(5)}; a dent; inspection ab12"


@pytest.mark.parametrize(
    ("into", "taken"),
    [("all", ["challenge", "challenge"]), ("none", ["training", ""]), ("defective", ["training", "challenge"])],
)
def test_the_challenge_set_takes_what_it_is_told_to(tmp_path, judged, into, taken):
    found = take(tmp_path, judged, f"{LINE.format(0)},good", f"{LINE.format(5)},defective", into=into)
    assert found.table["taken"].tolist() == taken
    assert {each.challenge.wanted for each in found.challenges} == {"all": {"pass", "not_pass"}, "none": set()}.get(
        into, {"not_pass"}
    )


def test_rows_that_cannot_be_used_are_told_and_cost_no_other(tmp_path, judged):
    (judged.folder / LINE.format(8)).write_text("retouched")
    (judged.folder / LINE.format(7)).unlink()
    found = take(
        tmp_path, judged, f"{LINE.format(0)},,bad", "gone.png,,good", f"{LINE.format(1)},{'0' * 64},good",
        f"{LINE.format(2)},,good", f"{LINE.format(2)},,defective", f"{LINE.format(5)},,good", f"{LINE.format(5)},,good",
        f"{LINE.format(8)},,good", f"{LINE.format(7)},,defective", header="image,sha256,decision",
    )  # fmt: skip
    lines = list(problems_in(found.table))
    for line, wanted in zip(lines, [
        "line 2: line 1/ü 0.png: wanted good or defective, got 'bad'",
        "line 3: gone.png: was never judged: it is not in",
        f"line 4: line 1/ü 1.png: is another file than was judged: wanted the SHA-256 {content_digest('1')}",
        "line 5: line 1/ü 2.png: is said to be good in line 5 and defective in line 6",
        "line 6: line 1/ü 2.png: is said to be good in line 5 and defective in line 6",
        f"line 9: line 1/ü 8.png: {judged.folder / LINE.format(8)} holds something else than was judged",
        f"line 10: line 1/ü 7.png: {judged.folder / LINE.format(7)} is gone; if it lies elsewhere: images=FOLDER",
    ], strict=True):  # fmt: skip
        assert line.startswith(wanted)
    assert [each.source.read_text() for each in found.good] == ["5"]
    assert found.challenges == []


def test_what_is_known_is_not_taken_again_and_what_is_said_otherwise_is_told(tmp_path, judged):
    known = [Addition(judged.folder / LINE.format(k), Challenge("a", content_digest(str(k)), "not_pass", verdict))
             for k, verdict in ((2, "reject"), (5, "pass"), (8, "reject"))]  # fmt: skip
    add_challenges(tmp_path / "set", known)
    rows = [f"{LINE.format(0)},good", *(f"{LINE.format(k)},defective" for k in (2, 5)), f"{LINE.format(8)},good"]
    found = take(tmp_path, judged, *rows, learned={content_digest("0")})
    assert found.table["taken"].tolist() == ["known", "known", "challenge", ""]  # 5 was missed, and is held from now on
    assert found.table["problem"].iloc[3].startswith("the challenge set wants not_pass of it, as ")
    (held,) = add_challenges(tmp_path / "set", found.challenges).challenges[1:2]
    assert (held.sha256, held.verdict, held.held) == (content_digest("5"), "reject", True)


def test_decisions_are_counted_by_verdict_and_those_that_contradict_each_other_are_not(tmp_path, judged):
    rows = [f"{LINE.format(2)},good", f"{LINE.format(5)},defective", f"{LINE.format(0)},defective",
            f"{LINE.format(1)},good", f"{LINE.format(1)},defective"]  # fmt: skip
    counts = counted(take(tmp_path, judged, *rows).table, judged)
    assert counts == {"reject": {"good": 1, "defective": 1, "": 1}, "pass": {"defective": 1, "": 5}}


@pytest.mark.parametrize(
    ("rows", "header", "wanted"),
    [(["a,good"], "image,said", "lacks the columns image and decision; it has image, said"),
     (["a,"], "image,decision", "says of no image whether it is good or defective: nothing to do")],
)  # fmt: skip
def test_a_table_without_decisions_is_refused(tmp_path, rows, header, wanted):
    with pytest.raises(FlawlineError, match=wanted):
        read_decisions(said(tmp_path, *rows, header=header))
    with pytest.raises(FlawlineError, match=r"no file .*nowhere.csv; wanted the decisions"):
        read_decisions(tmp_path / "nowhere.csv")


def test_verdicts_that_were_changed_are_refused(tmp_path, judged):
    judged.path.write_text(judged.path.read_text().replace(",pass,", ",reject,", 1))
    with pytest.raises(FlawlineError, match=r"verdicts.csv is not as it was written: line 2.*Type: kedro verify"):
        read_judged(judged.path)


def test_an_image_that_was_not_judged_cannot_be_said_to_be_anything(tmp_path, judged):
    judged.rows[LINE.format(0)] |= {"verdict": "not_judged", "reason": "is damaged"}
    found = take(tmp_path, judged, f"{LINE.format(0)},good")
    assert found.table["problem"].tolist() == ["was not judged: is damaged"]

"""A better detector takes the place of the champion, a worse one does not, and an inspection by it can be replayed."""

import shutil
from contextlib import redirect_stdout
from io import StringIO

import pytest
from logged_models import register_detector

from flawline.checks import FlawlineError
from flawline.detector.challenge_set import Addition, Challenge, add_challenges
from flawline.detector.record import read_seal, record_path
from flawline.hooks.summary import NotAllDone
from flawline.storage.digests import file_digest
from flawline.verification import Replay, run_verify

NAME = "flawline-chess-cae"
GOOD = "data/01_raw/chess/test/good"


@pytest.fixture
def registered_twice(finished):
    """A project whose detector is registered, and the same detector once more."""
    register_detector(finished.client, NAME, finished.path / "again", finished.load("cae.detector"))
    return finished


def promote(project, **params):
    with redirect_stdout(StringIO()) as said:
        project.run("cae_promotion", **params)
    return said.getvalue()


def champion(project):
    return project.client.get_registered_model(NAME).aliases.get("champion")


def tags(project, version):
    return project.client.get_model_version(NAME, version).tags


def reject_all(detector):
    return detector.at_overkill(0.99)


def test_a_detector_that_is_no_worse_becomes_the_champion_and_is_noted(registered_twice):
    project = registered_twice
    said = promote(project, detector="1")
    assert f"promoted: models:/{NAME}/1 is the champion now." in said
    assert str(champion(project)) == "1"
    said = promote(project)
    assert f"promoted: models:/{NAME}/2 is the champion now in the place of models:/{NAME}/1." in said
    assert str(champion(project)) == "2"
    assert tags(project, "2")["promoted"] == "true"
    assert tags(project, "2")["promotion"].startswith(f"promoted: models:/{NAME}/2")
    images, manifest = project.load("promotion_images"), project.load("manifest")
    assert images["image"].tolist() == manifest.loc[manifest["split"] == "test", "image"].tolist()
    known = project.load("cae.verdicts").set_index("image")
    assert images["candidate_score"].tolist() == pytest.approx(known["score"][images["image"]].tolist(), rel=1e-3)
    assert images["champion_score"].tolist() == images["candidate_score"].tolist()
    artifacts = {each.path for each in project.client.list_artifacts(project.mlflow_runs()[0].info.run_id)}
    assert {"images.csv", "challenges.csv", "promotion.json", "summary.txt"} <= artifacts
    with pytest.raises(FlawlineError, match=f"models:/{NAME}/2 is the champion already"):
        project.run("cae_promotion")


@pytest.mark.slow
def test_a_detector_that_fails_what_the_champion_does_not_leaves_the_alias_where_it_is(registered_twice, capsys):
    project = registered_twice
    promote(project, detector="1")
    image = project.path / GOOD / "000.png"
    known = project.load("cae.verdicts").set_index("image")["verdict"]
    passing = next(name for name, verdict in known.items() if verdict == "pass")
    image = project.path / "data/01_raw/chess" / passing
    challenge = Challenge(image.name, file_digest(image), "pass", "pass")
    add_challenges(project.path / "data/05_challenge/chess", [Addition(image, challenge)])
    register_detector(project.client, NAME, project.path / "worse", reject_all(project.load("cae.detector")))
    with redirect_stdout(StringIO()) as said, pytest.raises(NotAllDone) as ended:
        project.run("cae_promotion", **{"inspection.challenge": "off"})
    assert ended.value.code == 3
    assert f"not promoted: models:/{NAME}/3; models:/{NAME}/1 stays the champion." in said.getvalue()
    assert "It misses 1 image of the challenge set" in said.getvalue()
    assert str(champion(project)) == "1"
    assert tags(project, "3")["promoted"] == "false"


@pytest.mark.slow
def test_an_inspection_by_the_champion_names_its_version_and_is_replayed_without_the_store(registered_twice):
    project = registered_twice
    project.client.set_registered_model_alias(NAME, "champion", "2")
    project.run("inspection", images=GOOD, detector="champion")
    path = project.newest("08_reporting/chess/seed-0/inspection/verdicts.csv/*/verdicts.csv")
    known = read_seal(record_path(path)).facts["detector"]
    assert known["version"] == f"models:/{NAME}/2"
    assert f"models:/{NAME}/2 {known['sha256'][:16]}" in path.read_text()
    page = project.newest("08_reporting/chess/seed-0/inspection/report.html/*/report.html").read_text()
    assert f"models:/{NAME}/2" in page
    shutil.rmtree(project.path / "again")
    shutil.rmtree(project.path / "mlruns")
    replay = Replay(project.path / GOOD, None, "", None)
    assert run_verify(path, record=None, head=None, run=None, replay=replay, env=None)


def test_an_alias_that_names_nothing_opens_no_run(finished):
    before = len(finished.mlflow_runs())
    with pytest.raises(FlawlineError, match=rf"no detector at models:/{NAME}@champion .* has the versions 1 and the"):
        finished.run("inspection", images=GOOD, detector="champion")
    with pytest.raises(FlawlineError, match="detector=champion names what judges in an inspection or a promotion, but"):
        finished.run("cae", detector="champion")
    assert len(finished.mlflow_runs()) == before


def test_a_version_of_the_catalog_judges_whatever_it_was_made_from(finished):
    version = finished.newest("06_models/chess/seed-0/cae/detector.safetensors/*/detector.safetensors").parent.name
    changed = {"images": GOOD, "evaluation.target_overkill": 0.02}
    with pytest.raises(FlawlineError, match=r"is stale: since it was made, evaluation.target_overkill went from"):
        finished.run("inspection", **changed)
    finished.run("inspection", detector=version, **changed)
    (found,) = set(finished.load("verdicts", images=GOOD)["detector"])
    assert found.startswith(version)

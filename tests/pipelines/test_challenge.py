"""A challenge set comes before new images, and no detector learns from it."""

from contextlib import redirect_stdout
from io import StringIO

import pytest

from flawline.checks import FlawlineError
from flawline.detector.challenge_set import Addition, Challenge, add_challenges
from flawline.storage.digests import file_digest

FOLDER = "data/01_raw/chess/test/good"


def take_in(project, *images, wanted, verdict=""):
    """Take images of the project into its challenge set."""
    paths = [project.path / "data/01_raw/chess" / image for image in images]
    additions = [Addition(path, Challenge(path.name, file_digest(path), wanted, verdict)) for path in paths]
    return add_challenges(project.path / "data/05_challenge/chess", additions)


def inspections(project):
    return list((project.path / "data").glob("08_reporting/chess/seed-0/inspection/verdicts.csv/*/verdicts.csv"))


def test_a_verdict_that_no_longer_matches_blocks_before_any_new_image_is_judged(finished):
    known = finished.load("cae.verdicts").set_index("image")["verdict"]
    image = "test/good/000.png"
    other = "reject" if known[image] == "pass" else "pass"
    (challenge,) = take_in(finished, image, wanted=other).challenges
    said = rf"{challenge.image}: wanted {other}, got {known[image]} \("
    with pytest.raises(FlawlineError, match=rf"(?s){said}.*--params inspection.challenge=warn"):
        finished.run("inspection", images=FOLDER)
    assert inspections(finished) == []
    results = finished.load("challenge_results")
    assert results["outcome"].tolist() == ["regressed"]
    assert results["score"][0] == pytest.approx(finished.load("cae.verdicts").set_index("image")["score"][image], 1e-3)
    with redirect_stdout(StringIO()) as printed:
        finished.run("inspection", images=FOLDER, **{"inspection.challenge": "warn"})
    assert "challenge set: 0 of 1 images are judged as wanted." in printed.getvalue()
    assert len(inspections(finished)) == 1


def test_a_photograph_of_the_set_that_was_changed_blocks(finished):
    (challenge,) = take_in(finished, "test/good/000.png", wanted="pass", verdict="reject").challenges
    (finished.path / "data/05_challenge/chess" / challenge.image).write_bytes(b"no more")
    with pytest.raises(FlawlineError, match=r"wanted pass, got not_judged \(was changed: wanted the SHA-256"):
        finished.make("inspection", images=FOLDER)


def test_a_detector_that_learned_from_the_set_is_told_so_and_the_next_leaves_it_out(finished):
    take_in(finished, "train/good/000.png", wanted="not_reject", verdict="reject")
    finished.make("inspection", "challenge_results", images=FOLDER)
    assert finished.load("challenge_results")["learned"].tolist() == [True]
    before = len(finished.load("manifest"))
    finished.make("ingestion", "manifest", "quarantine", "data_notes")
    manifest, quarantine, notes = finished.load_all("manifest", "quarantine", "data_notes")
    assert len(manifest) == before - 1
    assert "train/good/000.png" not in set(manifest["image"])
    assert quarantine["reason"].tolist() == ["is in the challenge set, from which no detector may learn"]
    assert "1 of the images are in the challenge set and are not learned from." in set(notes["text"])

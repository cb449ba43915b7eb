"""Rows of the verdicts judged again: the same, or in what they are others."""

from dataclasses import replace

import numpy as np
import pytest
import tifffile
from base_params import BASE
from PIL import Image
from small_detector import untrained

from flawline.checks import FlawlineError
from flawline.detector.engine_check import TOLERANCE, allowed_difference
from flawline.detector.file import load_detector, save_detector
from flawline.detector.inspecting import inspect_file
from flawline.detector.judging import Judge, Judgement
from flawline.detector.record import made_record
from flawline.detector.replaying import differences, replay, replay_judge
from flawline.params import ComputeParams, InspectionParams

COMPUTE = ComputeParams(device="cpu", threads=1, engine="torch")
SETTINGS = InspectionParams(min_area=3.0)


@pytest.fixture
def monday(tmp_path):
    """A folder with two photographs, a stack of two pages, one of another size, and an empty file."""
    folder = tmp_path / "monday"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (4, 24, 28), np.uint8)
    for name, image in zip(("a.png", "b.png"), pixels[:2], strict=True):
        Image.fromarray(image).save(folder / name)
    tifffile.imwrite(folder / "stack.tif", pixels[2:], photometric="minisblack")
    Image.fromarray(pixels[0, :9, :9]).save(folder / "small.png")
    (folder / "empty.png").touch()
    return folder


@pytest.fixture
def inspected(monday, tmp_path):
    """What an inspection of it recorded: the facts, and its rows by image."""
    save_detector(tmp_path / "detector", untrained((24, 28), (24, 28), tuple(k / 100 for k in range(1, 100))))
    judge = Judge(load_detector(tmp_path / "detector"), SETTINGS, compute=COMPUTE)
    files = ("a.png", "b.png", "empty.png", "small.png", "stack.tif")
    found = [each.row for file in files for each in inspect_file(monday, file, judge)]
    record = made_record(found, judge.detector, inspection=judge.inspection, origin={})
    return record.facts, [dict(zip(record.columns, row, strict=True)) for row in record.rows]


def again(inspected, monday, **options):
    facts, rows = inspected
    judge = replay_judge(facts, None, COMPUTE)
    return {each.row["image"]: each for each in replay(options.get("rows", rows), monday, judge, COMPUTE)}


def test_the_same_photographs_get_the_same_verdicts_and_what_was_never_read_is_left(inspected, monday):
    found = again(inspected, monday)
    assert list(found) == ["a.png", "b.png", "empty.png", "small.png", "stack.tif#1", "stack.tif#2"]
    assert {each.other for each in found.values()} == {""}
    assert [name for name, each in found.items() if each.left] == ["empty.png"]
    assert replay_judge(inspected[0], None, COMPUTE).inspection == Judge(
        load_detector(monday.parent / "detector"), SETTINGS
    ).inspection  # fmt: skip


def test_photographs_that_are_gone_or_others_are_told_and_the_rest_goes_on(inspected, monday):
    (monday / "a.png").unlink()
    (monday / "b.png").write_bytes((monday / "small.png").read_bytes())
    (monday / "small.png").write_bytes(b"")
    found = again(inspected, monday)
    assert found["a.png"].other == "the photograph is gone"
    assert found["b.png"].other.startswith("the photograph was changed: wanted the SHA-256 ")
    assert found["small.png"].other == "the photograph is empty (0 bytes)"
    assert (found["stack.tif#1"].other, found["stack.tif#2"].other) == ("", "")


def test_rows_that_are_not_the_detectors_are_told(inspected, monday):
    rows = [row | {"score": str(float(row["score"]) * 1.1), "threshold": "7"} for row in inspected[1] if row["score"]]
    found = again(inspected, monday, rows=rows)
    assert all(
        "the score was " in each.other and "the threshold was 7, is 0.9" in each.other for each in found.values()
    )
    small = {"image": "small.png", "verdict": "pass", "score": "", "threshold": ""}
    (each,) = again(inspected, monday, rows=[inspected[1][3] | small]).values()
    assert each.other == "the verdict was pass, is not_judged (has 9 x 9 pixels; the detector learned from 24 x 28)"


def test_a_detector_that_is_another_or_gone_or_no_detector_replays_nothing(inspected, monday, tmp_path):
    facts = inspected[0]
    other = untrained((24, 28), (24, 28), (0.1, 0.2))
    save_detector(tmp_path / "other", other)
    with pytest.raises(
        FlawlineError, match=rf"wanted the SHA-256 {facts['detector']['sha256']} \(version unknown\), got "
    ):
        replay_judge(facts, tmp_path / "other", COMPUTE)
    content = bytearray((tmp_path / "detector").read_bytes())
    content[-1] ^= 1
    (tmp_path / "detector").write_bytes(content)
    with pytest.raises(FlawlineError, match="its checksum does not fit"):
        replay_judge(facts, None, COMPUTE)
    (tmp_path / "detector").unlink()
    with pytest.raises(FlawlineError, match=r"no detector at .*; wanted the one with .* give it as --detector FILE"):
        replay_judge(facts, None, COMPUTE)
    with pytest.raises(FlawlineError, match="the record names no detector"):
        replay_judge(facts | {"detector": {}}, None, COMPUTE)


def test_settings_of_another_version_are_told(inspected):
    with pytest.raises(FlawlineError, match="the settings in the record are not those of this version"):
        replay_judge(inspected[0] | {"inspection": {"colour": "red"}}, None, COMPUTE)


def test_scores_may_differ_as_those_of_two_engines_and_no_more():
    detector = untrained((24, 28), (24, 28), tuple(k / 100 for k in range(1, 100)))
    judge, allowed = Judge(detector), allowed_difference(detector)
    assert allowed == pytest.approx(TOLERANCE * 0.98)  # no images are kept: of the spread of .01 to .99, above 0.95
    row = {"verdict": "pass", "score": "0.5", "threshold": "0.95"}
    limit = detector.thresholds.reject.value
    for score, count in ((0.5, 0), (0.5 + 0.9 * allowed, 0), (0.5 + 1.1 * allowed, 1), (None, 1)):
        said = Judgement("pass", "", score, limit)
        assert len(differences(row | {"threshold": repr(limit)}, said, judge)) == count


def test_a_score_that_is_the_threshold_may_fall_on_either_side():
    detector = untrained((24, 28), (24, 28), tuple(k / 100 for k in range(1, 100)))
    judge, limits = Judge(detector), detector.thresholds
    for limit, here, there in ((limits.reject, "review", "reject"), (limits.review, "pass", "review")):
        row = {"verdict": here, "score": repr(limit.value), "threshold": ""}
        assert differences(row, Judgement(there, "", limit.value + 1e-6, limit.value), judge) == []
        near = row | {"score": repr(limit.value - 1e-6)}
        assert len(differences(near, Judgement(there, "", limit.value + 1e-6, limit.value), judge)) == 1


def test_where_images_are_kept_their_scores_say_what_is_allowed(detector):
    kept = replace(detector, checked_scores=(0.0, 5.0))
    assert allowed_difference(kept) == TOLERANCE * 5
    assert BASE.inspection.min_area is None

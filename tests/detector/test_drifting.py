import numpy as np
import pytest
from base_params import BASE
from small_detector import untrained

from flawline.detector.drifting import drift_of
from flawline.detector.inspecting import Inspection, as_counted, inspect_file
from flawline.detector.judging import Judge
from flawline.intake.decoding import encode_png
from flawline.storage.ragged import Noted, RaggedArray, write_ragged
from flawline.vision.appearance import appearance_of

DRIFT = BASE.inspection.drift


def board(seed, light=1.0):
    levels = np.random.default_rng(seed).integers(90, 160, (1, 24, 28)) * light
    return levels.astype(np.uint8)


@pytest.fixture(scope="module")
def detector():
    """A detector that would take any score for a good one, and knows how 60 boards look."""
    looks = [appearance_of(board(seed), 8) for seed in range(60)]
    figures = {name: tuple(each[name] for each in looks) for name in looks[0]}
    return untrained((24, 28), (24, 28), tuple(100.0 + k for k in range(60)), training_figures=figures)


@pytest.fixture
def inspected(detector, tmp_path):
    """Return the inspection of photographs, as it is stored."""

    def inspect(photographs):
        for k, each in enumerate(photographs):
            (tmp_path / f"{k}.png").write_bytes(encode_png(each) if isinstance(each, np.ndarray) else each)
        judge = Judge(detector)
        found = [next(inspect_file(tmp_path, file.name, judge)) for file in sorted(tmp_path.glob("*.png"))]  # 0, 1, 10
        write_ragged(tmp_path / "maps", [Noted(each.map, each.row) for each in found])
        write_ragged(tmp_path / "thumbnails", [np.frombuffer(each.thumbnail, np.uint8) for each in found])
        return Inspection(RaggedArray(tmp_path / "maps"), {}, RaggedArray(tmp_path / "thumbnails"))

    return inspect


def test_darker_photographs_are_told_and_named_and_those_that_cannot_be_judged_left_out(inspected, detector):
    odd = [b"no image", board(1)[:, :8]]
    found = inspected([*map(board, range(100, 110)), *odd, *(board(seed, 0.7) for seed in range(110, 130))])
    drift = drift_of(found, detector, DRIFT).set_index("figure")
    assert drift["drifts"].to_dict() == {name: name in ("shadows", "highlights") for name in drift.index}
    assert set(drift["images"]) == {30}
    assert (drift.loc["shadows", "since"], drift.loc["shadows", "since_image"]) == (13, "12.png")
    assert drift.loc["shadows", "told_at_image"] == f"{drift.loc['shadows', 'told_at'] - 1}.png"
    assert drift.loc["focus", "since_image"] == ""
    assert "figures" not in found.verdicts()


@pytest.mark.parametrize("photographs", [[board(7)], [board(3)] * 30, [b"no image"] * 3])
def test_one_image_a_usual_one_again_and_again_and_none_that_can_be_read_are_no_drift(inspected, detector, photographs):
    assert not drift_of(inspected(photographs), detector, DRIFT)["drifts"].any()


def test_nothing_is_looked_at_unless_it_is_asked_for(inspected, detector):
    found = inspected([board(7)])
    assert drift_of(found, detector, None).empty
    assert drift_of(found, detector, None).columns.equals(drift_of(found, detector, DRIFT).columns)


def test_images_are_taken_by_the_numbers_in_their_names():
    names = ["b/shot 10.png", "b/shot 9.png", "a/2.tif#10", "a/2.tif#9", "a/10.tif", "10", "b"]
    wanted = ["10", "a/2.tif#9", "a/2.tif#10", "a/10.tif", "b", "b/shot 9.png", "b/shot 10.png"]
    assert sorted(names, key=as_counted) == wanted

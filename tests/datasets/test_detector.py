import numpy as np
import pytest
from kedro.io import DatasetError, Version
from small_detector import untrained

from flawline.datasets import DetectorDataset
from flawline.detector.judging import Judge
from flawline.params import InspectionParams

SCORES = (0.5, 0.1, 0.3)


@pytest.fixture(scope="module")
def detector():
    more = {"inspection": InspectionParams(min_area=12.5), "about": {"manifest": "abc"}}
    return untrained((20, 24), (20, 24), SCORES, smoothing=0.0, target=0.01, review=0.3, **more)


def at(tmp_path, load=None, save=None):
    return DetectorDataset(filepath=str(tmp_path / "cae" / "detector.safetensors"), version=Version(load, save))


def test_round_trip_maps_the_same_image_to_the_same_bits(tmp_path, detector):
    at(tmp_path, save="2025").save(detector)
    loaded = at(tmp_path).load()
    image = np.random.default_rng(0).integers(0, 256, (1, 20, 24), np.uint8)
    image.flags.writeable = False
    mine, theirs = (Judge(each).judge_framed(image).scored.map for each in (loaded, detector))
    np.testing.assert_array_equal(mine, theirs)
    for name in ("method", "category", "params", "smallest", "largest", "thresholds", "calibration_scores", "about",
                 "inspection"):  # fmt: skip
        assert getattr(loaded, name) == getattr(detector, name)


def test_every_save_is_a_version_and_an_old_one_can_be_pinned(tmp_path, detector):
    at(tmp_path, save="2024").save(detector)
    at(tmp_path, save="2025").save(detector.at_overkill(0.5))
    assert at(tmp_path, load="2024").load().thresholds == detector.thresholds
    assert at(tmp_path).load().thresholds != detector.thresholds
    with pytest.raises(DatasetError, match="must not exist"):
        at(tmp_path, save="2024").save(detector)


def test_missing(tmp_path):
    assert not at(tmp_path).exists()
    with pytest.raises(DatasetError, match="Did not find any versions"):
        at(tmp_path).load()
    with pytest.raises(DatasetError, match=r"no detector at .*Finish one first|2024"):
        at(tmp_path, load="2024").load()


def test_file_that_is_cut_off(tmp_path, detector):
    at(tmp_path, save="2025").save(detector)
    path = next((tmp_path / "cae").rglob("2025/detector.safetensors"))
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(DatasetError, match=r"is not a whole detector file .*Make it again, or load a copy"):
        at(tmp_path).load()


def test_unversioned_round_trip_and_describe(tmp_path, detector):
    dataset = DetectorDataset(filepath=str(tmp_path / "d.safetensors"), metadata={"a": 1})
    assert not dataset.exists()
    dataset.save(detector)
    assert dataset.exists()
    assert dataset.load().weights.keys() == detector.weights.keys()
    assert "DetectorDataset(filepath=" in str(dataset)

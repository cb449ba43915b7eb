from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import torch
from flawline.detector.detector import Detector, calibrate, save_detector

from flawline.detector import serving
from flawline.detector.serving import judge_bytes
from flawline.intake.decoding import encode_png
from flawline.methods.cae import CAE
from flawline.params import CAEModelParams, MapParams, PatchParams
from flawline.storage.tensors import packed


@pytest.fixture
def image():
    pixels = np.random.default_rng(5).integers(0, 256, (1, 32, 40), dtype=np.uint8)
    pixels.setflags(write=False)
    return pixels


@pytest.fixture
def detector():
    """An untrained detector of grey images of 32 x 40 pixels that would reject what scores above 0.5."""
    model = CAEModelParams(latent_size=3, hidden_size=8)
    params = {"patches": PatchParams(size=16, stride=16), "model": model, "map": MapParams(smoothing=2.0)}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        weights = CAE(model, channels=1, size=16).state_dict()
    return Detector(
        method="cae",
        category="bolt",
        params={name: value.model_dump(mode="json") for name, value in params.items()},
        channels=1,
        depth=8,
        smallest=(32, 40),
        largest=(32, 40),
        thresholds=calibrate([0.5], target_overkill=0.5, review_overkill=0.5),
        review_overkill=0.5,
        calibration_scores=(0.5,),
        weights=packed({"network": weights}),
    )


def test_a_good_file_is_judged_as_the_detector_does(detector, image):
    said = judge_bytes(detector, encode_png(image))
    assert said.verdict == "pass"
    assert said.score == detector.score(image).score
    assert said.threshold == 0.5


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is not an image in one of the formats"),
        (b"no image", "is not an image in one of the formats PNG, JPEG"),
        (encode_png(np.random.default_rng(5).integers(0, 256, (1, 32, 40), dtype=np.uint8))[:600], "is damaged"),
        (encode_png(np.zeros((1, 40, 32), np.uint8)), "has 40 x 32 pixels; the detector learned from 32 x 40"),
        (encode_png(np.zeros((1, 32, 40), np.uint16)), "has 16 bits a channel; the detector learned from 8"),
    ],
    ids=["empty", "text", "truncated", "turned", "deep"],
)
def test_a_file_that_cannot_be_judged_is_no_pass(detector, content, reason):
    said = judge_bytes(detector, content)
    assert (said.verdict, said.score, said.threshold) == ("not_judged", None, None)
    assert reason in said.reason


def test_the_served_model_says_what_the_detector_says(tmp_path, detector, image):
    save_detector(tmp_path / "detector.safetensors", detector)
    mlflow.pyfunc.save_model(
        path=tmp_path / "model",
        python_model=str(serving.__file__),
        artifacts={"detector": str(tmp_path / "detector.safetensors")},
        pip_requirements=[],
    )
    assert [path.name for path in Path(tmp_path / "model").rglob("*.pkl")] == []
    table = pd.DataFrame({"image": [encode_png(image), b"no image"]})
    said = mlflow.pyfunc.load_model(str(tmp_path / "model")).predict(table)
    assert list(said.columns) == ["score", "threshold", "verdict", "reason"]
    assert said["verdict"].tolist() == ["pass", "not_judged"]
    assert said["score"][0] == detector.score(image).score
    assert pd.isna(said["score"][1])

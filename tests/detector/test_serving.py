import io
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import mlflow
import numpy as np
import pandas as pd
import pytest
import tifffile
from small_detector import untrained

from flawline.checks import FlawlineError
from flawline.detector import serving
from flawline.detector.file import save_detector
from flawline.detector.judging import Judge
from flawline.detector.serving import judge_bytes, read_inspection
from flawline.intake.decoding import encode_png
from flawline.params import IgnoreRegion, InspectionParams
from flawline.vision.levels import to_full_scale


@pytest.fixture
def image():
    pixels = np.random.default_rng(5).integers(0, 256, (1, 32, 40), dtype=np.uint8)
    pixels.setflags(write=False)
    return pixels


@pytest.fixture
def detector():
    """A detector that would reject what scores above 0.5."""
    return untrained((32, 40), (32, 40), (0.5,), smoothing=2.0, stride=16, target=0.5, review=0.5)


def test_a_good_file_is_judged_as_the_detector_does(detector, image):
    judge = Judge(detector)
    said = judge_bytes(judge, encode_png(image))
    assert said == judge.judge(image).judgement
    assert said.verdict == "pass"
    assert said.score == judge.judge_framed(image).scored.score
    assert said.threshold == 0.5
    assert said.p_value == 1.0  # of one calibration image, which scored higher


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
    said = judge_bytes(Judge(detector), content)
    assert (said.verdict, said.score, said.threshold) == ("not_judged", None, None)
    assert reason in said.reason


def test_a_file_of_twelve_bits_is_judged_on_the_full_scale(detector):
    deep = replace(detector, depth=16, bits=12)
    pixels = np.random.default_rng(3).integers(0, 4096, (1, 32, 40)).astype(np.uint16)
    judge = Judge(deep)
    said = judge_bytes(judge, encode_png(pixels))
    assert said.score == judge.judge_framed(to_full_scale(pixels, 12)).scored.score
    assert said.score != judge.judge_framed(pixels).scored.score
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels[0], bitspersample=12, photometric="minisblack")
    assert judge_bytes(judge, buffer.getvalue()) == said


def test_a_file_packed_with_other_bits_or_brighter_than_was_learned_is_not_judged(detector):
    judge = Judge(replace(detector, depth=16, bits=12))
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, np.full((32, 40), 900, np.uint16), bitspersample=10, photometric="minisblack")
    said = judge_bytes(judge, buffer.getvalue())
    assert (said.verdict, said.score) == ("not_judged", None)
    assert said.reason.startswith("uses 10 bits of 16, as its TIFF tags say; the detector learned from images of 12")
    said = judge_bytes(judge, encode_png(np.full((1, 32, 40), 5000, np.uint16)))
    assert (said.verdict, said.score) == ("not_judged", None)
    assert said.reason == "holds the value 5000; the detector learned from images of 12 bits, 0 to 4095"


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
    model = mlflow.pyfunc.load_model(str(tmp_path / "model"))
    said = model.predict(table)
    assert list(said.columns) == ["score", "threshold", "p_value", "verdict", "reason"]
    assert said["verdict"].tolist() == ["pass", "not_judged"]
    assert said["score"][0] == Judge(detector).judge_framed(image).scored.score
    assert pd.isna(said["score"][1])


# --- other settings than the detector's ------------------------------------------------------------------------------
EVERYTHING = {"y": 0, "x": 0, "height": 32, "width": 40}


@pytest.fixture
def served(detector, tmp_path):
    """The detector as it is served, without MLflow around it; it keeps a region that is never judged."""
    kept = InspectionParams(ignore=(IgnoreRegion(y=0, x=0, height=4, width=40),), target_overkill=0.5)
    save_detector(tmp_path / "detector.safetensors", replace(detector, inspection=kept))
    model = serving.DetectorModel()
    model.load_context(SimpleNamespace(artifacts={"detector": str(tmp_path / "detector.safetensors")}))
    return model


@pytest.mark.parametrize(
    "given",
    [
        None,
        {},
        {"ignore": []},
        {"ignore": [EVERYTHING]},
        {"target_overkill": 0.9, "min_area": 2.0},
        {"max_pixels": 100},
    ],
    ids=str,
)
def test_the_served_model_judges_as_a_judge_with_the_same_settings(served, image, given):
    settings = None if given is None else InspectionParams.model_validate(given)
    judge = Judge(served.detector, settings)
    contents = [encode_png(image), encode_png(image[:, ::-1]), b"no image"]
    params = None if given is None else {"inspection": json.dumps(given)}
    said = served.predict(None, pd.DataFrame({"image": contents}), params)
    for row, content in zip(said.to_dict("records"), contents, strict=True):
        wanted = judge_bytes(judge, content)
        shown = {name: None if pd.isna(value) else value for name, value in row.items()}
        assert shown == {name: getattr(wanted, name) for name in row}


def test_given_settings_change_the_verdict_and_only_of_that_request(served, image):
    table = pd.DataFrame({"image": [encode_png(image)]})
    before = served.predict(None, table)
    ignored = served.predict(None, table, {"inspection": json.dumps({"ignore": [EVERYTHING]})})
    assert ignored["reason"].tolist() == ["lies wholly in regions that are ignored"]
    small = served.predict(None, table, {"inspection": json.dumps({"max_pixels": 100})})
    assert small["verdict"].tolist() == ["not_judged"]
    pd.testing.assert_frame_equal(served.predict(None, table, {"inspection": ""}), before)


@pytest.mark.parametrize("text", ["{", "[]", '{"min_aera": 3}', '{"min_area": -1}', "3"])
def test_settings_that_are_none_are_refused(text):
    with pytest.raises(
        FlawlineError, match=r"inspection must be a JSON object as conf/base/parameters/inspection\.yml"
    ):
        read_inspection(text)

import io
import json
import struct
import zlib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import mlflow
import numpy as np
import pandas as pd
import pytest
import tifffile
from mlflow.pyfunc.scoring_server import predictions_to_json
from small_detector import untrained

from flawline.checks import FlawlineError
from flawline.detector import serving
from flawline.detector.engine_check import with_check
from flawline.detector.file import save_detector
from flawline.detector.judging import Judge, Judged, Judgement
from flawline.detector.serving import heat_map, like_learned, read_inspection
from flawline.detector.thresholds import calibrate
from flawline.intake.decoding import decode, encode_png
from flawline.methods.one_class import Scored
from flawline.params import ComputeParams, IgnoreRegion, InspectionParams
from flawline.vision.levels import to_full_scale

NOTHING = Judgement("not_judged", "")


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
    said = judge.judge_file(encode_png(image)).judgement
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
    said = Judge(detector).judge_file(content).judgement
    assert (said.verdict, said.score, said.threshold) == ("not_judged", None, None)
    assert reason in said.reason


def test_a_file_of_twelve_bits_is_judged_on_the_full_scale(detector):
    deep = replace(detector, depth=16, bits=12)
    pixels = np.random.default_rng(3).integers(0, 4096, (1, 32, 40)).astype(np.uint16)
    judge = Judge(deep)
    said = judge.judge_file(encode_png(pixels)).judgement
    assert said.score == judge.judge_framed(to_full_scale(pixels, 12)).scored.score
    assert said.score != judge.judge_framed(pixels).scored.score
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels[0], bitspersample=12, photometric="minisblack")
    assert judge.judge_file(buffer.getvalue()).judgement == said


def test_a_file_packed_with_other_bits_or_brighter_than_was_learned_is_not_judged(detector):
    judge = Judge(replace(detector, depth=16, bits=12))
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, np.full((32, 40), 900, np.uint16), bitspersample=10, photometric="minisblack")
    said = judge.judge_file(buffer.getvalue()).judgement
    assert (said.verdict, said.score) == ("not_judged", None)
    assert said.reason.startswith("uses 10 bits of 16, as its TIFF tags say; the detector learned from images of 12")
    said = judge.judge_file(encode_png(np.full((1, 32, 40), 5000, np.uint16))).judgement
    assert (said.verdict, said.score) == ("not_judged", None)
    assert said.reason == "holds the value 5000; the detector learned from images of 12 bits, 0 to 4095"


@pytest.fixture
def loaded(tmp_path, detector):
    """The detector as MLflow keeps and loads it."""
    save_detector(tmp_path / "detector.safetensors", detector)
    mlflow.pyfunc.save_model(
        path=tmp_path / "model",
        python_model=str(serving.__file__),
        artifacts={"detector": str(tmp_path / "detector.safetensors")},
        signature=serving.signature(),
        pip_requirements=[],
    )
    return mlflow.pyfunc.load_model(str(tmp_path / "model"))


def test_the_served_model_says_what_the_detector_says(tmp_path, loaded, detector, image):
    assert [path.name for path in Path(tmp_path / "model").rglob("*.pkl")] == []
    said = loaded.predict(pd.DataFrame({"image": [encode_png(image), b"no image"]}))
    assert list(said.columns) == loaded.metadata.signature.outputs.input_names()
    assert said["verdict"].tolist() == ["pass", "not_judged"]
    assert said["score"][0] == Judge(detector).judge_framed(image).scored.score
    assert pd.isna(said["score"][1])
    assert said["heat_map"].tolist() == [None, None]


def test_parameters_reach_the_served_model(loaded, image):
    """MLflow drops parameters that the signature does not name, with no more than a warning."""
    table = pd.DataFrame({"image": [encode_png(image)]})
    said = loaded.predict(table, params={"inspection": '{"max_pixels": 100}'})
    assert said["reason"].tolist() == ["its header says 32 x 40 pixels, more than max_pixels = 100"]
    drawn = loaded.predict(table, params={"heat_map": True})["heat_map"][0]
    assert decode(drawn, max_pixels=None).shape == (3, 32, 40)


def test_junk_is_not_judged_item_by_item_and_the_answer_is_json(loaded, image):
    huge = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", struct.pack(">IIBBBBB", 20_000, 10_001, 8, 0, 0, 0, 0))
    huge += png_chunk(b"IDAT", zlib.compress(b"nothing")) + png_chunk(b"IEND", b"")
    junk = [np.random.default_rng(1).bytes(10_000_000), b"", huge]
    asked = {"inspection": json.dumps({"max_pixels": 200_000_000})}
    said = loaded.predict(pd.DataFrame({"image": [*junk, encode_png(image)]}), params=asked)
    assert said["verdict"].tolist() == ["not_judged"] * 3 + ["pass"]
    assert said["reason"][2] == "its header says 10001 x 20000 pixels, more than max_pixels = 200000000"
    answered = io.StringIO()
    predictions_to_json(said, answered)
    rows = json.loads(answered.getvalue(), parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert [row["score"] for row in rows["predictions"]] == [None, None, None, said["score"][3]]


def png_chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def test_it_is_ready_before_the_first_image_comes(detector, tmp_path, monkeypatch):
    save_detector(tmp_path / "detector.safetensors", detector)
    seen = []
    monkeypatch.setattr(Judge, "judge_framed", lambda judge, image: seen.append((judge, image)) or Judged(NOTHING))
    model = serving.DetectorModel()
    model.load_context(SimpleNamespace(artifacts={"detector": str(tmp_path / "detector.safetensors")}))
    ((judge, shown),) = seen
    assert judge is model.judge
    assert (shown.shape, shown.dtype) == ((1, 32, 40), np.uint8)
    assert "scorer" in vars(model.judge)  # with its network


def test_it_warms_up_by_an_image_that_the_detector_keeps(detector, image):
    keeping = with_check(detector, [image], ComputeParams(device="cpu", threads=1, engine="torch"))
    np.testing.assert_array_equal(like_learned(keeping), image)


def test_regions_are_json_with_the_largest_first(detector, image):
    low = replace(detector, thresholds=calibrate((0.0,), target_overkill=0.5, review_overkill=0.5))
    row = serving.answer(Judge(low), encode_png(image))
    (region,) = json.loads(row["regions"])
    assert (region["y"], region["x"], region["height"], region["width"], region["area"]) == (0, 0, 32, 40, 1280)
    assert region["peak"] > 0
    assert row["verdict"] == "reject"


def test_the_heat_map_is_black_at_zero_and_pale_yellow_from_twice_the_limit_on(detector):
    anomaly = np.array([[0.0, 0.5, 1.0, 7.0]], np.float16)  # the limit is 0.5
    judged = Judged(NOTHING, scored=Scored(7.0, anomaly))
    black, middle, *yellow = decode(heat_map(judged, Judge(detector)), max_pixels=None)[:, 0].T.tolist()
    assert black == [0, 0, 3]
    np.testing.assert_allclose(middle, [188, 55, 84], atol=1)  # inferno at a half
    assert yellow == [[252, 254, 164]] * 2
    assert heat_map(Judged(NOTHING), Judge(detector)) is None


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
    judge = Judge(served.judge.detector, settings)
    contents = [encode_png(image), encode_png(image[:, ::-1]), b"no image"]
    params = None if given is None else {"inspection": json.dumps(given)}
    said = served.predict(None, pd.DataFrame({"image": contents}), params)
    assert said.to_dict("records") == [serving.answer(judge, content) for content in contents]


def test_settings_of_a_request_compile_nothing_again(served, image, monkeypatch):
    before = served.judge.scorer
    monkeypatch.setattr("flawline.detector.judging.agreeing_scorer", lambda *_: pytest.fail("made again"))
    assert served.judge.with_settings(InspectionParams(min_area=2.0)).scorer is before


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

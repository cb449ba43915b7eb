"""A detector becomes a model only if it says the same wherever it is asked."""

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from small_detector import untrained

from flawline.checks import FlawlineError
from flawline.detector.engine_check import with_check
from flawline.detector.file import save_detector
from flawline.detector.judging import Judge
from flawline.hooks import served_model
from flawline.hooks.served_model import (
    LONGEST,
    VERSION,
    describe,
    example_file,
    logged_id,
    reason_against,
    register,
    shortened,
)
from flawline.intake.decoding import decode, encode_png
from flawline.params import ComputeParams
from flawline.storage.ragged import Lazy

COMPUTE = ComputeParams(device="cpu", threads=1, engine="torch")


@pytest.fixture
def images():
    return list(np.random.default_rng(5).integers(0, 256, (3, 1, 32, 40), dtype=np.uint8))


@pytest.fixture
def stored(images, tmp_path):
    """The file of a detector that keeps some images, of which none sets a threshold."""
    made = untrained((32, 40), (32, 40), (0.4, 0.5), smoothing=2.0, stride=16, target=0.4, review=0.4)
    save_detector(tmp_path / "detector.safetensors", with_check(made, images, COMPUTE))
    return tmp_path / "detector.safetensors"


def test_nothing_speaks_against_a_detector_that_says_the_same_everywhere(stored, images):
    assert reason_against(stored, encode_png(images[0]), COMPUTE) is None


def test_an_engine_that_says_otherwise_is_named(stored, images, monkeypatch):
    """Two engines may each be right by their own scores: what counts is that they say the same."""
    framed = Judge.judge_framed
    calls = []

    def odd(judge, image, seen=None):
        judged = framed(judge, image, seen)
        calls.append(judge)
        other = len(calls) == 2 * len(images)  # the last image that the first engine is asked of
        return judged if not other else type(judged)(type(judged.judgement)("reject", "", judged.judgement.score))

    monkeypatch.setattr(Judge, "judge_framed", odd)
    told = reason_against(stored, encode_png(images[0]), COMPUTE)
    assert told == "by torch: 1 of 3 verdicts are others (reject in place of pass)"


def test_a_model_that_answers_otherwise_is_told(stored, images, monkeypatch):
    made_of = served_model.made_of
    other = untrained((32, 40), (32, 40), (0.0, 0.0), smoothing=2.0, stride=16, target=0.4, review=0.4)

    def of_another(detector, example):
        path = detector.with_name("other.safetensors")
        save_detector(path, with_check(other, images, COMPUTE))
        return made_of(path, example)

    monkeypatch.setattr(served_model, "made_of", of_another)
    told = reason_against(stored, encode_png(images[0]), COMPUTE)
    assert told == "as a loaded model: 3 of 3 verdicts are others (reject in place of pass)"


def test_a_model_that_cannot_be_loaded_is_told_in_one_line(stored, images, monkeypatch):
    def broken(_):
        raise MlflowException("no such flavour\nat line 3")

    monkeypatch.setattr(mlflow.pyfunc, "load_model", broken)
    assert reason_against(stored, encode_png(images[0]), COMPUTE) == "no such flavour"


# --- the registry ----------------------------------------------------------------------------------------------------
@pytest.fixture
def client(tmp_path):
    return MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}", f"sqlite:///{tmp_path / 'mlflow.db'}")


def test_every_detector_is_a_version_and_its_card_the_description(client, tmp_path):
    run = client.create_run("0").info.run_id
    numbers = [
        register(client, "flawline-bolt-auto", tmp_path.as_uri(), run, {VERSION: version}) for version in ("a", "b")
    ]
    assert numbers == ["1", "2"]
    assert describe(client, "flawline-bolt-auto", "b", "# the card")
    assert not describe(client, "flawline-bolt-auto", "c", "# of none")
    told = [client.get_model_version("flawline-bolt-auto", number).description for number in numbers]
    assert told[1] == "# the card"
    assert not told[0]


def test_a_server_is_told_which_logged_model_a_version_is():
    """It refuses a source of that kind without the model's id."""
    assert logged_id("models:/m-0123") == "m-0123"
    assert logged_id("file:///models/m") is None


def test_a_store_without_a_registry_is_told(tmp_path):
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}", "http://127.0.0.1:9")
    client.search_registered_models = lambda *_: (_ for _ in ()).throw(MlflowException("not here\nat all"))
    with pytest.raises(FlawlineError, match=r"the tracking store registers no models \(not here\)"):
        register(client, "flawline-bolt-auto", "file:///m", "0", {})


def test_a_long_card_is_cut_at_a_line_and_says_where_the_rest_is():
    card = "\n".join(f"line {k}" for k in range(2_000))
    cut = shortened(card)
    assert len(cut) <= LONGEST
    kept, rest = cut.split("\n\n")
    assert card.startswith(f"{kept}\n")
    assert rest == "The rest is in model_card.md, an artifact of the run."
    assert shortened("short") == "short"


# --- the example -----------------------------------------------------------------------------------------------------
def test_the_example_is_a_photograph_as_it_was_taken_or_what_is_stored_of_a_part_of_one(tmp_path, images):
    (tmp_path / "b.png").write_bytes(b"the file")
    manifest = pd.DataFrame({"image": ["a.png", "b.png"], "split": ["test", "calibration"], "page": [0, 0]})
    store = Lazy.of(images, [0, 1])
    assert example_file(manifest, store, tmp_path) == b"the file"
    for part in (manifest.assign(page=1), manifest.assign(source="whole.png")):
        np.testing.assert_array_equal(decode(example_file(part, store, tmp_path), max_pixels=None), images[1])

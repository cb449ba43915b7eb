"""Another engine judges only if it says the same of the images that a detector keeps."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from base_params import BASE

from flawline.checks import FlawlineError
from flawline.detector import engine_check
from flawline.detector.engine_check import COUNT, with_check
from flawline.detector.file import Detector, load_detector, save_detector
from flawline.detector.judging import Judge
from flawline.detector.scoring import ImageScorer
from flawline.detector.thresholds import calibrate
from flawline.methods.inputs import InputSequence, embed_all
from flawline.methods.one_class import IMAGE
from flawline.methods.patch_memory_free import PatchMemoryFree
from flawline.params import ComputeParams
from flawline.storage.tensors import packed, part
from flawline.training.engines import TorchNetwork

PARAMS = BASE.patch_memory_free.scorer.but(scale=1, size=50, pool=500)
COMPUTE = ComputeParams(device="cpu", threads=1, engine="torch")


def photographs(count, dtype):
    rng = np.random.default_rng(0)
    return [(rng.uniform(0.2, 0.8, (1, 48, 48)) * np.iinfo(dtype).max).astype(dtype) for _ in range(count)]


def made(dtype=np.uint8, count=20):
    """Return a detector of photographs that keeps some of them, and all of these in the order of their scores."""
    images, scorer = photographs(count, dtype), PatchMemoryFree(PARAMS)
    plain = InputSequence((IMAGE,), images, range(count))
    inputs = replace(plain, embeddings=list(embed_all(scorer, plain, batch_size=1)))
    state = scorer.fit(inputs, seed=0)
    scores = [scorer.score(state, each).score for each in inputs]
    bits = 8 * np.dtype(dtype).itemsize
    detector = Detector(
        method="patch_memory_free", category="boards", params={"scorer": PARAMS.model_dump(mode="json")}, channels=1,
        depth=bits, bits=bits, smallest=(48, 48), largest=(48, 48), review_overkill=0.1,
        thresholds=calibrate(scores, target_overkill=0.1, review_overkill=0.2, map_maxima=[]),
        calibration_scores=tuple(scores), weights=packed({"one_class": state}),
    )  # fmt: skip
    return detector, [images[k] for k in np.argsort(scores)]


@pytest.fixture(params=[np.uint8, np.uint16], ids=["8 bits", "16 bits"])
def checked(request):
    return with_check(*made(request.param), COMPUTE)


@pytest.fixture
def elsewhere(monkeypatch):
    """Make every engine another than the one that a detector was calibrated with."""
    monkeypatch.setattr(ImageScorer, "engine", "another engine")


def test_a_detector_keeps_images_over_the_range_of_scores_and_what_it_says_of_them(checked, tmp_path):
    kept = part(checked.weights, "checked")
    assert len(kept) == len(checked.checked_scores) == COUNT
    assert list(checked.checked_scores) == sorted(checked.checked_scores)
    assert checked.about["engine"] == f"torch {torch.__version__} on cpu"
    save_detector(tmp_path / "detector", checked)
    again = load_detector(tmp_path / "detector")
    assert again.checked_scores == checked.checked_scores
    Judge(again, compute=COMPUTE).check()


def test_large_photographs_are_kept_as_far_as_they_fit_and_one_at_least(monkeypatch):
    detector, images = made()
    for limit, count in ((3 * images[0].nbytes, 3), (1, 1)):
        monkeypatch.setattr(engine_check, "BYTES", limit)
        assert len(part(with_check(detector, images, COMPUTE).weights, "checked")) == count


def test_an_engine_that_says_the_same_judges(checked, elsewhere):
    judge = Judge(checked, compute=COMPUTE)
    judge.check()
    assert judge.judge(photographs(1, np.dtype(f"u{checked.depth // 8}"))[0]).judgement.score is not None


def test_an_engine_that_is_a_little_off_judges_and_one_that_is_further_off_does_not(checked, elsewhere):
    reject = checked.thresholds.reject.value
    near = replace(checked, checked_scores=tuple(score - 2e-4 * abs(reject) for score in checked.checked_scores))
    Judge(near, compute=COMPUTE).check()
    far = replace(checked, checked_scores=tuple(score + 0.1 * abs(reject) for score in checked.checked_scores))
    with pytest.raises(FlawlineError, match=r"calibrated with torch .* on cpu; with another engine the scores of 8"):
        Judge(far, compute=COMPUTE).check()


def test_an_engine_whose_scores_are_near_but_on_the_other_side_of_a_threshold_is_refused(checked, elsewhere):
    highest = max(checked.checked_scores)
    reject = replace(checked.thresholds.reject, value=highest * (1 + 1e-5))
    moved = replace(checked, thresholds=replace(checked.thresholds, reject=reject),
                    checked_scores=(*checked.checked_scores[:-1], highest * (1 + 2e-5)))  # fmt: skip
    with pytest.raises(FlawlineError, match=r"and 1 of their verdicts are others\. Judge with the same engine"):
        Judge(moved, compute=COMPUTE).check()


def test_with_the_same_engine_nothing_is_scored_again(checked, monkeypatch):
    monkeypatch.setattr(Detector, "score", lambda *_: pytest.fail("scored"))
    Judge(checked, compute=COMPUTE).check()


def test_an_image_whose_score_is_the_threshold_may_fall_on_either_side(checked, elsewhere):
    """A threshold of held-out images is the score of one of them: the last bit decides about that one."""
    highest = max(checked.checked_scores)
    reject = replace(checked.thresholds.reject, value=highest * (1 - 1e-6))
    scores = (*checked.checked_scores[:-1], reject.value)
    Judge(replace(checked, thresholds=replace(checked.thresholds, reject=reject), checked_scores=scores),
          compute=COMPUTE).check()  # fmt: skip


@pytest.mark.parametrize(("engine", "wanted"), [("auto", ["openvino", "torch"]), ("openvino", None)])
def test_where_the_engine_is_left_open_one_that_does_not_agree_is_replaced_by_torch(
    checked, monkeypatch, engine, wanted
):
    tried = []

    def check(detector, scorer):
        tried.append(scorer.settled.engine)
        if tried[-1] == "openvino":
            raise FlawlineError("it says something else")

    monkeypatch.setattr(engine_check, "check_engine", check)
    monkeypatch.setattr("flawline.training.compute.is_installed", lambda engine: True)
    monkeypatch.setattr("flawline.training.runtime.is_installed", lambda engine: True)
    monkeypatch.setattr("flawline.methods.features.running", lambda network, engine, **_: TorchNetwork(network))
    judge = Judge(checked, compute=COMPUTE.but(engine=engine))
    if wanted is None:
        with pytest.raises(FlawlineError, match="something else"):
            judge.check()
    else:
        judge.check()
        assert tried == wanted

"""Methods that are chosen by normal images alone: where places help, where they hurt, and where nothing can decide."""

import itertools

import numpy as np
import pandas as pd
import pytest
import torch
from base_params import BASE
from moved_parts import part_of
from pydantic import ValidationError

from flawline.checks import FlawlineError
from flawline.methods.auto import Auto
from flawline.methods.fold_scores import FoldFile
from flawline.methods.method_choice import (
    COLUMNS,
    candidate_scorers,
    choose_method,
    score_name,
    side_to_look_at,
    untried,
)
from flawline.methods.trial import Seeing, make_trial
from flawline.params import ImageScoreParams
from flawline.storage.unfinished import UnfinishedFile

SMALL = {"features": {**BASE.patch_memory.scorer.features.model_dump(), "side": 128}}
BOUND = {"method": "patch_memory", "settings": BASE.patch_memory.scorer.model_dump(), "change": SMALL}
FREE = {
    "method": "patch_memory_free",
    "settings": BASE.patch_memory_free.scorer.model_dump(),
    "change": {**SMALL, "scale": 1, "size": 300, "pool": 2000},
}
PARAMS = BASE.auto.but(candidates={"bound": BOUND, "free": FREE}, choice={"folds": 3, "seconds": None, "noise": 1.0})
SIDE = 128  # pixels of a texture


def trial(images, defects=54, folds=3):
    apart = np.arange(len(images)) % folds
    return make_trial(images, [None] * len(images), apart, BASE.defect_injection, defects=defects, seed=0)


def chosen(images, params=PARAMS, defects=54, **more):
    table, scorer, kinds = choose_method(trial(images, defects), params, review_overkill=0.05, **more)
    assert table.columns.tolist() == list(COLUMNS)
    assert table["chosen"].sum() == 1
    assert kinds["found"].between(0, 1).all()
    assert table["stable"].dropna().between(0, 1).all()
    picked = table[table["chosen"]].iloc[0]
    if picked["folds"] == 3:
        assert kinds["defects"].sum() == defects
        assert np.average(kinds["found"], weights=kinds["defects"]) == pytest.approx(picked["detected"])
    return table.set_index("candidate"), scorer


def textured(seed, within=1.0, places=None):
    """Soft spots in the left share ``within`` of a plain surface (1, H, W), at random or, with ``places``, always the
    same."""
    noise = np.random.default_rng(seed)
    rng = noise if places is None else np.random.default_rng(places)
    y, x = np.mgrid[:SIDE, :SIDE]
    grey = np.full((SIDE, SIDE), 170.0) + noise.normal(0, 3, (SIDE, SIDE))
    for _ in range(round(14 * within)):
        middle_y, middle_x = rng.uniform(0, SIDE), rng.uniform(0, within * SIDE)
        grey -= 70 * np.exp(-((y - middle_y) ** 2 + (x - middle_x) ** 2) / (2 * 6**2))
    return np.clip(grey, 0, 255).astype(np.uint8)[None]


@pytest.fixture(scope="module")
def still():
    return [part_of(seed=k) for k in range(12)]


def test_of_a_texture_the_memory_without_places_is_chosen():
    table, scorer = chosen([textured(k) for k in range(24)], defects=108)
    assert table["chosen"].idxmax() == "free"
    assert table.loc["free", "auroc"] > table.loc["bound", "auroc"]
    assert scorer.method == "patch_memory_free"
    assert scorer.own()["size"] == 300


def test_of_a_moved_image_the_memory_of_single_places_thinks_less_well():
    board = np.kron(np.indices((16, 16)).sum(axis=0) % 2, np.ones((8, 8))) * 120 + 60  # moved by a pixel, it shows
    images = [np.clip(board + np.random.default_rng(k).normal(0, 3, board.shape), 0, 255).astype(np.uint8)[None]
              for k in range(12)]  # fmt: skip
    strict = {"strict": {**BOUND, "change": {**SMALL, "search_radius": 0}}, "free": FREE}
    table, _ = chosen(images, PARAMS.but(candidates=strict))
    assert table.loc["strict", "stable"] < 1


def test_where_everything_has_its_place_the_memory_of_places_is_as_good_and_comes_first():
    table, scorer = chosen([textured(k, within=0.5, places=1) for k in range(12)])
    assert scorer.method == "patch_memory"
    assert table.loc["bound", "reason"] in ("the best", "as good as free within the scatter, and simpler")


def test_of_those_as_good_within_the_scatter_the_first_is_taken(still):
    roomy = {**BOUND, "change": {**SMALL, "size": 100}}  # more than there are: all are kept, as by the other
    twins = PARAMS.but(candidates={"one": BOUND, "two": roomy})
    table, _ = chosen(still, twins)
    assert table["chosen"].idxmax() == "one"
    assert len(set(table["auroc"])) == 1
    assert table.loc["two", ["behind", "error"]].tolist() == [0, 0]
    generous = PARAMS.but(choice={"noise": 1000.0})
    assert chosen(still, generous)[0]["chosen"].idxmax() == "bound"


def test_several_workers_come_to_the_same(still):
    alone, crowd = (chosen(still, workers=workers)[0].drop(columns="seconds") for workers in (1, 3))
    pd.testing.assert_frame_equal(crowd, alone, check_exact=True)


def test_what_cannot_serve_the_images_says_why_and_if_none_can_that_is_an_error(still):
    sizes = [image[:, : 112 - 8 * (k % 3)] for k, image in enumerate(still)]
    table, _ = chosen(sizes)
    assert table["chosen"].idxmax() == "free"
    assert table.loc["bound", "reason"].startswith("patch_memory compares images position by position")
    assert table.loc["bound", "folds"] == 0
    alone = PARAMS.but(candidates={"bound": BOUND, "unknown": {**BOUND, "method": "patch_memoir"}})
    with pytest.raises(FlawlineError, match=r"no candidate .* bound: patch_memory compares .* unknown: no"):
        chosen(sizes, alone)


def test_when_the_time_is_up_the_best_so_far_is_taken_and_said(still):
    ticks = itertools.count()
    limited = PARAMS.but(choice={"seconds": 3.0})
    table, _ = chosen(still, limited, clock=lambda: float(next(ticks)))
    assert table.loc[table["chosen"], "reason"].item().endswith("; the time was up")
    assert set(table.loc[table["folds"] == 0, "reason"]) <= {"not tried: the time was up"}
    assert table["folds"].max() == 1


def test_images_all_alike_and_defects_that_nobody_finds_are_no_error(still):
    table, _ = chosen([still[0]] * 6)
    assert table["auroc"].notna().all()
    blank = [np.full((1, 64, 64), 128, np.uint8)] * 6
    noise = BASE.defect_injection.but(kinds=("gaussian",))
    table, *_ = choose_method(
        make_trial(blank, [None] * 6, np.arange(6) % 3, noise, defects=12, seed=0), PARAMS, review_overkill=0.05
    )
    assert table["chosen"].sum() == 1


def test_where_nothing_can_be_tried_the_usual_scorer_is_taken_if_it_suits():
    table, scorer, kinds = untried(PARAMS, [(1, 64, 64)] * 3, "3 images are too few")
    assert scorer == PARAMS.scorer
    assert kinds.empty
    assert table["candidate"].tolist() == ["patch_memory"]
    assert table["reason"].tolist() == ["3 images are too few"]
    table, scorer, kinds = untried(PARAMS, [(1, 64, 64), (1, 70, 64)], "3 images are too few")
    assert table["candidate"].tolist() == ["free"]
    with pytest.raises(FlawlineError, match="images of several sizes, and 3 images are too few"):
        untried(PARAMS.but(candidates={"bound": BOUND}), [(1, 64, 64), (1, 70, 64)], "3 images are too few")


def test_an_image_of_another_size_that_has_to_be_scored_leaves_out_what_knows_places(still):
    shapes = [*(image.shape for image in still), (1, 100, 120)]
    table, scorer = chosen(still, shapes=shapes)
    assert scorer.method == "patch_memory_free"
    assert table.loc["bound", "reason"].startswith("patch_memory compares images position by position")


def test_large_images_are_looked_at_smaller_but_by_what_has_a_side_of_its_own():
    change = {**FREE["change"], "features": {**SMALL["features"], "side": None}}
    params = PARAMS.but(candidates={"bound": BOUND, "free": {**FREE, "change": change}}, choice={"side": 96})
    small, large = (candidate_scorers(params, [(1, side, 200)]) for side in (96, 97))
    assert [each.own()["features"]["side"] for each in small.values()] == [128, None]
    assert [each.own()["features"]["side"] for each in large.values()] == [128, 96]
    images = [np.kron(image, np.ones((1, 2, 2), np.uint8)) for image in [part_of(seed=k) for k in range(6)]]
    table, _ = chosen(images, params, defects=18)
    assert table["least_seen"].to_dict() == {
        name: pytest.approx(32 * min(images[0].shape[1:]) / side) for name, side in (("bound", 128), ("free", 96))
    }
    assert chosen(images, params.but(choice={"side": 512}), defects=18)[0]["least_seen"].isna().tolist() == [
        False,
        True,
    ]


def test_candidates_that_learn_the_same_learn_it_once_and_each_as_it_would_alone(still, monkeypatch):
    variants = {"all": {}, "place": {"normalise": "place"}, "fewer": {"pool": 500}}
    params = PARAMS.but(candidates={name: {**FREE, "change": {**FREE["change"], **change}}
                                    for name, change in variants.items()})  # fmt: skip
    fits, fit = [], Auto.fit
    monkeypatch.setattr(Auto, "fit", lambda auto, inputs, *, seed: fits.append(seed) or fit(auto, inputs, seed=seed))
    seeing, trying = Seeing(trial(still)), [Auto(each) for each in candidate_scorers(params, [still[0].shape]).values()]
    states = [seeing.learned(auto, 1) for auto in trying]
    assert fits == [1, 1]
    assert states[0] is states[1]
    alone = [Seeing(trial(still)).learned(auto, 1) for auto in trying]
    for shared, own in zip(states, alone, strict=True):
        assert shared.keys() == own.keys()
        assert all(torch.equal(shared[name], own[name]) for name in own)


def test_a_candidate_that_sees_images_as_another_does_is_not_tried(still):
    seen = {"as_it_is": None, "its_side": min(still[0].shape[1:]), "smaller": 96}
    params = PARAMS.but(candidates={name: {**FREE, "change": {**FREE["change"], "features": {"side": side}}}
                                    for name, side in seen.items()})  # fmt: skip
    table, _ = chosen(still, params)
    assert table.loc["its_side", "reason"] == "on these images the same as as_it_is"
    assert table.loc[["as_it_is", "smaller"], "folds"].tolist() == [3, 3]
    other, _ = chosen(still, params, shapes=[*(each.shape for each in still), (1, 300, 200)])
    assert not other["reason"].str.contains("the same as").any()
    twice = {**FREE, "change": {**FREE["change"], "features": {"side": None}, "scale": 2}}
    larger = params.but(candidates={"as_it_is": twice, "its_side": params.candidates["its_side"]})
    assert chosen(still, larger)[0]["folds"].tolist() == [3, 3]  # the first looks at them twice as large


def test_the_smaller_the_wanted_defect_the_larger_images_are_looked_at():
    params = BASE.auto.choice.but(side=512, least_span=32)
    shapes = [(1, 2000, 3000), (1, 2400, 2200)]
    assert side_to_look_at(params, shapes, 0) == 512
    assert side_to_look_at(params, shapes, 400.0**2) == 512  # it spans 85 pixels there
    assert side_to_look_at(params, shapes, 100.0**2) == 704  # 32 of the 100 pixels, of the larger image's 2,200
    assert side_to_look_at(params, shapes, 20.0**2) is None
    assert side_to_look_at(params, [(1, 512, 700)], 0) is None


def test_an_image_score_that_has_to_be_learned_cannot_be_tried():
    with pytest.raises(ValidationError, match="region_mass needs a level"):
        PARAMS.but(choice={"image_scores": ({"reduction": "region_mass", "share": 0.05},)})


def test_image_scores_have_words():
    told = [ImageScoreParams(reduction=name, share=0.05) for name in ("top_share", "maximum", "region_mass")]
    assert [score_name(each) for each in told] == ["highest 5 %", "maximum", "region mass"]


@pytest.fixture
def fits(monkeypatch):
    """What was learned since the test began: (method, fold)."""
    made, fit = [], Auto.fit

    def noted(self, inputs, *, seed):
        made.append((self.params.method, seed))
        return fit(self, inputs, seed=seed)

    monkeypatch.setattr(Auto, "fit", noted)
    return made


def cut_off_after(steps):
    def track(items, *, total, label):
        yield from itertools.islice(items, steps)
        raise KeyboardInterrupt

    return track


def test_a_choice_that_was_cut_off_goes_on_and_comes_to_the_same(still, tmp_path, fits):
    whole, scorer = chosen(still[:9], defects=18)
    file = UnfinishedFile(tmp_path / "choice.safetensors")
    with pytest.raises(KeyboardInterrupt):
        chosen(
            still[:9], defects=18, store=FoldFile(file, "key"), track=cut_off_after(3)
        )  # fold 0 of both, fold 1 of one
    fits.clear()
    table, again = chosen(still[:9], defects=18, store=FoldFile(file, "key"))
    assert fits == [("patch_memory_free", 1), ("patch_memory", 2), ("patch_memory_free", 2)]
    assert again == scorer
    assert table.drop(columns="seconds").equals(whole.drop(columns="seconds"))

    fits.clear()
    at_once, _ = chosen(still[:9], defects=18, store=FoldFile(file, "key"))
    assert not fits
    assert at_once["seconds"].tolist() == table["seconds"].tolist()  # what it took to find them out


def test_a_choice_takes_up_nothing_of_another(still, tmp_path, fits):
    file = UnfinishedFile(tmp_path / "choice.safetensors")
    chosen(still[:9], defects=18, store=FoldFile(file, "key"))
    fits.clear()
    chosen(still[:9], defects=18, store=FoldFile(file, "another"))
    assert len(fits) == 6

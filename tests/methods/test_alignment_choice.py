"""Alignments that are chosen by normal images alone: of parts that lie anywhere, and of parts that never move."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from base_params import BASE
from moved_parts import grain, part_of

from flawline.checks import FlawlineError
from flawline.methods.alignment_choice import (
    CANDIDATES,
    COLUMNS,
    Judge,
    choose_alignment,
    chosen_alignment,
    misplaced,
)
from flawline.vision.transform import IDENTITY, Transform

SCORER = BASE.patch_memory.scorer.but(size=8, features={"side": 96})  # the smaller, the quicker
FREE = BASE.patch_memory_free.scorer.but(size=50, pool=2000, features={"side": 96})
JUDGE = Judge(SCORER, FREE, BASE.defect_injection, 0)
AUTO = BASE.registration.auto.but(images=24, defects=54)
PARAMS = BASE.registration.but(align="auto", auto=AUTO)


def chosen(images, judge=JUDGE, **changes):
    names = [f"{k}.png" for k in range(len(images))]
    return choose_alignment(images, PARAMS.but(**changes), judge, names=names).set_index("align")


@pytest.fixture(scope="module")
def turned():
    rng = np.random.default_rng(0)
    moves = [Transform(rng.uniform(-180, 180), *rng.uniform(-6, 6, 2)) for _ in range(24)]
    return chosen([part_of(move, seed=k) for k, move in enumerate(moves)])


def test_parts_at_any_angle_are_aligned_by_more_than_a_shift(turned):
    assert turned.index.tolist() == list(CANDIDATES)
    assert turned.columns.tolist() == list(COLUMNS[1:])
    assert turned["chosen"].sum() == 1
    assert turned["chosen"].idxmax() in ("rigid", "structure_tensor")
    assert turned.loc["rigid", "auroc"] > turned.loc["none", "auroc"]
    assert turned.loc["rigid", "angle_spread"] > 40
    assert turned.loc["rigid", "aligned_share"] == 1
    best = turned["auroc"].idxmax()
    assert turned.loc[best, ["behind", "error"]].tolist() == [0, 0]
    assert turned.loc["none", "behind"] == pytest.approx(turned.loc[best, "auroc"] - turned.loc["none", "auroc"])
    assert turned.loc["none", "error"] > 0


def test_parts_that_never_move_are_left_as_they_are_and_a_misplaced_one_is_found():
    images = [part_of(IDENTITY, seed=k) for k in range(8)]
    found = chosen(images, crop=False)  # a smaller frame alone shows more
    assert found["chosen"].idxmax() == "none"
    assert found.loc["none", "misplaced_auroc"] == 1
    assert found.loc["none", "auroc"] > found.loc["none", "pseudo_auroc"]  # misplaced ones count
    pd.testing.assert_frame_equal(chosen(images, replace(JUDGE, workers=3), crop=False), found, check_exact=True)


def test_where_parts_lie_anywhere_a_misplaced_one_is_no_defect(turned):
    assert (turned["auroc"] == turned["pseudo_auroc"])[turned["reason"] == ""].all()


def test_of_nearly_equal_alignments_the_simplest_is_taken(turned):
    images = [part_of(Transform(30 * k, 0, 0), seed=k) for k in range(4)]
    assert chosen(images, auto=AUTO.but(least_gain=0.99))["chosen"].idxmax() == "none"


def test_images_of_several_sizes_are_judged_without_places_and_what_cannot_be_used_has_its_reason():
    images = [grain(side=96 + 8 * (k % 3))[None].astype(np.uint8) for k in range(8)]  # a texture, cut to several sizes
    found = chosen(images, auto=AUTO.but(images=8, defects=18))
    assert found.loc["none", "auroc"] > 0.5
    assert found.loc["none", "reason"] == ""
    assert (found.loc[found["auroc"].isna(), "reason"] != "").all()


def test_too_few_images_are_left_as_they_are_and_no_usable_alignment_is_an_error(monkeypatch):
    few = chosen([part_of(seed=k) for k in range(3)])
    assert few["chosen"].to_dict() == {"none": True}
    assert few.loc["none", "reason"] == "3 normal training images are too few to try alignments on"
    monkeypatch.setattr("flawline.methods.alignment_choice.CANDIDATES", ("shift",))

    def refused(*args, **more):
        raise FlawlineError("the training images do not show the part")

    monkeypatch.setattr("flawline.methods.alignment_choice.fit_aligner", refused)
    with pytest.raises(FlawlineError, match=r"found no alignment that can be used: the training images do not show"):
        chosen([part_of(seed=k) for k in range(8)])


def test_chosen_takes_the_place_of_auto_alone(turned):
    table = turned.reset_index()
    assert chosen_alignment(PARAMS, table).align == turned["chosen"].idxmax()
    named = BASE.registration.but(align="shift")
    assert chosen_alignment(named, table.head(0)) is named


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_misplaced_image_is_turned_and_moved_within_bounds(dtype):
    image = part_of(dtype=dtype)
    params = AUTO.but(turn=12.0, shift=0.0)
    moved = misplaced(image, params, np.random.default_rng(0))
    assert (moved.shape, moved.dtype) == (image.shape, dtype)
    from flawline.vision.fitting import fit_aligner

    aligner, _ = fit_aligner([image], BASE.registration.but(align="rigid"), names=["a"])
    angle = aligner.align(moved).move.angle
    assert 4 - 0.5 <= abs(angle) <= 12 + 0.5

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from moved_parts import SIZE, aligner_of, displaced, grain, part_of

from flawline.vision.foreground import block_mean
from flawline.vision.levels import grey_levels
from flawline.vision.matching import Matcher, _distinct
from flawline.vision.transform import IDENTITY, Transform

WHOLE = np.ones(SIZE, bool)


def test_correlation_is_that_of_the_pixels_that_count():
    grey, other = (grey_levels(part_of(seed=seed)) for seed in (0, 1))
    seen = np.zeros(SIZE, bool)
    seen[20:90, 30:100] = True
    wanted = np.corrcoef(grey[seen], other[seen])[0, 1]
    assert Matcher(grey, seen).correlation(other, IDENTITY) == pytest.approx(wanted, abs=1e-6)


def test_self_likeness_by_angle_falls_and_is_one_at_none():
    grey = block_mean(grey_levels(part_of()), 1)
    matcher = Matcher(grey, np.ones(SIZE, bool))
    likeness = matcher.by_angle(grey, [0, 45, 90])
    assert likeness[0] == pytest.approx(1, abs=1e-3)
    assert likeness[1:].max() < 0.9


# --- where to begin --------------------------------------------------------------------------------------------------
def test_part_is_found_where_something_beside_it_misleads_its_mass():
    wanted = Transform(70, 2, -3)
    image = part_of(wanted, seed=1).copy()
    image[0, 6:106, 5:17] = 80
    found = aligner_of().align(image)
    assert found.aligned
    assert displaced(found.move, wanted) < 0.5


@pytest.mark.parametrize(("wanted", "scales"), [(Transform(33, 4, -5), False), (Transform(-20, 3, 2, 0.85), True)])
def test_turned_grain_is_found_without_a_part(wanted, scales):
    matcher = Matcher(grain(), np.ones((SIZE[0], SIZE[0]), bool), scales=scales)
    found, correlation = matcher.find(grain(wanted))
    assert correlation > 0.95
    assert displaced(found, wanted) < 0.2


# --- refinement ------------------------------------------------------------------------------------------------------
@settings(max_examples=10, deadline=None)
@given(angle=st.floats(-180, 179), y=st.floats(-8, 8), x=st.floats(-8, 8))
def test_found_move_is_a_top_of_the_correlation(angle, y, x):
    matcher = Matcher(grey_levels(part_of()), WHOLE)
    grey = grey_levels(part_of(Transform(angle, y, x), seed=1))
    move, correlation = matcher.find(grey)
    around = [
        replace(move, **{number: getattr(move, number) + step})
        for number in ("angle", "shift_y", "shift_x") for step in (-0.25, 0.25)
    ]  # fmt: skip
    assert correlation > max(matcher.correlation(grey, each) for each in around)


def test_candidates_that_nearly_turn_alike_are_one_also_across_half_a_turn():
    found = [(Transform(angle), c) for angle, c in ((179, 0.5), (-178, 0.7), (20, 0.6), (27, 0.4))]
    assert [move.angle for move, _ in _distinct(found)] == [-178, 20, 27]
    scales = [(Transform(0, scale=scale), c) for scale, c in ((1.0, 0.9), (1.05, 0.8), (1.2, 0.7))]
    assert [move.scale for move, _ in _distinct(scales)] == [1.0, 1.2]

import numpy as np
import pytest
from moved_parts import SIZE, part_of

from flawline.vision.foreground import block_mean
from flawline.vision.levels import grey_levels
from flawline.vision.matching import Matcher
from flawline.vision.transform import IDENTITY


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

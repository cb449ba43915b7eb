import numpy as np
import pytest
from base_params import BASE

from flawline.checks import FlawlineError
from flawline.methods.mean_brightness import MeanBrightness
from flawline.methods.one_class import Inputs

SCORER = MeanBrightness(BASE.mean_brightness.scorer)


def seen(*levels):
    return [Inputs((np.full((1, 4, 6), level, np.float32),)) for level in levels]


def test_score_is_the_distance_to_the_median_brightness_either_way():
    state = SCORER.fit(seen(0.2, 0.5, 0.4), seed=0)
    scores = [SCORER.score(state, each) for each in seen(0.4, 0.7, 0.1)]
    assert [each.score for each in scores] == pytest.approx([0, 0.3, 0.3], abs=1e-6)
    assert not any(each.map.size for each in scores)


def test_no_image_is_refused():
    with pytest.raises(FlawlineError, match="got 0"):
        SCORER.fit([], seed=0)

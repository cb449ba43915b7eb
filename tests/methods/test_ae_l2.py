import numpy as np
import pytest
from base_params import BASE

from flawline.methods.ae_l2 import AEL2
from flawline.methods.one_class import Inputs
from flawline.storage.tensors import read_tensors, write_tensors

PIXELS = BASE.cae.scorer


def test_the_score_is_the_mean_square_before_smoothing_and_the_map_after(tmp_path):
    residual = np.zeros((2, 8, 8), np.float32)
    residual[0, 3, 4] = 0.5
    scorer = AEL2(PIXELS.but(smoothing=1.0), ("cpcae",))
    found = scorer.score(scorer.fit([], seed=0), Inputs((residual,)))
    assert found.score == 0.25 / (2 * 8 * 8)
    assert found.map[3, 4] == found.map.max() == pytest.approx(0.125 / (2 * np.pi), rel=0.05)


def test_that_nothing_was_learned_can_be_stored(tmp_path):
    write_tensors(tmp_path / "state", AEL2(PIXELS, ("cpcae",)).fit([], seed=0), {})
    assert read_tensors(tmp_path / "state") == ({}, {})


def test_pixels_are_not_embedded():
    scorer = AEL2(PIXELS, ("cpcae",))
    assert (scorer.by_map, scorer.embeds) == (False, False)
    with pytest.raises(TypeError, match="AEL2 sees pixels and embeds nothing"):
        scorer.embed(())

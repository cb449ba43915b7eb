import numpy as np
import pytest

from flawline.methods.ae_l2 import AEL2
from flawline.methods.one_class import Inputs
from flawline.params import PixelScorerParams
from flawline.storage.tensors import read_tensors, write_tensors


def test_the_score_is_the_mean_square_before_smoothing_and_the_map_after(tmp_path):
    difference = np.zeros((2, 8, 8), np.float32)
    difference[0, 3, 4] = 0.5
    head = AEL2(PixelScorerParams(smoothing=1.0), ("cpcae",))
    found = head.score(head.fit([], seed=0), Inputs((difference,)))
    assert found.score == 0.25 / (2 * 8 * 8)
    assert found.map[3, 4] == found.map.max() == pytest.approx(0.125 / (2 * np.pi), rel=0.05)


def test_that_nothing_was_learned_can_be_stored(tmp_path):
    write_tensors(tmp_path / "state", AEL2(PixelScorerParams(), ("cpcae",)).fit([], seed=0), {})
    assert read_tensors(tmp_path / "state") == ({}, {})


def test_pixels_are_not_embedded():
    head = AEL2(PixelScorerParams(), ("cpcae",))
    assert (head.by_map, head.embeds) == (False, False)
    with pytest.raises(TypeError, match="AEL2 looks at pixels"):
        head.embed(())

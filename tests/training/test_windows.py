import numpy as np
import pytest
from base_params import BASE

from flawline.training.windows import PseudoWindows, windows_of

GEOMETRY = BASE.cae.patches.but(size=4, stride=4, per_epoch=6)


@pytest.fixture
def damaged():
    """Two images (1, 8, 10) of which the second is defective in its first three columns, and their masks."""
    images, masks = [np.zeros((1, 8, 10), np.uint8) for _ in range(2)], [np.zeros((8, 10), bool) for _ in range(2)]
    masks[1][:, :3] = True
    for array in (*images, *masks):
        array.setflags(write=False)
    return PseudoWindows(windows_of(images, [0, 1], GEOMETRY, seed=0), masks)


def test_shares_are_those_of_the_defective_pixels_in_each_window(damaged):
    shares = damaged.shares(np.array([[0, 0, 0], [1, 0, 0], [1, 4, 1], [1, 2, 3]]))
    assert (shares.shape, shares.dtype) == ((4,), np.float64)
    assert shares.tolist() == [0, 12 / 16, 8 / 16, 0]


def test_windows_that_know_their_grid_position_have_shares_too(damaged):
    assert damaged.shares(np.array([[1, 0, 1, 7]])).tolist() == [8 / 16]


def test_no_window_has_no_share(damaged):
    assert damaged.shares(np.zeros((0, 3), int)).shape == (0,)


def test_the_shares_of_an_epoch_are_those_of_its_masks_cut_alike(damaged):
    windows = damaged.windows.epoch(0)
    wanted = [damaged.masks[i][y : y + 4, x : x + 4].sum() / 16 for i, y, x in windows]
    assert damaged.shares(windows).tolist() == wanted

import numpy as np
import pytest
import torch
from torch import nn

from flawline.checks import FlawlineError
from flawline.methods import reconstruction
from flawline.methods.cpcae import CPCAE, fit_folds, fold_of, fold_weights
from flawline.methods.pixel_scorers import squared_map
from flawline.methods.grid_positions import split_position
from flawline.methods.reconstruction import CPCAERedrawer, difference, load_redrawer
from flawline.params import ComputeParams, CPCAEModelParams, GridPatchParams, TrainParams
from flawline.vision.downsizing import downsize, upsize
from flawline.vision.levels import unit

GEOMETRY = GridPatchParams(side=24, size=16, stride=8, per_epoch=20)
MODEL = CPCAEModelParams(channels=(4, 8), latent_size=6)
ONE_THREAD = ComputeParams(device="cpu", threads=1)


def drawn(*shape, dtype=np.uint8, seed=0):
    image = np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)
    image.setflags(write=False)
    return image


class Given(nn.Module):
    """Draws what ``make`` says of (patches, place), and counts its batches."""

    def __init__(self, make):
        super().__init__()
        self.make, self.batches = make, []
        self.anywhere = nn.Parameter(torch.zeros(()))

    def forward(self, x):
        self.batches.append(len(x))
        return self.make(*split_position(x))

    def encode(self, x):
        return torch.cat([split_position(x)[1], x.mean((1, 2, 3))[:, None]], dim=1)


def as_it_is(patches, place):
    return patches


class Constant:
    def __init__(self, value):
        self.value = value

    def redraw(self, image):
        return np.full(image.shape, self.value, np.float32)


# --- pixels ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("dtype", "largest"), [(np.uint8, 255), (np.uint16, 65535)])
def test_unit_divides_by_the_types_largest_value(dtype, largest):
    pixels = np.array([[[0, 1, largest]]], dtype)
    assert unit(pixels).dtype == np.float32
    np.testing.assert_allclose(unit(pixels), [[[0, 1 / largest, 1]]], rtol=1e-6)


def test_a_difference_is_absolute_and_of_full_size():
    image = np.array([[[0, 51], [102, 255]]], np.uint8)
    found = difference(image, Constant(0.4))
    assert found.dtype == np.float16
    np.testing.assert_allclose(found, [[[0.4, 0.2], [0, 0.6]]], atol=5e-4)  # half precision


def test_a_squared_map_is_the_mean_over_channels_of_squares():
    found = squared_map(np.array([[[0.5, 0.0]], [[0.25, 1.0]]], np.float16))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, [[(0.25 + 0.0625) / 2, 0.5]])


# --- the way of an image ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_network_that_changes_nothing_gives_the_image_back_to_the_bit(dtype):
    image = drawn(3, 24, 37, dtype=dtype)
    whole = CPCAERedrawer(Given(as_it_is), GEOMETRY).redraw(image)
    assert whole.dtype == np.float32
    np.testing.assert_array_equal(whole, unit(image))
    assert not difference(image, CPCAERedrawer(Given(as_it_is), GEOMETRY)).any()


def test_a_large_image_comes_back_as_down_and_upsizing_leave_it():
    image = drawn(3, 60, 90)
    whole = CPCAERedrawer(Given(as_it_is), GEOMETRY).redraw(image)
    np.testing.assert_array_equal(whole, upsize(unit(downsize(image, 24)), (60, 90)))


def test_a_smooth_image_survives_down_and_upsizing():
    y, x = np.mgrid[:96, :96] / 96
    image = (127 + 100 * np.sin(3 * y) * np.cos(4 * x)).astype(np.uint8)[None]
    assert difference(image, CPCAERedrawer(Given(as_it_is), GEOMETRY)).max() < 0.03


def test_every_patch_is_drawn_with_its_place_and_overlaps_are_averaged():
    """Four places in 24 x 24 pixels: 0, 1/4, 1/2 and 3/4 where one covers a pixel, their mean where several do."""
    redrawer = CPCAERedrawer(Given(lambda patches, place: 0 * patches + place[:, :, None, None]), GEOMETRY)
    (whole,) = redrawer.redraw(drawn(1, 24, 24))
    thirds = whole[4::8, 4::8]
    np.testing.assert_array_equal(thirds, [[0, 0.125, 0.25], [0.25, 0.375, 0.5], [0.5, 0.625, 0.75]])


def test_batches_are_of_limited_size_and_make_no_difference(monkeypatch):
    image = drawn(3, 24, 60)
    network = CPCAE(MODEL, channels=3, size=16)
    at_once = CPCAERedrawer(network, GEOMETRY).redraw(image)  # 2 x 7 places
    counting = Given(as_it_is)
    monkeypatch.setattr(redrawing, "BATCH", 4)
    CPCAERedrawer(counting, GEOMETRY).redraw(image)
    assert counting.batches == [4, 4, 4, 2]
    np.testing.assert_allclose(CPCAERedrawer(network, GEOMETRY).redraw(image), at_once, atol=1e-6)


def test_codes_are_those_of_all_places_one_after_the_other():
    image = drawn(1, 48, 48)
    small = unit(downsize(image, 24))[0]
    codes = CPCAERedrawer(Given(as_it_is), GEOMETRY).codes(image)
    assert codes.shape == (4 * 2,)
    np.testing.assert_allclose(codes[::2], [0, 0.25, 0.5, 0.75])
    means = [(small[y : y + 16, x : x + 16].mean() + k / 4) / 2 for k, (y, x) in enumerate(np.ndindex(2, 2))
             for y, x in [(8 * y, 8 * x)]]  # fmt: skip
    np.testing.assert_allclose(codes[1::2], means, rtol=1e-5)


def test_an_image_smaller_than_a_patch_is_an_error():
    with pytest.raises(FlawlineError, match=r"patches.size = 16 is larger than the images .* 12 x 40"):
        CPCAERedrawer(Given(as_it_is), GEOMETRY).redraw(drawn(1, 12, 40))


# --- trained ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("channels", [1, 3])
def test_loaded_weights_redraw_as_the_network_that_they_are_of(channels):
    network, image = CPCAE(MODEL, channels=channels, size=16), drawn(channels, 50, 40)
    weights = dict(sorted(network.state_dict().items()))  # a file keeps no order
    loaded = load_redrawer(GEOMETRY, MODEL, weights, ONE_THREAD)
    whole = loaded.redraw(image)
    assert whole.shape == image.shape
    assert 0 <= whole.min() <= whole.max() <= 1
    np.testing.assert_allclose(whole, CPCAERedrawer(network, GEOMETRY).redraw(image), atol=1e-6)
    assert loaded.codes(image).shape == (2 * 3 * 6,)  # 30 x 24 pixels


def test_each_training_image_is_mapped_by_the_network_that_did_not_see_it():
    """Black images but one, white: the network that saw it draws it brighter than the one that maps it."""
    images = [np.full((1, 24, 24), level, np.uint8) for level in (0, 255, 0, 0, 0)]
    train = TrainParams(epochs=14, batch_size=4, learning_rate=1e-2)
    weights, _ = fit_folds(images, [0, 1, 2, 3], [0, 1], GEOMETRY, MODEL, train, folds=2, seed=2, compute=ONE_THREAD)
    own = fold_of(4, 2, 2)[1]
    redrawers = [load_redrawer(GEOMETRY, MODEL, fold_weights(weights, k), ONE_THREAD) for k in (own, 1 - own)]
    unseen, seen = (redrawer.redraw(images[1]).mean() for redrawer in redrawers)
    assert seen > 0.8
    assert unseen < 0.6

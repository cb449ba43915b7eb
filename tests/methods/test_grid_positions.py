from collections import Counter

import numpy as np
import pytest
import torch
from base_params import BASE

from flawline.checks import FlawlineError
from flawline.methods.grid_positions import check_grid_patches, grid_windows, split_position, with_position
from flawline.training.loop import batches_of

GEOMETRY = BASE.cpcae.patches.but(side=24, size=16, stride=8, per_epoch=20)  # 2 x 3 places in 24 x 32 pixels


@pytest.fixture
def images():
    """Four grey images (1, 24, 32), uint8, read-only."""
    images = list(np.random.default_rng(3).integers(0, 256, (4, 1, 24, 32), dtype=np.uint8))
    for image in images:
        image.setflags(write=False)
    return images


@pytest.fixture
def windows(images):
    return grid_windows(images, [0, 2, 3], GEOMETRY, seed=5)


def test_the_place_is_the_number_in_the_grid_row_by_row(windows):
    where = {tuple(window[1:]) for window in windows.epoch(0)}
    assert where == {(0, 0, 0), (0, 8, 1), (0, 16, 2), (8, 0, 3), (8, 8, 4), (8, 16, 5)}


def test_patches_carry_their_place_as_a_last_plane_of_number_by_total(windows, images):
    x = windows.cut(np.array([[1, 8, 0, 3], [0, 0, 16, 2]]))  # image 1 of these is the third
    assert (x.shape, x.dtype) == ((2, 2, 16, 16), torch.float32)
    np.testing.assert_allclose(x[0, 0].numpy(), images[2][0, 8:24, 0:16] / 255, rtol=1e-6)
    np.testing.assert_allclose(x[1, 0].numpy(), images[0][0, 0:16, 16:32] / 255, rtol=1e-6)
    assert [plane.unique().tolist() for plane in x[:, 1]] == [[3 / 6], [pytest.approx(2 / 6)]]


def test_split_place_undoes_with_place():
    patches = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    x = with_position(patches, np.array([0, 1, 2, 7]), 8)
    assert x.is_contiguous(memory_format=torch.channels_last)
    back, place = split_position(x)
    assert torch.equal(back, patches)
    assert place.tolist() == [[0], [0.125], [0.25], [0.875]]


def test_an_epoch_goes_through_all_places_of_all_images_before_it_begins_again(windows):
    assert len(windows.epoch(1)) == 20
    first, rest = windows.epoch(1)[:18], windows.epoch(1)[18:]
    pairs = Counter((image, place) for image, _, _, place in first.tolist())
    assert pairs == Counter((image, place) for image in range(3) for place in range(6))
    assert len({tuple(window) for window in rest}) == 2


def test_windows_of_an_epoch_depend_on_seed_and_number_alone(windows, images):
    fifth = windows.epoch(5)
    windows.epoch(0), windows.fixed()
    np.testing.assert_array_equal(windows.epoch(5), fifth)
    assert not np.array_equal(windows.epoch(4), fifth)
    assert not np.array_equal(grid_windows(images, [0, 2, 3], GEOMETRY, seed=6).epoch(5), fifth)


def test_validation_windows_stay_are_no_epochs_and_none_is_there_twice(windows):
    fixed = windows.fixed()
    np.testing.assert_array_equal(windows.fixed(), fixed)
    assert len({tuple(window) for window in fixed}) == len(fixed) == 18  # not the epoch's 20
    assert not np.array_equal(windows.epoch(0)[:18], fixed)


@pytest.mark.parametrize(("per_epoch", "wanted"), [(4, 4), (1000, 256)])
def test_validation_has_at_most_an_epochs_and_256_windows(images, per_epoch, wanted):
    geometry = GEOMETRY.model_copy(update={"stride": 1, "per_epoch": per_epoch})  # 9 x 17 places
    assert len(grid_windows(images, [0, 1], geometry, seed=0).fixed()) == wanted


def test_batches_are_the_epochs_patches_in_order(windows):
    epoch = windows.epoch(0)
    batches = [batch.x for batch in batches_of(windows, epoch, 8, {})]
    assert [len(batch) for batch in batches] == [8, 8, 4]
    assert torch.equal(torch.cat(batches), windows.cut(epoch))


def test_windows_are_of_views_of_the_images(windows, images):
    assert np.shares_memory(windows.images[1], images[2])


# --- bad input -------------------------------------------------------------------------------------------------------
def test_no_image_is_an_error(images):
    with pytest.raises(FlawlineError, match="no image to cut windows from"):
        grid_windows(images, [], GEOMETRY, seed=0)


def test_images_of_different_size_are_an_error(images):
    other = np.zeros((1, 24, 40), np.uint8)
    with pytest.raises(
        FlawlineError, match=r"a network of grid positions compares .* one size; there are 2: 24 x 32, 24 x 40"
    ):
        grid_windows([*images, other], [0, 4], GEOMETRY, seed=0)


def test_8_and_16_bit_images_are_not_mixed(images):
    with pytest.raises(FlawlineError, match="images must all have the same depth, got uint16 and uint8"):
        grid_windows([images[0], images[1].astype(np.uint16)], [0, 1], GEOMETRY, seed=0)


def test_a_patch_larger_than_the_downsized_image_is_an_error_that_says_what_to_do(images):
    geometry = BASE.cpcae.patches.but(side=64, size=48, stride=16)
    with pytest.raises(
        FlawlineError,
        match=r"patches.size = 48 is larger .* patches.side = 64 pixels: 24 x 32. Set patches.size to at most 24",
    ):
        grid_windows(images, [0], geometry, seed=0)


def test_a_large_image_fits_once_downsized():
    check_grid_patches((3, 1000, 800), GEOMETRY)
    check_grid_patches((3, 16, 100), GEOMETRY)
    with pytest.raises(FlawlineError, match="15 x 100"):
        check_grid_patches((3, 15, 100), GEOMETRY)

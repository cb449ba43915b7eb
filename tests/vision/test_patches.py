import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from flawline.checks import FlawlineError
from flawline.vision.patches import (
    OverlapAverage,
    cut,
    cut_windows,
    grid_starts,
    index_patches,
    patch_grid,
    random_windows,
    window_means,
)


@st.composite
def geometries(draw):
    """Return (height, width, size, stride) with stride <= size <= both sides."""
    size = draw(st.integers(1, 12))
    return (
        draw(st.integers(size, 40)),
        draw(st.integers(size, 40)),
        size,
        draw(st.integers(1, size)),
    )


def noise(shape, seed=0):
    image = np.random.default_rng(seed).random(shape, np.float32)
    image.flags.writeable = False
    return image


# --- the dense grid --------------------------------------------------------------------------------------------------
def test_grid_starts_by_hand():
    assert grid_starts(10, 4, 3).tolist() == [0, 3, 6]
    assert grid_starts(11, 4, 3).tolist() == [0, 3, 6, 7]
    assert grid_starts(4, 4, 1).tolist() == [0]


def test_patch_grid_by_hand_row_by_row():
    assert patch_grid(3, 5, size=2, stride=2).tolist() == [[0, 0], [0, 2], [0, 3], [1, 0], [1, 2], [1, 3]]


def test_patch_larger_than_the_image():
    with pytest.raises(FlawlineError, match=r"patches\.size must fit the image: 8 > 7 pixels"):
        patch_grid(9, 7, size=8, stride=4)


@given(geometries())
def test_every_pixel_is_covered_and_no_patch_reaches_out(geometry):
    height, width, size, stride = geometry
    seen = np.zeros((height, width), int)
    grid = patch_grid(height, width, size=size, stride=stride)
    for y, x in grid:
        assert seen[y : y + size, x : x + size].shape == (size, size)
        seen[y : y + size, x : x + size] += 1
    assert (seen > 0).all()
    assert len({tuple(position) for position in grid.tolist()}) == len(grid)


def test_index_has_a_place_a_patch_and_starts_anew_each_image():
    mask = np.zeros((2, 4), bool)
    mask[0, 3] = True
    table = index_patches([(1, 2, 4), (3, 2, 2)], [mask, np.zeros((0, 0), bool)], size=2, stride=2)
    assert table.drop(columns="mask_share").to_dict("split")["data"] == [[0, 0, 0, 0], [0, 0, 2, 1], [1, 0, 0, 0]]
    assert table["mask_share"].tolist() == [0.0, 0.25, 0.0]
    assert list(table.columns) == ["image", "y", "x", "position", "mask_share"]


@given(geometries(), st.integers(0, 100))
def test_place_is_the_same_window_in_images_of_one_size(geometry, seed):
    height, width, size, stride = geometry
    empty = np.zeros((0, 0), bool)
    table = index_patches([(1, height, width)] * 2, [empty, empty], size=size, stride=stride)
    assert (table.groupby("position")[["y", "x"]].nunique() == 1).all(axis=None)


@given(geometries(), st.integers(0, 100), st.floats(0, 1))
def test_window_means_of_a_mask_against_brute_force(geometry, seed, density):
    height, width, size, stride = geometry
    mask = noise((height, width), seed) < density
    grid = patch_grid(height, width, size=size, stride=stride)
    wanted = [mask[y : y + size, x : x + size].mean() for y, x in grid]
    np.testing.assert_allclose(window_means(mask, grid, size), wanted, rtol=1e-12)


def test_window_means_by_hand():
    values = np.array([[1.0, 2, 3], [4, 5, 6], [7, 8, 9]])
    values.flags.writeable = False
    positions = np.array([[0, 0], [1, 1], [0, 1], [0, 0]])
    positions.flags.writeable = False
    assert window_means(values, positions, 2).tolist() == [3.0, 7.0, 4.0, 3.0]  # y first: (0, 1) has 2, 3, 5, 6
    assert window_means(values, positions[:1], 3).tolist() == [5.0]
    assert window_means(values, positions[:0], 2).shape == (0,)


@given(st.data(), st.integers(1, 30), st.integers(1, 30), st.integers(0, 1000))
def test_window_means_against_a_direct_mean_of_random_windows(data, height, width, seed):
    values = noise((height, width), seed)
    size = data.draw(st.integers(1, min(height, width)))
    window = st.tuples(st.integers(0, height - size), st.integers(0, width - size))
    positions = np.array(data.draw(st.lists(window, min_size=1, max_size=20)))
    positions.flags.writeable = False
    wanted = [values[y : y + size, x : x + size].mean(dtype=np.float64) for y, x in positions]
    means = window_means(values, positions, size)
    assert means.dtype == np.float64
    np.testing.assert_allclose(means, wanted, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float16, np.uint8, bool])
def test_window_means_of_small_types_do_not_overflow(dtype):
    values = np.full((300, 300), 255, dtype)  # the sum is beyond each
    values.flags.writeable = False
    means = window_means(values, np.array([[0, 0], [44, 44]]), 256)
    assert means.tolist() == [float(values[0, 0])] * 2


# --- cutting and re-assembling ---------------------------------------------------------------------------------------
def test_cut_by_hand():
    image = np.arange(24, dtype=np.uint16).reshape(2, 3, 4)
    image.flags.writeable = False
    patches = cut(image, np.array([[0, 0], [1, 2]]), 2)
    assert patches.dtype == np.uint16
    assert patches.tolist() == [
        [[[0, 1], [4, 5]], [[12, 13], [16, 17]]],
        [[[6, 7], [10, 11]], [[18, 19], [22, 23]]],
    ]


def averaged(batches, height, width, *, size, stride):
    whole = OverlapAverage(height, width, size=size, stride=stride)
    for patches, positions in batches:
        whole.add(patches, positions)
    return whole.result()


@given(geometries(), st.integers(0, 1000), st.integers(1, 50))
def test_round_trip_is_exact_to_the_bit(geometry, seed, batch):
    height, width, size, stride = geometry
    image = noise((1, height, width), seed)
    grid = patch_grid(height, width, size=size, stride=stride)
    parts = [grid[i : i + batch] for i in range(0, len(grid), batch)]
    batches = ((cut(image, part, size)[:, 0], part) for part in parts)
    result = averaged(batches, height, width, size=size, stride=stride)
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, image[0])


def test_overlap_is_averaged_by_hand():
    patches = np.array([[[1.0, 1.0]] * 2, [[4.0, 4.0]] * 2], np.float32)
    result = averaged([(patches, np.array([[0, 0], [0, 1]]))], 2, 3, size=2, stride=1)
    assert result.tolist() == [[1.0, 2.5, 4.0]] * 2


def test_patches_of_a_wrong_shape_are_refused():
    whole = OverlapAverage(4, 4, size=2, stride=2)
    with pytest.raises(FlawlineError, match=r"patches must have shape \(1, 2, 2\), got \(1, 1, 2, 2\)"):
        whole.add(np.zeros((1, 1, 2, 2), np.float32), np.array([[0, 0]]))


def test_memory_of_a_20_megapixel_image_stays_below_its_patches():
    height, width, size, stride = 3672, 5496, 128, 64
    grid = patch_grid(height, width, size=size, stride=stride)
    image = np.broadcast_to(np.float32(0.25), (1, height, width))
    tracemalloc.start()
    batches = ((cut(image, grid[i : i + 64], size)[:, 0], grid[i : i + 64]) for i in range(0, len(grid), 64))
    result = averaged(batches, height, width, size=size, stride=stride)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (result == 0.25).all()
    assert peak < len(grid) * size * size * 4  # 320 MB, at a stride of half a patch
    assert peak < 13 * height * width  # float64 sums and the float32 map, no copy of either


# --- random windows --------------------------------------------------------------------------------------------------
SHAPES = [(1, 20, 30), (3, 8, 8), (1, 9, 40)]


def test_random_windows_lie_inside_and_follow_the_generator():
    windows = random_windows(SHAPES, 500, 8, np.random.default_rng(3))
    assert windows.shape == (500, 3)
    for i, y, x in windows:
        assert 0 <= y <= SHAPES[i][1] - 8
        assert 0 <= x <= SHAPES[i][2] - 8
    np.testing.assert_array_equal(windows, random_windows(SHAPES, 500, 8, np.random.default_rng(3)))
    assert (windows != random_windows(SHAPES, 500, 8, np.random.default_rng(4))).any()


def test_every_window_of_every_image_is_equally_likely():
    shapes = [(1, 3, 4), (1, 2, 3)]  # windows of 2: 2 x 3 and 1 x 2, eight in all
    windows = random_windows(shapes, 8000, 2, np.random.default_rng(0))
    found, counts = np.unique(windows, axis=0, return_counts=True)
    assert found.tolist() == [[0, 0, 0], [0, 0, 1], [0, 0, 2], [0, 1, 0], [0, 1, 1], [0, 1, 2], [1, 0, 0], [1, 0, 1]]
    assert stats.chisquare(counts).pvalue > 1e-3


def test_random_windows_name_the_image_that_is_too_small():
    with pytest.raises(FlawlineError, match=r"patches\.size = 9 must fit every image; one has 8 x 8 pixels"):
        random_windows(SHAPES, 1, 9, np.random.default_rng(0))


def test_cut_windows_takes_them_from_their_images():
    images = [noise((1, 8, 9), 0), noise((1, 12, 8), 1)]
    windows = np.array([[1, 4, 0], [0, 0, 1], [1, 0, 0]])
    patches = cut_windows(images, windows, 8)
    assert patches.shape == (3, 1, 8, 8)
    np.testing.assert_array_equal(patches[0], images[1][:, 4:12])
    np.testing.assert_array_equal(patches[1], images[0][:, :, 1:])
    np.testing.assert_array_equal(patches[2], images[1][:, :8])

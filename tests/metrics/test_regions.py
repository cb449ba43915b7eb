import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import label, regionprops

from flawline.checks import FlawlineError
from flawline.metrics.regions import Region, find_regions, small_regions


def example() -> np.ndarray:
    """A single pixel, a diagonal of three and an upright pair, read-only."""
    anomaly_map = np.zeros((6, 8), np.float16)
    anomaly_map[0, 7] = 0.5
    anomaly_map[[1, 2, 3], [1, 2, 3]] = 0.25, 0.75, 0.5
    anomaly_map[4:6, 6] = 1.0
    anomaly_map.setflags(write=False)
    return anomaly_map


def test_regions_come_largest_first_with_box_area_and_peak():
    assert find_regions(example(), 0.2) == [
        Region(y=1, x=1, height=3, width=3, area=3, peak=0.75),
        Region(y=4, x=6, height=2, width=1, area=2, peak=1.0),
        Region(y=0, x=7, height=1, width=1, area=1, peak=0.5),
    ]


def test_a_pixel_at_the_threshold_is_not_above_it():
    assert [region.area for region in find_regions(example(), 0.5)] == [2, 1]
    assert find_regions(example(), 1.0) == []


def test_regions_below_the_least_area_are_dropped():
    assert [region.area for region in find_regions(example(), 0.2, min_area=2)] == [3, 2]
    assert [region.area for region in find_regions(example(), 0.2, min_area=2.5)] == [3]


@given(st.integers(0, 2**32 - 1), st.integers(0, 6))
@settings(max_examples=30, deadline=None)
def test_small_regions_are_those_that_are_dropped(seed, min_area):
    anomaly_map = np.random.default_rng(seed).random((15, 12)).astype(np.float16)
    ignore = np.zeros((15, 12), bool)
    ignore[:, 5] = True
    small = small_regions(anomaly_map, 0.7, min_area=min_area, ignore=ignore)
    assert not (small & ignore).any()
    rest = find_regions(anomaly_map, 0.7, ignore=ignore | small)
    assert rest == find_regions(anomaly_map, 0.7, min_area=min_area, ignore=ignore)


def test_small_regions_by_hand():
    small = small_regions(example(), 0.2, min_area=3)
    assert np.argwhere(small).tolist() == [[0, 7], [4, 6], [5, 6]]
    assert not small_regions(example(), 1.0, min_area=3).any()


def test_ignored_pixels_are_never_judged_and_can_split_a_region():
    ignore = np.zeros((6, 8), bool)
    ignore[2, 2] = ignore[4:6, 6] = True
    ignore.setflags(write=False)
    assert [(region.y, region.x, region.area) for region in find_regions(example(), 0.2, ignore=ignore)] == [
        (0, 7, 1),
        (1, 1, 1),
        (3, 3, 1),
    ]
    assert find_regions(example(), 0.2, ignore=np.ones((6, 8), bool)) == []


@given(st.integers(0, 2**32 - 1), st.sampled_from([np.float16, np.float32, np.float64]))
@settings(max_examples=30, deadline=None)
def test_regions_agree_with_regionprops(seed, dtype):
    anomaly_map = np.random.default_rng(seed).random((15, 12)).astype(dtype)
    expected = {
        (*prop.bbox, int(prop.area), float(anomaly_map[tuple(prop.coords.T)].max()))
        for prop in regionprops(label(anomaly_map > np.float64(0.7), connectivity=2))
    }
    found = find_regions(anomaly_map, 0.7)
    assert {(r.y, r.x, r.y + r.height, r.x + r.width, r.area, r.peak) for r in found} == expected
    assert [r.area for r in found] == sorted((r.area for r in found), reverse=True)


def test_the_threshold_is_not_rounded_to_the_maps_type():
    value = float(np.float16(0.1))
    anomaly_map = np.full((2, 2), value, np.float16)
    assert find_regions(anomaly_map, value) == []
    assert len(find_regions(anomaly_map, value - 1e-9)) == 1
    assert find_regions(anomaly_map, 1e6) == []  # larger than any float16


def test_nan_in_the_map_is_refused_since_no_region_would_pass_for_no_flaw():
    with pytest.raises(FlawlineError, match="anomaly_map must hold numbers, got 1 of 4 pixels that are NaN"):
        find_regions(np.array([[0, np.nan], [0, 0]], np.float16), 0.5)


def test_a_threshold_that_is_no_number_is_refused():
    with pytest.raises(FlawlineError, match="threshold must be a number, got nan"):
        find_regions(example(), float("nan"))


def test_ignored_pixels_of_another_shape_or_type_are_refused():
    with pytest.raises(FlawlineError, match=r"ignore must have the shape of anomaly_map, \(6, 8\), got \(8, 6\)"):
        find_regions(example(), 0.5, ignore=np.zeros((8, 6), bool))
    with pytest.raises(FlawlineError, match="ignore must be bool, got uint8"):
        find_regions(example(), 0.5, ignore=np.zeros((6, 8), np.uint8))


def test_a_map_of_another_rank_is_refused():
    with pytest.raises(FlawlineError, match=r"anomaly_map must have shape \(H, W\), got \(1, 6, 8\)"):
        find_regions(example()[None], 0.5)


def test_a_negative_area_is_refused():
    with pytest.raises(FlawlineError, match="min_area must be >= 0, got -1"):
        find_regions(example(), 0.5, min_area=-1)

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from sklearn.metrics import average_precision_score, roc_auc_score

from flawline.checks import FlawlineError
from flawline.metrics import maps
from flawline.metrics.maps import LEVELS, THRESHOLDS, ZERO, MapCounts, pixel_metrics

seeds = st.integers(0, 2**32 - 1)


def random_test_set(seed: int, *, images: int = 4, size: tuple[int, int] = (16, 20), scale: float = 1.0):
    """Maps (H, W) float16 with many ties, and masks: None for the first, 8-connected spots for the others."""
    generator = np.random.default_rng(seed)
    pairs = []
    for image in range(images):
        mask = ndimage.binary_dilation(generator.random(size) < 0.02, np.ones((2, 3))) & (image > 0)
        mask[3, 4] = image > 0  # at least one defective pixel
        anomaly_map = (scale * np.floor(generator.gamma(1 + mask, 4.0))).astype(np.float16)
        anomaly_map.setflags(write=False)
        mask.setflags(write=False)
        pairs.append((anomaly_map, mask if image else None))
    return pairs


def counted(pairs) -> MapCounts:
    counts = MapCounts()
    for anomaly_map, mask in pairs:
        counts.add(anomaly_map, mask)
    return counts


def pixels(pairs) -> tuple[np.ndarray, np.ndarray]:
    """All values (P,) float64 and whether they are defective (P,)."""
    values = np.concatenate([anomaly_map.ravel() for anomaly_map, _ in pairs]).astype(np.float64)
    return values, np.concatenate([np.zeros(m.size, bool) if k is None else k.ravel() for m, k in pairs])


def brute_force_aupro(pairs, limit: float) -> float:
    """Per-region overlap against false positive rate, threshold by threshold, then the area piece by piece."""
    values, defective = pixels(pairs)
    spots = []
    for anomaly_map, mask in pairs:
        labels, found = ndimage.label(np.zeros_like(anomaly_map, bool) if mask is None else mask, np.ones((3, 3)))
        spots += [anomaly_map[labels == spot].astype(np.float64) for spot in range(1, found + 1)]
    points = [(0.0, 0.0)]
    for threshold in sorted(set(values), reverse=True):
        overlap = np.mean([np.mean(spot >= threshold) for spot in spots])
        points.append((np.mean(values[~defective] >= threshold), overlap))
    area = 0.0
    for (x0, y0), (x1, y1) in pairwise(points):
        if x0 < limit and x1 > x0:
            end = min(x1, limit)
            y_end = y0 + (y1 - y0) * (end - x0) / (x1 - x0)
            area += (end - x0) * (y0 + y_end) / 2
    return area / limit


def small_example() -> MapCounts:
    """Two regions, of 1 and of 2 pixels, and 4 defect-free pixels."""
    anomaly_map = np.array([[0.75, 0.0, 0.5, 0.25], [0.0, 1.0, 0.0, 0.25]], np.float16)
    mask = np.array([[1, 0, 0, 1], [0, 0, 0, 1]], bool)
    return counted([(anomaly_map, mask)])


def test_levels_are_all_finite_float16_values_in_order():
    assert len(LEVELS) == 2 * 31744 - 1  # zero is one
    assert (np.diff(LEVELS) > 0).all()
    assert (LEVELS[0], LEVELS[ZERO], LEVELS[-1]) == (np.finfo(np.float16).min, 0, np.finfo(np.float16).max)
    assert (np.diff(THRESHOLDS) < 0).all()


def test_small_example_by_hand():
    counts = small_example()
    assert counts.regions == 2
    # Defective .75 .25 .25, defect-free 1 .5 0 0 0: pairs won 4 + 3 + 3 of 15
    assert counts.pixel_auroc() == pytest.approx(10 / 15)
    # Recall rises to 1/3 at .75 (precision 1/2) and to 1 at .25 (precision 3/5)
    assert counts.pixel_ap() == pytest.approx(1 / 3 * 1 / 2 + 2 / 3 * 3 / 5)
    # (fpr, overlap): (0, 0) (.2, 0) (.2, .5) (.4, .5) (.4, 1) (1, 1)
    assert counts.aupro(0.3) == pytest.approx(0.1 * 0.5 / 0.3)
    assert counts.aupro(1.0) == pytest.approx(0.2 * 0.5 + 0.6)
    assert counts.recall_and_iou(0.5) == pytest.approx((1 / 3, 1 / 4))
    threshold, recall, iou = counts.oracle_iou()
    assert (recall, iou) == pytest.approx((1, 3 / 5))
    assert 0 <= threshold < 0.25


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("scale", [1.0, 1e-6, 1000.0])  # 1e-6: subnormal float16
def test_auroc_and_ap_agree_with_scikit_learn(seed, scale):
    pairs = random_test_set(seed, scale=scale)
    values, defective = pixels(pairs)
    assert counted(pairs).pixel_auroc() == pytest.approx(roc_auc_score(defective, values))
    assert counted(pairs).pixel_ap() == pytest.approx(average_precision_score(defective, values))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("limit", [0.01, 0.05, 0.3, 1.0])
def test_aupro_agrees_with_brute_force(seed, limit):
    pairs = random_test_set(seed)
    assert counted(pairs).aupro(limit) == pytest.approx(brute_force_aupro(pairs, limit))


@pytest.mark.parametrize("seed", range(5))
def test_overlap_at_a_threshold_agrees_with_a_plain_comparison(seed):
    pairs = random_test_set(seed)
    values, defective = pixels(pairs)
    for threshold in (-1.0, 0.0, 2.5, 3.0, 1e6):
        found = (values > threshold) & defective
        recall, iou = found.sum() / defective.sum(), found.sum() / ((values > threshold) | defective).sum()
        assert counted(pairs).recall_and_iou(threshold) == pytest.approx((recall, iou))


@pytest.mark.parametrize("seed", range(5))
def test_oracle_iou_is_the_best_of_every_threshold_and_holds_at_its_own(seed):
    counts = counted(random_test_set(seed))
    threshold, recall, iou = counts.oracle_iou()
    assert iou == max(counts.recall_and_iou(each)[1] for each in (-1.0, *range(60)))
    assert counts.recall_and_iou(threshold) == (recall, iou)


def test_a_threshold_between_two_float16_values_is_not_rounded():
    value = np.float16(0.1)
    counts = counted([(np.full((2, 2), value), np.ones((2, 2), bool))])
    assert counts.recall_and_iou(float(value)) == (0, 0)
    assert counts.recall_and_iou(float(value) - 1e-9) == (1, 1)


def test_aupro_of_a_perfect_map_is_1_and_of_an_inverted_one_0():
    mask = np.eye(8, dtype=bool)
    assert counted([(mask.astype(np.float16), mask)]).aupro() == 1
    assert counted([((~mask).astype(np.float16), mask)]).aupro() == 0


def test_aupro_of_a_constant_map_is_chance():
    counts = counted([(np.ones((8, 8), np.float16), np.eye(8, dtype=bool))])
    assert counts.aupro(0.3) == pytest.approx(0.15)
    assert counts.pixel_auroc() == 0.5


@given(seeds, st.floats(1e-3, 1))
@settings(max_examples=50, deadline=None)
def test_aupro_is_never_above_1(seed, limit):
    assert 0 <= counted(random_test_set(seed)).aupro(limit) <= 1


@pytest.mark.parametrize("pixels", [12, 48])
def test_rounding_never_lifts_a_perfect_aupro_above_1(pixels):
    anomaly_map = np.append(np.arange(pixels), 1000).astype(np.float16)[None]  # the trapezoids add up to 0.7 + 1e-16
    assert counted([(anomaly_map, anomaly_map == 1000)]).aupro(0.7) == 1


def test_rounding_never_lifts_an_overlap_above_1():
    mask = np.zeros((4, 4), bool)
    mask[:3, :3] = True  # 9 times 1 / 9 is more than 1
    assert counted([(mask.astype(np.float16), mask)]).curves()["pro"]["overlap"].max() == 1


@given(seeds)
@settings(max_examples=25, deadline=None)
def test_ranking_does_not_change_under_a_rising_transform(seed):
    pairs = random_test_set(seed)
    bent = [(np.sqrt(anomaly_map.astype(np.float64)).astype(np.float16), mask) for anomaly_map, mask in pairs]
    before, after = counted(pairs), counted(bent)
    assert after.pixel_auroc() == pytest.approx(before.pixel_auroc())
    assert after.pixel_ap() == pytest.approx(before.pixel_ap())
    assert after.aupro() == pytest.approx(before.aupro())


@given(seeds, st.randoms())
@settings(max_examples=25, deadline=None)
def test_the_order_of_the_images_does_not_matter(seed, random):
    pairs = random_test_set(seed, images=6)
    mixed = random.sample(pairs, len(pairs))
    values, other = (pixel_metrics(c, c, 5.0, aupro_limit=0.3)[0] for c in (counted(pairs), counted(mixed)))
    assert other == pytest.approx(values)


def test_small_blocks_of_rows_count_the_same(monkeypatch):
    pairs = random_test_set(0)
    whole = counted(pairs)
    monkeypatch.setattr(maps, "BLOCK", 50)  # two rows at a time: regions lie across blocks
    parts = counted(pairs)
    assert (parts.normal == whole.normal).all()
    assert (parts.defective == whole.defective).all()
    assert parts.regions == whole.regions
    np.testing.assert_allclose(parts.overlap, whole.overlap)


def test_regions_touch_at_corners():
    counts = counted([(np.zeros((4, 4), np.float16), np.eye(4, dtype=bool))])
    assert counts.regions == 1
    assert counts.overlap[ZERO] == pytest.approx(1)


def test_views_and_negative_zeros_count_as_they_should():
    wide = np.array([[-0.0, 9, 1, 9], [0.0, 9, 2, 9]], np.float16)
    counts = counted([(wide[:, ::2], None)])
    assert counts.normal.sum() == 4
    assert counts.normal[ZERO] == 2


def test_curves_are_thin_and_keep_their_ends():
    counts = counted(random_test_set(0, scale=1.37))
    curves = counts.curves(points=10)
    assert {name: list(table) for name, table in curves.items()} == {
        "pixel_roc": ["fpr", "tpr", "threshold"],
        "pixel_pr": ["recall", "precision", "threshold"],
        "pro": ["fpr", "overlap", "threshold"],
    }
    for table in curves.values():
        assert 2 <= len(table) <= 10
        assert table.iloc[0, 0] == 0
        assert table.iloc[-1, 0] == 1


def test_curves_hold_at_their_thresholds_and_give_the_areas():
    pairs = random_test_set(1)
    counts, (values, defective) = counted(pairs), pixels(pairs)
    curves = counts.curves(points=50_000)
    for fpr, tpr, threshold in curves["pixel_roc"].itertuples(index=False):
        assert (values[~defective] > threshold).mean() == pytest.approx(fpr)
        assert (values[defective] > threshold).mean() == pytest.approx(tpr)
    assert np.trapezoid(curves["pixel_roc"]["tpr"], curves["pixel_roc"]["fpr"]) == pytest.approx(counts.pixel_auroc())
    assert np.trapezoid(curves["pro"]["overlap"], curves["pro"]["fpr"]) == pytest.approx(counts.aupro(1.0))
    steps = np.diff(curves["pixel_pr"]["recall"]) * curves["pixel_pr"]["precision"][1:]
    assert steps.sum() == pytest.approx(counts.pixel_ap())


def test_area_under_iou_by_hand():
    """Values 0 and 2 good, 1 and 4 defective. Flagged above [0, 1): 2 of 3; above [1, 2): 1 of 3; above [2, 4): 1 of
    2."""
    anomaly_map, mask = np.array([[0, 1], [2, 4]], np.float16), np.array([[False, True], [False, True]])
    assert counted([(anomaly_map, mask)]).iou_area() == pytest.approx((2 / 3 + 1 / 3 + 2 * 1 / 2) / 4)


def test_area_under_iou_does_not_know_the_scale_and_is_0_of_maps_without_any():
    pairs = random_test_set(0)
    larger = [((4 * anomaly_map).astype(np.float16), mask) for anomaly_map, mask in pairs]
    assert counted(larger).iou_area() == pytest.approx(counted(pairs).iou_area())
    assert counted([(np.ones((2, 3), np.float16), np.eye(2, 3, dtype=bool))]).iou_area() == 0


@given(seeds)
@settings(max_examples=25, deadline=None)
def test_area_under_iou_is_the_mean_over_evenly_spread_thresholds(seed):
    pairs = random_test_set(seed)
    values, defective = pixels(pairs)
    thresholds = np.linspace(values.min(), values.max(), 20_001)[:-1] + 1e-6
    flagged = values > thresholds[:, None]
    overlaps = (flagged & defective).sum(axis=1) / (flagged | defective).sum(axis=1)
    assert counted(pairs).iou_area() == pytest.approx(overlaps.mean(), rel=2e-3)


def test_pixel_metrics_gives_every_metric():
    pairs = random_test_set(0)
    everything, defective = counted(pairs), counted(pairs[1:])
    values, absent = pixel_metrics(everything, defective, 6.0, aupro_limit=0.3)
    assert absent == {}
    assert values == {
        "pixel_auroc": everything.pixel_auroc(),
        "pixel_ap": everything.pixel_ap(),
        "aupro": everything.aupro(0.3),
        "pixel_iou_auc": everything.iou_area(),
        **dict(zip(("A", "iou"), defective.recall_and_iou(6.0), strict=True)),
        **dict(zip(("oracle_pixel_threshold", "oracle_A", "oracle_iou"), defective.oracle_iou(), strict=True)),
    }
    assert all(type(value) is float for value in values.values())


def test_without_masks_every_pixel_metric_is_absent_with_the_reason():
    normal = counted([(np.ones((2, 3), np.float16), None)])
    values, absent = pixel_metrics(normal, MapCounts(), 0.5, aupro_limit=0.3)
    assert values == {}  # above all no oracle threshold at the lowest score
    got = "got 6 defect-free and 0 defective"
    assert absent["aupro"] == f"needs defect-free pixels and masks with defective ones, {got}"
    assert absent["oracle_iou"] == "needs defective test images with masks, got no defective pixel"
    assert len(absent) == 9
    assert normal.curves() == {}


def test_without_defect_free_pixels_overlap_is_still_known():
    counts = counted([(np.array([[1, 2]], np.float16), np.ones((1, 2), bool))])
    values, absent = pixel_metrics(counts, counts, 1.5, aupro_limit=0.3)
    assert (values["A"], values["iou"], values["oracle_iou"]) == (0.5, 0.5, 1)
    assert absent.keys() == {"pixel_auroc", "pixel_ap", "aupro", "pixel_iou_auc"}


@given(seeds, st.integers(-60, -1))
@settings(max_examples=25, deadline=None)
def test_maps_of_either_sign_are_ranked_as_those_that_they_are_shifted_from(seed, shift):
    """Scores that say by how much a patch lies outside of what is normal are below zero inside."""
    pairs = random_test_set(seed)  # whole numbers, so that nothing is rounded
    moved = [(anomaly_map + np.float16(shift), mask) for anomaly_map, mask in pairs]
    before, after = counted(pairs), counted(moved)
    for metric in ("pixel_auroc", "pixel_ap", "aupro", "iou_area"):
        assert getattr(after, metric)() == pytest.approx(getattr(before, metric)())
    for threshold in (-1.0, 0.0, 2.5, 3.0, 100.0):
        assert after.recall_and_iou(threshold + shift) == before.recall_and_iou(threshold)
    (least, *overlap), (shifted, *other) = before.oracle_iou(), after.oracle_iou()
    assert other == overlap
    assert np.float16(shifted) == np.nextafter(np.float16(np.ceil(least) + shift), np.float16(-np.inf))


@pytest.mark.parametrize("value", [0.0, -3.0, float(np.finfo(np.float16).min)])
def test_counts_stand_at_the_levels_of_their_values(value):
    counts = counted([(np.full((1, 2), value, np.float16), np.array([[True, False]]))])
    assert LEVELS[np.flatnonzero(counts.normal)].tolist() == [value]
    assert LEVELS[np.flatnonzero(counts.defective)].tolist() == [value]
    threshold, recall, iou = counts.oracle_iou()
    assert (threshold < value, recall, iou) == (True, 1, 0.5)
    assert np.isfinite(threshold)


def test_oracle_threshold_is_negative_where_flagging_all_is_best():
    threshold, recall, iou = counted([(np.zeros((1, 2), np.float16), np.array([[True, False]]))]).oracle_iou()
    assert (threshold < 0, recall, iou) == (True, 1, 0.5)


@pytest.mark.parametrize("metric", ["pixel_auroc", "pixel_ap", "aupro", "iou_area", "oracle_iou"])
def test_a_metric_that_cannot_be_computed_says_why(metric):
    with pytest.raises(FlawlineError, match=r"this metric needs .* got"):
        getattr(MapCounts(), metric)()


def test_a_mask_of_another_shape_is_refused():
    with pytest.raises(FlawlineError, match=r"mask must have the shape of anomaly_map, \(2, 3\), got \(3, 2\)"):
        MapCounts().add(np.zeros((2, 3), np.float16), np.zeros((3, 2), bool))


def test_a_mask_that_is_not_bool_is_refused():
    with pytest.raises(FlawlineError, match="mask must be bool, got uint8"):
        MapCounts().add(np.zeros((2, 3), np.float16), np.zeros((2, 3), np.uint8))


def test_a_map_that_is_not_float16_is_refused():
    with pytest.raises(FlawlineError, match="anomaly_map must be float16, got float32"):
        MapCounts().add(np.zeros((2, 3), np.float32), None)


def test_a_map_of_another_rank_is_refused():
    with pytest.raises(FlawlineError, match=r"anomaly_map must have shape \(H, W\), got \(1, 2, 3\)"):
        MapCounts().add(np.zeros((1, 2, 3), np.float16), None)


def test_bad_values_are_counted_in_the_message_and_nowhere_else():
    counts = MapCounts()
    with pytest.raises(FlawlineError, match="anomaly_map must be finite, got 2 pixels that are not, of 4"):
        counts.add(np.array([[np.nan, np.inf], [-1, 0]], np.float16), None)
    assert counts.normal.sum() == 0


@pytest.mark.parametrize("limit", [0, -0.1, 1.1, np.nan])
def test_a_limit_that_is_no_rate_is_refused(limit):
    with pytest.raises(FlawlineError, match="aupro_limit must be larger than 0 and at most 1, got"):
        pixel_metrics(MapCounts(), MapCounts(), 0.5, aupro_limit=limit)


def test_a_threshold_that_is_no_number_is_refused():
    with pytest.raises(FlawlineError, match="threshold must be a number, got nan"):
        small_example().recall_and_iou(float("nan"))


def test_more_pixels_than_int32_holds_are_counted():
    small = small_example()
    counts = MapCounts(small.normal * 10**12, small.defective * 10**12, small.overlap * 1e12, small.regions)
    assert counts.pixel_auroc() == pytest.approx(10 / 15)
    assert counts.pixel_ap() == pytest.approx(small.pixel_ap())
    assert counts.oracle_iou() == pytest.approx(small.oracle_iou())

import numpy as np
import pandas as pd
import pytest

from flawline import figures
from flawline.figures.charts import MOST_POINTS
from flawline.figures.style import SERIES


@pytest.fixture
def scores():
    return pd.DataFrame(
        {
            "score": [0.1, 0.2, 0.3, 0.9, np.nan],
            "label": [0, 0, 0, 1, 1],
            "split": ["calibration", "test", "test", "test", "test"],
        }
    )


def test_roc_line_is_the_curve_that_came():
    curve = pd.DataFrame({"fpr": [0, 0.1, 1], "tpr": [0, 0.8, 1]})
    lines = figures.roc_figure({"cae": curve}).axes[0].lines
    np.testing.assert_array_equal(lines[0].get_xydata(), curve.to_numpy())
    np.testing.assert_array_equal(lines[1].get_xydata(), [[0, 0], [1, 1]])  # guessing


def test_pr_and_pro_lines_are_the_curves_that_came():
    pr = pd.DataFrame({"recall": [0, 1], "precision": [1, 0.4]})
    pro = pd.DataFrame({"fpr": [0, 0.3], "pro": [0, 0.9]})
    np.testing.assert_array_equal(figures.pr_figure({"a": pr}).axes[0].lines[0].get_xydata(), pr.to_numpy())
    axes = figures.pro_figure({"a": pro}).axes[0]
    np.testing.assert_array_equal(axes.lines[0].get_xydata(), pro.to_numpy())
    assert axes.get_xlim() == (0, 0.3)


def test_every_method_is_in_the_legend_and_one_alone_needs_none():
    curve = pd.DataFrame({"fpr": [0, 1], "tpr": [0, 1]})
    legend = figures.roc_figure(dict.fromkeys("abcdefghijk", curve)).axes[0].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == list("abcdefghijk")
    assert figures.roc_figure({"a": curve}).axes[0].get_legend() is None


def test_histogram_shares_sum_to_one_a_group_and_skip_missing_scores(scores):
    axes = figures.histogram_figure(scores, {"image": 0.5}).axes[0]
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert names == ["calibration, normal (1)", "test, normal (2)", "test, defective (1)"]
    filled = [patch for patch in axes.patches if patch.get_label() in names]
    heights = [patch.get_xy()[:, 1].max() for patch in filled]
    assert heights == [1, 0.5, 1]


def test_histogram_draws_each_threshold_at_its_value(scores):
    axes = figures.histogram_figure(scores, {"image": 0.5, "reject": 0.7}).axes[0]
    assert [line.get_xdata()[0] for line in axes.lines] == [0.5, 0.7]
    assert [text.get_text() for text in axes.texts] == ["image 0.5", "reject 0.7"]


@pytest.mark.parametrize("rows", [0, 1])
def test_histogram_of_next_to_nothing(scores, rows):
    assert figures.histogram_figure(scores.head(rows), {}).axes[0].get_xlabel()


def test_histogram_without_labels_names_the_split_alone():
    axes = figures.histogram_figure(pd.DataFrame({"score": [1.0], "split": ["inspected"]}), {}).axes[0]
    assert axes.get_legend().get_texts()[0].get_text() == "inspected (1)"


def heights(axes, name):
    """Return the heights of the bins of a filled histogram, from the outline that was drawn."""
    outline = next(patch for patch in axes.patches if patch.get_label().startswith(name)).get_xy()
    return outline[1 : 2 * 40 : 2, 1]


def edges(axes, name):
    outline = next(patch for patch in axes.patches if patch.get_label().startswith(name)).get_xy()
    return outline[0 : 2 * 41 : 2, 0]


def test_patch_losses_are_shares_of_their_own_kind_between_common_edges():
    losses = pd.DataFrame({"mask_share": [0, 0, 0, 0, 0.2, 1.0], "loss": [1.0, 1.0, 1.0, 2.0, 2.0, np.nan]})
    axes = figures.patch_loss_figure(losses).axes[0]
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert names == ["normal (4)", "defective (1)"]
    np.testing.assert_allclose(heights(axes, "normal")[[0, -1]], [0.75, 0.25])
    np.testing.assert_allclose(heights(axes, "defective")[[0, -1]], [0, 1])
    np.testing.assert_array_equal(edges(axes, "normal"), edges(axes, "defective"))
    np.testing.assert_allclose(edges(axes, "normal"), np.linspace(1, 2, 41))
    assert axes.get_xscale() == "linear"


@pytest.mark.parametrize(
    ("losses", "scale"),
    [
        ([1.0, 10.0], "linear"),
        ([1.0, 10.1], "log"),
        ([0.0, 5.0, 10.0], "linear"),
        ([0.0, 1.0, 11.0], "log"),
        ([0.0, 0.0], "linear"),
    ],
)
def test_patch_losses_are_logarithmic_beyond_a_decade(losses, scale):
    frame = pd.DataFrame({"mask_share": 0.0, "loss": losses})
    axes = figures.patch_loss_figure(frame).axes[0]
    assert axes.get_xscale() == scale
    assert heights(axes, "normal").sum() == pytest.approx(1)  # zeros too


def test_patch_losses_of_zero_stand_in_the_first_bin_of_a_logarithmic_axis():
    losses = pd.DataFrame({"mask_share": 0.0, "loss": [0.0, 1e-30, 0.5, 1.0]})
    axes = figures.patch_loss_figure(losses).axes[0]
    assert heights(axes, "normal")[0] == pytest.approx(0.5)
    assert edges(axes, "normal")[0] == pytest.approx(1e-6)


def test_patch_losses_of_one_kind_and_of_none():
    frame = pd.DataFrame({"mask_share": [0.0, 0.5, np.nan], "loss": [1.0, 2.0, 3.0]})
    for rows, names in (([0], ["normal (1)"]), ([1], ["defective (1)"]), ([], []), ([2], [])):
        axes = figures.patch_loss_figure(frame.iloc[rows]).axes[0]
        legend = axes.get_legend()
        assert [text.get_text() for text in (legend.get_texts() if legend else [])] == names
        assert axes.get_xlabel() == "loss of a patch"


def test_a_method_has_the_same_line_in_every_chart_whichever_are_there():
    curve = pd.DataFrame({"fpr": [0, 1], "tpr": [0, 1], "recall": [0, 1], "precision": [1, 0.4]})
    names = list("abcdefghijkl")

    def lines(figure):
        return {line.get_label(): (line.get_color(), line.get_linestyle()) for line in figure.axes[0].lines}

    all_of_them = lines(figures.roc_figure(dict.fromkeys(names, curve), names=names))
    some = lines(figures.pr_figure(dict.fromkeys("bkl", curve), names=names))
    assert {name: all_of_them[name] for name in "bkl"} == some
    assert len({all_of_them[name] for name in names}) == 12  # no two alike
    assert lines(figures.roc_figure({"b": curve}, names=["a", "b"]))["b"][0] == SERIES[1]


def test_a_long_legend_does_not_squeeze_the_chart():
    curve = pd.DataFrame({"fpr": [0, 1], "tpr": [0, 1]})
    heights = []
    for count in (4, 12):
        figure = figures.roc_figure({f"patch_gaussian_{i}": curve for i in range(count)})
        figure.draw_without_rendering()
        heights.append(figure.axes[0].get_position().height * figure.get_figheight())
    assert heights[1] >= 0.9 * heights[0]


def test_projected_points_lie_where_they_came_a_colour_and_a_mark_a_label():
    points = pd.DataFrame({"x": [0.0, 1, 2, 3], "y": [5.0, 6, 7, 8], "label": [0, 1, 0, np.nan]})
    axes = figures.projection_figure(points).axes[0]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["normal (2)", "defective (1)", "unknown (1)"]
    np.testing.assert_array_equal(axes.lines[0].get_xydata(), [[0, 5], [2, 7]])
    np.testing.assert_array_equal(axes.lines[1].get_xydata(), [[1, 6]])
    assert len({line.get_marker() for line in axes.lines}) == len({line.get_color() for line in axes.lines}) == 3
    assert not len(axes.get_xticks())
    assert figures.projection_figure(points.head(0)).axes[0].get_legend() is None


def test_of_many_projected_points_some_stand_for_all():
    points = pd.DataFrame({"x": np.arange(5000.0), "y": 0.0, "label": 0})
    axes = figures.projection_figure(points).axes[0]
    drawn = axes.lines[0].get_xdata()
    assert len(drawn) == MOST_POINTS
    assert (drawn[0], drawn[-1]) == (0, 4999)
    assert axes.get_legend().get_texts()[0].get_text() == "normal (5000)"


def test_pod_is_drawn_a_colour_a_contrast_between_its_bounds_over_what_was_counted():
    curves = pd.DataFrame({"contrast": 0.1, "size": [4.0, 40.0], "pod": [0.1, 0.9], "low": [0.0, 0.8],
                           "high": [0.2, 1.0]})  # fmt: skip
    counted = pd.DataFrame({"contrast": [0.1 + 1e-17, 0.2], "size": [10.0, 20.0], "share": [0.5, 1.0]})
    axes = figures.pod_figure(curves, counted, unit="mm").axes[0]
    nine, dots, line, others, none = axes.lines
    assert nine.get_ydata() == [0.9, 0.9]
    np.testing.assert_array_equal(dots.get_xydata(), [[10, 0.5]])
    np.testing.assert_array_equal(line.get_xydata(), [[4, 0.1], [40, 0.9]])
    assert dots.get_color() == line.get_color() != others.get_color()
    np.testing.assert_array_equal(others.get_xydata(), [[20, 1.0]])
    assert not len(none.get_xydata())
    band = axes.collections[0].get_paths()[0].get_extents()
    assert (band.x0, band.x1, band.y0, band.y1) == (4, 40, 0, 1)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["contrast 0.1", "contrast 0.2"]
    assert axes.get_xlabel().startswith("size, mm")


def test_drift_is_drawn_in_order_before_the_usual_band_and_says_since_when():
    axes = figures.drift_figure(np.array([1.0, np.nan, 3.0, 9.0]), name="focus", since=4, usual=(0.5, 3.5)).axes[0]
    dots, line = axes.lines
    np.testing.assert_array_equal(dots.get_xydata(), [[1, 1], [3, 3], [4, 9]])
    assert line.get_xdata()[0] == 4
    assert (axes.patches[0].get_y(), axes.patches[0].get_height()) == (0.5, 3.0)
    assert axes.get_ylabel() == "focus"
    many = figures.drift_figure(np.arange(5000.0), name="focus", since=1, usual=(0, 1)).axes[0].lines[0]
    assert len(many.get_xydata()) == figures.MOST_DOTS

import base64
import io
import re
import xml.etree.ElementTree as ET
from types import SimpleNamespace

import matplotlib
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from flawline import figures
from flawline.checks import FlawlineError


@pytest.fixture
def scores():
    return pd.DataFrame(
        {
            "score": [0.1, 0.2, 0.3, 0.9, np.nan],
            "label": [0, 0, 0, 1, 1],
            "split": ["calibration", "test", "test", "test", "test"],
        }
    )


def gray(height=20, width=30, value=100, dtype=np.uint8):
    image = np.full((1, height, width), value, dtype)
    image.setflags(write=False)
    return image


def box(y, x, height, width):
    return SimpleNamespace(y=y, x=x, height=height, width=width)


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


@pytest.mark.parametrize(("last", "scale"), [(0.1, "linear"), (0.099, "log"), (0.0, "linear")])
def test_history_is_logarithmic_beyond_a_decade(last, scale):
    history = pd.DataFrame({"epoch": [0, 1], "train_loss": [1.0, last], "validation_loss": [1.0, np.nan]})
    (axes,) = figures.history_figure(history).axes
    assert axes.get_yscale() == scale
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), [1.0, last])


def labels(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_history_shows_what_is_no_loss_in_a_panel_of_its_own():
    history = pd.DataFrame({"epoch": [1, 2, 3], "train_loss": [3.0, 2, 1], "validation_loss": [0.1, 2, 2],
                            "seconds": 9.0, "auc": [0.5, 0.7, 0.75]})  # fmt: skip
    losses, auc = figures.history_figure(history).axes
    assert labels(losses) == ["train loss", "validation loss"]
    assert losses.get_yscale() == "log"
    assert (losses.get_ylabel(), auc.get_ylabel()) == ("loss", "auc")
    assert auc.get_yscale() == "linear"
    np.testing.assert_array_equal(auc.lines[0].get_xydata(), [[1, 0.5], [2, 0.7], [3, 0.75]])
    assert (losses.get_xlabel(), auc.get_xlabel()) == ("", "epoch")
    assert losses.get_xlim() == auc.get_xlim()
    colours = [line.get_color() for axes in (losses, auc) for line in axes.lines]
    assert len(set(colours)) == 3


def test_losses_of_further_phases_do_not_flatten_those_of_training_and_validation():
    history = pd.DataFrame({"epoch": [1, 2], "train_loss": 0.01, "critic_loss": [-5.0, -9.0], "validation_loss": 0.02,
                            "generator_loss": 3.0, "auc": 0.5, "share": 0.5})  # fmt: skip
    assert figures.history_panels(history) == {
        "loss": ["train_loss", "validation_loss"],
        "other loss": ["critic_loss", "generator_loss"],
        "value": ["auc", "share"],
    }
    first, other, values = figures.history_figure(history).axes
    assert [labels(axes) for axes in (first, other, values)] == [
        ["train loss", "validation loss"], ["critic loss", "generator loss"], ["auc", "share"]
    ]  # fmt: skip


def test_a_history_without_the_usual_losses_shows_those_it_has():
    history = pd.DataFrame({"epoch": [1, 2], "pretrain_loss": [2.0, 1.0], "stage": ["a", "b"], "note": ["x", "y"]})
    assert figures.history_panels(history) == {"loss": ["pretrain_loss"]}
    assert figures.history_panels(history[["epoch", "stage"]].assign(seconds=3.0, gone_loss=np.nan)) == {}
    (axes,) = figures.history_figure(history[["epoch"]]).axes
    assert not axes.lines


def test_another_stage_begins_at_a_dotted_line():
    losses = {"pretrain_loss": [2.0, 1, np.nan, np.nan], "train_loss": [np.nan, np.nan, np.nan, 3]}
    history = pd.DataFrame({"epoch": [1, 2, 3, 4], "stage": ["pretrain", "pretrain", "train", "train"], **losses})
    for axes in figures.history_figure(history).axes:
        assert [line.get_xdata()[0] for line in axes.lines if line.get_linestyle() == ":"] == [2.5]
    dot = figures.history_figure(history).axes[0].lines[0]  # train_loss leads
    assert dot.get_marker() == "o"  # a line of one point would not be seen


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


def test_svg_of_a_logarithmic_chart_has_the_pages_ink_alone():
    losses = pd.DataFrame({"mask_share": 0.0, "loss": np.geomspace(0.02, 0.3, 50)})  # minor ticks have labels
    drawing = figures.svg(figures.patch_loss_figure(losses))
    assert "currentColor" in drawing
    assert not re.search(r"(fill|stroke): (#000|black)", drawing)
    assert not [text for text in re.findall(r"<text[^>]*>", drawing) if "style" in text and "fill" not in text]


def test_svg_cuts_coordinates_but_no_text():
    curve = pd.DataFrame({"fpr": [0, 1 / 3, 1], "tpr": [0, 2 / 3, 1]})
    drawing = figures.svg(figures.roc_figure({"0.12345": curve, "b": curve}))
    assert ">0.12345<" in drawing
    assert "<!--" not in drawing
    assert not re.search(r" d=\"[^\"]*\.\d\d\d", drawing)


def test_charts_change_no_global_setting():
    before = dict(matplotlib.rcParams)
    figures.svg(figures.roc_figure({}))
    assert dict(matplotlib.rcParams) == before


def test_svg_is_one_element_in_the_pages_ink_and_the_same_every_time():
    curve = pd.DataFrame({"fpr": [0, 1], "tpr": [0, 1]})
    first, second = (figures.svg(figures.roc_figure({"<a>": curve, "b": curve})) for _ in range(2))
    root = ET.fromstring(first)
    assert root.tag.endswith("svg")
    assert not {"width", "height"} & set(root.attrib)
    assert "currentColor" in first
    assert figures.INK not in first
    assert "&lt;a&gt;" in first
    assert first == second


def test_svg_of_a_curve_of_a_million_pixels_stays_small():
    rates = np.linspace(0, 1, 1_000_000)
    drawing = figures.svg(figures.roc_figure({"a": pd.DataFrame({"fpr": rates, "tpr": rates**0.1})}))
    assert len(drawing) < 60_000


def test_heat_at_top_and_above_is_the_last_colour_and_nan_is_grey():
    colours = figures.heat(np.array([[0, 2.0, 5.0, np.nan]], np.float16), top=2.0)
    last = np.rint(np.array(matplotlib.colormaps["inferno"].colors[-1]) * 255)
    assert colours.shape == (1, 4, 3)
    np.testing.assert_allclose(colours[0, 1], last, atol=1)
    np.testing.assert_array_equal(colours[0, 1], colours[0, 2])
    assert len(set(colours[0, 3].tolist())) == 1


@pytest.mark.parametrize("top", [0, -1, np.nan])
def test_heat_wants_a_top_above_zero(top):
    with pytest.raises(FlawlineError, match=r"top must be > 0, got"):
        figures.heat(np.zeros((2, 2)), top=top)


def test_heat_wants_a_map():
    with pytest.raises(FlawlineError, match=r"anomaly_map must have shape \(H, W\), got \(1, 2, 2\)"):
        figures.heat(np.zeros((1, 2, 2)), top=1)


def test_to_rgb8_of_each_type():
    assert figures.to_rgb8(gray(value=7)).shape == (20, 30, 3)
    assert (figures.to_rgb8(gray(value=7)) == 7).all()
    assert (figures.to_rgb8(gray(value=0.2, dtype=np.float32)) == 51).all()
    assert (figures.to_rgb8(gray(value=65535, dtype=np.uint16)) == 255).all()


def test_to_rgb8_keeps_the_order_of_the_channels():
    image = np.stack([np.full((2, 2), v, np.uint8) for v in (1, 2, 3)])
    np.testing.assert_array_equal(figures.to_rgb8(image)[0, 0], [1, 2, 3])


def test_to_rgb8_shows_a_12_bit_image_bright_unless_told_the_white():
    image = gray(value=4095, dtype=np.uint16)
    assert (figures.to_rgb8(image) == 255).all()
    assert (figures.to_rgb8(image, white=1) == 16).all()


def test_to_rgb8_refuses_other_types():
    with pytest.raises(FlawlineError, match="image must be uint8, uint16 or float, got int64"):
        figures.to_rgb8(np.zeros((1, 2, 2), np.int64), white=1)
    with pytest.raises(FlawlineError, match=r"image must have shape \(C, H, W\), got \(2, 2\)"):
        figures.to_rgb8(np.zeros((2, 2), np.uint8))


def test_overlay_touches_only_pixels_beyond_the_threshold_and_the_box_lines():
    anomaly_map = np.zeros((20, 30), np.float32)
    anomaly_map[5:8, 10:14] = 1
    anomaly_map[0, 0] = 0.5  # at the threshold, not beyond it
    seen = figures.overlay(gray(), anomaly_map, 0.5, [box(5, 10, 3, 4)])
    changed = (seen != 100).any(axis=2)
    wanted = np.zeros((20, 30), bool)
    wanted[4:9, 9:15] = True  # the region and one pixel of line around it
    np.testing.assert_array_equal(changed, wanted)
    np.testing.assert_array_equal(seen[4, 9], figures.MARK)


def test_overlay_without_anything_found_is_the_photograph():
    seen = figures.overlay(gray(), np.zeros((20, 30)), np.inf, [])
    np.testing.assert_array_equal(seen, figures.to_rgb8(gray()))


def test_overlay_outlines_the_marked_defect_outside_of_it():
    mask = np.zeros((20, 30), bool)
    mask[5:8, 5:8] = True
    seen = figures.overlay(gray(), np.zeros((20, 30)), 1, [], mask=mask)
    assert (seen[mask] == 100).all()
    np.testing.assert_array_equal(seen[4, 6], figures.TRUTH)


def test_overlay_draws_a_box_over_the_edge_of_the_image():
    seen = figures.overlay(gray(), np.zeros((20, 30)), 1, [box(0, 0, 20, 30), box(19.6, 29.8, 0.1, 0.1)])
    assert seen.shape == (20, 30, 3)


def test_overlay_wants_a_map_of_the_images_size():
    with pytest.raises(FlawlineError, match=r"anomaly_map must have shape \(20, 30\), got \(10, 15\)"):
        figures.overlay(gray(), np.zeros((10, 15)), 1, [])


def test_jpeg_of_coloured_noise_larger_than_a_byte_a_pixel(capfd):
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)
    encoded = figures.jpeg(noise, quality=85)
    assert len(encoded) > 300 * 300
    assert Image.open(io.BytesIO(encoded)).size == (300, 300)
    assert capfd.readouterr().err == ""


def test_mask_png_has_one_bit_a_pixel():
    mask = np.random.default_rng(0).random((80, 90)) > 0.5
    encoded = figures.mask_png(mask)
    np.testing.assert_array_equal(np.array(Image.open(io.BytesIO(encoded))), mask)
    assert len(encoded) < 80 * 90 / 8 + 300
    with pytest.raises(FlawlineError, match=r"mask must have shape \(H, W\), got \(1, 2, 2\)"):
        figures.mask_png(np.zeros((1, 2, 2), bool))


@pytest.mark.parametrize(("encode", "kind"), [(figures.png, "png"), (figures.jpeg, "jpeg")])
def test_data_uri_holds_the_picture(encode, kind):
    picture = np.full((4, 6, 3), 80, np.uint8)
    head, _, body = figures.data_uri(encode(picture)).partition(",")
    assert head == f"data:image/{kind};base64"
    np.testing.assert_array_equal(np.array(Image.open(io.BytesIO(base64.b64decode(body)))), picture)


def test_a_method_has_the_same_line_in_every_chart_whichever_are_there():
    curve = pd.DataFrame({"fpr": [0, 1], "tpr": [0, 1], "recall": [0, 1], "precision": [1, 0.4]})
    names = list("abcdefghijkl")

    def lines(figure):
        return {line.get_label(): (line.get_color(), line.get_linestyle()) for line in figure.axes[0].lines}

    all_of_them = lines(figures.roc_figure(dict.fromkeys(names, curve), names=names))
    some = lines(figures.pr_figure(dict.fromkeys("bkl", curve), names=names))
    assert {name: all_of_them[name] for name in "bkl"} == some
    assert len({all_of_them[name] for name in names}) == 12  # no two alike
    assert lines(figures.roc_figure({"b": curve}, names=["a", "b"]))["b"][0] == figures.SERIES[1]


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
    assert len(drawn) == figures.MOST_POINTS
    assert (drawn[0], drawn[-1]) == (0, 4999)
    assert axes.get_legend().get_texts()[0].get_text() == "normal (5000)"

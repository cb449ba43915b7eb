import numpy as np
import pandas as pd
import pytest

from flawline import figures


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
        assert [text.get_text().strip() for text in axes.texts] == ["train"]
    dot = figures.history_figure(history).axes[0].lines[0]  # train_loss leads
    assert dot.get_marker() == "o"  # a line of one point would not be seen

import numpy as np
import pandas as pd
import pytest

from flawline.checks import FlawlineError
from flawline.detector.evaluating import compare_reductions
from flawline.params import ImageScoreParams


@pytest.fixture
def maps():
    """Maps (2, 2) of a calibration image, two good ones and two defective ones: one peak, and a weak, wide one."""
    values = [[0, 0, 0, 1], [2, 0, 0, 0], [0, 0, 0, 1], [5, 0, 0, 0], [1.5, 1.5, 1.5, 1.5]]
    return [np.array(each, np.float16).reshape(2, 2) for each in values]


def table(*labels):
    split = ["calibration", *["test"] * len(labels)]
    return pd.DataFrame({"image": list("abcde")[: len(split)], "split": split, "label": [0, *labels]})


def test_reductions_are_compared_by_the_test_images(maps):
    ways = [
        ImageScoreParams(reduction="maximum", share=0.5),
        ImageScoreParams(reduction="top_share", share=0.5),
        ImageScoreParams(reduction="region_mass", share=0.25),  # above 1, as the calibration image says
    ]
    found = compare_reductions(table(0, 0, 1, 1), maps, ways)
    assert found["image_auroc"].tolist() == [0.75, 1.0, 1.0]
    assert found[["reduction", "share"]].to_numpy().tolist() == [
        ["maximum", 0.5], ["top_share", 0.5], ["region_mass", 0.25],
    ]  # fmt: skip


def test_without_defective_test_images_there_is_nothing_to_compare(maps):
    with pytest.raises(FlawlineError, match="reductions cannot be compared: image_auroc needs normal and defective"):
        compare_reductions(table(0, 0), maps, [ImageScoreParams(reduction="maximum", share=0.5)])

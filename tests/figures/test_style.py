import re
import xml.etree.ElementTree as ET

import matplotlib
import numpy as np
import pandas as pd
import pytest

from flawline import figures
from flawline.figures.style import INK, plain_number


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
    assert INK not in first
    assert "&lt;a&gt;" in first
    assert first == second


def test_svg_of_a_curve_of_a_million_pixels_stays_small():
    rates = np.linspace(0, 1, 1_000_000)
    drawing = figures.svg(figures.roc_figure({"a": pd.DataFrame({"fpr": rates, "tpr": rates**0.1})}))
    assert len(drawing) < 60_000


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.001, "0.001"),
        (0.25, "0.25"),
        (1.0, "1"),
        (10_000.0, "10000"),
        (1e-5, "10⁻⁵"),
        (2e-4, "2·10⁻⁴"),
        (3e12, "3·10¹²"),
    ],
)
def test_a_logarithmic_axis_has_plain_numbers(number, text):
    assert plain_number(number) == text

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from document import Document

from flawline.metrics.drift import find_drift
from flawline.report import render_inspection
from flawline.report.words import DASH


@pytest.fixture
def pictured(inspection):
    """The page of four images, of which two were rejected: b with a picture in colour, c with a strip."""
    pictures = {
        "b.png": np.full((600, 480, 3), (200, 60, 20), np.uint8),
        "c.png": np.full((100, 1600, 3), 90, np.uint8),
    }
    return replace(inspection, pictures=pictures)


def many(inspection, verdict, count):
    row = inspection.verdicts.iloc[[1]].assign(verdict=verdict)
    rows = pd.concat([row] * count, ignore_index=True)
    return rows.assign(image=[f"{i:04}.png" for i in range(count)], score=np.linspace(0.9, 0.6, count))


def test_page_fetches_nothing_and_its_links_lead_somewhere(pictured):
    html = render_inspection(pictured)
    document = Document(html)
    assert all(address.startswith(("data:image/", "#")) for address in document.addresses)
    assert "url(http" not in html
    assert "script" not in document.tags
    assert "default-src 'none'" in html
    assert {address[1:] for address in document.addresses if address.startswith("#")} <= set(document.ids)
    assert len(document.ids) == len(set(document.ids))


def test_every_rejected_and_reviewed_image_has_its_picture_the_worst_first(pictured, inspection):
    rows = inspection.verdicts
    review = rows.iloc[[1]].assign(image="e.png", verdict="review", score=0.99)
    pictures = {**pictured.pictures, "e.png": np.zeros((30, 40, 3), np.uint8)}
    page = replace(pictured, verdicts=pd.concat([rows, review], ignore_index=True), pictures=pictures)
    html = render_inspection(page)
    shown = re.findall(r'width="(\d+)" height="(\d+)" alt="what was found in (\w)\.png"', html)
    assert shown == [("800", "50", "c"), ("192", "240", "b"), ("40", "30", "e")]
    assert re.findall('<figure data-image="(.*)" class="wide">', html) == ["c.png"]


def test_what_did_not_pass_is_said_with_score_place_and_reason(pictured):
    words = Document(render_inspection(pictured)).words
    assert (
        "reject c.png score 0.9500, threshold 0.5000, p 0.0004 largest region 6 \N{MULTIPLICATION SIGN} 5 at (4, 3)"
        in words
    )
    assert (
        "reject b.png score 0.9000, threshold 0.5000, p 0.010 largest region 6 \N{MULTIPLICATION SIGN} 4 at (20, 10)"
        in words
    )
    assert "image reason d.png cannot be decoded" in words
    assert f"a.png 0.1000 0.5000 {DASH}" not in words
    assert "By falling score. image score threshold p-value reason a.png 0.1000 0.5000 0.900" in words
    assert "nobody has said which of these images are good" in words


def test_pictures_come_before_charts_and_charts_before_tables(pictured):
    html = render_inspection(pictured)
    assert html.rindex("<img") < html.index("<svg") < html.index("<table")


def test_an_image_of_which_no_picture_came_is_listed_all_the_same(inspection):
    html = render_inspection(inspection)
    assert "what was found in" not in html
    assert "reject c.png score 0.9500" in Document(html).words


def test_a_picture_that_nobody_asks_for_is_not_drawn(pictured):
    class Once(dict):
        def __getitem__(self, name):
            asked.append(name)
            return super().__getitem__(name)

    asked = []
    pictures = Once(pictured.pictures | {"a.png": np.zeros((4, 4, 3), np.uint8)})
    render_inspection(replace(pictured, pictures=pictures))
    assert asked == ["c.png", "b.png"]


def test_names_are_escaped(inspection):
    name = "<script>alert(1)</script>.png"
    rows = inspection.verdicts.assign(image=name, reason=name)
    page = replace(inspection, verdicts=rows, pictures={name: np.zeros((4, 4, 3), np.uint8)}, pictures_at=name)
    html = render_inspection(page)
    assert "<script" not in html
    assert "script" not in Document(html).tags


def test_inspection_where_every_image_passed(inspection):
    words = Document(render_inspection(replace(inspection, verdicts=inspection.verdicts.head(1)))).words
    assert "Nothing: no image was rejected or is to be reviewed." in words
    assert "Not judged These" not in words


def test_inspection_of_an_empty_folder(inspection):
    page = replace(inspection, verdicts=inspection.verdicts.head(0))
    assert "The folder held no image." in Document(render_inspection(page)).words


def test_beyond_two_hundred_pictures_the_page_says_how_many_more_there_are_and_where(inspection, example):
    verdicts = pd.concat([many(inspection, "reject", 230), many(inspection, "pass", 150)], ignore_index=True)
    grainy = np.random.default_rng(0).integers(0, 256, (900, 900, 3), np.uint8)
    pictures = dict.fromkeys(verdicts["image"], grainy)
    page = replace(inspection, verdicts=verdicts, pictures=pictures, pictures_at="the attic")
    html = render_inspection(page)
    words = Document(html).words
    assert html.count("what was found in") == 200
    assert "and 30 more, with lower scores. The pictures of all of them lie in the attic." in words
    assert "0199.png" in words
    assert "and 50 more." in words  # of the passed
    assert len(html) < 16_000_000  # though nothing compresses worse


def drifting(values):
    figures = pd.DataFrame({"focus": values})
    found = find_drift(figures, {"focus": np.linspace(1, 2, 200)}, false_alarms=0.01, odd_share=0.1)
    return {"drift": found.assign(since_image="k.png", told_at_image="m.png"), "figures": figures}


def test_a_drift_is_drawn_before_all_else_and_its_absence_told_behind(inspection):
    drifts = render_inspection(replace(inspection, **drifting([1.5] * 10 + [0.5] * 20)))
    assert Document(drifts).words.count("blurrier since image 11, told by image") == 1
    assert drifts.index('<section id="drift">') < drifts.index('id="verdicts"')
    assert drifts.count("<svg") == render_inspection(inspection).count("<svg") + 1
    quiet = render_inspection(replace(inspection, **drifting([1.5] * 30)))
    assert "focus none told 1.05 to 1.95 1.5 to 1.5 30 5 differences" in Document(quiet).words
    assert quiet.index('<section id="drift">') > quiet.index('id="verdicts"')
    assert "drift" not in Document(render_inspection(inspection)).ids

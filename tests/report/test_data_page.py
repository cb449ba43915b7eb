from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from document import Document

from flawline.figures import MOST_DOTS, feature_figure
from flawline.report import DataPage, Thumbnail, render_data_page
from flawline.report.words import DASH

HOSTILE = "<script>alert('1')</script>\"onerror=\"x" + "very-long-" * 20 + "$\\frac.png"
PAIRS = ["image", "duplicate", "kind", "likeness", "split", "duplicate_split", "label", "duplicate_label"]
SHORTCUTS = ["question", "feature", "auroc", "direction", "first", "second", "p", "flagged"]
SIZES = ["height", "width", "channels", "depth", "bits", "images"]


def words_of(page):
    return Document(render_data_page(page)).words


def pixels(*shape):
    """A grainy photograph: noise of a tenth of the full scale on a grey slope."""
    slope = np.linspace(60, 180, shape[1]).reshape(1, -1, *[1] * (len(shape) - 2))
    return np.random.default_rng(0).normal(slope, 25, shape).clip(0, 255).astype(np.uint8)


def images(count):
    """Features of ``count`` images of which the defective ones are far brighter than the normal."""
    rng = np.random.default_rng(0)
    kind = np.arange(count) % 3  # train, normal test, defective
    return pd.DataFrame(
        {
            "image": [f"{i}.png" for i in range(count)],
            "split": np.where(kind == 0, "train", "test"),
            "label": (kind == 2).astype(int),
            "mean": rng.normal(100, 1, count) + 50 * (kind == 2),
            "bytes": rng.lognormal(10, 2, count),
        }
    )


@pytest.fixture
def page():
    near_duplicates = [
        ("train/a.png", "train/b.png", "identical", 1.0, "train", "train", 0, 0),
        ("train/c.png", "test/d.png", "near", 0.99996, "train", "test", 0, 1),
        ("train/a.png", "train/e.png", "near", 0.98, "train", "calibration", 0, 0),
    ]
    shortcuts = [
        ("label in test", "mean", 1.0, "defective images are brighter", 20, 20, 1e-9, True),
        ("test or train", "bytes", 0.5, "no difference", 20, 20, np.nan, False),
    ]
    return DataPage(
        title="Ingestion report",
        category="screw",
        layout="mvtec",
        folder="data/screw",
        found=["60 photographs: 20 train, 40 test.", "One file is in quarantine."],
        notes=["mean alone tells defective from normal: defective images are brighter."],
        counts=pd.DataFrame({"split": ["train", "test"], "normal": [20, 20], "defective": [0, 20]}),
        defects=pd.DataFrame({"defect": ["scratch"], "images": [20], "with_mask": [19]}),
        sizes=pd.DataFrame([(256, 256, 3, 8, 8, 60)], columns=SIZES),
        thumbnails=[
            Thumbnail("train good", "train/a.png", pixels(40, 60)),
            Thumbnail("test", "d.png", pixels(9, 9, 3)),
        ],
        near_duplicates=pd.DataFrame(near_duplicates, columns=PAIRS),
        duplicate_thumbnails={
            name: pixels(48, 48) for name in ("train/a.png", "train/b.png", "train/c.png", "test/d.png")
        },
        features=images(60),
        shortcuts=pd.DataFrame(shortcuts, columns=SHORTCUTS),
        quarantine=pd.DataFrame({"path": ["x.png"], "reason": ["cannot be decoded"]}),
        settings={"seed": 0, "ingestion.layout": "mvtec"},
        ids={"date": "2026-01-02"},
    )


@pytest.fixture(params=["typed", "untyped"])
def nothing(page, request):
    frames = ("counts", "defects", "sizes", "near_duplicates", "features", "shortcuts", "quarantine")
    empty = {name: getattr(page, name).head(0) for name in frames}
    if request.param == "untyped":
        empty = {name: pd.DataFrame(columns=frame.columns) for name, frame in empty.items()}
    return replace(page, found=[], notes=[], thumbnails=[], duplicate_thumbnails={}, settings={}, ids={}, **empty)


def test_page_has_every_section_once_and_links_lead_there(page):
    document = Document(render_data_page(page))
    sections = [
        "found",
        "notes",
        "trust",
        "thumbnails",
        "near_duplicates",
        "images",
        "shortcuts",
        "quarantine",
        "settings",
        "ids",
    ]
    assert [name for name in document.ids if name in sections] == sections
    assert len(document.ids) == len(set(document.ids))
    assert {address[1:] for address in document.addresses if address.startswith("#")} <= set(document.ids)


def test_page_fetches_nothing(page):
    html = render_data_page(page)
    document = Document(html)
    assert all(address.startswith(("data:image/", "#")) for address in document.addresses)
    assert "url(http" not in html
    assert "default-src 'none'" in html


def test_names_are_escaped(page):
    near_duplicates = page.near_duplicates.assign(image=HOSTILE, kind=HOSTILE, split=HOSTILE)
    hostile = replace(
        page,
        category=HOSTILE,
        layout=HOSTILE,
        folder=HOSTILE,
        found=[HOSTILE],
        notes=[HOSTILE],
        counts=page.counts.assign(split=HOSTILE),
        defects=page.defects.assign(defect=HOSTILE),
        thumbnails=[Thumbnail(HOSTILE, HOSTILE, pixels(8, 8))],
        near_duplicates=near_duplicates,
        duplicate_thumbnails={HOSTILE: pixels(8, 8), **page.duplicate_thumbnails},
        features=page.features.rename(columns={"mean": HOSTILE}),
        shortcuts=page.shortcuts.assign(question=HOSTILE, feature=HOSTILE, direction=HOSTILE),
        quarantine=pd.DataFrame({"path": [HOSTILE], "reason": [HOSTILE]}),
        settings={HOSTILE: HOSTILE},
        ids={HOSTILE: HOSTILE},
    )
    html = render_data_page(hostile)
    document = Document(html)
    assert "<script" not in html
    assert "script" not in document.tags
    assert "onerror" not in document.attributes
    assert "svg" in document.tags


def test_the_glance_counts_what_spoils_trust(page):
    words = words_of(page)
    assert "60 images 40 normal, 20 defective" in words
    assert "1 near-duplicates across train and test of 3 pairs found alike" in words
    assert "1 shortcut in 2 comparisons 1 in quarantine" in words


def test_images_are_counted_by_split_defect_and_size(page):
    words = words_of(page)
    assert "Read from data/screw , laid out as mvtec ." in words
    assert "train 20 0 test 20 20 all 40 20" in words
    assert "scratch 20 19" in words
    assert "Every image is 256 \N{MULTIPLICATION SIGN} 256 pixels, 3 channels of 8 bits." in words


def test_bits_that_are_used_stand_beside_the_depth_where_they_are_fewer(page):
    one = pd.DataFrame([(256, 256, 1, 16, 12, 60)], columns=SIZES)
    assert "pixels, 1 channel of 16 bits, 12 used." in words_of(replace(page, sizes=one))
    two = pd.DataFrame([(256, 256, 1, 16, 12, 60), (200, 256, 1, 16, 12, 6)], columns=SIZES)
    words = words_of(replace(page, sizes=two))
    assert "16 bits (66), 12 used." in words
    assert "200 \N{MULTIPLICATION SIGN} 256 1 16, 12 used 6" in words


def test_many_sizes_are_cut_and_summed_up(page):
    rows = [(100 + i, 300, 1 if i else 3, 8, 8, 500 - i) for i in range(300)]
    words = words_of(replace(page, sizes=pd.DataFrame(rows, columns=SIZES)))
    assert "300 combinations: height from 100 to 399; width 300; 1 channel (104 650), 3 channels (500);" in words
    assert "109 \N{MULTIPLICATION SIGN} 300 1 8 491 and 290 more combinations." in words
    assert "110 \N{MULTIPLICATION SIGN} 300" not in words


def test_thumbnails_are_grouped_shrunk_and_cut(page):
    many = [Thumbnail(f"group {g}", f"{g}/{i}.png", pixels(400, 800)) for g in range(14) for i in range(8)]
    html = render_data_page(replace(page, thumbnails=many, near_duplicates=page.near_duplicates.head(0)))
    assert html.count("<img") == 12 * 6
    assert html.count('width="128" height="64"') == 12 * 6  # at most 42 would have 192 pixels
    assert "and 2 more groups that are not shown." in Document(html).words
    few = render_data_page(replace(page, more_groups=3))
    assert "and 3 more groups that are not shown." in Document(few).words


def test_a_pair_across_train_and_test_comes_first_and_is_said_plainly(page):
    words = words_of(page)
    assert "1 pair is identical, 2 nearly so." in words
    assert "1 pair lies on both sides of train and test: one image is in test" in words
    assert "1 pair lies in two of train, validation and calibration:" in words
    assert "1 pair is of a normal and a defective image:" in words
    first = (
        "near train and test normal and defective likeness 0.999 train, normal train/c.png test, defective test/d.png"
    )
    assert words.index(first) < words.index("identical likeness 1.000")


def test_a_pair_without_pictures_is_listed(page):
    words = words_of(page)
    assert "train/a.png train, normal train/e.png calibration, normal near 0.980 train and calibration" in words


def test_pairs_within_a_split_raise_no_alarm(page):
    html = render_data_page(replace(page, near_duplicates=page.near_duplicates.head(1)))
    assert "No pair lies on both sides of train and test." in Document(html).words
    assert "chip mistake" not in html[html.index('id="near_duplicates"') : html.index('id="images"')]


def test_pairs_of_unknown_truth_contradict_nothing(page):
    words = words_of(
        replace(page, near_duplicates=page.near_duplicates.assign(label=None, duplicate_label=[None, 1, 0]))
    )
    assert "normal and a defective" not in words


def test_a_flagged_shortcut_is_in_the_notes_the_table_and_a_chart(page):
    html = render_data_page(page)
    words = Document(html).words
    assert "Read with care mean alone tells defective from normal" in words
    assert "mean 1.000 defective images are brighter shortcut 20 and 20 < 0.001" in words
    assert f"bytes 0.500 no difference 20 and 20 {DASH}" in words
    assert "mean: defective images are brighter 100" in words
    assert "normal, train (20) normal, test (20) defective (20)" in words
    assert html.count('style="width: 100%"') == html.count('style="width: 0%"') == html.count("<svg") == 1


def test_without_a_flagged_shortcut_the_strongest_is_drawn(page):
    html = render_data_page(replace(page, shortcuts=page.shortcuts.iloc[[1]]))
    assert "No property tells them apart by itself." in Document(html).words
    assert "bytes: no difference" in Document(html).words
    assert html.count("<svg") == 1


def test_a_shortcut_that_no_column_holds_is_not_drawn(page):
    document = Document(render_data_page(replace(page, features=page.features.drop(columns="mean"))))
    assert "svg" not in document.tags


def test_quarantine_is_grouped_by_reason_and_cut(page):
    files = [(f"dark-{i:02d}.png", "too dark") for i in range(30)] + [
        (f"{i}.txt", f"duplicate of {i}") for i in range(40)
    ]
    words = words_of(replace(page, quarantine=pd.DataFrame(files, columns=["path", "reason"])))
    assert "too dark 30 dark-00.png dark-01.png dark-02.png dark-03.png dark-04.png and 25 more" in words
    assert "duplicate of 18 1 18.txt other reasons 21 21 files" in words


def test_page_of_nothing_has_a_sentence_for_each(nothing):
    words = words_of(nothing)
    for sentence in (
        "Nothing was found out yet.",
        "0 images 0 normal, 0 defective",
        "No image came through ingestion.",
        "No photograph to show.",
        "No two images are identical or nearly so.",
        "None could be looked for: that takes images of two kinds to compare.",
        "Every file could be used.",
        "No settings were recorded.",
    ):
        assert sentence in words


def test_page_of_normal_images_only(page, nothing):
    normal = replace(page, defects=nothing.defects, shortcuts=nothing.shortcuts)
    words = words_of(replace(normal, counts=page.counts.assign(defective=0), features=images(60).query("label == 0")))
    assert "No image is defective: how many defects a detector finds cannot be measured here." in words


def test_page_of_ten_thousand_images_stays_small(page):
    count = 10_000
    names = np.array([f"{i:05d}-{'long' * 50}.png" for i in range(count)])
    near_duplicates = pd.DataFrame([page.near_duplicates.iloc[1]] * count).assign(image=names, duplicate=names[::-1])
    shortcuts = pd.DataFrame([page.shortcuts.iloc[0]] * 20).assign(feature=["mean", "bytes"] * 10)
    photograph = pixels(256, 256, 3)
    large = replace(
        page,
        thumbnails=[Thumbnail(f"g{i // 100}", names[i], photograph) for i in range(2000)],
        near_duplicates=near_duplicates,
        duplicate_thumbnails={name: pixels(128, 128) for name in names[[*range(20), *range(-20, 0)]]},
        features=images(count),
        shortcuts=shortcuts,
        quarantine=pd.DataFrame({"path": names, "reason": names}),
    )
    html = render_data_page(large)
    assert len(html) < 2_000_000
    assert html.count("<svg") == 2


def test_feature_figure_thins_the_dots_but_keeps_both_ends():
    features = images(3000)
    axes = feature_figure(features, "mean").axes[0]
    train, _, defective = (line.get_xdata() for line in axes.lines)
    assert len(train) == len(defective) == MOST_DOTS
    values = features["mean"][features["split"] == "train"]
    assert (train.min(), train.max()) == (values.min(), values.max())
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "normal, train\n(1000)",
        "normal, test\n(1000)",
        "defective\n(1000)",
    ]


def test_feature_figure_keeps_dots_of_one_place_apart_and_within_their_row():
    axes = feature_figure(pd.DataFrame({"split": "train", "label": 0, "height": [256] * 5}), "height").axes[0]
    np.testing.assert_allclose(np.sort(axes.lines[0].get_ydata()), [-0.14, -0.07, 0, 0.07, 0.14])
    axes = feature_figure(pd.DataFrame({"split": "train", "label": 0, "height": [256] * 99}), "height").axes[0]
    assert np.abs(axes.lines[0].get_ydata()).max() == pytest.approx(0.4)


def test_feature_figure_is_logarithmic_over_decades_and_leaves_missing_values_out():
    features = pd.DataFrame({"split": "test", "label": [0, 0, 1, 1], "bytes": [1, 31, 40, np.nan]})
    axes = feature_figure(features, "bytes").axes[0]
    assert axes.get_xscale() == "log"
    assert [len(line.get_xdata()) for line in axes.lines] == [2, 1]
    assert feature_figure(features.assign(bytes=[0, 1, 2, 3]), "bytes").axes[0].get_xscale() == "linear"
    assert not feature_figure(features.head(0), "bytes").axes[0].lines

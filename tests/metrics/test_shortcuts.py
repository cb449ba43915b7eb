from math import comb
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from base_params import BASE
from sklearn.metrics import roc_auc_score

from flawline.metrics.shortcuts import (
    COLUMNS,
    LABEL,
    SPLIT,
    WORDS,
    brief,
    compare,
    features_of,
    find_shortcuts,
    format_features,
    sentences,
)

REAL_DATA = Path(__file__).parents[3] / "shared" / "data" / "mvtec"


def images(train=20, normal=20, defective=20, **features):
    """Return a table with ``train`` normal training images, then ``normal`` and ``defective`` test images."""
    count = train + normal + defective
    table = {"split": ["train"] * train + ["test"] * (normal + defective), "label": [0] * (count - defective)}
    table["label"] += [1] * defective
    return pd.DataFrame({**table, **{name: np.broadcast_to(values, count) for name, values in features.items()}})


def row(shortcuts, question, feature):
    return shortcuts[(shortcuts["question"] == question) & (shortcuts["feature"] == feature)].iloc[0]


# --- by hand ---------------------------------------------------------------------------------------------------------
def test_auroc_by_hand():
    """Of the six pairs of a defective and a normal test image, five have the brighter one defective."""
    table = find_shortcuts(images(1, 2, 3, mean=[0, 10, 20, 15, 30, 40]))
    found = row(table, LABEL, "mean")
    assert found["auroc"] == pytest.approx(5 / 6)
    assert (found["direction"], found["first"], found["second"]) == ("defective images are brighter", 2, 3)
    assert found["p"] == pytest.approx(2 * 0.4)  # two of ten orders are as far out on either side; two questions
    assert not found["flagged"]
    assert table.columns.tolist() == COLUMNS


def test_compare_counts_ties_as_half_and_takes_either_direction():
    found = compare(pd.Series([1.0, 2.0]), pd.Series([1.0, 0.0]), "they are {}", ("lower", "higher"))
    assert found["auroc"] == pytest.approx(3.5 / 4)
    assert found["direction"] == "they are lower"


def test_auroc_agrees_with_scikit_learn():
    generator = np.random.default_rng(0)
    features = {name: generator.integers(0, 12, 60) for name in WORDS}  # with ties
    table = images(**features)
    found = find_shortcuts(table)
    assert len(found) == 2 * len(WORDS)
    for question, some, truth in (
        (LABEL, table["split"] == "test", table["label"]),
        (SPLIT, table["label"] == 0, (table["split"] == "test").astype(int)),
    ):
        for name in WORDS:
            wanted = roc_auc_score(truth[some], table.loc[some, name])
            assert row(found, question, name)["auroc"] == pytest.approx(max(wanted, 1 - wanted))
    assert found["auroc"].is_monotonic_decreasing


# --- what is flagged -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("feature", WORDS)
@pytest.mark.parametrize("higher", [False, True])
def test_perfect_separation_is_found_with_its_direction(feature, higher):
    values = np.random.default_rng(0).permutation(60) / 100
    values[40:] += 1 if higher else -1
    found = row(find_shortcuts(images(**{feature: values})), LABEL, feature)
    assert (found["auroc"], bool(found["flagged"])) == (1, True)
    assert found["direction"] == f"defective images are {WORDS[feature][higher]}"


def test_test_images_that_differ_from_training_images_are_found():
    values = np.random.default_rng(0).permutation(60) / 100
    values[20:] -= 1  # all test images are darker
    found = find_shortcuts(images(mean=values))
    assert found.loc[found["flagged"], ["question", "direction"]].to_numpy().tolist() == [
        [SPLIT, "normal test images are darker"]
    ]
    assert row(found, SPLIT, "mean")[["first", "second"]].tolist() == [20, 20]


@pytest.mark.parametrize(("normal", "defective", "flagged"), [(2, 4, False), (4, 4, False), (6, 6, True)])
def test_few_images_are_never_flagged(normal, defective, flagged):
    values = np.arange(20 + normal + defective)
    found = row(find_shortcuts(images(20, normal, defective, mean=values)), LABEL, "mean")
    assert found["auroc"] == 1
    assert found["flagged"] == flagged


@pytest.mark.parametrize("defective", [1, 2, 3])
def test_so_few_defective_images_are_chance_however_many_normal_ones_there_are_to_ask(defective):
    """Of the C(n, k) places that k defective ones can have among n test images, two are at the ends."""
    values = {name: np.arange(37 + defective) for name in WORDS}
    found = row(find_shortcuts(images(20, 17, defective, **values)), LABEL, "mean")
    assert found["p"] == pytest.approx(min(1, 2 / comb(17 + defective, defective) * 2 * len(WORDS)))
    assert not found["flagged"]


def test_more_questions_ask_for_more_certainty():
    mean = np.concatenate([np.arange(26.0), [100, 101, 102, 103, 104, 105]])
    alone = row(find_shortcuts(images(20, 6, 6, mean=mean)), LABEL, "mean")
    noise = {name: np.random.default_rng(1).normal(size=32) for name in WORDS if name != "mean"}
    among = row(find_shortcuts(images(20, 6, 6, mean=mean, **noise)), LABEL, "mean")
    assert alone["auroc"] == among["auroc"] == 1
    assert among["p"] == pytest.approx(alone["p"] * len(WORDS))
    assert (alone["flagged"], among["flagged"]) == (True, False)


def test_random_features_are_hardly_ever_flagged():
    generator = np.random.default_rng(0)
    flagged = 0
    for _ in range(300):
        counts = generator.integers(3, 40, 3)
        features = {name: generator.normal(size=counts.sum()) for name in ("mean", "sharpness", "bytes")}
        flagged += find_shortcuts(images(*counts, **features))["flagged"].any()
    assert flagged < 3


def test_separation_below_the_limit_is_not_flagged_however_certain():
    generator = np.random.default_rng(0)
    values = generator.normal(size=600)
    values[400:] += 1.2  # AUROC 0.8
    found = row(find_shortcuts(images(200, 200, 200, mean=values)), LABEL, "mean")
    assert 0.75 < found["auroc"] < 0.85
    assert found["p"] < 1e-6
    assert not found["flagged"]


# --- what is asked ---------------------------------------------------------------------------------------------------
def test_file_formats_are_features_where_there_are_several():
    table = images(format=["PNG"] * 40 + ["JPEG"] * 20)
    found = find_shortcuts(table)
    assert found["feature"].tolist() == ["format JPEG", "format PNG"]
    assert found["direction"].tolist() == [
        "defective images are more often JPEG", "defective images are less often PNG",
    ]  # fmt: skip
    assert found["flagged"].all()
    assert format_features(table)["format PNG"].tolist() == [1.0] * 40 + [0.0] * 20


@pytest.mark.parametrize("table", [images(format="PNG"), images()])
def test_one_format_or_none_told_is_no_feature(table):
    assert format_features(table) == {}


def test_constant_features_are_left_out_and_not_counted():
    values = np.random.default_rng(0).permutation(60) / 100
    found = find_shortcuts(images(mean=values, height=256, width=256, channels=1, format="PNG"))
    assert sorted(found[["question", "feature"]].to_numpy().tolist()) == [[LABEL, "mean"], [SPLIT, "mean"]]
    alone = find_shortcuts(images(mean=values))
    pd.testing.assert_frame_equal(found, alone)


def test_feature_that_is_constant_within_one_question_is_asked_in_the_other():
    height = [100] * 20 + [200] * 40
    found = find_shortcuts(images(height=height))
    assert found[["question", "feature", "direction"]].to_numpy().tolist() == [
        [SPLIT, "height", "normal test images are taller"]
    ]


@pytest.mark.parametrize(
    ("counts", "questions"),
    [((20, 20, 0), {SPLIT}), ((20, 0, 20), set()), ((0, 20, 20), {LABEL}), ((20, 0, 0), set()), ((0, 0, 0), set())],
)
def test_question_with_one_class_only_is_left_out(counts, questions):
    table = images(*counts, mean=np.arange(sum(counts)), format="PNG")
    found = find_shortcuts(table)
    assert set(found["question"]) == questions
    assert found.columns.tolist() == COLUMNS
    assert found["flagged"].tolist() == [True] * len(questions)
    assert len(sentences(found)) == len(questions)


def test_validation_calibration_and_unused_images_are_not_asked():
    table = images(mean=np.random.default_rng(0).permutation(60))
    others = table.assign(split=["validation", "calibration", "unused"] * 20, mean=1000)
    pd.testing.assert_frame_equal(find_shortcuts(pd.concat([table, others])), find_shortcuts(table))


def test_order_of_the_images_does_not_matter():
    table = images(mean=np.random.default_rng(0).permutation(60), width=np.random.default_rng(1).permutation(60))
    pd.testing.assert_frame_equal(find_shortcuts(table.sample(frac=1, random_state=0)), find_shortcuts(table))


# --- sentences -------------------------------------------------------------------------------------------------------
def shortcuts(*rows):
    return pd.DataFrame(rows, columns=["question", "feature", "auroc", "direction", "flagged"])


BRIGHTER = (LABEL, "mean", 0.98765, "defective images are brighter", True)


def test_sentence_of_a_shortcut_to_the_label():
    assert sentences(shortcuts(BRIGHTER)) == [
        "Shortcut: mean alone tells defective test images from good ones (AUROC 0.988): defective images are brighter. "
        "A figure on this data may measure that."
    ]


def test_sentence_of_a_shortcut_to_the_split():
    assert sentences(shortcuts((SPLIT, "width", 1.0, "normal test images are wider", True))) == [
        "Shortcut: width alone tells good test images from training images (AUROC 1.000): normal test images are "
        "wider. A detector may reject them for that alone."
    ]


def test_one_sentence_a_question_with_the_worst_figure():
    said = sentences(
        shortcuts(
            (LABEL, "bytes", 0.91, "defective images are larger files", True),
            BRIGHTER,
            (SPLIT, "width", 0.95, "normal test images are wider", True),
            (SPLIT, "height", 1.0, "normal test images are lower", False),
        )
    )
    assert [each.split(" alone")[0] for each in said] == ["Shortcut: mean", "Shortcut: width"]
    assert "are brighter (1 other figure too). A figure" in said[0]
    assert "other" not in said[1]
    more = sentences(shortcuts(BRIGHTER, *[(LABEL, name, 0.95, "x", True) for name in ("bytes", "width")]))
    assert "are brighter (2 other figures too). A figure" in more[0]


def test_in_a_cell_the_worst_of_each_question():
    rows = [
        (LABEL, "mean", 0.95, True),
        (LABEL, "bytes", 1.0, True),
        (SPLIT, "mean", 0.93, True),
        (SPLIT, "width", 1, 0),
    ]
    table = pd.DataFrame(rows, columns=["question", "feature", "auroc", "flagged"])
    assert brief(table) == "label by bytes 1.000; split by mean 0.930"
    assert brief(table.assign(flagged=False)) == brief(table.head(0)) == ""


def test_nothing_flagged_says_nothing():
    assert sentences(shortcuts((*BRIGHTER[:4], False))) == sentences(shortcuts()) == []


# --- features --------------------------------------------------------------------------------------------------------
def test_features_are_joined_by_content_and_page():
    manifest = pd.DataFrame({
        "image": ["a.png", "b.tif#1", "b.tif#2", "c.png"], "split": "train", "label": 0, "defect": "good",
        "height": [2, 3, 3, 2], "width": [5, 4, 4, 5], "channels": 1, "bytes": [30, 60, 60, 40],
        "sha256": ["a", "b", "b", "a"], "page": [0, 1, 2, 0], "mask": None, "depth": 8, "bits": 8,
    })  # fmt: skip
    measured = pd.DataFrame({
        "sha256": ["b", "a", "a", "b", "mask"], "page": [2, 0, 0, 1, 0], "mean": [22.0, 10, 10, 21, 99],
        "contrast": 1.0, "sharpness": 2.0, "format": ["TIFF", "PNG", "PNG", "TIFF", "mask"], "depth": 8,
    })  # fmt: skip
    features = features_of(manifest, measured)
    assert features["image"].tolist() == manifest["image"].tolist()
    assert features["mean"].tolist() == [10, 21, 22, 10]
    assert features["format"].tolist() == ["PNG", "TIFF", "TIFF", "PNG"]
    assert features["bytes_per_pixel"].tolist() == [3, 5, 5, 4]
    assert set(features) == {*WORDS, "image", "split", "label", "defect", "format"}


def test_grey_levels_are_on_the_scale_of_the_bits_that_are_used():
    manifest = pd.DataFrame({
        "image": ["a.png", "b.png"], "split": "train", "label": 0, "defect": "good", "height": 2, "width": 5,
        "channels": 1, "bytes": 30, "sha256": ["a", "b"], "page": 0, "depth": 16, "bits": 12,
    })  # fmt: skip
    measured = pd.DataFrame({
        "sha256": ["a", "b"], "page": 0, "mean": [15.0, 7.5], "contrast": 1.0, "sharpness": 2.0, "format": "PNG",
    })  # fmt: skip
    features = features_of(manifest, measured)
    times = 65535 / 4095
    assert features["mean"].tolist() == pytest.approx([15 * times, 7.5 * times])
    assert features[["contrast", "sharpness"]].to_numpy().tolist() == [pytest.approx([times, 2 * times])] * 2


@pytest.mark.real_data
def test_brightness_alone_tells_all_screws_apart():
    from flawline.intake.layouts import list_raw_folder
    from flawline.intake.manifest import build_manifest, read_raw_files

    folder = REAL_DATA / "screw"
    rows, quarantine, measurements = read_raw_files(
        folder, list_raw_folder(folder, BASE.ingestion).files, max_pixels=2**16
    )
    manifest, _ = build_manifest(rows, quarantine, BASE.ingestion.splits)
    found = find_shortcuts(features_of(manifest, measurements.table))
    best = found.iloc[0]
    assert (best["question"], best["feature"], best["auroc"], bool(best["flagged"])) == (LABEL, "mean", 1.0, True)
    assert best[["first", "second"]].tolist() == [41, 119]
    assert sentences(found)[0].startswith("Shortcut: mean alone tells defective test images from good ones (AUROC 1.0")

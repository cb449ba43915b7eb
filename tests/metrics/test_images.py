import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, average_precision_score, f1_score, roc_auc_score

from flawline.checks import FlawlineError
from flawline.metrics.images import NEEDS, image_curves, image_metrics

SCORES, LABELS = (0.1, 0.2, 0.6, 0.5, 0.7, 0.9), (0, 0, 0, 1, 1, 1)


def random_scores(seed: int, *, images: int = 80) -> tuple[np.ndarray, np.ndarray]:
    """Scores (images,) with many ties, defectives higher on average, and labels (images,); read-only."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 2, images)
    scores = (generator.normal(labels, 1.0) * 4).round() / 4
    scores.setflags(write=False)
    labels.setflags(write=False)
    return scores, labels


def test_six_images_by_hand():
    values, absent = image_metrics(SCORES, LABELS, 0.55)  # flags 0.6, 0.7 and 0.9
    assert absent == {}
    assert values == pytest.approx(
        {
            "normals": 3, "defectives": 3, "overkill": 1, "escapes": 1, "overkill_rate": 1 / 3, "escape_rate": 1 / 3,
            "accuracy": 4 / 6, "f1": 4 / 6,
            "image_auroc": 8 / 9,  # all pairs but (0.6, 0.5)
            "image_ap": (1 + 1 + 3 / 4) / 3,
            "oracle_f1": 6 / 7,  # above 0.2: 3 found, 1 overkill
            "oracle_accuracy": 5 / 6,
        }
    )  # fmt: skip


def test_a_score_at_the_threshold_passes():
    values, _ = image_metrics(SCORES, LABELS, 0.6)
    assert (values["overkill"], values["escapes"]) == (0, 1)


@pytest.mark.parametrize("seed", range(5))
def test_metrics_agree_with_scikit_learn(seed):
    scores, labels = random_scores(seed)
    values, _ = image_metrics(scores, labels, 0.5)
    assert values["f1"] == pytest.approx(f1_score(labels, scores > 0.5))
    assert values["accuracy"] == pytest.approx(accuracy_score(labels, scores > 0.5))
    assert values["image_auroc"] == pytest.approx(roc_auc_score(labels, scores))
    assert values["image_ap"] == pytest.approx(average_precision_score(labels, scores))


@pytest.mark.parametrize("seed", range(5))
def test_oracles_are_the_best_of_every_threshold(seed):
    scores, labels = random_scores(seed)
    every = [image_metrics(scores, labels, threshold)[0] for threshold in (-np.inf, *scores)]
    values = every[0]
    assert values["oracle_f1"] == pytest.approx(max(one["f1"] for one in every))
    assert values["oracle_accuracy"] == pytest.approx(max(one["accuracy"] for one in every))


@given(st.integers(0, 2**32 - 1))
def test_ranking_does_not_change_under_a_rising_transform(seed):
    scores, labels = random_scores(seed)
    before, after = (image_metrics(each, labels, 0)[0] for each in (scores, np.exp(scores) * 7 - 3))
    if 0 < labels.sum() < len(labels):
        assert after["image_auroc"] == pytest.approx(before["image_auroc"])
        assert after["image_ap"] == pytest.approx(before["image_ap"])


def test_without_a_defect_there_is_overkill_and_the_rest_is_absent_with_the_reason():
    values, absent = image_metrics(np.arange(12.0), np.zeros(12, int), 9.0)
    expected = {"normals": 12, "defectives": 0, "overkill": 2, "overkill_rate": 2 / 12, "accuracy": 10 / 12}
    assert values == pytest.approx(expected)
    assert absent["image_auroc"] == "needs normal and defective test images, got 12 normal and 0 defective"
    assert absent["escapes"] == "needs defective test images, got 12 normal and 0 defective"
    assert values.keys() | absent.keys() == NEEDS.keys() | {"normals", "defectives"}
    assert not values.keys() & absent.keys()


def test_without_a_normal_image_overkill_is_absent():
    values, absent = image_metrics([0.1, 0.9], [1, 1], 0.5)
    assert values == {"normals": 0, "defectives": 2, "accuracy": 0.5, "escapes": 1, "escape_rate": 0.5}
    assert absent["overkill"] == "needs normal test images, got 0 normal and 2 defective"


def test_without_any_image_everything_is_absent():
    values, absent = image_metrics([], [], 0.5)
    assert values == {"normals": 0, "defectives": 0}
    assert absent.keys() == NEEDS.keys()
    assert absent["accuracy"] == "needs test images, got 0 normal and 0 defective"


@pytest.mark.parametrize("seed", range(3))
def test_every_row_of_a_curve_holds_at_its_threshold(seed):
    scores, labels = random_scores(seed)
    curves = image_curves(scores, labels)
    assert {name: list(table) for name, table in curves.items()} == {
        "roc": ["fpr", "tpr", "threshold"],
        "pr": ["recall", "precision", "threshold"],
    }
    for fpr, tpr, threshold in curves["roc"].itertuples(index=False):
        values, _ = image_metrics(scores, labels, threshold)
        assert (values["overkill_rate"], 1 - values["escape_rate"]) == pytest.approx((fpr, tpr))
    for recall, precision, threshold in curves["pr"].itertuples(index=False):
        flagged = scores > threshold
        assert labels[flagged].sum() / labels.sum() == pytest.approx(recall)
        assert (labels[flagged].mean() if flagged.any() else 1) == pytest.approx(precision)


@pytest.mark.parametrize("labels", [[0, 0], [1, 1], []])
def test_labels_all_of_one_class_have_no_curve(labels):
    assert image_curves([0.1, 0.2][: len(labels)], labels) == {}


def test_scores_that_are_not_finite_are_counted():
    with pytest.raises(FlawlineError, match="scores must be finite, got 1 of 2 that are not"):
        image_metrics([0.1, np.nan], [0, 1], 0.5)


def test_labels_of_another_length_are_refused():
    with pytest.raises(FlawlineError, match="labels must be as many as scores, got 1 labels and 2 scores"):
        image_metrics([0.1, 0.2], [0], 0.5)


def test_labels_of_a_third_kind_are_named():
    with pytest.raises(FlawlineError, match=r"labels must be 0 \(normal\) or 1 \(defective\), got -1, 2"):
        image_curves([0.1, 0.2, 0.3], [2, -1, 0])


def test_a_threshold_that_is_no_number_is_refused():
    with pytest.raises(FlawlineError, match="threshold must be a number, got nan"):
        image_metrics(SCORES, LABELS, float("nan"))

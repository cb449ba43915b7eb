"""What a study says in words; how it looks is tested with the page."""

import numpy as np
import pandas as pd
import pytest

from flawline.methods.published import PUBLISHED_NOTE
from flawline.study_report import best_of, cost, findings, notes, shortcut_cautions, unequal


@pytest.fixture
def results():
    """Two methods on two categories, two seeds of the first."""
    return pd.DataFrame(
        [
            ("chess", 0, "cae", 0.70, 1.0, 10.0, float("nan")),
            ("chess", 0, "vae", 0.80, 0.5, 12.0, float("nan")),
            ("chess", 1, "cae", 0.90, 1.0, 20.0, float("nan")),
            ("chess", 1, "vae", 0.60, 0.5, 32.0, float("nan")),
            ("bolt", 0, "cae", np.nan, 0.6, 10.0, "label by mean 1.000"),
            ("bolt", 0, "vae", np.nan, 0.7, 20.0, "label by mean 1.000"),
        ],
        columns=["category", "seed", "method", "oracle_iou", "image_auroc", "train_seconds", "shortcut"],
    )


def test_the_headline_counts_what_was_compared(results):
    assert findings(results)[0] == "2 methods on 2 categories, 2 seeds."
    assert findings(results[:1])[0] == "1 method on 1 category, 1 seed."


def test_a_category_is_told_by_its_overlap_the_best_mean_first(results):
    said = best_of(results[results["category"] == "chess"])
    assert said == "chess: overlap with the marked defects (oracle IoU) 0.800 by cae, 0.700 by vae."


def test_without_masks_by_its_image_auroc_and_without_defects_not_at_all(results):
    bolt = results[results["category"] == "bolt"]
    assert best_of(bolt) == "bolt: image AUROC 0.700 by vae, 0.600 by cae."
    assert "bolt: nothing could be measured" in best_of(bolt.assign(image_auroc=np.nan))


def test_cost_is_the_ratio_of_the_means_to_the_first_methods(results):
    assert cost(results) == [f"Training takes 1.00 : {(12 + 32 + 20) / (10 + 20 + 10):.2f} (cae : vae)."]
    assert cost(results[results["method"] == "cae"]) == []


def test_only_what_shapes_a_comparison_is_told_to_differ():
    own = {"patches": {"size": 64}, "train": {"epochs": 30, "precision": "32-true"}, "model": {"latent_size": 100}}
    other = {**own, "train": {"epochs": 9, "precision": "bf16-mixed"}, "model": {"latent_size": 7}}
    parameters = {"cae": own, "vae": own, "aae": other}
    assert unequal(["cae", "vae"], parameters) == []
    (said,) = unequal(["cae", "vae", "aae"], parameters)
    assert said.startswith("aae differs from cae in model.latent_size, train.epochs, train.precision:")
    assert unequal(["cae", "vae"], {"cae": own, "vae": own | {"model": {"latent_size": 100, "kl_weight": 1}}}) == []
    (lacking,) = unequal(["cae", "vae"], {"cae": own, "vae": {"train": own["train"], "model": own["model"]}})
    assert "patches.size" in lacking


def test_cautions_name_shortcuts_and_that_published_images_are_others(results):
    assert shortcut_cautions(results) == [
        "bolt: its figures may measure a shortcut in the data (label by mean 1.000); see its page."
    ]
    assert shortcut_cautions(results.drop(columns="shortcut")) == []
    parameters = {"cae": {"train": {}}, "vae": {"train": {}}}
    published = pd.DataFrame({"method": ["cae"]})
    assert notes(results, published, parameters)[0] == PUBLISHED_NOTE
    assert PUBLISHED_NOTE not in notes(results, published[:0], parameters)

"""What a study says in words; how it looks is tested with the page."""

import numpy as np
import pandas as pd
import pytest

from flawline.methods.registry import PAPERS
from flawline.report.study_sentences import (
    category_found,
    recommendation,
    shortcut_cautions,
    study_found,
    training_cost,
    unequal_settings,
)


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


ALIKE = PAPERS["schneider2022"].alike


def test_a_category_is_told_by_its_overlap_the_best_mean_first(results):
    said = category_found(results[results["category"] == "chess"])
    assert said == "chess: overlap with the marked defects (oracle IoU) 0.800 by cae, 0.700 by vae."


def test_without_masks_by_its_image_auroc_and_without_defects_not_at_all(results):
    bolt = results[results["category"] == "bolt"]
    assert category_found(bolt) == "bolt: image AUROC 0.700 by vae, 0.600 by cae."
    assert "bolt: nothing could be measured" in category_found(bolt.assign(image_auroc=np.nan))


def test_cost_is_the_ratio_of_the_means_to_the_first_methods(results):
    assert training_cost(results) == [f"Training takes 1.00 : {(12 + 32 + 20) / (10 + 20 + 10):.2f} (cae : vae)."]
    assert training_cost(results[results["method"] == "cae"]) == []


def test_only_what_shapes_a_comparison_is_told_to_differ():
    own = {"patches": {"size": 64}, "train": {"epochs": 30, "precision": "32-true"}, "model": {"latent_size": 100}}
    other = {**own, "train": {"epochs": 9, "precision": "bf16-mixed"}, "model": {"latent_size": 7}}
    parameters = {"cae": own, "vae": own, "aae": other}
    assert unequal_settings(["cae", "vae"], parameters, ALIKE) == []
    assert unequal_settings([], {}, ALIKE) == []
    (said,) = unequal_settings(["cae", "vae", "aae"], parameters, ALIKE)
    assert said.startswith("aae differs from cae in model.latent_size, train.epochs, train.precision:")
    assert (
        unequal_settings(
            ["cae", "vae"], {"cae": own, "vae": own | {"model": {"latent_size": 100, "kl_weight": 1}}}, ALIKE
        )
        == []
    )
    (lacking,) = unequal_settings(
        ["cae", "vae"], {"cae": own, "vae": {"train": own["train"], "model": own["model"]}}, ALIKE
    )
    assert "patches.size" in lacking


def test_a_category_is_told_by_what_every_method_has(results):
    chess = results[results["category"] == "chess"]
    mapless = chess.assign(method="deep_feature_knn", oracle_iou=np.nan, image_auroc=0.9)
    said = category_found(pd.concat([chess, mapless]))
    assert said == "chess: image AUROC 1.000 by cae, 0.900 by deep_feature_knn, 0.500 by vae."
    told = category_found(pd.concat([chess, mapless.assign(image_auroc=np.nan)]))
    assert told == "chess: overlap with the marked defects (oracle IoU) 0.800 by cae, 0.700 by vae."


def test_of_many_methods_the_first_four_and_the_last_are_told():
    six = pd.DataFrame({"category": "bolt", "seed": 0, "method": list("abcdef"), "image_auroc": np.arange(6) / 10})
    assert (
        category_found(six) == "bolt: image AUROC 0.500 by f, 0.400 by e, 0.300 by d, 0.200 by c, down to 0.000 by a."
    )


def test_cost_is_of_the_methods_that_train(results):
    still = results.assign(method=results["method"].replace("vae", "patch_memory"))
    still.loc[still["method"] == "patch_memory", "train_seconds"] = np.nan
    assert training_cost(still) == []
    assert training_cost(pd.concat([results, still[still["method"] == "patch_memory"]])) == training_cost(results)


def test_the_headline_counts_what_was_compared(results):
    assert study_found(results, ["cae", "vae"])[0] == "2 methods on 2 categories, 2 seeds."
    assert study_found(results[:1], ["cae"])[0] == "1 method on 1 category, 1 seed."


def test_cautions_name_shortcuts(results):
    assert shortcut_cautions(results) == [
        "bolt: its figures may measure a shortcut in the data (label by mean 1.000); see its page."
    ]
    assert shortcut_cautions(results.drop(columns="shortcut")) == []


def test_a_recommendation_is_called_a_development_figure(results):
    candidates = ["cae", "vae"]
    assert recommendation(results, candidates) == []  # two categories
    third = results[results["category"] == "bolt"].assign(category="nut", image_auroc=[0.9, 0.2])
    three = pd.concat([results, third])
    (said,) = recommendation(three, candidates)  # cae 1, 0.6, 0.9; vae 0.5, 0.7, 0.2
    assert said.startswith(
        "Over all categories cae has the highest mean image AUROC. These are development figures: the"
    )
    assert "on average 0.033 less" in said  # cae thrice, 0.1 below vae on bolt
    assert said in study_found(three, candidates)


def test_of_equals_the_first_candidate_is_recommended():
    rows = [(category, 0, name, 1.0) for category in ("bolt", "nut", "pin") for name in "ab"]
    equal = pd.DataFrame(rows, columns=["category", "seed", "method", "image_auroc"])
    for candidates in (["a", "b"], ["b", "a"]):
        assert recommendation(equal, candidates)[0].startswith(f"Over all categories {candidates[0]} has")

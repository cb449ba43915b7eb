"""What a study says in words; how it looks is tested with the page."""

import numpy as np
import pandas as pd
import pytest

from flawline.methods.published import PUBLISHED_NOTE, published_for
from flawline.study_report import (
    best_of,
    chosen,
    cost,
    findings,
    notes,
    shortcut_cautions,
    simple_first,
    unequal,
    whole_tables,
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
    rows = published_for("chess")
    assert notes(results, rows, parameters)[0] == PUBLISHED_NOTE
    assert PUBLISHED_NOTE not in notes(results, rows[:0], parameters)


def test_only_autoencoders_must_share_their_settings(results):
    """A method of another kind has no patches to cut as the first has them."""
    others = results.replace({"method": {"vae": "patch_memory"}})
    assert notes(others, published_for("brick"), {"cae": {"train": {"epochs": 1}}, "patch_memory": {}}) == [
        "bolt: its figures may measure a shortcut in the data (label by mean 1.000); see its page."
    ]
    assert unequal([], {}) == []


def test_a_category_is_told_by_what_every_method_has(results):
    chess = results[results["category"] == "chess"]
    mapless = chess.assign(method="deep_feature_knn", oracle_iou=np.nan, image_auroc=0.9)
    said = best_of(pd.concat([chess, mapless]))
    assert said == "chess: image AUROC 1.000 by cae, 0.900 by deep_feature_knn, 0.500 by vae."
    told = best_of(pd.concat([chess, mapless.assign(image_auroc=np.nan)]))
    assert told == "chess: overlap with the marked defects (oracle IoU) 0.800 by cae, 0.700 by vae."


def test_of_many_methods_the_first_four_and_the_last_are_told():
    six = pd.DataFrame({"category": "bolt", "seed": 0, "method": list("abcdef"), "image_auroc": np.arange(6) / 10})
    assert best_of(six) == "bolt: image AUROC 0.500 by f, 0.400 by e, 0.300 by d, 0.200 by c, down to 0.000 by a."


def test_cost_is_of_the_methods_that_train(results):
    still = results.assign(method=results["method"].replace("vae", "patch_memory"))
    still.loc[still["method"] == "patch_memory", "train_seconds"] = np.nan
    assert cost(still) == []
    assert cost(pd.concat([results, still[still["method"] == "patch_memory"]])) == cost(results)


def test_a_recommendation_is_called_a_development_figure(results):
    assert chosen(results) == []  # two categories
    third = results[results["category"] == "bolt"].assign(category="nut", image_auroc=[0.9, 0.2])
    (said,) = chosen(pd.concat([results, third]))  # cae 1, 0.6, 0.9; vae 0.5, 0.7, 0.2
    assert said.startswith(
        "Over all categories cae has the highest mean image AUROC. These are development figures: the"
    )
    assert "on average 0.033 less" in said  # cae thrice, 0.1 below vae on bolt
    assert said in findings(pd.concat([results, third]))


def test_simple_methods_come_first():
    methods = ["cae", "cpcae", "ae_l2", "nearest_neighbour", "mean_image", "patch_memory", "patch_memory_map",
               "patch_memory_fused", "patch_gaussian"]  # fmt: skip
    untrained = ["nearest_neighbour", "mean_image", "patch_memory", "patch_gaussian"]
    assert simple_first(methods) == [*untrained, "cae", "cpcae", "ae_l2", "patch_memory_map", "patch_memory_fused"]


def test_of_equals_the_one_that_trains_nothing_is_recommended():
    names = ["cpcae", "patch_memory_fused", "patch_gaussian"]
    rows = [(category, 0, name, 1.0) for category in ("bolt", "nut", "pin") for name in names]
    (said,) = chosen(pd.DataFrame(rows, columns=["category", "seed", "method", "image_auroc"]))
    assert said.startswith("Over all categories patch_gaussian has")


def test_a_published_table_comes_whole_where_its_images_are_here():
    here = published_for("bottle", raw="bottle", layout="mvtec").assign(category="bottle")
    (table,) = whole_tables(here[here["method"] == "cpcae"])
    assert (table.source, table.measured) == ("Saeedi & Giusti 2022, Table 4", ["bottle"])
    assert len(table.rows) == 80
    assert "first six" in table.note
    assert whole_tables(here[:0]) == []
    assert whole_tables(published_for("chess").assign(category="chess")) == []  # it has no figure of whole images

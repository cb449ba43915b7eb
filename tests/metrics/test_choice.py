import numpy as np
import pandas as pd
import pytest

from flawline.checks import FlawlineError
from flawline.metrics.choice import leave_one_out, placings, recommend, recommended

CANDIDATES = ["a", "b"]


def table(figures, seeds=1):
    """Return results from {category: {method: figure}}, the seeds' figures around the mean."""
    return pd.DataFrame(
        [
            {"category": category, "seed": seed, "method": method, "image_auroc": value + (seed - (seeds - 1) / 2) / 10}
            for category, row in figures.items()
            for method, value in row.items()
            for seed in range(seeds)
        ]
    )


@pytest.fixture
def results():
    return table({"x": {"a": 0.9, "b": 0.5}, "y": {"a": 0.6, "b": 0.7}, "z": {"a": 0.6, "b": 0.8}}, seeds=2)


def test_the_choice_is_made_on_the_other_categories(results):
    found = leave_one_out(results, CANDIDATES).set_index("category")
    assert found["method"].tolist() == ["b", "a", "a"]  # x: 0.6 < 0.75; y: 0.75 > 0.65; z: 0.75 > 0.6
    assert found["figure"].tolist() == pytest.approx([0.5, 0.6, 0.6])
    assert found["best"].tolist() == pytest.approx([0.9, 0.7, 0.8])
    assert found["best_method"].tolist() == ["a", "b", "b"]
    assert found["regret"].tolist() == pytest.approx([0.4, 0.1, 0.2])


def test_the_recommended_has_the_highest_mean_over_all(results):
    assert recommended(results, CANDIDATES) == "a"  # 0.7 against 0.667
    assert recommended(results.assign(image_ap=1 - results["image_auroc"]), CANDIDATES, "image_ap") == "b"


def test_a_category_counts_once_however_many_seeds_it_has():
    few = table({"x": {"a": 0.9, "b": 0.5}})
    many = table({"y": {"a": 0.5, "b": 0.8}}, seeds=5)
    assert recommended(pd.concat([few, many]), CANDIDATES) == "a"  # 0.7 against 0.65


@pytest.mark.parametrize("candidates", [["a", "b"], ["b", "a"]])
def test_of_equals_the_first_candidate(candidates):
    equal = table({name: {"a": 0.5, "b": 0.5} for name in "xyz"})
    assert recommended(equal, candidates) == candidates[0]
    assert leave_one_out(equal, candidates)["method"].tolist() == [candidates[0]] * 3


def test_only_candidates_are_chosen(results):
    better = table({name: {"c": 1.0} for name in "xyz"})
    found = leave_one_out(pd.concat([results, better]), CANDIDATES)
    assert not {"c"} & {*found["method"], *found["best_method"]}


def test_a_method_that_lacks_a_figure_is_not_chosen_where_it_is_missed(results):
    results.loc[(results["category"] == "y") & (results["method"] == "a"), "image_auroc"] = np.nan
    assert recommended(results, CANDIDATES) == "b"
    found = leave_one_out(results, CANDIDATES).set_index("category")
    assert found["method"].tolist() == ["b", "a", "b"]
    assert np.isnan(found.loc["y", "regret"])


def test_a_choice_that_cannot_be_made(results):
    with pytest.raises(FlawlineError, match="wanted 2 or more, got 1"):
        leave_one_out(results[results["category"] == "x"], CANDIDATES)
    with pytest.raises(FlawlineError, match="no method has aupro on every category: a, b on x, y, z"):
        recommended(results, CANDIDATES, "aupro")


def test_tried_on_the_categories_that_could_be_measured(results):
    method, found = recommend(results)
    assert method == "a"
    pd.testing.assert_frame_equal(found, leave_one_out(results, CANDIDATES))
    unmeasured = table({"w": {"a": np.nan, "b": np.nan}})
    pd.testing.assert_frame_equal(recommend(pd.concat([results, unmeasured]))[1], found)


@pytest.mark.parametrize("candidates", [["b", "a"], ["a", "b"]])
def test_of_equals_the_first_is_tried(candidates):
    method, found = recommend(table({name: {"a": 1.0, "b": 1.0, "c": 1.1} for name in "xyz"}), candidates)
    assert method == candidates[0]
    assert found["best_method"].tolist() == [candidates[0]] * 3


def test_not_tried_on_few_categories_or_with_one_method(results):
    assert recommend(results[results["category"] != "x"]) is None
    assert recommend(results[results["method"] == "a"]) is None
    assert recommend(results.drop(columns="image_auroc")) is None
    results.loc[(results["category"] == "y") & (results["method"] == "a"), "image_auroc"] = np.nan
    assert recommend(results) is None  # one method is left that has them all


def test_places_are_counted_over_categories_and_metrics_and_equals_share_the_better_one():
    results = table({"x": {"a": 0.9, "b": 0.8, "c": 0.8}, "y": {"a": 0.7, "b": 0.75, "c": np.nan}})
    results["aupro"] = [0.1, 0.2, 0.3, 0.1, 0.2, 0.3]
    found = placings(results, ["image_auroc", "aupro"])
    assert found.columns.tolist() == [1, 2, 3]
    assert {method: row.tolist() for method, row in found.iterrows()} == {
        "a": [1, 1, 2],
        "b": [1, 3, 0],
        "c": [2, 1, 0],
    }


def test_places_are_of_means_over_seeds():
    seeds = [table({"x": {"a": figure, "b": 0.5}}) for figure in (0.1, 1.0)]
    assert placings(pd.concat(seeds), ["image_auroc"])[1].to_dict() == {"a": 1, "b": 0}

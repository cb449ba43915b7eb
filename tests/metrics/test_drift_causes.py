import pandas as pd
import pytest

from flawline.metrics.drift_causes import find_causes


def causes(white=False, **moved):
    """Return the causes of figures that moved in these directions."""
    names = dict.fromkeys(["shadows", "highlights", "tonal_range", "focus", "across", "down", "size", "scale", "score"])
    rows = [{"figure": name, "drifts": name in moved, "direction": moved.get(name, ""), "since": 3, "told_at": 9,
             "found_high": 255.0 if white and name == "highlights" else 90.0} for name in names]  # fmt: skip
    return find_causes(pd.DataFrame(rows))


def names(*args, **moved):
    return [each.name for each in causes(*args, **moved)]


@pytest.mark.parametrize(
    ("moved", "wanted"),
    [
        ({}, []),
        ({"highlights": "lower", "shadows": "lower"}, ["light"]),
        ({"tonal_range": "lower"}, ["light"]),
        ({"focus": "lower"}, ["focus"]),
        ({"across": "higher"}, ["framing"]),
        ({"size": "higher", "focus": "lower", "scale": "lower"}, ["framing"]),
        ({"focus": "lower", "shadows": "higher", "highlights": "lower", "tonal_range": "lower"}, ["focus"]),
        ({"score": "higher"}, ["parts"]),
        ({"score": "higher", "scale": "higher"}, ["parts"]),
        ({"tonal_range": "higher", "size": "higher", "focus": "lower", "shadows": "lower"}, ["product"]),
        ({"size": "higher", "highlights": "lower"}, ["product"]),
        ({"scale": "higher", "highlights": "lower", "score": "higher"}, ["light", "parts"]),
        ({"across": "lower", "highlights": "lower"}, ["framing", "light"]),
        ({"focus": "higher", "highlights": "higher"}, ["focus", "light"]),
    ],
)
def test_each_cause_is_told_by_its_own_figures_and_explains_others(moved, wanted):
    assert names(**moved) == wanted


def test_too_much_light_explains_the_tones_and_shapes_that_it_takes_away():
    moved = {"shadows": "higher", "tonal_range": "lower", "size": "lower", "focus": "higher"}
    assert names(white=True, **moved) == ["light"]
    assert names(white=False, **moved) == ["product"]
    assert names(white=True, **{**moved, "focus": "lower"}) == ["product"]
    assert names(white=True, **{**moved, "shadows": "lower"}) == ["product"]
    assert names(white=True, highlights="higher", focus="higher") == ["light"]


def test_a_cause_names_what_it_explains_and_any_explains_the_scores():
    (cause,) = causes(size="higher", focus="lower", score="higher")
    assert cause.figures == {"size": "higher"}
    assert cause.explains == ("focus", "score")
    assert (cause.since, cause.told_at) == (3, 9)


def test_every_figure_that_drifts_is_in_a_cause_once():
    moved = {"shadows": "lower", "focus": "higher", "down": "higher", "score": "higher", "scale": "lower"}
    named = [name for cause in causes(**moved) for name in (*cause.figures, *cause.explains)]
    assert sorted(set(named)) == sorted(moved)

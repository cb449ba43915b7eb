from contextlib import suppress
from itertools import groupby

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from flawline.intake.run_lengths import marked_by_runs, run_lengths

MASKS = npst.arrays(bool, npst.array_shapes(min_dims=2, max_dims=2, max_side=12))


def runs_of(mask):
    """Return the runs of a mask, counted one by one."""
    pixels = [False, *mask.T.ravel().tolist()]
    counts = [len(list(run)) for _, run in groupby(pixels)]
    return [counts[0] - 1, *counts[1:]]


def compressed(runs):
    """Return the runs in COCO's compressed form, as its authors' rleToString writes them."""
    text = ""
    for k, run in enumerate(runs):
        value = run - runs[k - 2] if k > 2 else run
        more = True
        while more:
            bits, value = value & 31, value >> 5
            more = value != (-1 if bits & 16 else 0)
            text += chr(bits + 32 * more + 48)
    return text


@given(MASKS)
def test_runs_come_back_as_the_mask_compressed_or_not(mask):
    runs = runs_of(mask)
    for counts in (runs, compressed(runs)):
        np.testing.assert_array_equal(marked_by_runs(run_lengths(counts, mask.shape), mask.shape), mask)


@pytest.mark.parametrize(("text", "size", "runs"), [
    ("12308OI001OO", (5, 7), [1, 2, 3, 2, 11, 1, 4, 1, 4, 2, 3, 1]),
    ("T3X1Q1oN_e1", (37, 52), [100, 40, 33, 7, 1744]),
])  # fmt: skip
def test_what_pycocotools_compressed_is_read(text, size, runs):
    """Made by pycocotools 2.0.11 from masks of these runs."""
    assert list(run_lengths(text, size)) == runs


@pytest.mark.parametrize(("counts", "reason"), [
    ([3, 4], "a run-length mask of 7 pixels for an image of 4 x 5"),
    ("0", "of 0 pixels for an image of 4 x 5"),
    ("", "of 0 pixels for an image of 4 x 5"),
    ([-1, 21], "wanted the lengths of runs"),
    ([20.0], "wanted the lengths of runs"),
    ([True, 19], "wanted the lengths of runs"),
    ("O", "wanted the lengths of runs"),  # -1
    (None, "wanted the lengths of runs, got None"),
    ("d", "ends within a number"),
    ("oooooooooooo", "wanted a compressed run-length mask"),
    ("p", "wanted a compressed run-length mask"),
    ("/", "wanted a compressed run-length mask"),
    ("\u00e9", "wanted a compressed run-length mask"),
])  # fmt: skip
def test_runs_that_are_none_or_do_not_fill_the_image_are_refused(counts, reason):
    with pytest.raises(ValueError, match=reason):
        run_lengths(counts, (4, 5))


@given(st.one_of(st.text(max_size=40), st.lists(st.integers(), max_size=9)))
def test_any_counts_fill_the_image_or_are_refused(counts):
    with suppress(ValueError):
        assert marked_by_runs(run_lengths(counts, (3, 4)), (3, 4)).shape == (3, 4)

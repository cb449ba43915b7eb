import numpy as np
import pytest
from torch import tensor

from flawline.checks import FlawlineError
from flawline.training.folds import fold_of, fold_weights


@pytest.mark.parametrize(("images", "folds"), [(10, 2), (11, 3), (4, 4), (209, 5)])
def test_folds_are_balanced_and_all_there(images, folds):
    of = fold_of(images, folds, 0)
    sizes = np.bincount(of)
    assert (len(of), len(sizes)) == (images, folds)
    assert sizes.max() - sizes.min() <= 1


def test_folds_are_drawn_by_the_seed():
    np.testing.assert_array_equal(fold_of(50, 5, 3), fold_of(50, 5, 3))
    assert not np.array_equal(fold_of(50, 5, 3), fold_of(50, 5, 4))
    assert not np.array_equal(fold_of(50, 5, 3), np.arange(50) % 5)


@pytest.mark.parametrize("folds", [1, 5])
def test_too_few_or_too_many_folds_are_refused(folds):
    with pytest.raises(FlawlineError, match=rf"from 2 to the number of training images, 4; got {folds}"):
        fold_of(4, folds, 0)


def test_fold_1_is_not_fold_10():
    weights = {"fold_1/a": tensor([1.0]), "fold_10/a": tensor([10.0])}
    assert fold_weights(weights, 1) == {"a": tensor([1.0])}

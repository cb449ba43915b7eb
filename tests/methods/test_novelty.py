import numpy as np
import pytest
from base_params import BASE
from sklearn.svm import OneClassSVM

from flawline.checks import FlawlineError
from flawline.methods.isolation_forest import IsolationForest
from flawline.methods.novelty import cell_means
from flawline.methods.oc_svm import OCSVM
from flawline.methods.one_class import Inputs

SVM = BASE.oc_svm_lrep.scorer
FOREST = BASE.isolation_forest_lrep.scorer.but(trees=20)
SCORERS = [OCSVM(SVM), IsolationForest(FOREST)]


def coded(seed, far=False, rows=2, columns=3):
    """An image of 64 x 96 and the codes of its patches, of which the second is far from usual if asked for."""
    codes = np.random.default_rng(seed).normal(size=(rows, columns, 4)).astype(np.float32)
    if far:
        codes[0, 1] = 8
    return Inputs((np.zeros((1, 64, 96), np.float32), codes))


@pytest.mark.parametrize("scorer", SCORERS, ids=["oc_svm", "isolation_forest"])
def test_patch_that_is_far_from_usual_raises_score_and_map_where_it_lies(scorer):
    state = scorer.fit([coded(i) for i in range(40)], seed=0)
    normal, found = (scorer.score(state, coded(99, far)) for far in (False, True))
    assert found.score > normal.score
    assert found.map.shape == (64, 96)
    y, x = np.unravel_index(found.map.argmax(), found.map.shape)
    assert y < 32
    assert 32 <= x < 64


def test_values_are_those_of_scikit_learn():
    images = [coded(i) for i in range(40)]
    scorer = OCSVM(SVM)
    state = scorer.fit(images, seed=0)
    seen = np.concatenate([each.views[1].reshape(-1, 4) for each in images])
    model = OneClassSVM(kernel="rbf", gamma="scale", nu=SVM.nu).fit(seen)
    patch = coded(99, rows=1, columns=1)
    (wanted,) = -model.decision_function(patch.views[1].reshape(-1, 4))
    assert scorer.score(state, patch).score == pytest.approx(wanted, rel=1e-3)  # the map is float16


@pytest.mark.parametrize("make", [lambda: OCSVM(SVM), lambda: IsolationForest(FOREST)], ids=["svm", "forest"])
def test_what_is_kept_gives_the_same_scores_again(make):
    state = make().fit([coded(i) for i in range(40)], seed=3)
    first, again = make().score(state, coded(5)), make().score(dict(state), coded(5))
    assert first.score == again.score
    np.testing.assert_array_equal(first.map, again.map)


def test_no_more_patches_are_kept_than_asked_for():
    state = OCSVM(SVM.but(patches=50)).fit([coded(i) for i in range(40)], seed=0)
    assert tuple(state["features"].shape) == (50, 4)


def test_error_alone_is_a_mean_over_cells():
    residual = np.zeros((64, 96), np.float32)
    residual[:32, 32:64] = 0.5
    scorer = OCSVM(SVM.but(cell=32))
    state = scorer.fit([Inputs((np.zeros((1, 64, 96), np.float32), residual + 0.01 * i)) for i in range(9)], seed=0)
    assert tuple(state["features"].shape) == (54, 1)
    assert float(state["features"].max()) == pytest.approx(0.58)


def test_cell_means_by_hand():
    plane = np.arange(12, dtype=np.float32).reshape(3, 4)
    np.testing.assert_allclose(cell_means(plane, 2), [[2.5, 4.5], [6.5, 8.5]])  # rows from 0 and 1
    np.testing.assert_allclose(cell_means(plane, 9), [[5, 6]])  # one cell as high as the plane, at each end


def test_nothing_to_learn_from_is_refused():
    with pytest.raises(FlawlineError, match="OCSVM needs at least 1 normal images to learn from, got 0"):
        OCSVM(SVM).fit([], seed=0)

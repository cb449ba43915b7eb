"""A scorer that was chosen says what the chosen method's own says, to the bit."""

import numpy as np
import pytest
import torch
from base_params import BASE
from moved_parts import part_of

from flawline.checks import FlawlineError
from flawline.methods.auto import Auto, suited
from flawline.methods.inputs import InputSequence, embed_all
from flawline.methods.one_class import IMAGE, Inputs
from flawline.methods.registry import METHODS
from flawline.params import AutoScorerParams

SCORE = {"reduction": "maximum", "share": 0.01}
IMAGES = [part_of(seed=k) for k in range(6)]


def branch(method, **changes):
    features = {**getattr(BASE, method).scorer.model_dump()["features"], "side": 64}
    return {**getattr(BASE, method).scorer.model_dump(), "features": features, **changes}


def auto(method, settings, **more):
    return Auto(AutoScorerParams(method=method, settings=settings, image_score=SCORE, **more))


def inputs(scorer, images=IMAGES, residuals=None):
    plain = InputSequence((IMAGE,), images, range(len(images)))
    embedded = list(embed_all(scorer, plain, batch_size=1))
    views = [(each.views if residuals is None else (*each.views, residuals[k])) for k, each in enumerate(plain)]
    return [Inputs(*pair) for pair in zip(views, embedded, strict=True)]


@pytest.mark.parametrize("method", ["patch_memory", "patch_gaussian", "patch_memory_free", "patch_gaussian_free"])
def test_maps_are_those_of_the_chosen_method(method):
    settings = branch(method)
    chosen, own = auto(method, settings), METHODS[method].make_scorer({**settings, "image_score": SCORE})
    learned, other = chosen.fit(inputs(chosen), seed=0), own.fit(inputs(own), seed=0)
    new = [part_of(seed=9)]
    (here,), (there,) = inputs(chosen, new), inputs(own, new)
    assert (chosen.anomaly_map(learned, here) == own.anomaly_map(other, there)).all()
    assert chosen.score(learned, here).score == chosen.anomaly_map(learned, here).max()
    assert (chosen.anomaly_map(chosen.ready(learned), here) == own.anomaly_map(own.ready(other), there)).all()
    np.testing.assert_allclose(own.anomaly_map(own.ready(other), there), own.anomaly_map(other, there), rtol=1e-3)
    assert chosen.is_monotone(6) == own.is_monotone(6)
    assert chosen.features == own.features


def test_changes_come_over_the_settings():
    chosen = auto("patch_memory", branch("patch_memory"), change={"search_radius": 3})
    assert chosen.scorer.params.search_radius == 3


def test_wrong_settings_are_told():
    with pytest.raises(FlawlineError, match="do not make a scorer of patch_memory: search_radiuss: Extra inputs"):
        auto("patch_memory", branch("patch_memory"), change={"search_radiuss": 3})


def test_a_reconstructor_is_learned_with_the_scorer():
    from flawline.methods.pca import fit_pca, load_pca
    from flawline.params import ComputeParams

    parts = {"patches": BASE.pca.patches.but(per_epoch=256), "model": BASE.pca.model.but(components=4)}
    settings = branch("texture", scale=1, size=40, bank={**BASE.texture.scorer.bank.model_dump(), "angles": 2})
    chosen = auto("texture", settings, reconstructor=parts)
    own = METHODS["texture"].make_scorer({**settings, "image_score": SCORE})
    deep = [np.rint(image / 255 * 65535).astype(np.uint16) for image in IMAGES]
    weights = fit_pca(deep, seed=0, **parts)
    made = load_pca(weights, channels=1, compute=ComputeParams(), **parts)
    residuals = [made.reconstruct(image).residual.astype(np.float32) for image in deep]
    learned, other = chosen.fit(inputs(chosen), seed=0), own.fit(inputs(own, residuals=residuals), seed=0)
    here = inputs(chosen)[0]
    there = inputs(own, residuals=residuals)[0]
    torch.testing.assert_close(
        torch.from_numpy(chosen.anomaly_map(learned, here).astype(np.float32)),
        torch.from_numpy(own.anomaly_map(other, there).astype(np.float32)),
    )


@pytest.mark.parametrize("method", ["cae", "mean_brightness", "deep_feature_knn", "patch_memory_fused"])
def test_what_trains_a_network_or_scores_otherwise_is_no_candidate(method):
    with pytest.raises(FlawlineError, match=f"'{method}' is none: take it out of auto.candidates"):
        suited(method)
    with pytest.raises(FlawlineError, match=r"no method 'patch_memry'.*patch_memory"):
        suited("patch_memry")

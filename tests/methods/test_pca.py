import numpy as np
import pytest
import torch
from base_params import BASE

from flawline.checks import FlawlineError
from flawline.methods.pca import fit_pca, load_pca
from flawline.params import ComputeParams

PATCHES = BASE.pca.patches.but(size=8, stride=8)
MODEL = BASE.pca.model.but(components=2)


def in_a_plane(count):
    """Patches of 8 x 8 that lie in a plane: a mean, and two patterns of any strength."""
    generator = np.random.default_rng(0)
    ys, xs = np.mgrid[:8, :8]
    patterns = np.stack([np.sin(ys), np.cos(2 * xs)])  # (2, 8, 8)
    strengths = generator.uniform(-40, 40, (count, 2))
    return np.rint(128 + np.tensordot(strengths, patterns, 1)).astype(np.uint8)[:, None]  # (n, 1, 8, 8)


@pytest.fixture(scope="module")
def ready():
    weights = fit_pca(in_a_plane(200), patches=PATCHES, model=MODEL, seed=0)
    return load_pca(weights, channels=1, compute=ComputeParams(device="cpu"), patches=PATCHES, model=MODEL)


def test_what_lies_in_the_plane_is_reconstructed(ready):
    for patch in in_a_plane(5):
        assert float(ready.reconstruct(patch).residual.max()) < (2 / 255) ** 2  # rounding to grey levels


def test_what_leaves_the_plane_is_not(ready):
    patch = in_a_plane(1)[0].copy()
    patch[0, 3, 3] += 100
    residual = ready.reconstruct(patch).residual
    assert residual.argmax() == 3 * 8 + 3
    assert residual.max() > 0.1


def test_reconstruction_is_that_of_a_singular_value_decomposition(ready):
    seen = in_a_plane(200).reshape(200, -1) / 255
    mean = seen.mean(axis=0)
    _, _, components = np.linalg.svd(seen - mean, full_matrices=False)
    x = np.random.default_rng(1).random(64)
    wanted = mean + (x - mean) @ components[:2].T @ components[:2]
    with torch.no_grad():
        found = ready.network(torch.from_numpy(x).float().view(1, 1, 8, 8))
    np.testing.assert_allclose(found.ravel(), wanted, atol=1e-4)


def test_images_larger_than_a_patch_give_random_windows_and_are_reconstructed_whole():
    image = np.random.default_rng(0).integers(0, 255, (1, 20, 30), dtype=np.uint8)
    weights = fit_pca([image], patches=PATCHES, model=MODEL, seed=0)
    ready = load_pca(weights, channels=1, compute=ComputeParams(device="cpu"), patches=PATCHES, model=MODEL)
    assert ready.reconstruct(image).residual.shape == (20, 30)


def test_more_components_than_patches_are_refused():
    with pytest.raises(FlawlineError, match=r"components must be at most 3, the smaller of the 3 patches .* got 5"):
        fit_pca(in_a_plane(3), patches=PATCHES, model=MODEL.but(components=5), seed=0)

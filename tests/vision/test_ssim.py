"""Against scikit-image, and against windows cut by hand where some pixels do not count."""

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from flawline.vision.ssim import C1, C2, WINDOW, ssim_map


def pair(channels=1, size=(40, 48), seed=0):
    generator = np.random.default_rng(seed)
    x = generator.random((2, channels, *size), np.float32)
    return torch.from_numpy(x), torch.from_numpy(0.7 * x + 0.3 * generator.random(x.shape, np.float32))


@pytest.mark.parametrize("channels", [1, 3])
def test_map_is_scikit_images_away_from_the_rim(channels):
    x, y = pair(channels)
    for a, b, ours in zip(x, y, ssim_map(x, y), strict=True):
        settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0}
        _, theirs = structural_similarity(a.numpy(), b.numpy(), channel_axis=0, full=True, **settings)
        rim = WINDOW // 2
        np.testing.assert_allclose(ours[rim:-rim, rim:-rim], theirs.mean(axis=0)[rim:-rim, rim:-rim], atol=2e-5)


def test_the_same_is_1_everywhere_and_the_order_does_not_matter():
    x, y = pair()
    torch.testing.assert_close(ssim_map(x, x), torch.ones(2, 40, 48), atol=1e-5, rtol=0)
    torch.testing.assert_close(ssim_map(x, y), ssim_map(y, x))
    assert float(ssim_map(x, 1 - x).mean()) < -0.5


def test_two_even_greys_by_hand():
    x, y = torch.full((1, 1, 16, 16), 0.2), torch.full((1, 1, 16, 16), 0.6)
    wanted = (2 * 0.2 * 0.6 + C1) / (0.2**2 + 0.6**2 + C1) * (C2 / C2)
    torch.testing.assert_close(ssim_map(x, y), torch.full((1, 16, 16), wanted), atol=1e-4, rtol=0)


def test_pixels_outside_do_not_count():
    x, y = pair()
    inside = torch.zeros(2, 1, 40, 48)
    inside[:, :, 8:30, 8:30] = 1
    other_x, other_y = x.clone(), y.clone()
    for image in (other_x, other_y):
        image[(inside == 0).expand_as(image)] = 0.9
    found, other = ssim_map(x, y, inside), ssim_map(other_x, other_y, inside)
    counts = inside[:, 0] > 0
    torch.testing.assert_close(found[counts], other[counts])
    assert float((ssim_map(x, y) - ssim_map(other_x, other_y)).abs()[counts].max()) > 0.01  # they would
    cut = ssim_map(x[..., 8:30, 8:30], y[..., 8:30, 8:30])
    torch.testing.assert_close(found[:, 8:30, 8:30], cut, atol=1e-5, rtol=1e-4)


def test_where_nothing_counts_it_is_1():
    x, y = pair()
    assert (ssim_map(x, y, torch.zeros(2, 1, 40, 48)) == 1).all()


def test_it_can_be_learned_by():
    x, y = pair(size=(12, 12))
    y = y.double().requires_grad_()
    assert torch.autograd.gradcheck(lambda y: ssim_map(x.double(), y), y, atol=1e-6)

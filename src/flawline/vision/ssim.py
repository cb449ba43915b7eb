"""Structural similarity of Wang et al. 2004 in torch, as a map and with a gradient, with pixels that do not count.

Window, sigma and constants are Wang's: a Gaussian of 11 x 11 pixels with a standard deviation of 1.5, K1 = 0.01, K2 =
0.03, population variances, values in [0, 1]. That is scikit-image's structural_similarity with gaussian_weights=True,
sigma=1.5, use_sample_covariance=False and data_range=1 where all pixels count; at the rim that reflects the image, and
this leaves out what lies outside. (`flawline.methods.reconstruction.likeness` takes scikit-image's other window, even
and of 7 x 7, as Alpdemir 2022 does.)"""

import torch
from torch import Tensor

from flawline.vision.kernels import gaussian, separable

WINDOW = 11  # pixels each way; Bergmann et al. 2018, section 4, have the same
SIGMA = 1.5
C1, C2 = 0.01**2, 0.03**2


def ssim_map(x: Tensor, y: Tensor, inside: Tensor | None = None) -> Tensor:
    """Return the structural similarity (n, H, W), from -1 to 1 (the same), of the surroundings of every pixel of images
    ``x`` and ``y`` (n, C, H, W), the mean over channels.

    Where ``inside`` (n, 1, H, W) is 0 pixels do not count: means, variances and covariances are of the others in the
    window alone. The map is 1 where a window holds none."""
    kernel = gaussian(SIGMA, like=x, radius=WINDOW // 2)
    weights = torch.ones_like(x[:, :1]) if inside is None else inside.to(x)
    total = separable(weights, kernel, kernel, outside="constant")  # (n, 1, H, W)
    known = total > 1e-6

    def mean(values: Tensor) -> Tensor:
        return separable(values * weights, kernel, kernel, outside="constant") / total.clamp_min(1e-6)

    mean_x, mean_y = mean(x), mean(y)
    squares = mean(x * x) - mean_x**2 + mean(y * y) - mean_y**2
    covariance = mean(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + C1) / (mean_x**2 + mean_y**2 + C1)
    structure = (2 * covariance + C2) / (squares + C2)
    return torch.where(known, luminance * structure, 1.0).mean(dim=1)  # (n, H, W)

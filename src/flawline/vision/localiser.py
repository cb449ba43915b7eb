"""The localiser of a spatial transformer that is limited to rotations: a small network that tells by how many degrees a
picture is to be turned. ``flawline.methods.stn`` trains it. Source: Rádli & Czúni 2022, Table 2."""

from itertools import pairwise

import torch
from torch import Tensor, nn

WIDTHS = (8, 16, 32, 32)  # channels behind each convolution; Table 2 prints no sizes
KERNELS = (5, 5, 3, 3)
HIDDEN = (64, 32)  # units of the first two dense layers
FAINT = 0.02  # deviation of a patch, of the full range, below which it is not enhanced further


class Localiser(nn.Module):
    """Table 2: four convolutions with ReLU and max-pooling, three dense layers: patches (n, C, s, s) to angles (n,).

    Sizes are ours: the table prints none. With the head ``single`` (the paper's) the output is the angle itself, in
    radians; it must jump where an orientation passes half a turn. With ``double`` it is the cosine and the sine of
    twice the angle, which do not jump. A new localiser turns by about 0.

    It sees every patch with mean 0 and deviation 1: most of what differs between patches is their brightness, which
    says nothing about an angle, and as they were the localiser did not begin to learn."""

    def __init__(self, head: str, *, channels: int, size: int):
        super().__init__()
        layers: list[nn.Module] = []
        for (inputs, outputs), kernel in zip(pairwise((channels, *WIDTHS)), KERNELS, strict=True):
            layers += [nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2), nn.ReLU(), nn.MaxPool2d(2)]
        features = WIDTHS[-1] * (size // 2 ** len(WIDTHS)) ** 2
        last = nn.Linear(HIDDEN[1], 2 if head == "double" else 1)
        with torch.no_grad():
            last.bias.copy_(torch.tensor([1.0, 0.0] if head == "double" else [0.0]))
        self.convolutions = nn.Sequential(*layers, nn.Flatten())
        self.dense = nn.Sequential(
            nn.Linear(features, HIDDEN[0]), nn.ReLU(), nn.Linear(HIDDEN[0], HIDDEN[1]), nn.ReLU(), last
        )

    def forward(self, x: Tensor) -> Tensor:
        out = self.dense(self.convolutions(standardised(x)))  # (n, 1) or (n, 2)
        radians = out[:, 0] if out.shape[1] == 1 else torch.atan2(out[:, 1], out[:, 0]) / 2
        return torch.rad2deg(radians)


def standardised(x: Tensor) -> Tensor:
    """Return patches (n, C, s, s) with mean 0 and deviation 1 each; of nearly even ones, less."""
    deviation, mean = torch.std_mean(x, dim=(1, 2, 3), keepdim=True)
    return (x - mean) / deviation.clamp_min(FAINT)

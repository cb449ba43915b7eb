import numpy as np
import pytest
import torch
from base_params import BASE
from torch import nn

from flawline.detector.file import Detector
from flawline.detector.thresholds import calibrate
from flawline.methods.cae import CAE
from flawline.storage.tensors import packed


class Offset(nn.Module):
    """Returns its input plus ``offset``, so that the residual is known."""

    def __init__(self, offset=0.0):
        super().__init__()
        self.offset = nn.Parameter(torch.tensor(float(offset)))

    def forward(self, x):
        return x + self.offset


@pytest.fixture
def offset_model():
    return Offset


@pytest.fixture
def photographs():
    """Three grey images (1, H, 28) of two heights, uint8, read-only."""
    rng = np.random.default_rng(7)
    images = [rng.integers(0, 256, (1, height, 28), dtype=np.uint8) for height in (24, 32, 24)]
    for image in images:
        image.setflags(write=False)
    return images


def untrained(smallest, largest, scores, *, smoothing=1.0, stride=8, target=0.05, review=0.1, image_score=None, **more):
    """Return an untrained detector of grey 8-bit images of these sizes (H, W), calibrated on ``scores``."""
    model = BASE.cae.model.but(latent_size=3, hidden_size=8)
    parts = {"patches": BASE.cae.patches.but(size=16, stride=stride), "model": model}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        weights = CAE(model, channels=1, size=16).state_dict()
    return Detector(
        method="cae",
        category="bolt",
        params={
            "scorer": BASE.cae.scorer.but(smoothing=smoothing, image_score=image_score or {}).model_dump(mode="json"),
            "reconstructor": {name: part.model_dump(mode="json") for name, part in parts.items()},
        },
        channels=1,
        depth=8,
        bits=8,
        smallest=smallest,
        largest=largest,
        thresholds=calibrate(scores, target_overkill=target, review_overkill=review),
        review_overkill=review,
        calibration_scores=scores,
        weights=packed({"reconstructor": weights}),
        **more,
    )


@pytest.fixture
def detector():
    """An untrained detector of grey 8-bit images of 24 x 28 to 32 x 28 pixels, calibrated on 0.01, 0.02, ... 0.99."""
    scores = tuple(k / 100 for k in range(1, 100))
    return untrained((24, 28), (32, 28), scores, about={"seed": "0", "images": "ab12"})

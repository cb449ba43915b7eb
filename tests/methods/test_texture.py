import numpy as np
import pytest
import torch
from base_params import BASE
from pydantic import ValidationError

from flawline.checks import FlawlineError
from flawline.methods.one_class import Inputs
from flawline.methods.texture import Texture, standardising

PARAMS = BASE.texture.scorer.but(
    scale=1, size=40, bank={"spots": (1.0,), "bars": ((1.0, 6.0),), "angles": 4, "side": 9}
)


def cells(images):
    return [torch.nn.functional.avg_pool2d(images.mean(dim=1, keepdim=True), 4)]


SCORER = Texture(PARAMS, ("image", "pca"), extractor=cells)


def seen(image, residual):
    return Inputs((image, residual), SCORER.embed((torch.from_numpy(image)[None], torch.from_numpy(residual)[None]))[0])


def texture(seed, height=32, width=32):
    generator = np.random.default_rng(seed)
    image = generator.uniform(0.4, 0.6, (1, height, width)).astype(np.float32)
    return image, generator.uniform(0, 0.01, (height, width)).astype(np.float32)


@pytest.fixture(scope="module")
def state():
    return SCORER.fit([seen(*texture(i)) for i in range(12)], seed=0)


def brighter(image, residual):
    image = image.copy()
    image[:, 8:12, 16:20] = 1.0  # a cell
    return image, residual


def unexplained(image, residual):
    residual = residual.copy()
    residual[8:12, 16:20] = 0.1
    return image, residual


def a_line(image, residual):
    image = image.copy()
    image[:, 10, 4:28] += 0.15
    return image, residual


@pytest.mark.parametrize("damage", [brighter, unexplained, a_line])
def test_what_one_of_the_maps_sees_stands_out_in_the_map(state, damage):
    normal, found = (SCORER.score(state, seen(*each)) for each in (texture(99), damage(*texture(99))))
    assert found.score > normal.score + 1
    y, _ = np.unravel_index(found.map.argmax(), found.map.shape)
    assert 6 <= y < 14


def test_maps_count_alike(state):
    """Peaks of normal images that were held out lie around 0 in each of the three."""
    parts = np.stack([np.stack(SCORER._maps(state, seen(*texture(100 + i)))) for i in range(20)])
    peaks = (parts.max(axis=(2, 3)) - state["peak_mean"].numpy()) / state["peak_deviation"].numpy()
    assert np.abs(np.median(peaks, axis=0)).max() < 1.5


def test_images_of_any_size_are_scored(state):
    assert SCORER.score(state, seen(*texture(5, 20, 200))).map.shape == (20, 200)


def test_standardising_by_hand():
    found = standardising(torch.tensor([[1.0, 2.0, 5.0], [3.0, 2.0, 7.0]]))
    assert found["peak_mean"].tolist() == [2, 2, 6]
    assert found["peak_deviation"].tolist() == [1, 1, 1]


def test_what_only_the_memory_alone_takes_is_no_parameter_of_it():
    with pytest.raises(ValidationError, match=r"normalise\n.*Extra inputs are not permitted"):
        PARAMS.but(normalise="all")


def test_one_image_is_too_few():
    with pytest.raises(FlawlineError, match="texture needs at least 2 normal images"):
        SCORER.fit([seen(*texture(0))], seed=0)

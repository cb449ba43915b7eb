"""What a one-class scorer sees: the right views in the right order, and no more than a batch at a time."""

import numpy as np
import pytest
import torch

from flawline.methods.inputs import InputSequence, embed_all, views_of
from flawline.methods.registry import METHODS


@pytest.fixture
def image():
    return np.array([[[0, 255], [51, 102]]], np.uint8)  # (1, 2, 2)


@pytest.fixture
def residual():
    return np.array([[[0.5, 0.25], [0, 1]]], np.float16)


class Means:
    """Embeds an image as the mean of each view, and remembers how many came at once."""

    def __init__(self):
        self.batches = []

    def embed(self, views):
        self.batches.append(len(views[0]))
        return torch.stack([view.mean(dim=(1, 2, 3)) for view in views], dim=1).numpy()


def test_the_image_is_seen_from_0_to_1(image):
    (view,) = views_of(METHODS["patch_memory"].views, image, None)
    assert view.dtype == np.float32
    np.testing.assert_allclose(view, [[[0, 1], [0.2, 0.4]]])


def test_sixteen_bits_are_seen_from_0_to_1_too(image):
    (view,) = views_of(METHODS["patch_memory"].views, image.astype(np.uint16) * 257, None)
    np.testing.assert_allclose(view, [[[0, 1], [0.2, 0.4]]], atol=1e-6)


def test_a_method_on_residual_images_sees_these_alone(image, residual):
    (view,) = views_of(METHODS["patch_memory_map"].views, image, residual)
    assert view.dtype == np.float32
    np.testing.assert_array_equal(view, residual)


def test_a_fused_method_sees_the_image_first(image, residual):
    first, second = views_of(METHODS["patch_memory_fused"].views, image, residual)
    assert first.max() == 1.0
    assert second[0, 0, 0] == 0.5
    np.testing.assert_array_equal(second, residual)


def test_inputs_are_those_of_the_rows_in_their_order(image, residual):
    images, residuals = [image, image // 2, image // 4], [residual, residual / 2, residual / 4]
    embeddings = [np.full(1, k) for k in range(3)]
    inputs = InputSequence(("cpcae",), images, [2, 0], residuals, embeddings)
    assert len(inputs) == 2
    assert [each.embedding[0] for each in inputs] == [2, 0]
    assert [float(each.views[0].max()) for each in inputs] == [0.25, 1.0]
    assert [each.embedding[0] for each in inputs[1:]] == [0]


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_embeddings_are_the_same_whatever_the_batch(image, batch_size):
    scorer, images = Means(), [np.full_like(image, 51 * k) for k in range(5)]
    inputs = InputSequence(("image",), images, range(5))
    made = list(embed_all(scorer, inputs, batch_size=batch_size))
    np.testing.assert_allclose(np.ravel(made), [0, 0.2, 0.4, 0.6, 0.8], atol=1e-6)
    assert max(scorer.batches) == batch_size

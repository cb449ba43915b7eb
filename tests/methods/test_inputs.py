"""What a one-class method sees: the right views in the right order, and no more than a batch at a time."""

import numpy as np
import pytest
import torch

from flawline.methods.inputs import InputSequence, embed_all, views_of
from flawline.methods.registry import ONE_CLASS


@pytest.fixture
def image():
    return np.array([[[0, 255], [51, 102]]], np.uint8)  # (1, 2, 2)


@pytest.fixture
def difference():
    return np.array([[[0.5, 0.25], [0, 1]]], np.float16)


class Means:
    """Embeds an image as the mean of each view, and remembers how many came at once."""

    def __init__(self):
        self.batches = []

    def embed(self, views):
        self.batches.append(len(views[0]))
        return torch.stack([view.mean(dim=(1, 2, 3)) for view in views], dim=1).numpy()


def test_the_image_is_seen_from_0_to_1(image):
    (view,) = views_of(ONE_CLASS["patch_memory"], image, None)
    assert view.dtype == np.float32
    np.testing.assert_allclose(view, [[[0, 1], [0.2, 0.4]]])


def test_sixteen_bits_are_seen_from_0_to_1_too(image):
    (view,) = views_of(ONE_CLASS["patch_memory"], image.astype(np.uint16) * 257, None)
    np.testing.assert_allclose(view, [[[0, 1], [0.2, 0.4]]], atol=1e-6)


def test_a_method_on_maps_sees_the_difference_alone(image, difference):
    (view,) = views_of(ONE_CLASS["patch_memory_map"], image, difference)
    assert view.dtype == np.float32
    np.testing.assert_array_equal(view, difference)


def test_a_fused_method_sees_the_image_first(image, difference):
    first, second = views_of(ONE_CLASS["patch_memory_fused"], image, difference)
    assert first.max() == 1.0
    assert second[0, 0, 0] == 0.5
    np.testing.assert_array_equal(second, difference)


def test_looks_are_those_of_the_rows_in_their_order(image, difference):
    images, differences = [image, image // 2, image // 4], [difference, difference / 2, difference / 4]
    embeddings = [np.full(1, k) for k in range(3)]
    looks = InputSequence(ONE_CLASS["patch_memory_map"], images, differences, embeddings, [2, 0])
    assert len(looks) == 2
    assert [look.embedding[0] for look in looks] == [2, 0]
    assert [float(look.views[0].max()) for look in looks] == [0.25, 1.0]
    assert [look.embedding[0] for look in looks[1:]] == [0]


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_embeddings_are_the_same_whatever_the_batch(image, batch_size):
    head, images = Means(), [np.full_like(image, 51 * k) for k in range(5)]
    looks = InputSequence(ONE_CLASS["patch_memory"], images, None, None, range(5))
    made = list(embed_all(head, looks, batch_size=batch_size))
    np.testing.assert_allclose(np.ravel(made), [0, 0.2, 0.4, 0.6, 0.8], atol=1e-6)
    assert max(head.batches) == batch_size

import tracemalloc

import numpy as np
import pytest
import torch

from flawline.checks import FlawlineError
from flawline.methods.mean_image import check_images, fit_mean, load_mean
from flawline.params import ComputeParams


def drawn(count, *shape, dtype=np.uint8):
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (count, *shape), dtype=dtype, endpoint=True)


def loaded(images):
    """Return the reconstructor of the mean of ``images``."""
    return load_mean(fit_mean(images), channels=len(images[0]), compute=ComputeParams())


@pytest.mark.parametrize(("dtype", "largest"), [(np.uint8, 255), (np.uint16, 65535)])
def test_the_mean_of_streamed_images_is_the_mean_of_all(dtype, largest):
    images = drawn(7, 3, 10, 12, dtype=dtype)
    fitted = fit_mean(iter(images))
    assert {name: (value.dtype, tuple(value.shape)) for name, value in fitted.items()} == {
        "mean": (torch.float32, (3, 10, 12))
    }
    np.testing.assert_allclose(fitted["mean"], images.mean(axis=0) / largest, rtol=1e-6)


def test_memory_does_not_grow_with_the_images():
    def peak(count):
        image = drawn(1, 1, 100, 100)[0]
        tracemalloc.start()
        fit_mean(image.copy() for _ in range(count))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    assert peak(100) < 1.2 * peak(4)


def test_every_image_is_reconstructed_as_the_mean():
    made = loaded([np.full((1, 2, 2), level, np.uint8) for level in (0, 102)])
    found = made.reconstruct(np.array([[[51, 255], [0, 102]]], np.uint8))
    np.testing.assert_allclose(found.image, np.full((1, 2, 2), 0.2), rtol=1e-6)
    np.testing.assert_allclose(found.residual, [[[0, 0.8], [0.2, 0.2]]], atol=5e-4)
    assert found.residual.dtype == np.float16


def test_no_image_is_an_error():
    with pytest.raises(FlawlineError, match="no image to take the mean of"):
        fit_mean([])


def test_images_of_different_size_are_an_error():
    with pytest.raises(FlawlineError, match=r"mean_image compares .* there are 2: 4 x 4, 4 x 6"):
        fit_mean([np.zeros((1, 4, 4), np.uint8), np.zeros((1, 4, 6), np.uint8)])


@pytest.mark.parametrize(
    ("shape", "message"), [((1, 5, 4), "there are 2: 4 x 4, 5 x 4"), ((3, 4, 4), "mean image's 1 channels, got 3")]
)
def test_an_image_of_another_shape_than_the_mean_is_an_error(shape, message):
    with pytest.raises(FlawlineError, match=message):
        loaded([np.zeros((1, 4, 4), np.uint8)]).reconstruct(np.zeros(shape, np.uint8))


def test_images_are_asked_for_their_size_before_anything_is_made():
    check_images([(1, 4, 4), (3, 4, 4)])
    with pytest.raises(FlawlineError, match=r"mean_image compares .* there are 2: 4 x 4, 4 x 6"):
        check_images([(1, 4, 6), (1, 4, 4)])

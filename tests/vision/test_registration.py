import hashlib
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from flawline.checks import FlawlineError
from flawline.vision import registration
from flawline.vision.decoding import encode_png
from flawline.vision.ragged import Lazy
from flawline.vision.registration import (
    check_space,
    common_channels,
    identity_alignment,
    registered_images,
    registered_masks,
    to_channels,
)

GREY = np.arange(6, dtype=np.uint8).reshape(1, 2, 3)
RGB = np.arange(18, dtype=np.uint8).reshape(3, 2, 3)


def frozen(array):
    array.flags.writeable = False
    return array


@pytest.fixture
def folder(tmp_path):
    """A grey image with a mask, and a colour image without one."""
    (tmp_path / "grey.png").write_bytes(encode_png(GREY))
    (tmp_path / "rgb.png").write_bytes(encode_png(RGB))
    (tmp_path / "mask.png").write_bytes(encode_png(np.array([[[0, 1, 0], [0, 0, 255]]], np.uint8)))
    return tmp_path


@pytest.fixture
def manifest(folder):
    digests = [hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in ("grey.png", "rgb.png")]
    return pd.DataFrame(
        {
            "image": ["grey.png", "rgb.png"], "mask": ["mask.png", None], "sha256": digests,
            "channels": [1, 3], "height": 2, "width": 3, "depth": 8,
        }
    )  # fmt: skip


# --- colour ----------------------------------------------------------------------------------------------------------
def test_common_channels_by_hand():
    grey, mixed = pd.DataFrame({"channels": [1, 1]}), pd.DataFrame({"channels": [1, 3]})
    assert [common_channels(grey, color) for color in ("auto", "grey", "rgb")] == [1, 1, 3]
    assert [common_channels(mixed, color) for color in ("auto", "grey", "rgb")] == [3, 1, 3]


def test_grey_to_rgb_repeats():
    result = to_channels(frozen(GREY.copy()), 3)
    assert result.dtype == np.uint8
    np.testing.assert_array_equal(result, np.stack([GREY[0]] * 3))


def test_rgb_to_grey_by_hand():
    pixels = frozen(np.array([[[255, 0, 0, 255, 10]], [[0, 255, 0, 255, 20]], [[0, 0, 255, 255, 30]]], np.uint8))
    # 0.299 * 255 = 76.2, 0.587 * 255 = 149.7, 0.114 * 255 = 29.1, all: 255, 2.99 + 11.74 + 3.42 = 18.15
    np.testing.assert_array_equal(to_channels(pixels, 1), [[[76, 150, 29, 255, 18]]])


def test_rgb_to_grey_as_pillow_does():
    rgb = frozen(np.random.default_rng(0).integers(0, 256, (3, 40, 50), np.uint8))
    wanted = np.asarray(Image.fromarray(rgb.transpose(1, 2, 0)).convert("L"), int)
    assert np.abs(to_channels(rgb, 1)[0].astype(int) - wanted).max() <= 1  # Pillow's weights have 16 bits


def test_16_bit_white_stays_white():
    white = frozen(np.full((3, 1, 1), 65_535, np.uint16))
    result = to_channels(white, 1)
    assert result.dtype == np.uint16
    assert result.item() == 65_535


def test_same_channels_are_not_copied():
    assert to_channels(GREY, 1) is GREY
    assert to_channels(RGB, 3) is RGB


# --- images and masks ------------------------------------------------------------------------------------------------
def test_images_are_lazy_and_in_the_manifests_order(folder, manifest):
    images = registered_images(manifest, folder, color="auto", max_pixels=6)
    assert isinstance(images, Lazy)
    np.testing.assert_array_equal(images[0], np.repeat(GREY, 3, axis=0))
    np.testing.assert_array_equal(images[1], RGB)
    assert registered_images(manifest, folder, color="grey", max_pixels=6)[1].shape == (1, 2, 3)


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA])
def test_masks_are_empty_where_there_is_none(folder, manifest, missing):
    manifest["mask"] = pd.Series(["mask.png", missing], dtype=object)
    masks = registered_masks(manifest, folder, max_pixels=6)
    np.testing.assert_array_equal(masks[0], [[False, True, False], [False, False, True]])
    assert masks[1].shape == (0, 0)
    assert masks[1].dtype == bool


def test_changed_image_is_refused(folder, manifest):
    (folder / "grey.png").write_bytes(encode_png(GREY + 1))
    images = registered_images(manifest, folder, color="auto", max_pixels=6)
    with pytest.raises(
        FlawlineError, match=r"grey.png has changed since ingestion\. Run the ingestion again \(other content"
    ):
        images[0]
    assert images[1].shape == (3, 2, 3)


def test_removed_image_is_named(folder, manifest):
    (folder / "grey.png").unlink()
    with pytest.raises(
        FlawlineError, match=r"grey.png has changed since ingestion\. Run .* \(cannot be opened: No such file"
    ):
        registered_images(manifest, folder, color="auto", max_pixels=6)[0]


def test_changed_and_removed_masks_are_refused(folder, manifest):
    masks = registered_masks(manifest, folder, max_pixels=100)
    (folder / "mask.png").write_bytes(encode_png(np.ones((1, 4, 5), np.uint8)))
    with pytest.raises(FlawlineError, match=r"mask.png has changed since ingestion\. .* \(4 x 5 pixels, were 2 x 3\)"):
        masks[0]
    (folder / "mask.png").unlink()
    with pytest.raises(FlawlineError, match=r"mask.png has changed .*Run the ingestion again .*No such file"):
        masks[0]


def test_identity_alignment_by_hand(manifest):
    row = identity_alignment(manifest).to_dict("records")[1]
    assert row == {
        "image": "rgb.png", "angle": 0.0, "shift_y": 0.0, "shift_x": 0.0, "scale": 1.0, "quality": 1.0, "aligned": True,
    }  # fmt: skip


# --- room on the disk ------------------------------------------------------------------------------------------------
def test_space_needed_is_counted_to_the_byte(tmp_path, manifest, monkeypatch):
    manifest["depth"] = 16
    needed = 2 * 6 * 3 * 2 + 6  # two images of 2 x 3, three channels of two bytes; one mask of a byte a pixel
    monkeypatch.setattr(registration.shutil, "disk_usage", lambda path: SimpleNamespace(free=needed))
    check_space(tmp_path / "not" / "made" / "yet", manifest, 3)
    monkeypatch.setattr(registration.shutil, "disk_usage", lambda path: SimpleNamespace(free=needed - 1))
    with pytest.raises(
        FlawlineError, match=r"is too full: 2 images need 0 MB, 0 MB are free\. Make room, or link data/"
    ):
        check_space(tmp_path, manifest, 3)


def test_space_of_a_folder_that_is_not_made_yet(tmp_path, manifest):
    check_space(tmp_path / "not" / "made" / "yet", manifest, 1)

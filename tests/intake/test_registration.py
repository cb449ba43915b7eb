import hashlib
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import tifffile
from base_params import BASE
from PIL import Image
from pydantic import ValidationError

from flawline.checks import FlawlineError
from flawline.intake import registration
from flawline.intake.decoding import encode_png
from flawline.intake.masks import read_mask_source
from flawline.intake.registration import (
    check_space,
    common_channels,
    cuts_ends,
    evens_brightness,
    find_alignment,
    fit_registration,
    registered_images,
    registered_masks,
    registration_key,
    to_channels,
    usable,
    without_misaligned,
)
from flawline.storage.ragged import Lazy
from flawline.vision.alignment import Aligner

REGISTRATION = BASE.registration

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
            "image": ["grey.png", "rgb.png"], "page": 0, "mask": ["mask.png", None], "sha256": digests,
            "mask_sha256": [read_mask_source(folder, "mask.png", "grey.png").key((2, 3), 0), None], "layout": "folders",
            "channels": [1, 3], "height": 2, "width": 3, "depth": 8, "bits": 8,
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
    images = registered_images(manifest, folder, whole(manifest), color="auto", max_pixels=6)
    assert isinstance(images, Lazy)
    np.testing.assert_array_equal(images[0], np.repeat(GREY, 3, axis=0))
    np.testing.assert_array_equal(images[1], RGB)
    assert registered_images(manifest, folder, whole(manifest), color="grey", max_pixels=6)[1].shape == (1, 2, 3)


def test_images_of_twelve_bits_are_registered_on_the_full_scale_and_the_key_knows(folder, manifest):
    deep = np.array([[[0, 1, 4095], [100, 2048, 7]]], np.uint16)
    (folder / "grey.png").write_bytes(encode_png(deep))
    digest = hashlib.sha256((folder / "grey.png").read_bytes()).hexdigest()
    one = manifest.iloc[:1].assign(sha256=digest, depth=16, bits=12)
    (image,) = registered_images(one, folder, whole(one), color="auto", max_pixels=6)
    assert image.tolist() == [[[0, 16, 65535], [1600, 32776, 112]]]
    (image,) = registered_images(one.assign(bits=16), folder, whole(one), color="auto", max_pixels=6)
    np.testing.assert_array_equal(image, deep)
    keys = {registration_key(one.assign(bits=b), whole(one), REGISTRATION, max_pixels=6) for b in (10, 12, 16)}
    assert len(keys) == 3


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA])
def test_masks_are_empty_where_there_is_none(folder, manifest, missing):
    manifest["mask"] = pd.Series(["mask.png", missing], dtype=object)
    masks = registered_masks(manifest, folder, whole(manifest), max_pixels=6)
    np.testing.assert_array_equal(masks[0], [[False, True, False], [False, False, True]])
    assert masks[1].shape == (0, 0)
    assert masks[1].dtype == bool


def test_changed_image_is_refused(folder, manifest):
    (folder / "grey.png").write_bytes(encode_png(GREY + 1))
    images = registered_images(manifest, folder, whole(manifest), color="auto", max_pixels=6)
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
        registered_images(manifest, folder, whole(manifest), color="auto", max_pixels=6)[0]


def test_changed_and_removed_masks_are_refused(folder, manifest):
    masks = registered_masks(manifest, folder, whole(manifest), max_pixels=100)
    (folder / "mask.png").write_bytes(encode_png(np.ones((1, 2, 3), np.uint8)))
    with pytest.raises(FlawlineError, match=r"mask.png has changed since ingestion\. .* \(other content\)"):
        masks[0]
    (folder / "mask.png").unlink()
    with pytest.raises(FlawlineError, match=r"mask.png has changed .*Run the ingestion again .*No such file"):
        masks[0]


def test_pages_are_read_from_their_file(tmp_path):
    pages = [np.full((1, 4, 5), value, np.uint8) for value in (10, 200)]
    tifffile.imwrite(tmp_path / "stack.tif", np.concatenate(pages), photometric="minisblack")
    tifffile.imwrite(tmp_path / "marks.tif", np.concatenate([pages[0] * 0, pages[1]]), photometric="minisblack")
    digest = hashlib.sha256((tmp_path / "stack.tif").read_bytes()).hexdigest()
    key = read_mask_source(tmp_path, "marks.tif", "stack.tif").key((4, 5), 2)
    manifest = pd.DataFrame(
        {
            "image": ["stack.tif#1", "stack.tif#2"], "page": [1, 2], "mask": [None, "marks.tif"], "sha256": digest,
            "mask_sha256": [None, key], "layout": "folders", "channels": 1,
            "height": 4, "width": 5, "depth": 8, "bits": 8,
        }
    )  # fmt: skip
    images = registered_images(manifest, tmp_path, whole(manifest), color="auto", max_pixels=100)
    np.testing.assert_array_equal(images[0], pages[0])
    np.testing.assert_array_equal(images[1], pages[1])
    assert registered_masks(manifest, tmp_path, whole(manifest), max_pixels=100)[1].all()


# --- what is kept ----------------------------------------------------------------------------------------------------
def whole(manifest):
    return manifest[["image"]].assign(left=0, right=manifest["width"], gain=1.0)


def test_whole_images_are_aligned_as_they_are(folder, manifest):
    table, level = find_alignment(manifest, folder, cut=False, max_pixels=6)
    assert level is None
    row = table.to_dict("records")[1]
    assert row == {
        "image": "rgb.png", "angle": 0.0, "shift_y": 0.0, "shift_x": 0.0, "scale": 1.0, "quality": 1.0, "aligned": True,
        "reason": "", "gain": 1.0, "offset": 0.0, "outside": 0, "left": 0, "right": 3, "defect_cut": 0,
    }  # fmt: skip


@pytest.fixture
def strip(tmp_path):
    """A strip of 400 columns, the first 60 of them bare; its mask marks 2 x 10 pixels there and 3 on the material."""
    pixels = np.full((1, 8, 400), 90, np.uint8)
    pixels[..., :60] = 255
    mask = np.zeros((1, 8, 400), np.uint8)
    mask[0, 2:4, 50:60] = mask[0, 5, 200:203] = 255
    (tmp_path / "strip.png").write_bytes(encode_png(pixels))
    (tmp_path / "mask.png").write_bytes(encode_png(mask))
    return pd.DataFrame(
        {
            "image": ["strip.png"], "page": 0, "mask": "mask.png", "layout": "aitex",
            "sha256": hashlib.sha256((tmp_path / "strip.png").read_bytes()).hexdigest(),
            "mask_sha256": read_mask_source(tmp_path, "mask.png", "strip.png").key((8, 400), 0),
            "channels": 1, "height": 8, "width": 400, "depth": 8, "bits": 8,
        }
    )  # fmt: skip


def test_bare_end_is_cut_off_image_and_mask_and_what_is_lost_is_counted(tmp_path, strip):
    alignment, _ = find_alignment(strip, tmp_path, cut=True, max_pixels=4000)
    assert alignment[["left", "right", "defect_cut"]].to_numpy().tolist() == [[60, 400, 20]]
    (image,) = registered_images(strip, tmp_path, alignment, color="auto", max_pixels=4000)
    (mask,) = registered_masks(strip, tmp_path, alignment, max_pixels=4000)
    assert image.shape == (1, 8, 340)
    assert (image == 90).all()
    assert np.argwhere(mask).tolist() == [[5, 140], [5, 141], [5, 142]]


def test_mask_that_is_cut_off_whole_is_none(tmp_path, strip):
    alignment, _ = find_alignment(strip, tmp_path, cut=True, max_pixels=4000)
    alignment = alignment.assign(left=210)
    (mask,) = registered_masks(strip, tmp_path, alignment, max_pixels=4000)
    assert mask.shape == (0, 0)


def test_ends_are_cut_in_strips_of_aitex_or_where_it_is_asked_for(manifest, strip):
    assert [cuts_ends(strip, asked) for asked in ("auto", True, False)] == [True, True, False]
    assert [cuts_ends(manifest, asked) for asked in ("auto", True, False)] == [False, True, False]


# --- strips of one brightness -----------------------------------------------------------------------------------------
@pytest.fixture
def strips(tmp_path, strip):
    """Three strips of levels 90, 60 and 120: two of them learned from, the third defective."""
    rows = []
    for name, level, label in (("a.png", 90, 0), ("b.png", 60, 0), ("c.png", 120, 1)):
        pixels = np.full((1, 8, 400), level, np.uint8)
        pixels[..., :60] = 255
        content = encode_png(pixels)
        (tmp_path / name).write_bytes(content)
        sha256 = hashlib.sha256(content).hexdigest()
        rows.append({"image": name, "sha256": sha256, "label": label, "split": "test" if label else "train"})
    return pd.DataFrame(rows).assign(
        page=0, mask=None, mask_sha256=None, layout="aitex", channels=1, height=8, width=400, depth=8, bits=8,
    )  # fmt: skip


def test_strips_are_brought_to_the_median_level_of_the_normal_training_strips(tmp_path, strips):
    alignment, level = find_alignment(strips, tmp_path, cut=True, even=True, max_pixels=4000)
    assert level == 75.0  # of the material alone: the bare ends are 255
    assert alignment["gain"].tolist() == [round(75 / 90, 6), 1.25, 0.625]
    images = registered_images(strips, tmp_path, alignment, color="auto", max_pixels=4000)
    assert [int(image.min()) for image in images] == [75, 75, 75]


@pytest.mark.parametrize(
    ("changes", "even"),
    [({}, True), ({"brightness": "none"}, False), ({"trim_ends": False}, False),
     ({"trim_ends": False, "brightness": "gain"}, True), ({"align": "rigid", "brightness": "gain"}, False)],
)  # fmt: skip
def test_brightness_is_evened_of_strips_and_where_it_is_asked_for(strips, changes, even):
    assert evens_brightness(strips, REGISTRATION.but(**changes)) is even


def test_offset_without_a_reference_is_refused():
    with pytest.raises(ValidationError, match="brightness = gain_offset needs a reference: set align"):
        REGISTRATION.but(brightness="gain_offset")


# --- parts that are aligned -------------------------------------------------------------------------------------------
SIDE = 96
RIGID = REGISTRATION.but(align="rigid", brightness="gain")


def part_turned(angle, shift=(0, 0), mark=False):
    """An L with a spot on a bright background (1, SIDE, SIDE), turned and moved; with ``mark``, only what is marked."""
    rows, columns = (np.mgrid[: 4 * SIDE, : 4 * SIDE] + 0.5) / 4 - 0.5 - SIDE // 2  # four by four points a pixel
    turn = np.deg2rad(angle)
    y, x = rows - shift[0], columns - shift[1]
    y, x = np.cos(turn) * y + np.sin(turn) * x, -np.sin(turn) * y + np.cos(turn) * x
    long, short = (abs(x + 14) <= 7) & (abs(y) <= 25), (abs(y - 18) <= 7) & (abs(x) <= 20)
    grey = np.where(long | short, 60.0, 200.0) + 50 * (long & (abs(y + 14) <= 4))
    grey = ((abs(y - 14) < 3.5) & (abs(x + 14) < 3.5)) * 255.0 if mark else grey
    grey = grey.reshape(SIDE, 4, SIDE, 4).mean(axis=(1, 3))
    if mark:
        return ((grey > 127) * np.uint8(255))[None]
    noise = np.random.default_rng(1).normal(0, 2, grey.shape)
    return np.rint(grey + noise).astype(np.uint8)[None]


MOVES = {"a.png": (0, (0, 0)), "b.png": (40, (4, -3)), "c.png": (-100, (-3, 5)), "d.png": (170, (2, 2))}


@pytest.fixture
def parts(tmp_path):
    """Three training images of a part, two to calibrate on, one of them blank, and a defective one of another size."""
    pixels = {name: part_turned(*move) for name, move in MOVES.items()}
    pixels["blank.png"] = np.full((1, SIDE, SIDE), 128, np.uint8)
    pixels["test.png"] = np.pad(part_turned(75, (3, 1)), [(0, 0), (8, 8), (10, 10)], mode="edge")
    for name, image in pixels.items():
        (tmp_path / name).write_bytes(encode_png(image))
    mask = np.pad(part_turned(75, (3, 1), mark=True), [(0, 0), (8, 8), (10, 10)])
    (tmp_path / "mask.png").write_bytes(encode_png(mask))
    sizes = [image.shape[1:] for image in pixels.values()]
    return pd.DataFrame(
        {
            "image": list(pixels), "page": 0, "mask": [None] * 5 + ["mask.png"], "layout": "folders", "channels": 1,
            "sha256": [hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() for name in pixels],
            "mask_sha256": [None] * 5 + [read_mask_source(tmp_path, "mask.png", "test.png").key(sizes[-1], 0)],
            "height": [size[0] for size in sizes], "width": [size[1] for size in sizes], "depth": 8, "bits": 8,
            "split": ["train"] * 3 + ["calibration"] * 2 + ["test"], "label": [0] * 5 + [1],
        }
    )  # fmt: skip


def aligned_parts(folder, manifest, params=RIGID):
    aligner, known = fit_registration(manifest, folder, params, max_pixels=10**6)
    return aligner, find_alignment(manifest, folder, cut=False, max_pixels=10**6, aligner=aligner, known=known)[0]


def test_every_part_comes_into_the_frame_of_the_reference_and_its_mask_with_it(tmp_path, parts):
    aligner, alignment = aligned_parts(tmp_path, parts, RIGID.model_copy(update={"reference": "a.png"}))
    images = registered_images(parts, tmp_path, alignment, color="auto", max_pixels=10**6, aligner=aligner)
    masks = registered_masks(parts, tmp_path, alignment, max_pixels=10**6, aligner=aligner)
    top, left, bottom, right = aligner.box
    assert {image.shape for image in images} == {(1, bottom - top, right - left)}
    assert alignment[["left", "right"]].drop_duplicates().to_numpy().tolist() == [[left, right]]
    reference = part_turned(0)[:, top:bottom, left:right].astype(int)
    np.testing.assert_array_equal(images[0], reference)
    for i in (1, 2, 3, 5):
        assert np.abs(images[i] - reference).mean() < 4  # of 255; noise alone makes 2
    for name, (angle, shift) in MOVES.items():
        row = alignment.set_index("image").loc[name]
        assert row[["angle", "shift_y", "shift_x"]].tolist() == pytest.approx([angle, *shift], abs=0.3)
    wanted = part_turned(0, mark=True)[0, top:bottom, left:right] > 0
    np.testing.assert_allclose(np.argwhere(masks[5]).mean(axis=0), np.argwhere(wanted).mean(axis=0), atol=0.5)
    assert masks[5].sum() == pytest.approx(wanted.sum(), rel=0.2)
    assert masks[0].shape == (0, 0)
    assert alignment["defect_cut"].tolist() == [0] * 6


def test_what_cannot_be_aligned_is_flagged_and_never_learned_from(tmp_path, parts):
    _, alignment = aligned_parts(tmp_path, parts)
    assert usable(alignment).tolist() == [True] * 4 + [False, True]
    blank = alignment.loc[4]
    assert (blank["reason"], blank["quality"], blank["angle"], blank["gain"]) == ("is blank", 0.0, 0.0, 1.0)
    usable_manifest = without_misaligned(parts, alignment)
    assert usable_manifest["split"].tolist() == ["train"] * 3 + ["calibration", "unused", "test"]
    assert usable_manifest["planned"].tolist() == parts["split"].tolist()


def test_split_of_which_nothing_is_aligned_is_an_error(tmp_path, parts):
    moved = parts.assign(split=["train"] * 4 + ["calibration", "test"])
    _, alignment = aligned_parts(tmp_path, moved)
    with pytest.raises(FlawlineError, match=r"none of the calibration images could be aligned \(the first: is blank\)"):
        without_misaligned(moved, alignment)


def test_aligner_is_fitted_on_normal_training_images_only(tmp_path, parts):
    (tmp_path / "blank.png").unlink()
    (tmp_path / "test.png").unlink()
    aligner, known = fit_registration(parts, tmp_path, RIGID, max_pixels=10**6)
    assert set(known) == {"a.png", "b.png", "c.png"}
    assert isinstance(aligner, Aligner)
    assert fit_registration(parts, tmp_path, REGISTRATION, max_pixels=10**6) == (None, {})


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("e.png", r"must be a normal training image .*got 'e.png', which is not there"),
        ("a.pmg", r"not there \(did you mean 'a.png'\?\)"),
        ("test.png", r"'test.png' is defective"),
        ("blank.png", r"'blank.png' is in the split calibration"),
    ],
)
def test_reference_must_be_a_normal_training_image(tmp_path, parts, name, message):
    params = RIGID.model_copy(update={"reference": name})
    with pytest.raises(FlawlineError, match=message):
        fit_registration(parts, tmp_path, params, max_pixels=10**6)


def test_key_depends_on_the_aligner_and_on_what_it_was_made_from(tmp_path, parts):
    aligner, alignment = aligned_parts(tmp_path, parts)
    tensors = aligner.to_tensors()
    other = parts.assign(split=["train"] * 2 + ["validation", "calibration", "calibration", "test"])
    darker = {**tensors, "reference": tensors["reference"] + 1}
    keys = {
        registration_key(parts, alignment, RIGID, max_pixels=1, aligner=tensors),
        registration_key(parts, alignment, RIGID, max_pixels=2, aligner=tensors),
        registration_key(other, alignment, RIGID, max_pixels=1, aligner=tensors),
        registration_key(parts, alignment.assign(angle=1.0), RIGID, max_pixels=1, aligner=tensors),
        registration_key(parts, alignment, RIGID, max_pixels=1, aligner=darker),
        registration_key(parts, alignment, RIGID, max_pixels=1, aligner={}),
    }
    assert len(keys) == 6
    plain = REGISTRATION
    mine, others = (registration_key(each, alignment, plain, max_pixels=1) for each in (parts, other))
    assert mine == others


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

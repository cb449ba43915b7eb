"""Which pictures look like masks, and what becomes of those among the photographs."""

import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from flawline.intake.decoding import decode, encode_png
from flawline.intake.mask_likeness import (
    GROUND,
    TWO,
    commonest_share,
    look_like_masks,
    mask_likeness,
    may_be_masks,
    set_masks_aside,
)
from flawline.intake.measuring import Measurements, measure

RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 256, (1, 200, 300), np.uint8)


def blob(low=0, high=255, dtype=np.uint8, size=(200, 300)):
    mask = np.full((1, *size), low, dtype)
    mask[:, 40:70, 50:90] = high
    return mask


def as_jpeg(pixels, quality=75):
    buffer = io.BytesIO()
    Image.fromarray(pixels[0]).save(buffer, format="JPEG", quality=quality)
    return decode(buffer.getvalue(), max_pixels=None)


def softened():
    small = Image.fromarray(blob()[0]).resize((150, 100), Image.Resampling.BOX).resize((300, 200))
    return np.asarray(small)[None]


MASKS = {
    "black and white": blob(), "numbers of classes": blob(0, 1), "white and black": blob(255, 0), "nothing": blob(0, 0),
    "16 bits": blob(0, 65535, np.uint16), "JPEG": as_jpeg(blob()), "soft edge": softened(),
    "colour": np.concatenate([blob(), blob(0, 0), blob(0, 0)]), "small": blob(size=(70, 90)),
}  # fmt: skip
PHOTOGRAPHS = {
    "noise": NOISE,
    "flat": RNG.integers(120, 124, (1, 200, 300), np.uint8),
    "dark with a bright spot": np.where(blob() > 0, 255, RNG.integers(8, 13, (1, 200, 300))).astype(np.uint8),
    "before a black ground": np.where(blob() > 0, NOISE, 0).astype(np.uint8),
    "before a white ground": np.where(blob() > 0, NOISE, 255).astype(np.uint8),
    "12 bits, dark": RNG.integers(300, 340, (1, 200, 300), np.uint16),
    "JPEG": as_jpeg(np.where(blob() > 0, 240, RNG.integers(100, 110, (1, 200, 300))).astype(np.uint8)),
}


@pytest.mark.parametrize("name", MASKS)
def test_masks_have_two_levels(name):
    assert mask_likeness(MASKS[name]) >= TWO


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_photographs_have_more(name):
    assert mask_likeness(PHOTOGRAPHS[name]) < TWO


def crack(width, *, soft=0.0, size=512):
    """Return a mask of a curved crack, ``width`` pixels wide, its edge as soft."""
    y, x = np.mgrid[:size, :size]
    away = np.abs(y - size / 2 - 60 * np.sin(x / 40)) - width / 2
    return (255 * (0.5 - away / max(soft, 1e-6)).clip(0, 1)).astype(np.uint8)[None]


def parts():
    numbers = np.zeros((1, 200, 300), np.uint8)
    for number in range(1, 5):
        numbers[:, 20:40, 50 * number : 50 * number + 20] = number
    return numbers


NAMED = {
    "soft crack": crack(6, soft=3), "JPEG of a soft crack": as_jpeg(crack(6, soft=3), 90),
    "JPEG of a crack": as_jpeg(crack(3)), "numbers of parts": parts(),
}  # fmt: skip


@pytest.mark.parametrize("name", [*MASKS, *NAMED])
def test_what_is_called_a_mask_may_be_one_if_its_ground_has_one_level(name):
    assert commonest_share({**MASKS, **NAMED}[name]) >= GROUND


@pytest.mark.parametrize("name", ["noise", "flat", "12 bits, dark", "JPEG"])
def test_ground_of_a_photograph_has_many_levels(name):
    assert commonest_share(PHOTOGRAPHS[name]) < GROUND


@pytest.mark.parametrize("factor", [1, 2, 4, 16])
def test_how_bright_a_picture_is_does_not_matter(factor):
    assert mask_likeness(NOISE // factor) < TWO
    assert mask_likeness(blob() // factor) >= TWO


def test_a_few_pictures_tell_of_a_folder(tmp_path):
    for name, pixels in (("a", blob()), ("b", blob(0, 0)), ("c", NOISE)):
        (tmp_path / f"{name}.png").write_bytes(encode_png(pixels))
    (tmp_path / "d.png").touch()
    assert may_be_masks(tmp_path, ["a.png"], max_pixels=10**6) is True
    assert may_be_masks(tmp_path, ["c.png"], max_pixels=10**6) is False
    assert may_be_masks(tmp_path, ["d.png"], max_pixels=10**6) is None
    assert look_like_masks(tmp_path, ["a.png", "b.png", "c.png", "d.png"], max_pixels=10**6) is True
    assert look_like_masks(tmp_path, ["a.png", "c.png"], max_pixels=10**6) is False
    assert look_like_masks(tmp_path, ["d.png"], max_pixels=10**6) is None
    assert look_like_masks(tmp_path, [], max_pixels=10**6) is None


# --- among the photographs -------------------------------------------------------------------------------------------
def manifest(**images):
    """Return (rows, measured) of images by name; ``__`` stands for a folder."""
    names = [name.replace("__", "/") + ".png" for name in images]
    measured = [measure(pixels, name) for name, pixels in zip(names, images.values(), strict=True)]
    sizes = {"height": [each.height for each in measured], "width": [each.width for each in measured]}
    return pd.DataFrame({"image": names, "sha256": names, "page": 0, **sizes}), Measurements.of(measured, "").table


def photographs(count):
    return {f"good__{i}": np.roll(NOISE, i) for i in range(count)}


def aside(told=False, **images):
    """Return (images that stay, reasons by image, notes)."""
    rows, quarantine, notes = set_masks_aside(*manifest(**images), told=told)
    return rows["image"].tolist(), dict(quarantine.itertuples(index=False)), [note.text for note in notes]


def test_mask_of_a_photograph_of_its_name_is_set_aside_with_what_to_do():
    kept, reasons, _ = aside(**photographs(2), crack__7=NOISE, marks__7=blob(), crack__8=NOISE, crack__8_outline=NOISE)
    assert "marks/7.png" not in kept
    assert reasons == {
        "marks/7.png": "looks like a mask of crack/7.png: a ground of one level, the same name and size. To have it "
        "read as one, put it into a folder called ground_truth"
    }


def test_mask_of_several_levels_is_set_aside_where_a_photograph_has_its_name():
    kept, reasons, _ = aside(**photographs(2), crack__7=NOISE, regions__7=parts(), regions__8=parts())
    assert list(reasons) == ["regions/7.png"]
    assert "regions/8.png" in kept  # no photograph has its name


def test_half_of_the_images_may_be_masks_of_the_other_half():
    kept, reasons, _ = aside(**photographs(3), **{f"good__{i}_mask": blob() for i in range(3)})
    assert kept == ["good/0.png", "good/1.png", "good/2.png"]
    assert len(reasons) == 3


def test_picture_of_two_levels_among_others_is_set_aside():
    kept, reasons, _ = aside(**photographs(3), odd=blob())
    assert len(kept) == 3
    assert reasons["odd.png"].startswith("has two grey levels, as a mask has, and other images have more")


def test_where_most_images_have_two_levels_they_are_photographs():
    images = {f"good__{i}": blob(high=255 - i) for i in range(4)}
    assert aside(**images, other=NOISE)[:2] == ([*(f"good/{i}.png" for i in range(4)), "other.png"], {})


def test_where_more_than_half_have_two_levels_a_caution_says_so():
    images = {f"good__{i}": blob(high=255 - i) for i in range(3)}
    assert aside(**images, other=NOISE)[2] == [
        "3 images have two grey levels and the others more, as if they were masks; the first: good/0.png."
    ]


def test_where_each_image_is_named_they_stay_with_a_caution():
    kept, reasons, notes = aside(told=True, **photographs(3), odd=blob())
    assert (len(kept), reasons) == (4, {})
    assert notes == ["1 images have two grey levels, as masks have; the first: odd.png."]


def test_image_of_one_level_stays_with_a_caution_unless_it_is_a_mask_of_another():
    kept, reasons, notes = aside(**photographs(2), dark=blob(0, 0), marks__0=blob(0, 0))
    assert kept == ["good/0.png", "good/1.png", "dark.png"]
    assert list(reasons) == ["marks/0.png"]
    assert notes[0] == "1 images are of one grey level; the first: dark.png."
    assert notes[1].startswith("1 pictures look like masks and are in quarantine")


def test_mask_of_another_size_than_the_photograph_of_its_name_is_no_mask_of_it():
    images = {f"good__{i}": blob(size=(70, 90), high=250 - i) for i in range(4)}
    assert aside(**images, other__0=NOISE)[1] == {}

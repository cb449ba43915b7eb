"""Strips of fabric, 64 x 800, grey level about 90, in front of a background of about 240."""

from pathlib import Path

import numpy as np
import pytest

from flawline.intake.decoding import read_photograph
from flawline.vision.strips import material_span

REAL_DATA = Path(__file__).parents[3] / "shared" / "data" / "aitex"
HEIGHT, WIDTH = 64, 800


def strip(left=0, right=0, *, background=240, seed=0, material=90):
    """Return a strip (1, H, W) uint8 with ``left`` and ``right`` columns of background."""
    generator = np.random.default_rng(seed)
    pixels = generator.normal(material, 8, (HEIGHT, WIDTH))
    bare = generator.normal(background, 2, (HEIGHT, WIDTH))
    pixels[:, :left] = bare[:, :left]
    pixels[:, WIDTH - right :] = bare[:, WIDTH - right :]
    return pixels.round().clip(0, 255).astype(np.uint8)[None]


# --- background ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("left", "right"), [(200, 0), (0, 150), (200, 150), (0, 0), (1, 0), (500, 90)])
def test_bright_background_is_cut_off_to_the_column(left, right):
    assert material_span(strip(left, right)) == (left, WIDTH - right)


@pytest.mark.parametrize(
    ("times", "cut"), [(1.4, False), (1.5, False), (1.7, True), (2.0, True), (0.0, False), (0.5, False)]
)
def test_only_what_is_brighter_than_1_6_times_the_material_is_background(times, cut):
    assert material_span(strip(200, background=90 * times)) == (200 * cut, WIDTH)


def test_wavy_edge_is_cut_off_with_the_background():
    edges = (200 + 6 * np.sin(np.arange(HEIGHT) / 5)).round().astype(int)  # from 194 to 206
    pixels = strip()
    bare = strip(WIDTH)
    for row, edge in enumerate(edges):
        pixels[0, row, :edge] = bare[0, row, :edge]
    first, last = material_span(pixels)
    kept = pixels[0, :, first:] > 165
    assert last == WIDTH
    assert kept[:, 0].mean() <= 0.02  # one row of 64
    assert 203 <= first <= edges.max() == 206


@pytest.mark.parametrize("level", [20, 55, 125])
def test_selvedge_beside_the_background_is_cut_off(level):
    pixels = strip(200, 100)
    pixels[0, :, 200:230] = strip(material=level)[0, :, 200:230]
    pixels[0, :, 680:700] = strip(material=level)[0, :, 680:700]
    assert material_span(pixels) == (230, 680)


def test_selvedge_behind_a_stripe_of_fabric_is_cut_off_within_reach():
    for start, first in ((286, 296), (296, 200)):  # 96 columns
        pixels = strip(200)
        pixels[0, :, start : start + 10] = 20
        assert material_span(pixels) == (first, WIDTH)


def test_band_at_an_end_that_is_not_bare_is_kept():
    for level in (20, 125):
        pixels = strip()
        pixels[0, :, :30] = level
        assert material_span(pixels) == (0, WIDTH)


def test_three_quarters_of_background_are_too_much_to_know_the_material():
    assert material_span(strip(590)) == (590, WIDTH)
    assert material_span(strip(650)) == (0, WIDTH)


# --- flaws -----------------------------------------------------------------------------------------------------------
def with_yarn_across_the_middle(pixels):
    pixels[0, :, 400:405] = 250


def with_yarn_along_the_whole_strip(pixels):
    pixels[0, 30:33] = 250


def with_yarn_along_the_strip_from_the_edge(pixels):
    pixels[0, 30:33, 200:500] = 250


def with_yarn_from_corner_to_corner(pixels):
    for column in range(WIDTH):
        row = column * (HEIGHT - 4) // WIDTH
        pixels[0, row : row + 4, column] = 250


def with_bright_spot_at_the_end(pixels):
    pixels[0, 20:45, -60:] = 250


def with_hole_in_the_middle(pixels):
    pixels[0, 10:60, 350:420] = 250


@pytest.mark.parametrize("left", [0, 200])
@pytest.mark.parametrize(
    "flaw",
    [with_yarn_across_the_middle, with_yarn_along_the_whole_strip, with_yarn_along_the_strip_from_the_edge,
     with_yarn_from_corner_to_corner, with_bright_spot_at_the_end, with_hole_in_the_middle],
)  # fmt: skip
def test_bright_flaw_is_not_cut_off(flaw, left):
    pixels = strip(left)
    flaw(pixels)
    assert material_span(pixels) == (left, WIDTH)


def test_dark_flaw_at_an_end_is_not_cut_off():
    pixels = strip(0, 100)
    pixels[0, :, :40] = 10
    assert material_span(pixels) == (0, 700)


# --- any image -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("level", [0, 1, 90, 255])
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 5, 1), (1, 1, 2), (3, 4, 3), (1, 64, 800)])
def test_uniform_image_is_material(shape, level):
    assert material_span(np.full(shape, level, np.uint8)) == (0, shape[2])


def test_black_material_beside_anything_brighter():
    pixels = np.zeros((1, 4, 300), np.uint8)
    pixels[..., :50] = 9
    assert material_span(pixels) == (50, 300)


def test_bright_image_is_material():
    assert material_span(strip(WIDTH)) == (0, WIDTH)


@pytest.mark.parametrize("width", [1, 2, 3, 4, 5, 8, 13])
@pytest.mark.parametrize("seed", range(5))
def test_tiny_widths_give_a_span_of_at_least_one_column(width, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (1, 3, width), np.uint8)
    first, last = material_span(pixels)
    assert 0 <= first < last <= width


@pytest.mark.parametrize("kind", ["16 bit", "RGB", "16 bit RGB"])
def test_depth_and_colour_do_not_matter(kind):
    pixels = strip(200, 50)
    pixels = pixels.astype(np.uint16) * 257 if "16" in kind else pixels
    assert material_span(pixels.repeat(3, 0) if "RGB" in kind else pixels) == (200, 750)


def test_brightness_as_a_whole_does_not_matter():
    assert material_span(strip(200, 50, seed=3) // 2) == material_span(strip(200, 50, seed=3)) == (200, 750)


def test_mirrored_strip_has_the_mirrored_span():
    pixels = strip(200, 90)
    pixels[0, :, 200:230] = 20
    first, last = material_span(pixels)
    assert (first, last) == (230, 710)
    assert material_span(pixels[..., ::-1]) == (WIDTH - last, WIDTH - first)


def test_image_is_left_as_it_is():
    pixels = strip(200)
    pixels.flags.writeable = False
    assert material_span(pixels) == (200, WIDTH)


@pytest.mark.parametrize("seed", range(10))
def test_nothing_is_left_to_cut_off_a_cut_strip(seed):
    left, right, band = np.random.default_rng(seed).integers(0, [250, 250, 60])
    pixels = strip(left, right, seed=seed)
    pixels[0, :, left : left + band] = 30
    first, last = material_span(pixels)
    assert material_span(pixels[..., first:last]) == (0, last - first)


# --- real strips -----------------------------------------------------------------------------------------------------
@pytest.mark.real_data
def test_real_normal_strips_lose_their_bare_left_end():
    for path in sorted(REAL_DATA.glob("NODefect_images/*/*.png")):
        pixels = read_photograph(path, max_pixels=2**21).pixels
        first, last = material_span(pixels)
        assert 300 < first < 1300
        assert last == pixels.shape[2] == 4096
        assert material_span(pixels[..., first:]) == (0, last - first)
        columns = np.median(pixels[0, :, first:], axis=0)
        assert columns.max() < 1.6 * np.median(columns)


@pytest.mark.real_data
def test_real_defective_strips_lose_no_marked_pixel():
    paths = sorted(REAL_DATA.glob("Defect_images/*.png"))
    cut = 0
    for path in paths:
        first, last = material_span(read_photograph(path, max_pixels=2**21).pixels)
        mask = read_photograph(REAL_DATA / "Mask_images" / f"{path.stem}_mask.png", max_pixels=2**21).pixels
        assert mask[..., first:last].astype(bool).sum() == mask.astype(bool).sum()
        cut += (first, last) != (0, mask.shape[2])
    assert (len(paths), cut) == (31, 4)

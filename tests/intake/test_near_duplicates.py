import io
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from flawline.intake.measuring import fingerprint, shrink
from flawline.intake.near_duplicates import FAR, LIKE, NEAREST, find_near_duplicates, fine_structure, near_fingerprints
from flawline.intake.splits import groups_of
from flawline.vision.levels import grey_levels


def texture(seed, *, size=(256, 320)):
    """Return grey levels (H, W) uint8 of a part with an uneven surface: light, blotches and grain."""
    generator = np.random.default_rng(seed)
    blotches = gaussian_filter(generator.normal(size=size), 12)
    grain = gaussian_filter(generator.normal(size=size), 2)
    light = np.linspace(-20, 20, size[1])
    pixels = 115 + light + 15 * blotches / blotches.std() + 15 * grain / grain.std()
    return pixels.round().clip(0, 255).astype(np.uint8)


def saved_again(pixels, quality):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def resized(pixels, height, width):
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS))


def with_noise(pixels, sigma):
    return (pixels + np.random.default_rng(5).normal(0, sigma, pixels.shape)).round().clip(0, 255).astype(np.uint8)


def thumbnails_of(images):
    return [shrink(grey_levels(image[None])) for image in images]


def find(*images, digests=None):
    thumbnails = thumbnails_of(images)
    names = [f"{i}.png" for i in range(len(images))]
    return find_near_duplicates(
        names, digests or names, [fingerprint(each) for each in thumbnails], lambda i: thumbnails[i]
    )


SAME = {
    "JPEG of quality 50": lambda pixels: saved_again(pixels, 50),
    "JPEG of quality 75": lambda pixels: saved_again(pixels, 75),
    "JPEG of quality 95": lambda pixels: saved_again(pixels, 95),
    "half the size": lambda pixels: resized(pixels, 128, 160),
    "twice the size": lambda pixels: resized(pixels, 512, 640),
    "brighter by 8 %": lambda pixels: (pixels * 1.08).round().clip(0, 255).astype(np.uint8),
    "darker by 20 levels": lambda pixels: pixels.clip(20, None) - 20,
    "noise of 3 levels": lambda pixels: with_noise(pixels, 3),
}
OTHER = {
    "another picture": lambda pixels: texture(1),
    "shifted by 8 pixels": lambda pixels: np.roll(pixels, 8, axis=1),
    "turned": lambda pixels: pixels[::-1, ::-1],
    "mirrored": lambda pixels: pixels[:, ::-1],
    "inverted": lambda pixels: 255 - pixels,
    "the same blotches with another grain": lambda pixels: (
        gaussian_filter(pixels.astype(float), 6) + texture(2) - gaussian_filter(texture(2).astype(float), 6)
    ).clip(0, 255).astype(np.uint8),
}  # fmt: skip


# --- near-identical --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("how", SAME)
def test_the_same_photograph_is_near(how):
    near_duplicates = find(texture(1), texture(0), SAME[how](texture(0)))
    assert near_duplicates[["image", "duplicate", "kind"]].to_numpy().tolist() == [["1.png", "2.png", "near"]]
    assert LIKE <= near_duplicates["likeness"][0] <= 1


@pytest.mark.parametrize("how", OTHER)
def test_another_photograph_is_not(how):
    assert find(texture(0), OTHER[how](texture(0))).empty


def test_likeness_falls_with_noise_to_the_limit():
    pixels = texture(0)
    found = [find(pixels, with_noise(pixels, sigma))["likeness"].tolist() for sigma in (0, 2, 4, 8, 16, 32, 64)]
    there = [likeness[0] for likeness in found if likeness]
    assert there == sorted(there, reverse=True)
    assert there[0] == pytest.approx(1, abs=1e-4)  # held in float16
    assert found == [[likeness] for likeness in there] + [[]] * (len(found) - len(there))
    assert 0 < len(there) < len(found)


def test_near_is_a_correlation_of_the_fine_structure_of_0_95():
    pixels = texture(0)
    correlations = {}
    for sigma in range(0, 60, 3):
        first, second = (each.astype(float) for each in thumbnails_of([pixels, with_noise(pixels, sigma)]))
        fine = [(each - gaussian_filter(each, 1.5)).ravel() for each in (first, second)]
        correlations[sigma] = np.corrcoef(*fine)[0, 1]
    near = {sigma for sigma in correlations if len(find(pixels, with_noise(pixels, sigma)))}
    assert near == {sigma for sigma, correlation in correlations.items() if correlation >= 0.95}
    assert any(0.9 < correlation < 0.95 for correlation in correlations.values())
    assert any(0.95 < correlation < 0.97 for correlation in correlations.values())


def test_same_blotches_alone_would_pass_the_fingerprint():
    """What decides is the fine structure: the fingerprints of these two differ in few bits."""
    first, second = thumbnails_of([texture(0), OTHER["the same blotches with another grain"](texture(0))])
    assert list(near_fingerprints([fingerprint(first), fingerprint(second)])) == [(0, 1)]
    assert float(fine_structure(first) @ fine_structure(second)) < 0.5


@pytest.mark.parametrize("level", [0, 128, 255])
def test_even_images_are_never_near(level):
    even = np.full((64, 64), level, np.uint8)
    assert find(even, np.full((64, 64), 100, np.uint8), np.full((32, 32), level, np.uint8)).empty


def test_smooth_parts_in_the_same_light_are_not_near():
    light = 150 - 50 * np.hypot(*np.mgrid[-1:1:256j, -1:1:320j])  # (256, 320)
    for sigma in (0.5, 1, 2, 4):
        generator = np.random.default_rng(0)
        images = [(light + generator.normal(0, sigma, light.shape)).round().astype(np.uint8) for _ in range(3)]
        assert find(*images).empty


# --- identical -------------------------------------------------------------------------------------------------------
def test_of_identical_images_each_is_paired_with_the_first():
    a, b = texture(0), texture(1)
    near_duplicates = find(a, b, a, b, a, digests=["a", "b", "a", "b", "a"])
    assert near_duplicates.to_dict("list") == {
        "image": ["0.png", "0.png", "1.png"], "duplicate": ["2.png", "4.png", "3.png"],
        "kind": ["identical"] * 3, "likeness": [1.0] * 3,
    }  # fmt: skip


def test_near_duplicates_are_of_the_first_of_identical_images():
    a = texture(0)
    near_duplicates = find(a, a, saved_again(a, 90), digests=["a", "a", "b"])
    assert near_duplicates[["image", "duplicate", "kind"]].to_numpy().tolist() == [
        ["0.png", "1.png", "identical"], ["0.png", "2.png", "near"],
    ]  # fmt: skip


def test_even_identical_images_are_identical():
    even = np.full((16, 16), 9, np.uint8)
    assert find(even, even, digests=["a", "a"])["kind"].tolist() == ["identical"]


@pytest.mark.parametrize("images", [[], [texture(0)]])
def test_nothing_to_compare(images):
    near_duplicates = find(*images)
    assert near_duplicates.empty
    assert near_duplicates.columns.tolist() == ["image", "duplicate", "kind", "likeness"]


# --- fine structure --------------------------------------------------------------------------------------------------
def test_fine_structure_has_length_1_and_forgets_gain_and_offset():
    thumbnail = thumbnails_of([texture(0) // 2])[0]
    fine = fine_structure(thumbnail)
    assert fine.shape == (128 * 128,)
    assert np.linalg.norm(fine) == pytest.approx(1, abs=1e-5)
    assert fine.mean() == pytest.approx(0, abs=1e-5)
    np.testing.assert_allclose(fine_structure(thumbnail + 40), fine, atol=1e-5)
    np.testing.assert_allclose(fine_structure(thumbnail * 2), fine, atol=1e-5)


def test_single_grey_levels_are_rounding_and_no_structure():
    odd = np.random.default_rng(0).random((128, 128)) < 0.05
    assert not fine_structure((100 + odd).astype(np.uint8)).any()
    assert fine_structure((100 + 20 * odd).astype(np.uint8)).any()


# --- fingerprints ----------------------------------------------------------------------------------------------------
def flipped(name, *bits):
    """Return a fingerprint with some of its 256 bits flipped."""
    return f"{int(name, 16) ^ sum(1 << bit for bit in bits):064x}"


ZERO = "0" * 64


def test_fingerprints_differ_in_at_most_far_bits():
    assert list(near_fingerprints([ZERO, flipped(ZERO, *range(FAR))])) == [(0, 1)]
    assert list(near_fingerprints([ZERO, flipped(ZERO, *range(FAR + 1))])) == []
    assert list(near_fingerprints([ZERO, flipped(ZERO, *range(256 - FAR - 1, 256))])) == []


def test_only_the_nearest_are_looked_at():
    """Twelve in a row, each 4 bits from the next: all are within FAR, but the first three and the last three have
    eight nearer ones each."""
    row = [flipped(ZERO, *range(4 * i)) for i in range(12)]
    far = {(a, b) for a in (0, 1, 2) for b in (9, 10, 11)}
    assert (NEAREST, FAR) == (8, 48)
    assert list(near_fingerprints(row)) == [pair for pair in combinations(range(12), 2) if pair not in far]


def test_one_fingerprint_or_none_has_no_pair():
    assert list(near_fingerprints([])) == list(near_fingerprints([ZERO])) == []


def test_fingerprints_agree_with_brute_force():
    generator = np.random.default_rng(0)
    numbers = [int.from_bytes(generator.bytes(32), "big") for _ in range(1600)]
    for _ in range(400):  # near ones of some: too few of each to fill NEAREST
        bits = generator.choice(256, generator.integers(1, 2 * FAR), replace=False)
        numbers.append(numbers[generator.integers(1600)] ^ sum(1 << int(bit) for bit in bits))
    numbers = [numbers[i] for i in generator.permutation(len(numbers))]
    wanted = [(a, b) for a, b in combinations(range(len(numbers)), 2)
              if (numbers[a] ^ numbers[b]).bit_count() <= FAR]  # fmt: skip
    neighbours = np.bincount(np.ravel(wanted), minlength=len(numbers))
    assert len(wanted) > 100
    assert neighbours.max() < NEAREST
    assert list(near_fingerprints([f"{number:064x}" for number in numbers])) == wanted


def test_two_series_of_the_same_view_are_joined_though_the_nearest_of_each_are_its_own():
    generator = np.random.default_rng(0)
    view = gaussian_filter(generator.normal(0, 1, (128, 128)), 2) * 300 + 110
    light = 25 * np.sin(np.linspace(0, 6 * np.pi, 128))[None]  # falls otherwise on every second shot
    shots = [view + k % 2 * light + generator.normal(0, 0.3, view.shape) for k in range(40)]
    pictures = [shot.clip(0, 255).astype(np.uint8) for shot in shots]
    names = [str(k) for k in range(len(pictures))]
    prints = [fingerprint(picture) for picture in pictures]
    assert not any((a + b) % 2 for a, b in near_fingerprints(prints))
    near_duplicates = find_near_duplicates(names, names, prints, lambda i: pictures[i])
    rows = pd.DataFrame({"image": names, "sha256": names, "group": None})
    assert len(set(groups_of(rows, near_duplicates))) == 1
    assert not near_duplicates.duplicated(["image", "duplicate"]).any()

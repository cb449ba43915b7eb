import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, zoom

from flawline.vision.appearance import FIGURES, appearance, appearance_of, on_scale


def part(*, size=256, radius=0.25, at=(0.5, 0.5), light=1.0, blur=0.0):
    """Return a photograph (1, H, W) uint8 of a rough disk of level 160 on a ground of 60."""
    rng = np.random.default_rng(4)
    rows, columns = (np.mgrid[:size, :size] + 0.5) / size
    disk = np.hypot(rows - at[0], columns - at[1]) < radius
    levels = 60 + 100 * disk + rng.normal(0, 1, (size, size))
    return np.rint(gaussian_filter(levels, blur) * light).clip(0, 255).astype(np.uint8)[None]


BEFORE = appearance(part())


def moved(found, *names, atol=0.02):
    """Return whether of all figures those alone moved by more than a share."""
    return {name for name in FIGURES if abs(found[name] / BEFORE[name] - 1) > atol} == set(names)


def test_figures_of_a_disk_are_those_of_geometry():
    """The spread of a disk around its middle is its radius by the root of 2."""
    assert BEFORE["across"] == pytest.approx(0.5, abs=0.002)
    assert BEFORE["size"] == pytest.approx(0.25 / np.sqrt(2), abs=0.003)
    assert BEFORE["shadows"] == pytest.approx(60, abs=1)
    assert BEFORE["highlights"] == pytest.approx(160, abs=1)
    assert BEFORE["tonal_range"] == pytest.approx(100 / 220, abs=0.01)


def test_each_change_moves_its_own_figures_alone():
    assert moved(appearance(part(light=0.8)), "shadows", "highlights")
    assert moved(appearance(part(light=1.3)), "shadows", "highlights")
    assert moved(appearance(part(blur=1)), "focus")
    assert moved(appearance(part(at=(0.5, 0.6))), "across")
    assert moved(appearance(part(at=(0.6, 0.5))), "down")
    assert moved(appearance(part(radius=0.28)), "size")


def test_directions():
    assert appearance(part(blur=1))["focus"] < BEFORE["focus"]
    assert appearance(part(at=(0.5, 0.6)))["across"] == pytest.approx(0.6, abs=0.01)
    assert appearance(part(at=(0.6, 0.5)))["down"] == pytest.approx(0.6, abs=0.01)


def test_scale_is_the_frequency_of_a_structure():
    """Waves of 12.5 and of 25 pixels of the small copy, each of which is 8 of the photograph's."""
    grid = np.arange(512)
    found = [appearance(np.rint(128 + 90 * np.sin(2 * np.pi * grid / (8 * period)) * np.ones((512, 1)))
                        .astype(np.uint8)[None])["scale"] for period in (12.5, 25)]  # fmt: skip
    assert found == pytest.approx([np.log2(1 / 12.5), np.log2(1 / 25)], abs=0.15)


def test_colour_depth_and_bits_change_nothing_but_rounding():
    grey = part()
    wanted = appearance_of(grey, 8)
    assert appearance_of(np.repeat(grey, 3, axis=0), 8) == pytest.approx(wanted, abs=1e-3)
    assert appearance_of(grey.astype(np.uint16) * 257, 16) == pytest.approx(wanted, abs=1e-3)
    assert appearance_of(np.rint(grey * (4095 / 255)).astype(np.uint16), 12) == pytest.approx(wanted, abs=0.05)


def test_on_scale_changes_levels_alone():
    found = on_scale(BEFORE, depth=16, bits=12)
    assert found["highlights"] == pytest.approx(BEFORE["highlights"] * 65535 / 4095)
    assert {name: found[name] for name in FIGURES[2:]} == {name: BEFORE[name] for name in FIGURES[2:]}


def test_a_large_photograph_is_seen_as_a_small_one():
    large = zoom(gaussian_filter(part(), (0, 1, 1)), (1, 6, 6), order=1)  # (1, 1536, 1536)
    small = appearance(gaussian_filter(part(), (0, 1, 1)))
    found = appearance(large)
    for name in set(FIGURES) - {"focus"}:
        assert found[name] == pytest.approx(small[name], rel=0.02), name


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 2, 900), (1, 64, 64)])
def test_images_without_anything_have_figures_too(shape):
    found = appearance(np.full(shape, 7, np.uint8))
    assert tuple(found) == FIGURES
    assert np.isfinite(list(found.values())).all()
    assert (found["shadows"], found["tonal_range"], found["focus"], found["size"]) == (7.0, 0.0, 0.0, 0.0)
    assert not any(appearance(np.zeros(shape, np.uint8))[name] for name in ("highlights", "tonal_range", "focus"))

import numpy as np
import pytest

from flawline.vision.foreground import INK
from flawline.vision.rings import PEAKS, RADII, likely_spins, mass_of, ring_spectra


def drawing(degrees=0.0, centre=(40.0, 48.0), size=(80, 96), shape="arm"):
    """A disk with one arm (or two opposite ones), turned counter-clockwise about ``centre``."""
    rows, columns = np.indices(size).astype(float)
    turn = np.deg2rad(degrees)
    y, x = rows - centre[0], columns - centre[1]
    along, across = x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn)
    inside = (np.hypot(y, x) <= 12) | (
        (np.abs(across) <= 4) & (along >= (0 if shape == "arm" else -30)) & (along <= 30)
    )
    return (INK * inside).astype(np.float32)


def spins(degrees, shape="arm"):
    mine, other = drawing(shape=shape), drawing(degrees, (38.0, 50.0), shape=shape)
    spectra = [ring_spectra(each, mass_of(each).centre, mass_of(each).reach) for each in (other, mine)]
    return likely_spins(*spectra)


@pytest.mark.parametrize("degrees", [0.0, 37.0, -100.0, 178.5])
def test_the_turn_of_a_part_without_symmetry_comes_first(degrees):
    (angle, correlation), *_ = spins(degrees)
    assert (angle - degrees + 180) % 360 - 180 == pytest.approx(0, abs=1.0)
    assert correlation > 0.9


def test_both_turns_of_a_part_with_two_arms_are_told():
    found = spins(30.0, shape="arms")
    assert 2 <= len(found) <= PEAKS
    assert sorted(round(angle) % 180 for angle, _ in found[:2]) == pytest.approx([30, 30], abs=1)
    assert abs((found[0][0] - found[1][0]) % 360 - 180) < 2


def test_mass_is_the_parts_pixels_its_centre_and_reach():
    plain = np.zeros((20, 30), np.float32)
    plain[4:9, 10:21] = INK
    mass = mass_of(plain)
    assert mass.size == pytest.approx(5 * 11 * INK / 2)
    assert mass.centre.tolist() == [6, 15]
    assert mass.reach == pytest.approx(np.hypot(2, 5))
    assert mass_of(np.zeros((5, 5), np.float32)) is None


def test_rings_that_are_the_same_all_around_say_nothing():
    rows, columns = np.indices((61, 61)) - 30
    hill = (INK * np.exp(-(rows**2 + columns**2) / 200)).astype(np.float32)
    spectra = ring_spectra(hill, np.array([30.0, 30.0]), 20.0)
    assert spectra.shape[0] == RADII
    assert np.abs(spectra[:, 0]).max() == 0
    assert np.abs(spectra).max() < 0.01 * np.abs(ring_spectra(drawing(), np.array([40.0, 48.0]), 30.0)).max()

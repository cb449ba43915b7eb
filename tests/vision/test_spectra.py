import numpy as np
import pytest
from moved_parts import part_of

from flawline.vision.levels import grey_levels
from flawline.vision.spectra import likely_turns, polar_spectrum, spectral_descriptor
from flawline.vision.transform import Transform

MOVES = {"shift": Transform(0, 5, -4), "rigid": Transform(30, 3, 2), "similarity": Transform(-40, 2, 3, 1.15)}


def grey_of(move=Transform(), **changes):  # noqa: B008
    return grey_levels(part_of(move, noise=0, **changes))


@pytest.mark.parametrize("align", MOVES)
def test_descriptor_is_alike_after_a_move_of_its_kind_and_unlike_for_another_part(align):
    own, moved, other = (
        spectral_descriptor(grey, align) for grey in (grey_of(), grey_of(MOVES[align]), grey_of(shape="bar"))
    )
    assert np.linalg.norm(own) == pytest.approx(1)
    assert np.linalg.norm(own - moved) < 0.6 * np.linalg.norm(own - other)


def test_a_turn_comes_with_its_opposite_first():
    mine, other = (polar_spectrum(grey_of(move), log=False) for move in (Transform(), Transform(40)))
    first, second, *_ = likely_turns(other, mine, spins=True, scales=False)
    assert (first[0] + 180) % 360 == pytest.approx(second[0] % 360)
    assert min(abs((angle - 40 + 180) % 360 - 180) for angle, _ in (first, second)) <= 1
    assert {scale for _, scale in (first, second)} == {1.0}


def test_a_scale_is_found_and_the_angle_is_0_where_none_is_undone():
    mine, other = (polar_spectrum(grey_of(move), log=True) for move in (Transform(), Transform(scale=1.25)))
    turns = likely_turns(other, mine, spins=False, scales=True)
    assert {angle for angle, _ in turns} == {0.0}
    assert turns[0][1] == pytest.approx(1.25, rel=0.1)  # a step of the log radius

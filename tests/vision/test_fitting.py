import numpy as np
import pytest
from moved_parts import SIZE, foreign, params, part_of

from flawline.checks import FlawlineError
from flawline.vision.fitting import evenly_spread, find_reference, fit_aligner
from flawline.vision.transform import Transform


def test_reference_of_another_product_is_an_error_before_the_long_work():
    images = [foreign()] + [part_of()] * 60
    seen = []

    class Counted:
        def __len__(self):
            return len(images)

        def __getitem__(self, i):
            seen.append(i)
            return images[i]

    with pytest.raises(FlawlineError, match=r"part of the reference 0\.png: 1 of 20 correlate 0\.6 or more with it"):
        fit_aligner(
            Counted(), params("shift", reference="0.png", least_quality=0.6), names=[f"{i}.png" for i in range(61)]
        )
    assert len(seen) <= 21


def test_blank_reference_is_an_error():
    images = [np.full((1, *SIZE), 90, np.uint8), part_of()]
    with pytest.raises(FlawlineError, match=r"the reference 0\.png is blank: its grey levels deviate by 0\.00"):
        fit_aligner(images, params(reference="0.png"), names=["0.png", "1.png"])


@pytest.mark.parametrize("align", ["shift", "rigid", "similarity"])
def test_central_image_is_one_of_those_that_are_alike(align):
    moves = [Transform(0 if align == "shift" else 50 * i, i, -i) for i in range(5)]
    images = [foreign(), np.full((1, *SIZE), 90, np.uint8), *(part_of(move, seed=i) for i, move in enumerate(moves))]
    assert find_reference(images, align) >= 2


def test_all_blank_is_an_error():
    with pytest.raises(FlawlineError, match=r"all 2 training images are blank"):
        find_reference([np.zeros((1, 40, 40), np.uint8)] * 2, "rigid")


@pytest.mark.parametrize(
    ("count", "most", "wanted"), [(5, 9, [0, 1, 2, 3, 4]), (9, 3, [0, 4, 8]), (1, 20, [0]), (7, 1, [0])]
)
def test_numbers_are_spread_from_the_first_to_the_last(count, most, wanted):
    assert evenly_spread(count, most) == wanted

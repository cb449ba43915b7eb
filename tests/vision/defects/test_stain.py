import numpy as np
import pytest
from defect_images import PARAMS, flat, frozen, rng, textured

from flawline.vision.defects import Stain
from flawline.vision.defects.stain import depth_in_stain

WHOLE = frozen(np.ones((100, 100), bool))
ROUND = np.ones(20)


def test_depth_falls_from_one_in_the_middle_to_none_on_the_outline():
    offsets = np.array([[0, 0, 10, 0, 5, 0], [0, 20, 0, 10, 0, 30]])  # (y, x)
    np.testing.assert_allclose(depth_in_stain(offsets, (20, 40), ROUND), [1, 0, 0, 0.5, 0.5, -0.5], atol=1e-12)


def test_outline_passes_through_its_points():
    """Four points, at 0, 90, 180 and 270 degrees, counted from x to y."""
    outline = np.array([1.2, 0.8, 1.0, 0.5])
    ends = np.array([[0, 8, 0, -5], [12, 0, -10, 0]])
    np.testing.assert_allclose(depth_in_stain(ends, (20, 20), outline), 0, atol=1e-12)


def test_even_stain_is_an_ellipse_of_its_size():
    params = PARAMS.stain.but(axes=(0.4, 0.4), irregularity=0, visible=0)
    made = Stain(params)(textured(np.float32, (1, 100, 100)), WHOLE, rng(3))
    assert (made.drawn["height"], made.drawn["width"]) == (pytest.approx(40), pytest.approx(40))
    assert made.mask.sum() == pytest.approx(np.pi * 20**2, rel=0.02)


def test_colour_shines_through_by_opacity_and_softly_at_the_outline():
    params = PARAMS.stain.but(
        axes=(0.5, 0.5), irregularity=0, softness=0.5, colour=(1, 1), opacity=(0.6, 0.6), visible=0
    )
    made = Stain(params)(flat(0.5), WHOLE, rng(3))
    ys, xs = np.nonzero(made.mask)
    depth = 1 - np.hypot(ys - made.drawn["y"], xs - made.drawn["x"]) / 25
    np.testing.assert_allclose(made.image[0, ys, xs], 0.5 + 0.6 * np.minimum(1, 2 * depth) * 0.5, atol=1e-5)


def test_irregular_outlines_differ_and_are_told():
    made = [Stain(PARAMS.stain)(textured(np.float32, (3, 100, 100)), WHOLE, rng(seed)) for seed in (1, 2)]
    outlines = [each.drawn["outline"] for each in made]
    assert outlines[0] != outlines[1]
    assert all(len(each) == 20 and min(each) >= 0.75 and max(each) <= 1.25 for each in outlines)
    assert len(made[0].drawn["colour"]) == 3


def test_colour_too_near_the_image_is_drawn_again():
    image = np.full((1, 100, 100), 0.5, np.float32)
    image[:, :50] = 0.4  # deviation 0.05
    params = PARAMS.stain.but(colour=(0.3, 0.6), visible=1.0, opacity=(1, 1), softness=0.01, axes=(0.1, 0.2))
    for seed in range(10):
        made = Stain(params)(frozen(image), WHOLE, rng(seed))
        assert np.abs(made.image - image)[:, made.mask].mean() >= 0.05 - 1e-6
        image = image.copy()

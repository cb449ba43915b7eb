"""Parts and textures that are turned until they lie as a reference does: where they then lie, and what is left as it
is."""

import numpy as np
import pytest
import torch
from base_params import BASE
from moved_parts import SIZE, aligner_of, part_of

from flawline.intake.examples import draw_twill
from flawline.vision.fitting import aligner_of as aligner_from
from flawline.vision.foreground import find_foreground
from flawline.vision.levelling import (
    BLURS,
    VIEW,
    Leveller,
    apart,
    blur_that_agrees,
    box_around,
    by_localiser,
    by_structure_tensor,
    centroid,
    corners_of,
    localiser_of,
    views_of,
)
from flawline.vision.levels import grey_levels
from flawline.vision.localiser import Localiser
from flawline.vision.orientation import angle_spread
from flawline.vision.transform import IDENTITY, Transform

BARS = [Transform(angle, 4 * k - 6, 5 - 3 * k) for k, angle in enumerate((0.0, 33.0, -70.0, 84.0))]


def bars(**changes):
    return aligner_of(
        "structure_tensor", [part_of(move, shape="bar", seed=k) for k, move in enumerate(BARS)], **changes
    )


@pytest.fixture(scope="module")
def swatches():
    params = BASE.examples.twill.but(image_size=(128, 128), train=8, calibration=1, normal_test=1, anomalous_test=1)
    return [each.image for each in draw_twill(params) if each.mask is None]


# --- parts -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("angle", [-80.0, -33.5, 12.25, 61.0])
def test_a_bar_is_turned_to_the_reference_and_brought_to_its_place(angle):
    leveller = bars(reference="0.png")
    found = leveller.align(part_of(Transform(angle, 9, -7), shape="bar", seed=9))
    assert (found.aligned, found.reason, found.outside) == (True, "", 0)
    assert apart(found.move.angle, angle) == pytest.approx(0, abs=0.5)
    frame = leveller.warp(part_of(Transform(angle, 9, -7), shape="bar", seed=9), found)
    own = leveller.warp(part_of(BARS[0], shape="bar"), leveller.align(part_of(BARS[0], shape="bar")))
    parts = [find_foreground(grey_levels(each)) >= 0.5 for each in (frame, own)]
    assert (parts[0] & parts[1]).sum() > 0.93 * (parts[0] | parts[1]).sum()


def test_the_reference_itself_does_not_move_and_frames_are_of_one_size():
    leveller = bars(reference="1.png")
    assert leveller.align(part_of(BARS[1], shape="bar", seed=1)).move == IDENTITY
    assert all(side % 32 == 0 for side in leveller.size)


def test_a_round_part_is_not_turned_and_that_is_said():
    disks = [part_of(Transform(0, shift, -shift), shape="disk", seed=shift) for shift in (0, 5)]
    leveller = aligner_of("structure_tensor", disks, reference="0.png")
    found = leveller.align(part_of(Transform(0, 8, 6), shape="disk", seed=7))
    assert found.move.angle == 0
    assert (found.move.shift_y, found.move.shift_x) == pytest.approx((8, 6), abs=0.3)  # it is brought to its place
    assert found.aligned
    assert "has no clear orientation" in found.reason
    assert "no image is turned" in leveller.orientation()


def test_a_blank_image_stays_as_it_is_and_one_without_the_part_is_not_aligned():
    leveller = bars()
    blank = leveller.align(np.full((1, *SIZE), 90, np.uint8))
    assert (blank.aligned, blank.move, blank.reason) == (True, IDENTITY, "is blank: not turned")
    assert not leveller.align(part_of(size=(400, 400))).aligned  # too large beside the reference


def test_a_part_longer_than_the_photograph_is_wide_is_not_cut_off():
    size = (96, 96)
    rows, columns = np.mgrid[:96, :96] - 47.5
    slanted = np.where((np.abs(rows - columns) < 9) & (np.abs(rows + columns) < 124), 80, 200).astype(np.uint8)[None]
    level = np.where((np.abs(rows) < 6) & (np.abs(columns) < 40), 80, 200).astype(np.uint8)[None]
    leveller = aligner_of("structure_tensor", [level, slanted], reference="0.png")
    assert leveller.size[1] > size[1]
    assert leveller.align(slanted).outside == 0


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_masks_move_with_their_images_and_types_stay(dtype):
    leveller = bars(reference="0.png")
    image = part_of(BARS[2], shape="bar", dtype=dtype)
    found = leveller.align(image)
    mask = find_foreground(grey_levels(image)) >= 0.5
    moved = leveller.warp(image, found)
    assert moved.dtype == dtype
    both = (find_foreground(grey_levels(moved)) >= 0.5) & leveller.warp_mask(mask, found)
    assert both.sum() > 0.95 * mask.sum()
    assert leveller.cut_off(mask, found) == 0


# --- textures --------------------------------------------------------------------------------------------------------
def middle(image, side):
    """The middle square of an image, which shows no mirror image however it was turned."""
    top, left = ((length - side) // 2 for length in image.shape[1:])
    return grey_levels(image)[top : top + side, left : left + side] / 255


def test_swatches_lie_alike_afterwards_and_nothing_of_them_is_lost(swatches):
    leveller = aligner_of("structure_tensor", swatches)
    found = [leveller.align(image) for image in swatches]
    assert all(each.aligned and not each.reason for each in found)
    frames = [leveller.warp(image, how) for image, how in zip(swatches, found, strict=True)]
    told = [by_structure_tensor(middle(each, 88), leveller.blur)[0] for each in (*swatches, *frames)]
    assert angle_spread(np.array(told[: len(swatches)])) > 30
    assert angle_spread(np.array(told[len(swatches) :])) < 3
    whole = np.ones((128, 128), bool)
    assert max(leveller.cut_off(whole, how) for how in found) == 0
    assert min(frame.min() for frame in frames) > 20  # outside lies the mirror image, no empty corner


def test_the_middle_of_a_texture_is_the_photograph_where_nothing_is_turned(swatches):
    leveller = aligner_of("structure_tensor", swatches[:1])
    found = leveller.align(swatches[0])
    top, left = -leveller.box[0], -leveller.box[1]
    frame = leveller.warp(swatches[0], found)
    np.testing.assert_array_equal(frame[:, top : top + 128, left : left + 128], swatches[0])


def test_blur_is_the_scale_at_which_halves_agree():
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:128, :128]
    greys = []
    for angle in (20, 65, 140):
        waves = np.sin(2 * np.pi * (columns * np.sin(np.deg2rad(angle)) + rows * np.cos(np.deg2rad(angle))) / 24)
        grain = rng.normal(0, 1, (128, 128))
        greys.append((128 + 40 * waves + 30 * grain).astype(np.float32))
    assert blur_that_agrees(greys) >= 2.0  # coarse ribs under fine grain
    assert blur_that_agrees(greys) in BLURS


# --- the localiser ---------------------------------------------------------------------------------------------------
class Told(Localiser):
    """Tells of each view the angle that its first pixel holds, in degrees over 180."""

    def __init__(self):
        torch.nn.Module.__init__(self)

    def forward(self, x):
        return x[:, 0, 0, 0] * 180


def test_angles_of_views_are_averaged_doubled_and_agreement_is_their_length():
    views = torch.zeros(2, 1, 4, 4)
    views[:, 0, 0, 0] = torch.tensor([2.0, -2.0]) / 180  # to be turned by 2 and by -2 degrees: lines at 178 and 2
    angle, clear = by_localiser(Told(), views)
    assert apart(angle, 0) == pytest.approx(0, abs=1e-4)
    assert clear == pytest.approx(np.cos(np.deg2rad(4)))
    views[:, 0, 0, 0] = torch.tensor([45.0, -45.0]) / 180
    assert by_localiser(Told(), views)[1] == pytest.approx(0, abs=1e-6)


def test_views_are_a_whole_part_or_squares_of_a_texture_at_its_own_scale(swatches):
    part = bars()
    (seen,) = views_of(part.compared(part_of(BARS[2], shape="bar"))[0])
    assert seen.shape == (1, VIEW, VIEW)
    assert set(seen.unique().tolist()) == {0.0, 1.0}
    texture = aligner_of("structure_tensor", swatches[:1])
    squares = views_of(texture.compared(np.tile(swatches[0], (1, 2, 2))[:, :200, :220])[0])
    assert squares.shape == (5, 1, VIEW, VIEW)
    np.testing.assert_allclose(squares[0, 0], swatches[0][0] / 255, atol=1e-6)
    small = texture.compared(swatches[0][:, :100, :90])[0]
    assert views_of(small).shape == (1, 1, VIEW, VIEW)


def test_leveller_comes_back_from_its_tensors_with_and_without_a_localiser():
    for leveller in (bars(), bars_by_localiser()):
        again = aligner_from(leveller.to_tensors())
        assert isinstance(again, Leveller)
        image = part_of(BARS[3], shape="bar", seed=5)
        assert again.align(image) == leveller.align(image)
        assert (again.mode, again.box, again.orientation()) == (leveller.mode, leveller.box, leveller.orientation())


def bars_by_localiser():
    from flawline.vision.fitting import fit_aligner

    torch.manual_seed(0)
    images = [part_of(move, shape="bar", seed=k) for k, move in enumerate(BARS)]
    untrained = Localiser("double", channels=1, size=VIEW).state_dict()
    params = BASE.registration.but(align="stn")
    return fit_aligner(images, params, names=list("abcd"), teach=lambda views, blur: untrained)[0]


def test_localiser_of_has_the_weights_and_is_ready():
    weights = Localiser("double", channels=1, size=VIEW).state_dict()
    made = localiser_of(weights)
    assert not made.training
    assert all(torch.equal(value, weights[name]) for name, value in made.state_dict().items())


# --- geometry --------------------------------------------------------------------------------------------------------
def test_orientations_are_apart_by_less_than_a_quarter_turn():
    assert [apart(*pair) for pair in ((10, 170), (170, 10), (45, 45), (91, 0), (90, 0))] == [20, -20, 0, -89, -90]


def test_centroid_is_the_mean_pixel():
    part = np.zeros((5, 7), bool)
    part[1:4, 2] = True
    assert centroid(part).tolist() == [2, 2]


def test_corners_and_box_hold_a_turned_image_whole():
    hull = corners_of(Transform(45.0), (101, 101), (101, 101))
    np.testing.assert_allclose(hull[1] - hull[0], 100 * np.sqrt(2))
    top, left, bottom, right = box_around([hull], margin=3, multiple=32)
    assert (bottom - top) % 32 == (right - left) % 32 == 0
    assert top <= hull[0][0] - 3
    assert bottom > hull[1][0] + 3
    assert left <= hull[0][1] - 3
    assert right > hull[1][1] + 3

import numpy as np
import pytest
from moved_parts import CORNERS, SIZE, aligner_of, displaced, foreign, grain, part_of
from safetensors.torch import load_file, save_file
from scipy.ndimage import gaussian_filter, map_coordinates

from flawline.vision import fitting
from flawline.vision.alignment import Aligner, Alignment
from flawline.vision.transform import IDENTITY, Transform


# --- known moves -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("seed", range(6))
def test_rigid_move_is_found(seed):
    rng = np.random.default_rng(seed)
    wanted = Transform(rng.uniform(-180, 180), *rng.uniform(-10, 10, 2))
    found = aligner_of(brightness="gain").align(part_of(wanted, seed=seed + 1))
    assert found.aligned
    assert found.quality > 0.9
    assert displaced(found.move, wanted) < 0.25
    assert abs((found.move.angle - wanted.angle + 180) % 360 - 180) < 0.3


def test_shift_is_found_and_no_rotation():
    found = aligner_of("shift").align(part_of(Transform(0, 7.25, -11.5), seed=1))
    assert found.move.angle == 0
    assert (found.move.shift_y, found.move.shift_x) == pytest.approx((7.25, -11.5), abs=0.2)


@pytest.mark.parametrize("wanted", [Transform(50, 3, -4, 0.8), Transform(-130, -2, 1, 1.25)])
def test_scale_is_found(wanted):
    found = aligner_of("similarity").align(part_of(wanted, seed=1))
    assert found.move.scale == pytest.approx(wanted.scale, rel=0.01)
    assert displaced(found.move, wanted) < 0.5


def test_move_is_found_in_an_image_of_another_size():
    wanted, size = Transform(-70, 6, 9), (150, 180)
    found = aligner_of().align(part_of(wanted, size=size, seed=1))
    assert displaced(found.move, wanted, size) < 0.25


def test_move_of_a_large_photograph_is_found_on_its_block_means():
    blow_up = np.ones((1, 5, 5), np.uint8)
    wanted = Transform(40, 6, -3)
    aligner = aligner_of(images=[np.kron(part_of(), blow_up)])
    found = aligner.align(np.kron(part_of(wanted, seed=1), blow_up)).move
    assert aligner.factor == 4
    size = (SIZE[0] * 5, SIZE[1] * 5)
    corners = 5 * CORNERS + np.array(size) // 2
    off = found.to_image(corners, size, size) - wanted.enlarged(5, size, size).to_image(corners, size, size)
    assert np.linalg.norm(off, axis=1).mean() < 5 * 0.25


def test_grain_without_background_is_aligned_as_a_whole():
    rng = np.random.default_rng(0)
    grain = gaussian_filter(rng.normal(0, 1, (200, 200)), 1.5)
    grain = np.clip(128 + 40 * grain / grain.std(), 0, 255)
    reference, moved = (grain[y : y + 128, x : x + 128].astype(np.uint8)[None] for y, x in ((30, 30), (35, 22)))
    aligner = aligner_of(images=[reference])
    assert aligner.part is None
    assert aligner.box == (0, 0, 128, 128)
    found = aligner.align(moved)
    assert (found.move.angle, found.move.shift_y, found.move.shift_x) == pytest.approx((0, -5, 8), abs=0.2)


def test_16_bit_is_aligned_and_stays_16_bit():
    aligner = aligner_of(images=[part_of(dtype=np.uint16)])
    wanted = Transform(100, 5, -5)
    image = part_of(wanted, dtype=np.uint16, seed=1)
    found = aligner.align(image)
    assert displaced(found.move, wanted) < 0.25
    frame = aligner.warp(image, found)
    assert frame.dtype == np.uint16
    top, left, bottom, right = aligner.box
    wanted = part_of(dtype=np.uint16)[:, top:bottom, left:right].astype(float)
    assert np.abs(frame - wanted).mean() < 5 * 257  # noise alone makes 3


# --- how it is undone ------------------------------------------------------------------------------------------------
def frame_of(image, aligner):
    top, left, bottom, right = aligner.box
    return image[:, top:bottom, left:right]


def test_reference_itself_is_copied_to_the_bit():
    aligner = aligner_of(brightness="gain_offset")
    found = aligner.align(part_of())
    assert found.move == IDENTITY
    assert (found.gain, found.offset) == (1, 0)
    np.testing.assert_array_equal(aligner.warp(part_of(), found), frame_of(part_of(), aligner))


def test_move_by_whole_pixels_copies_and_goes_on_at_the_border():
    aligner = aligner_of(crop=False)
    colour = np.concatenate([part_of(seed=seed) for seed in range(3)])
    frame = aligner.warp(colour, Alignment(Transform(0, 3, -20)))
    np.testing.assert_array_equal(frame[:, :-3, 20:], colour[:, 3:, :-20])
    np.testing.assert_array_equal(frame[:, -3:, 20:], np.repeat(colour[:, -1:, :-20], 3, axis=1))
    np.testing.assert_array_equal(frame[:, :-3, :20], np.repeat(colour[:, 3:, :1], 20, axis=2))


def test_image_of_another_size_is_laid_middle_on_middle():
    aligner = aligner_of(crop=False)
    large = np.pad(part_of(), [(0, 0), (4, 4), (6, 6)])
    np.testing.assert_array_equal(aligner.warp(large, Alignment()), part_of())


def test_warped_part_lies_on_the_reference_and_nothing_is_black():
    aligner = aligner_of(margin=30)
    image = part_of(Transform(37, 12, -15), seed=1)
    frame = aligner.warp(image, aligner.align(image))
    assert np.abs(frame.astype(int) - frame_of(part_of(), aligner)).mean() < 4  # noise alone makes 2
    assert frame.min() > 60


@pytest.mark.parametrize("move", [Transform(20, 2.5, -1.25), Transform(0, 2.5, -31.25), Transform(-100, 1, 2, 1.3)])
def test_warp_interpolates_as_scipy_does_in_one_step_and_goes_on_at_the_border(move):
    aligner = aligner_of(crop=False)
    middle = np.array(SIZE) // 2
    points = move.matrix @ (np.indices(SIZE).reshape(2, -1) - middle[:, None]) + middle[:, None]
    points += np.array([[move.shift_y], [move.shift_x]])
    inside = np.clip(points, 0, np.array(SIZE)[:, None] - 1)
    wanted = map_coordinates(part_of()[0].astype(float), inside, order=3, mode="reflect").reshape(SIZE)
    np.testing.assert_allclose(aligner.warp(part_of(), Alignment(move))[0], wanted, atol=0.51)


def test_mask_moves_with_its_image():
    aligner = aligner_of(crop=False)
    move = Transform(60, 4, -7)
    mask, wanted = (part_of(each, noise=0, shape="bar")[0] < 140 for each in (move, IDENTITY))
    moved = aligner.warp_mask(mask, Alignment(move))
    assert (moved & wanted).sum() / (moved | wanted).sum() > 0.93
    assert (mask & wanted).sum() / (mask | wanted).sum() < 0.3


def test_no_pixel_of_a_mask_is_lost_between_those_of_the_frame():
    aligner = aligner_of(crop=False)
    for row in range(40, 70):
        mask = np.zeros(SIZE, bool)
        mask[row, 2 * row - 60] = True
        assert 1 <= aligner.warp_mask(mask, Alignment(Transform(45, 0.5, 0.3))).sum() <= 4
    assert not aligner.warp_mask(np.zeros(SIZE, bool), Alignment(Transform(45))).any()


@pytest.mark.parametrize("move", [Transform(0, 4, -7), Transform(37, 5, -3), Transform(-120, 2, 1, 1.25)])
def test_a_plane_of_the_frame_lies_in_the_photograph_again_where_it_was(move):
    aligner, size = aligner_of(), (150, 180)
    there = Alignment(move, 1.0)
    (spot,) = aligner.in_photograph(np.array([(40, 30)]), there, size)
    rows, columns = np.indices(size)
    photograph = 200 * np.exp(-((rows - spot[0]) ** 2 + (columns - spot[1]) ** 2) / (2 * 4**2))
    framed = aligner.warp(photograph[None].astype(np.uint8), there)[0]
    back = aligner.unwarp(framed, there, size)
    assert back.shape == size
    assert np.unravel_index(framed.argmax(), framed.shape) == (40, 30)
    np.testing.assert_allclose(np.unravel_index(back.argmax(), size), spot, atol=1)
    inside = aligner.unwarp(np.ones(aligner.size), there, size) > 0
    assert np.abs(back - photograph)[inside].max() < 6


def test_where_the_frame_does_not_reach_a_plane_has_its_lowest_value():
    aligner = aligner_of()
    back = aligner.unwarp(np.full(aligner.size, -3.0), Alignment(IDENTITY, 1.0), (300, 300))
    assert (back == -3).all()


def test_mask_outside_the_frame_is_counted():
    aligner = aligner_of(margin=0)
    top, left, bottom, right = aligner.box
    mask = np.ones(SIZE, bool)
    assert aligner.cut_off(mask, Alignment()) == SIZE[0] * SIZE[1] - (bottom - top) * (right - left)
    mask[:] = False
    mask[top : top + 5, left] = True
    assert aligner.cut_off(mask, Alignment()) == 0
    assert aligner.cut_off(mask, Alignment(Transform(0, 3, 0))) == 3


# --- frame -----------------------------------------------------------------------------------------------------------
def test_frame_is_the_hull_of_all_training_parts_in_multiples_of_32():
    long = part_of(shape="bar")
    short = long.copy()
    short[:, :40] = short[:, :1]
    _, left, _, right = aligner_of("shift", [short, long], reference="0.png", margin=2, least_quality=0).box
    top, _, bottom, _ = aligner_of("shift", [short, long], reference="0.png", margin=2, least_quality=0).box
    assert (bottom - top, right - left) == (96, 32)
    assert left <= 60 - 9 - 2
    assert right >= 60 + 9 + 3


def test_frame_stays_in_the_photograph():
    aligner = aligner_of(margin=500)
    assert aligner.box == (0, 0, *SIZE)
    assert aligner_of(crop=False).box == (0, 0, *SIZE)


def test_part_that_leaves_the_frame_is_counted():
    aligner = aligner_of("shift", [part_of(shape="bar")], margin=0)
    _, _, _, right = aligner.box
    armed = part_of(shape="bar").copy()
    armed[0, 50:60, 60:110] = 80
    assert aligner.align(part_of(shape="bar", seed=1)).outside == 0
    assert aligner.align(armed).outside == pytest.approx(10 * (110 - right - 1), abs=40)


# --- orientation -----------------------------------------------------------------------------------------------------
def test_disk_has_no_orientation_and_no_rotation_is_undone():
    aligner = aligner_of(images=[part_of(shape="disk")])
    assert "no unique orientation, and no rotation is undone" in aligner.orientation()
    found = aligner.align(part_of(Transform(0, 5, -3), shape="disk", seed=1))
    assert found.aligned
    assert found.move.angle == 0
    assert (found.move.shift_y, found.move.shift_x) == pytest.approx((5, -3), abs=0.2)


def test_bar_looks_the_same_after_half_a_turn():
    aligner = aligner_of(images=[part_of(shape="bar")])
    assert "which of these is undone" in aligner.orientation()
    assert aligner.align(part_of(Transform(30), shape="bar", seed=1)).move.angle % 180 == pytest.approx(30, abs=0.5)


def test_angle_is_an_orientation():
    assert "has a unique orientation" in aligner_of().orientation()


# --- brightness ------------------------------------------------------------------------------------------------------
def test_gain_brings_the_median_to_the_references():
    aligner = aligner_of(brightness="gain")
    darker = np.rint(part_of(Transform(20, 3, 3), seed=1) * 0.8).astype(np.uint8)
    found = aligner.align(darker)
    assert found.gain == pytest.approx(1.25, abs=0.01)
    assert found.offset == 0
    frame, wanted = aligner.warp(darker, found), frame_of(part_of(), aligner)
    assert np.median(frame) == pytest.approx(np.median(wanted), abs=1)


def test_gain_and_offset_bring_mean_and_deviation_to_the_references():
    aligner = aligner_of(brightness="gain_offset")
    flatter = np.rint(part_of(Transform(20, 3, 3), seed=1) * 0.5 + 60).astype(np.uint8)
    found = aligner.align(flatter)
    assert (found.gain, found.offset) == (pytest.approx(2, abs=0.05), pytest.approx(-120, abs=6))
    frame, wanted = aligner.warp(flatter, found).astype(float), frame_of(part_of(), aligner)
    assert (frame.mean(), frame.std()) == (pytest.approx(wanted.mean(), abs=1), pytest.approx(wanted.std(), abs=1))


def test_without_brightness_nothing_is_changed():
    darker = np.rint(part_of(seed=1) * 0.8).astype(np.uint8)
    assert (aligner_of().align(darker).gain, aligner_of().align(darker).offset) == (1, 0)


# --- what cannot be aligned ------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (np.full((1, *SIZE), 90, np.uint8), "is blank"),
        (foreign(), r"correlates 0\.\d\d with the reference, wanted 0.6"),
        (np.random.default_rng(0).integers(0, 256, (3, *SIZE), np.uint8), "shows no part"),
        (np.tile(part_of(), (1, 3, 1)), "is 336 x 120 pixels, the reference 112 x 120"),
    ],
)
def test_what_cannot_be_aligned_says_why_and_is_not_moved(image, reason):
    found = aligner_of(least_quality=0.6).align(image)
    assert not found.aligned
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(found.reason)
    assert found.move == IDENTITY
    assert (found.gain, found.outside) == (1, 0)
    assert found.quality < 0.6


# --- storing ---------------------------------------------------------------------------------------------------------
def test_aligner_survives_a_file_of_tensors(tmp_path):
    aligner = aligner_of("similarity", brightness="gain_offset", margin=3)
    save_file(aligner.to_tensors(), tmp_path / "aligner.safetensors")
    again = Aligner.from_tensors(load_file(tmp_path / "aligner.safetensors"))
    image = part_of(Transform(77, 3, 4, 1.1), seed=1)
    assert again.align(image) == aligner.align(image)
    np.testing.assert_array_equal(again.warp(image, again.align(image)), aligner.warp(image, aligner.align(image)))


# --- the rim of a photograph -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("turn", [0, 37])
def test_the_frame_of_a_part_near_the_rim_shows_the_photograph_where_the_photograph_reaches(turn):
    aligner = aligner_of(margin=20)
    image = part_of(Transform(turn, 16, 0), seed=1)
    alignment = aligner.align(image)
    seen = aligner.seen(alignment, image.shape[1:])
    assert seen.shape == aligner.size
    assert 0.5 < seen.mean() < 1
    marked = aligner.warp_mask(np.ones(image.shape[1:], bool), alignment)  # what of a full mask arrives
    assert (marked != seen).mean() < 0.01  # but for half a pixel along the rim
    middle = aligner.align(part_of(seed=1))
    assert aligner_of(margin=2).seen(middle, SIZE).all()


def test_a_part_that_the_rim_cuts_off_is_not_judged_and_one_beside_the_rim_is():
    aligner = aligner_of()
    assert aligner.align(part_of(Transform(0, 24, 0), seed=1)).aligned  # its lowest row lies 1 pixel above the rim
    cut = aligner.align(part_of(Transform(0, 0, 42), seed=1))  # 7 columns of its foot lie beyond
    assert not cut.aligned
    assert cut.reason == "shows a part that touches its rim, which may cut it off"
    assert 0.03 < aligner.hidden_share(Transform(0, 0, 42), SIZE) < 0.1


@pytest.mark.parametrize("align", ["rigid", "structure_tensor"])
def test_where_some_training_parts_lie_at_the_rim_one_there_is_judged(align):
    usual = [part_of(seed=k) for k in range(8)]
    at_rim = [part_of(Transform(0, 0, 36), seed=k) for k in (8, 9)]  # their foot ends at the rim
    seldom, often = (aligner_of(images=some, align=align) for some in ([*usual, *usual, at_rim[0]], [*usual, *at_rim]))
    assert (seldom.at_rim, often.at_rim) == (False, True)
    lies_there = part_of(Transform(0, 0, 36), seed=1)
    assert not seldom.align(lies_there).aligned
    assert often.align(lies_there).aligned
    assert fitting.aligner_of(often.to_tensors()).at_rim


def test_where_the_reference_touches_the_rim_too_it_counts_how_much_of_its_part_would_lie_beyond():
    aligner = aligner_of(images=[part_of(Transform(0, 0, 36))])  # its foot ends at the rim
    assert aligner.align(part_of(Transform(0, 0, 36), seed=1)).aligned
    cut = aligner.align(part_of(Transform(0, 0, 42), seed=1))
    assert not cut.aligned
    assert cut.reason.startswith("does not show ")
    assert cut.reason.endswith(" of the part, which its rim cuts off")


def test_a_texture_has_no_part_that_could_be_cut_off():
    aligner = aligner_of("shift", [grain()[None].astype(np.uint8)], crop=False)
    assert aligner.part is None
    assert aligner.hidden_share(Transform(0, 500, 0), SIZE) == 0

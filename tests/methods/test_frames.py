"""Frames of small images: which pixels they hold, which of these count, and that all of an image is seen."""

import numpy as np
import pytest
import torch
from base_params import BASE
from pydantic import ValidationError

from flawline.checks import FlawlineError
from flawline.methods.frames import (
    check_frames,
    cut_reflected,
    frame_windows,
    framed,
    margin_of,
    middle_of,
    reflected,
    split_counts,
    unframed,
    widened,
    window_side,
)
from flawline.training.windows import to_unit
from flawline.vision.patches import patch_grid
from flawline.vision.turning import turn

PATCHES = BASE.ae.patches.but(size=32, side=64, stride=16, per_epoch=12)
ZEROS = PATCHES.but(padding="zeros")


def images(count=3, size=(64, 72), seed=0):
    return list(np.random.default_rng(seed).integers(0, 256, (count, 1, *size), dtype=np.uint8))


@pytest.mark.parametrize("margin", [0, 5, 20])
def test_windows_are_those_of_the_reflected_image(margin):
    (image,) = images(1, (30, 40))
    padded = np.pad(image, ((0, 0), (margin, margin), (margin, margin)), mode="reflect")
    grid = patch_grid(*padded.shape[1:], size=16, stride=7)
    wanted = np.stack([padded[:, y : y + 16, x : x + 16] for y, x in grid])
    np.testing.assert_array_equal(cut_reflected(image, grid, 16, margin), wanted)


def test_reflection_by_hand():
    assert reflected(np.arange(-2, 6), 4).tolist() == [2, 1, 0, 1, 2, 3, 2, 1]


def test_surroundings_all_count_and_nothing_changes():
    windows = torch.rand(2, 1, window_side(PATCHES), window_side(PATCHES))
    channels, counts = split_counts(framed(windows, PATCHES))
    assert torch.equal(channels, windows)
    assert (counts == 1).all()


def test_zeros_surround_the_patch_shrunk_to_its_size():
    windows = torch.full((1, 1, window_side(ZEROS), window_side(ZEROS)), 0.5)
    channels, counts = split_counts(framed(windows, ZEROS))
    assert channels.shape == counts.shape == (1, 1, 32, 32)
    inside = counts[0, 0] == 1
    assert inside.sum() == 20**2  # 32 of 46 pixels, shrunk to 32: 22.3, whose rim is mixed with zeros
    torch.testing.assert_close(channels[0, 0][inside], torch.full((20**2,), 0.5))
    assert float(channels[0, 0, :4].abs().max()) == 0
    assert inside[6:26, 6:26].all()


@pytest.mark.parametrize("degrees", [0, 17, 45, 80])
def test_a_turned_frame_of_zeros_clips_nothing_that_counts(degrees):
    windows = torch.rand(1, 1, window_side(ZEROS), window_side(ZEROS))
    _, counts = split_counts(framed(windows, ZEROS))
    assert float(turn(counts, float(degrees), "bilinear").sum()) == pytest.approx(20**2, rel=0.01)


@pytest.mark.parametrize("degrees", [0, 17, 45, 80])
def test_a_turned_frame_of_surroundings_fills_the_patch(degrees):
    counts = torch.ones(1, 1, window_side(PATCHES), window_side(PATCHES))
    turned = middle_of(turn(counts, float(degrees), "bilinear"), 32)
    assert float(turned.min()) > 0.999


def test_frames_become_windows_again():
    for patches in (PATCHES, ZEROS):
        x = framed(torch.full((1, 1, 46, 46), 0.25), patches)
        back = unframed(x, patches)
        assert back.shape == (1, 2, 46, 46)
        torch.testing.assert_close(middle_of(back, 20), torch.tensor([0.25, 1.0]).view(1, 2, 1, 1).expand(1, 2, 20, 20))


def test_middle_and_widened_undo_each_other():
    x = torch.rand(2, 1, 6, 6)
    assert torch.equal(middle_of(widened(x, 10), 6), x)
    assert float(widened(x, 10).sum()) == pytest.approx(float(x.sum()), rel=1e-6)
    assert torch.equal(widened(x, 10, outside="replicate")[..., 0, 0], x[..., 0, 0])


@pytest.mark.parametrize("patches", [PATCHES, ZEROS])
@pytest.mark.parametrize("size", [(64, 64), (64, 100), (47, 33)])
def test_every_pixel_is_seen_at_every_angle(patches, size):
    """By the disk that a patch holds at every angle with surroundings, by the patch itself with zeros."""
    margin, side = margin_of(patches), window_side(patches)
    whole = [length + 2 * margin for length in size]
    seen = np.zeros(whole, bool)
    ys, xs = np.indices((side, side)) - (side - 1) / 2
    disk = ys**2 + xs**2 <= 16**2
    square = (np.abs(ys) < 16) & (np.abs(xs) < 16)
    widest = patches.but(stride=22)  # of 32 / sqrt(2)
    for y, x in patch_grid(*whole, size=side, stride=widest.stride):
        seen[y : y + side, x : x + side] |= disk if patches.padding == "surroundings" else square
    assert seen[margin : whole[0] - margin, margin : whole[1] - margin].all()


@pytest.mark.parametrize("size", [(64, 64), (47, 33)])
def test_with_zeros_around_them_patches_count_to_the_images_rim(size):
    """As a patch shrinks, the pixels at its rim are zeros in part and do not count."""
    margin, side = margin_of(ZEROS), window_side(ZEROS)
    at = patch_grid(*(length + 2 * margin for length in size), size=side, stride=16)
    windows = cut_reflected(np.full((1, *size), 200, np.uint8), at, side, margin)
    counted = unframed(split_counts(framed(to_unit(windows), ZEROS))[1], ZEROS)[:, 0]  # (n, S, S)
    seen = np.zeros([length + 2 * margin for length in size])
    for (y, x), one in zip(at, counted.numpy(), strict=True):
        seen[y : y + side, x : x + side] += one
    assert seen[margin:-margin, margin:-margin].min() > 0.05


def test_windows_are_the_same_for_the_same_seed_and_differ_from_epoch_to_epoch():
    one, again, other = (frame_windows(images(), range(3), PATCHES, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.epoch(3), again.epoch(3))
    assert (one.epoch(3) != one.epoch(4)).any()
    assert (one.epoch(3) != other.epoch(3)).any()
    np.testing.assert_array_equal(one.fixed(), again.fixed())
    assert torch.equal(one.cut(one.epoch(0)), again.cut(again.epoch(0)))
    assert one.epoch(0).shape == (12, 4)
    assert set(one.epoch(0)[:, 0]) == {0, 1, 2}


def test_windows_reach_all_of_the_reflected_image_and_nothing_beyond():
    some = frame_windows(images(), range(3), PATCHES.but(per_epoch=5000), seed=0).epoch(0)
    margin, side = margin_of(PATCHES), window_side(PATCHES)
    assert some[:, 1].min() == some[:, 2].min() == 0
    assert some[:, 1].max() == 64 + 2 * margin - side
    assert some[:, 2].max() == 72 + 2 * margin - side
    assert (some[:, 3].min(), some[:, 3].max()) == (0, 359)


def test_a_turned_window_is_the_window_turned():
    windows = frame_windows(images(), range(3), PATCHES, seed=0)
    straight = frame_windows(images(), range(3), PATCHES.but(turned=False), seed=0)
    at = np.array([[0, 20, 25, 90], [1, 3, 4, 0]])
    turned, plain = windows.cut(at), straight.cut(at)
    torch.testing.assert_close(turned[0], torch.rot90(plain[0], 1, (1, 2)), atol=1e-4, rtol=0)
    torch.testing.assert_close(turned[1], plain[1], atol=1e-4, rtol=0)
    assert (straight.epoch(0)[:, 3] == 0).all()


def test_shown_are_the_channels():
    windows = frame_windows(images(), range(3), PATCHES, seed=0)
    x = windows.cut(windows.epoch(0))
    assert torch.equal(windows.shown(x), x[:, :1])
    assert x.dtype == torch.float32
    assert 0 <= float(x.min()) <= float(x.max()) <= 1


def test_images_need_not_be_square_but_must_hold_a_patch():
    check_frames([(1, 64, 300), (1, 40, 32)], patches=PATCHES)
    with pytest.raises(FlawlineError, match=r"patches.size = 32 is larger than 1 of 2 images once downsized .*30 x 90"):
        check_frames([(1, 64, 64), (1, 30, 90)], patches=PATCHES)
    with pytest.raises(FlawlineError, match=r"patches\.size = 32 is larger than 1 of 1 images"):
        frame_windows(images(1, (20, 90)), [0], PATCHES, seed=0)


@pytest.mark.parametrize(("changes", "said"), [
    ({"size": 40}, "multiple of 16"), ({"size": 80}, "must not exceed side"),
    ({"stride": 23}, r"must not exceed size / sqrt\(2\).*got 23 for patches of 32"),
])  # fmt: skip
def test_geometry_that_cannot_be_is_refused(changes, said):
    with pytest.raises(ValidationError, match=said):
        PATCHES.but(**changes)
    ZEROS.but(stride=32)

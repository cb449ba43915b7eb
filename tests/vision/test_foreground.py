import numpy as np
import pytest

from flawline.vision.foreground import (
    block_mean,
    enlarged,
    find_foreground,
    find_outline,
    neighbourhood,
    render_foreground,
    soften,
)

SIDE = 128
ROWS, COLUMNS = np.mgrid[:SIDE, :SIDE]
BLOCK = (abs(ROWS - 60) <= 20) & (abs(COLUMNS - 70) <= 30)  # 41 x 61


def photograph(part=50.0, background=200.0, noise=2.0, seed=0):
    grey = np.where(BLOCK, part, background) + np.random.default_rng(seed).normal(0, noise, BLOCK.shape)
    return np.clip(grey, 0, 255).astype(np.float32)


@pytest.mark.parametrize(("part", "background"), [(50, 200), (220, 10), (120, 150)])
def test_part_is_found_to_the_pixel_or_so(part, background):
    found = find_foreground(photograph(part, background)) >= 0.5
    assert (found ^ BLOCK).sum() <= 2 * (41 + 61)  # less than a pixel around


def test_uneven_light_and_dust_are_background():
    grey = photograph() - 0.25 * ROWS
    grey[5:8, 5:8] = 60
    found = find_foreground(grey.astype(np.float32)) >= 0.5
    assert (found ^ BLOCK).sum() <= 2 * (41 + 61)


def test_hole_belongs_to_the_part():
    grey = photograph()
    grey[55:65, 65:75] = 200
    assert (find_foreground(grey)[55:65, 65:75] == 1).all()


def test_soft_shadow_is_not_the_part():
    shadow = 70 * np.exp(-np.maximum(COLUMNS - 100, 0) / 12) * ((COLUMNS > 100) & (abs(ROWS - 60) <= 20))
    found = find_foreground((photograph() - shadow).astype(np.float32)) >= 0.5
    assert (found & ~BLOCK).sum() <= 3 * 41  # three columns of it at the most; forty grey levels deep are seven


def test_texture_and_blank_have_no_part():
    noise = np.random.default_rng(0).normal(128, 20, (SIDE, SIDE)).astype(np.float32)
    stripes = (128 + 60 * np.sign(np.sin(COLUMNS / 3))).astype(np.float32)
    assert find_foreground(noise) is None
    assert find_foreground(stripes) is None
    assert find_foreground(np.full((SIDE, SIDE), 128, np.float32)) is None


def test_large_photograph_is_judged_on_its_block_means():
    large = np.kron(photograph(), np.ones((5, 5), np.float32))[:-3, :-2]
    found = find_foreground(large) >= 0.5
    assert found.shape == large.shape
    wanted = np.kron(BLOCK, np.ones((5, 5), bool))[:-3, :-2]
    assert (found ^ wanted).mean() < 0.02


def test_block_mean_by_hand():
    grey = np.array([[1, 3, 9], [5, 7, 9], [9, 9, 9]], np.float32)
    np.testing.assert_array_equal(block_mean(grey, 2), [[4]])
    assert block_mean(grey, 1) is grey


def test_neighbourhood_holds_the_part_and_little_more():
    around = neighbourhood(BLOCK)
    assert around[BLOCK].all()
    assert (ROWS[around].min(), ROWS[around].max()) == (36, 84)  # 3 % of 128 are 4 pixels


def test_drawing_knows_neither_light_nor_background():
    grey = photograph()
    grey[50:60, 50:60] = 90  # a mark on the part
    share = BLOCK.astype(np.float32)
    drawing = render_foreground(grey, share, 5.0)
    darker = 0.5 * grey + 40
    darker[~BLOCK] = 130
    np.testing.assert_allclose(render_foreground(darker.astype(np.float32), share, 5.0), drawing, atol=1)  # of 192
    assert drawing[~neighbourhood(BLOCK)].max() < 0.1
    assert drawing[52:58, 52:58].mean() > drawing[70:76, 52:58].mean() + 10


def test_a_pixel_on_the_outline_is_covered_in_part_and_blocks_are_means_of_pixels():
    grey = photograph(noise=0.0)
    grey[60, 101] = 125  # half of it is part
    share = find_foreground(grey)
    assert 0.2 < share[60, 101] < 0.9
    blocks = find_foreground(grey, blocks=2)
    assert blocks.shape == (64, 64)
    np.testing.assert_allclose(blocks.sum() * 4, share.sum(), rtol=0.01)


def test_outline_of_one_photograph_finds_the_parts_of_others_in_other_light():
    outline = find_outline(photograph())
    found = find_foreground(photograph(90, 160, seed=4), outline) >= 0.5
    assert (found ^ BLOCK).sum() <= 2 * (41 + 61)
    assert find_outline(np.full((SIDE, SIDE), 128, np.float32)) is None


def test_softened_is_a_gaussian_of_a_pixel_and_levels_between_blocks_lie_on_lines():
    point = np.zeros((9, 9), np.float32)
    point[4, 4] = 256
    np.testing.assert_array_equal(soften(point)[4], [0, 0, 6, 24, 36, 24, 6, 0, 0])
    ramp = np.arange(4, dtype=np.float32)[None].repeat(3, axis=0)
    large = enlarged(ramp, 2, (6, 9))
    np.testing.assert_allclose(large[0], [0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3, 3])

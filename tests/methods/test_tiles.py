import pytest
import torch
from base_params import BASE

from flawline.methods import features, tiles
from flawline.methods.features import load_extractor
from flawline.methods.lite import VARIANTS, load_lite
from flawline.methods.tiles import Field, in_tiles, pays, side_of_tiles, spans

FIELDS = {(2, 3, 4): 16, (0, 2): 8, (5,): 32}  # layers and their period


@torch.no_grad()
@pytest.mark.parametrize("layers", FIELDS)
@pytest.mark.parametrize("size", [(64, 1100), (1117, 203)])
def test_tiles_give_what_the_whole_image_gives(layers, size):
    network, _ = load_lite("lite0", layers)
    image = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0)) * 2 - 1
    field = VARIANTS["lite0"].field(layers)
    assert field.period == FIELDS[layers]
    seen = []

    def watched(tile):
        seen.append(max(tile.shape[2:]))
        return network(tile)

    found = in_tiles(watched, image, field, side=2 * field.reach + 160)
    assert len(seen) > 1
    assert max(seen) <= 2 * (field.reach + field.period) + 160
    for tiled, whole in zip(found, network(image), strict=True):
        torch.testing.assert_close(tiled, whole, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_an_output_depends_on_nothing_beyond_its_reach():
    layers = (2, 3, 4)
    field = VARIANTS["lite0"].field(layers)
    network, _ = load_lite("lite0", layers)
    image = torch.zeros(1, 3, 64, 2 * field.reach + 4 * field.period)
    changed = image.clone()
    changed[..., : field.period] = 1.0
    for layer, other in zip(network(image), network(changed), strict=True):
        stride = image.shape[3] // layer.shape[3]
        beyond = (field.reach + field.period) // stride
        torch.testing.assert_close(layer[..., beyond + 1 :], other[..., beyond + 1 :], rtol=0, atol=0)
        assert not torch.equal(layer[..., : field.reach // 2 // stride], other[..., : field.reach // 2 // stride])


def test_tiles_count_every_pixel_once_and_see_enough_around_it():
    field = Field(reach=30, period=16)
    for length in (1, 100, 512, 517):
        tiles = list(spans(length, field, side=160))
        counted = [pixel for tile in tiles for pixel in range(length)[tile.counts]]
        assert counted == list(range(length))
        for tile in tiles:
            assert tile.seen.start % 16 == 0
            assert (length - tile.seen.stop) % 16 == 0
            assert tile.seen.start == 0 or tile.counts.start - tile.seen.start >= 30
            assert tile.seen.stop == length or tile.seen.stop - tile.counts.stop >= 30


@torch.no_grad()
def test_large_images_are_looked_at_in_tiles_and_others_whole(monkeypatch):
    extractor = load_extractor(BASE.patch_memory_free.scorer.features)
    image = torch.rand(1, 1, 96, 700, generator=torch.Generator().manual_seed(0))
    whole, used = extractor(image), []

    def in_small_tiles(network, images, field):
        used.append(images.shape)
        return in_tiles(network, images, field, side=2 * field.reach + 160)

    monkeypatch.setattr(features, "in_tiles", in_small_tiles)
    extractor(image)
    assert used == []
    monkeypatch.setattr(tiles, "SIDE", 400)
    monkeypatch.setattr(tiles, "REACHES", 1)
    for tiled, layer in zip(extractor(image), whole, strict=True):
        torch.testing.assert_close(tiled, layer, rtol=1e-4, atol=1e-4)
    assert used == [(1, 3, 96, 700)]


def test_the_further_outputs_reach_the_larger_the_tiles():
    near, far = VARIANTS["lite0"].field((2, 3, 4)), VARIANTS["lite2"].field((7,))
    assert side_of_tiles(near) == tiles.SIDE
    assert side_of_tiles(far) == 6 * far.reach
    assert pays((100, 2 * tiles.SIDE), near)
    assert not pays((tiles.SIDE, tiles.SIDE), near)
    assert not pays((100, 2 * tiles.SIDE), far)

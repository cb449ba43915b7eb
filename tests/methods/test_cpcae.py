import json

import numpy as np
import pytest
import torch
from base_params import BASE
from torch import nn, tensor

from flawline.checks import FlawlineError
from flawline.methods import cpcae
from flawline.methods.cpcae import CPCAE, CPCAEReconstructor, check_images, cpcae_objective, load_cpcae, sparse_loss
from flawline.methods.grid_positions import grid_windows, split_position, with_position
from flawline.params import ComputeParams
from flawline.training.compute import using_threads
from flawline.vision.downsizing import downsize, upsize
from flawline.vision.levels import unit

CPCAE_MODEL = BASE.cpcae.model

GEOMETRY = BASE.cpcae.patches.but(side=24, size=16, stride=8, per_epoch=20)
MODEL = CPCAE_MODEL.but(channels=(4, 8), latent_size=6)
ONE_THREAD = ComputeParams(device="cpu", threads=1)


@pytest.fixture
def images():
    """Six downsized images (3, 24, 24), uint8, read-only."""
    images = list(np.random.default_rng(3).integers(0, 256, (6, 3, 24, 24), dtype=np.uint8))
    for image in images:
        image.setflags(write=False)
    return images


@pytest.fixture(autouse=True)
def one_thread():
    with using_threads(1):
        yield


def built(*, channels=3, size=16, seed=0, **params):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return CPCAE(MODEL.model_copy(update=params), channels=channels, size=size)


def placed(places, *, channels=3, size=16, total=9):
    """Return a patch at random for each of ``places``."""
    patches = torch.rand(len(places), channels, size, size, generator=torch.Generator().manual_seed(1))
    return with_position(patches, np.array(places), total)


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


# --- network ---------------------------------------------------------------------------------------------------------
def test_a_network_of_the_default_sizes_has_the_parameters_counted_by_hand():
    def conv(inputs, outputs):
        return outputs * (16 * inputs + 1)  # 4 x 4 and a bias, both ways

    model = CPCAE(CPCAE_MODEL, channels=3, size=64)
    encoder = conv(3, 16) + conv(16, 32) + conv(32, 64) + conv(64, 64)
    decoder = conv(64, 64) + conv(64, 32) + conv(32, 16) + conv(16, 3)
    compress = 64 * (4 * 4 * 64 + 1 + 1)  # features, place, bias
    expand = 4 * 4 * 64 * (64 + 1 + 1)
    assert (encoder, compress, expand, decoder) == (107_440, 65_664, 67_584, 107_379)
    assert [count(part) for part in (model.encoder, model.compress, model.expand, model.decoder)] == [
        encoder, compress, expand, decoder]  # fmt: skip


def test_without_condition_the_dense_layers_lack_the_place():
    assert count(built()) - count(built(conditioned=False)) == 6 + 8 * 4 * 4


@pytest.mark.parametrize(("channels", "size", "widths"), [(1, 16, (4, 8)), (3, 24, (4,)), (3, 32, (4, 8, 8, 4))])
def test_patches_come_back_in_their_shape_without_the_place(channels, size, widths):
    model = CPCAE(CPCAE_MODEL.but(channels=widths, latent_size=5), channels=channels, size=size)
    x = placed([0, 1], channels=channels, size=size)
    assert model(x).shape == (2, channels, size, size)
    assert model.encode(x).shape == (2, 5)
    assert 0 <= model(x).min() <= model(x).max() <= 1


@pytest.mark.parametrize("conditioned", [True, False])
def test_every_parameter_gets_a_gradient(conditioned):
    model = built(conditioned=conditioned)
    sparse_loss(model, placed([0, 3, 8, 5]), sparsity=1e-4).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_codes_are_activations_behind_a_relu():
    model = built()
    with torch.no_grad():
        model.compress[0].bias.copy_(tensor([9.0, -9, 9, -9, 9, -9]))  # far beyond what the weights can do
    codes = model.encode(placed([0, 1, 2]))
    assert (codes[:, ::2] > 5).all()
    assert (codes[:, 1::2] == 0).all()


def test_the_place_adds_its_weight_to_the_code_and_to_the_decoder():
    """The same grey patch at place 3 and 6 of 9: the code moves by a third of the weight, as by hand."""
    model = built()
    with torch.no_grad():
        model.compress[0].weight.zero_()
        model.compress[0].weight[:, -1] = tensor([0.0, 1, 2, 3, 4, -5])
        model.compress[0].bias.zero_()
    here, there = (with_position(torch.full((1, 3, 16, 16), 0.5), np.array([place]), 9) for place in (3, 6))
    torch.testing.assert_close(model.encode(here), tensor([[0, 1, 2, 3, 4, 0]]) / 3)
    torch.testing.assert_close(model.encode(there), tensor([[0, 1, 2, 3, 4, 0]]) * 2 / 3)
    same = torch.zeros(1, 6)
    assert not torch.allclose(model.decode(same, tensor([[0.0]])), model.decode(same, tensor([[0.9]])))


def test_a_network_without_condition_draws_the_same_everywhere():
    one, other = (with_position(torch.full((1, 3, 16, 16), 0.5), np.array([place]), 9) for place in (0, 8))
    free, bound = built(conditioned=False), built()
    assert torch.equal(free(one), free(other))
    assert not torch.equal(bound(one), bound(other))


def test_a_network_learns_patches_that_depend_on_their_position():
    """Black patches in the first half of the places hide white ones there; the patch alone cannot tell which."""
    torch.manual_seed(0)
    places = np.arange(8).repeat(4)
    target = with_position(torch.full((32, 1, 8, 8), 0.0), places, 8)
    target[places >= 4, :1] = 1
    blind = with_position(torch.full((32, 1, 8, 8), 0.5), places, 8)  # what is given says nothing

    def error(conditioned):
        model = built(channels=1, size=8, conditioned=conditioned)
        adam = torch.optim.Adam(model.parameters(), lr=1e-2)
        for _ in range(60):
            adam.zero_grad()
            loss = (model(blind) - target[:, :1]).square().mean()
            loss.backward()
            adam.step()
        return loss.item()

    assert error(conditioned=False) > 0.24  # a quarter: grey everywhere
    assert error(conditioned=True) < 0.1


def test_a_patch_of_another_side_or_without_place_is_refused():
    with pytest.raises(FlawlineError, match=r"patches must have shape \(N, 4, 16, 16\), got \(2, 3, 16, 16\)"):
        built()(torch.rand(2, 3, 16, 16))


def test_a_side_that_cannot_be_halved_often_enough_is_refused():
    with pytest.raises(FlawlineError, match="size must be a multiple of 16, got 40"):
        CPCAE(CPCAE_MODEL, channels=1, size=40)


# --- how it learns ---------------------------------------------------------------------------------------------------
class Fixed(nn.Module):
    """Codes and reconstructions that are known."""

    def encode(self, x):
        return tensor([[1.0, -3.0], [0.0, 2.0]]).requires_grad_()

    def decode(self, codes, place):
        return torch.zeros(2, 1, 1, 2) + place[:, :, None, None]


def test_eq_3_by_hand():
    patches = tensor([[0.0, 1.0], [0.5, 0.0]]).reshape(2, 1, 1, 2)
    x = with_position(patches, np.array([0, 1]), 2)  # reconstructed as 0, 0 and 0.5, 0.5
    error = (0 + 1 + 0 + 0.25) / 4
    assert sparse_loss(Fixed(), x, sparsity=0.0).item() == pytest.approx(error)
    assert sparse_loss(Fixed(), x, sparsity=0.1).item() == pytest.approx(error + 0.1 * (1 + 3 + 0 + 2) / 4)


def test_sparsity_brings_the_codes_down(images):
    windows = grid_windows(images, [0, 1], GEOMETRY, seed=0)
    x = windows.cut(windows.fixed())

    def mean_code(sparsity):
        model = built()
        adam = torch.optim.Adam(model.parameters(), lr=1e-2)
        for _ in range(30):
            adam.zero_grad()
            sparse_loss(model, x, sparsity=sparsity).backward()
            adam.step()
        return model.encode(x).abs().mean()

    assert mean_code(1.0) < 0.1 * mean_code(0.0)


@pytest.mark.parametrize(
    "change", [{"channels": (4, 16)}, {"latent_size": 7}, {"conditioned": False}, {"sparsity": 0.5}], ids=str
)
def test_every_parameter_shows_in_the_network_or_the_objective(change):
    """Of these a training's key is made: a parameter that shows in neither lets it take up another run's checkpoint."""

    def shown(params):
        return repr(CPCAE(params, channels=1, size=16)), json.dumps(cpcae_objective(params).describe())

    assert change.keys() <= MODEL.model_dump().keys()
    assert shown(MODEL.model_copy(update=change)) != shown(MODEL)


# --- the way of an image ---------------------------------------------------------------------------------------------
def drawn(*shape, dtype=np.uint8, seed=0):
    image = np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)
    image.setflags(write=False)
    return image


class Given(nn.Module):
    """Draws what ``make`` says of (patches, place), and counts its batches."""

    def __init__(self, make):
        super().__init__()
        self.make, self.batches = make, []
        self.anywhere = nn.Parameter(torch.zeros(()))

    def forward(self, x):
        self.batches.append(len(x))
        return self.make(*split_position(x))

    def encode(self, x):
        return torch.cat([split_position(x)[1], x.mean((1, 2, 3))[:, None]], dim=1)


def as_it_is(patches, place):
    return patches


def reconstructed(image, network=None):
    """Return the reconstruction of ``image`` by ``network``, or by one that changes nothing."""
    return CPCAEReconstructor(network or Given(as_it_is), GEOMETRY).reconstruct(image)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_network_that_changes_nothing_gives_the_image_back_to_the_bit(dtype):
    image = drawn(3, 24, 37, dtype=dtype)
    found = reconstructed(image)
    assert found.image.dtype == np.float32
    np.testing.assert_array_equal(found.image, unit(image))
    assert (found.residual.shape, found.residual.dtype) == (image.shape, np.float16)
    assert not found.residual.any()


def test_a_large_image_comes_back_as_down_and_upsizing_leave_it():
    image = drawn(3, 60, 90)
    np.testing.assert_array_equal(reconstructed(image).image, upsize(unit(downsize(image, 24)), (60, 90)))


def test_a_smooth_image_survives_down_and_upsizing():
    y, x = np.mgrid[:96, :96] / 96
    image = (127 + 100 * np.sin(3 * y) * np.cos(4 * x)).astype(np.uint8)[None]
    assert reconstructed(image).residual.max() < 0.03


def test_every_patch_is_drawn_with_its_place_and_overlaps_are_averaged():
    """Four places in 24 x 24 pixels: 0, 1/4, 1/2 and 3/4 where one covers a pixel, their mean where several do."""
    by_place = Given(lambda patches, place: 0 * patches + place[:, :, None, None])
    (whole,) = reconstructed(drawn(1, 24, 24), by_place).image
    thirds = whole[4::8, 4::8]
    np.testing.assert_array_equal(thirds, [[0, 0.125, 0.25], [0.25, 0.375, 0.5], [0.5, 0.625, 0.75]])


def test_batches_are_of_limited_size_and_make_no_difference(monkeypatch):
    image, network, counting = drawn(3, 24, 60), CPCAE(MODEL, channels=3, size=16), Given(as_it_is)
    at_once = reconstructed(image, network).image  # 2 x 7 places
    monkeypatch.setattr(cpcae, "BATCH", 4)
    reconstructed(image, counting)
    assert counting.batches == [4, 4, 4, 2]
    np.testing.assert_allclose(reconstructed(image, network).image, at_once, atol=1e-6)


def test_codes_are_those_of_all_places_a_row_each():
    image = drawn(1, 48, 48)
    small = unit(downsize(image, 24))[0]
    codes = CPCAEReconstructor(Given(as_it_is), GEOMETRY).codes(image)
    assert codes.shape == (2, 2, 2)
    codes = codes.reshape(4, 2)
    np.testing.assert_allclose(codes[:, 0], [0, 0.25, 0.5, 0.75])
    means = [(small[y : y + 16, x : x + 16].mean() + k / 4) / 2 for k, (y, x) in enumerate(np.ndindex(2, 2))
             for y, x in [(8 * y, 8 * x)]]  # fmt: skip
    np.testing.assert_allclose(codes[:, 1], means, rtol=1e-5)


def test_an_image_smaller_than_a_patch_is_an_error():
    with pytest.raises(FlawlineError, match=r"patches.size = 16 is larger than the images .* 12 x 40"):
        reconstructed(drawn(1, 12, 40))


@pytest.mark.parametrize("channels", [1, 3])
def test_loaded_weights_reconstruct_as_the_network_that_they_are_of(channels):
    network, image = CPCAE(MODEL, channels=channels, size=16), drawn(channels, 50, 40)
    weights = dict(sorted(network.state_dict().items()))  # a file keeps no order
    loaded = load_cpcae(weights, build=CPCAE, channels=channels, compute=ONE_THREAD, patches=GEOMETRY, model=MODEL)
    whole = loaded.reconstruct(image).image
    assert whole.shape == image.shape
    assert 0 <= whole.min() <= whole.max() <= 1
    np.testing.assert_allclose(whole, reconstructed(image, network).image, atol=1e-6)
    assert loaded.codes(image).shape == (3, 2, 6)  # of 30 x 24 pixels


def test_images_are_asked_for_size_and_patch_before_anything_is_made():
    check_images([(3, 48, 60)] * 2, patches=GEOMETRY, model=MODEL)
    with pytest.raises(FlawlineError, match=r"cpcae compares .* one size; there are 2: 24 x 32, 24 x 40"):
        check_images([(1, 24, 32), (1, 24, 40)], patches=GEOMETRY)
    with pytest.raises(FlawlineError, match=r"patches.size = 16 is larger than the images .* 12 x 40"):
        check_images([(1, 12, 40)], patches=GEOMETRY)

import numpy as np
import pytest
import torch
from base_params import BASE

from flawline.methods.ae import AE, difference
from flawline.methods.frame_scoring import FrameReconstructor, load_frames, reconstructed
from flawline.methods.frames import framed, middle_of
from flawline.methods.reconstruction import likeness
from flawline.methods.stn_ae import STNAE
from flawline.params import ComputeParams, ResidualParams, TurnedResidualParams

PATCHES = BASE.ae.patches.but(size=32, side=64, stride=20, per_epoch=4)
ZEROS = PATCHES.but(padding="zeros")
MSE, SSIM = ResidualParams(measure="mse"), ResidualParams(measure="ssim")
MODEL = BASE.stn_ae.model.but(latent_size=8)


class Drawing(AE):
    """Draws what it sees, changed by ``change``."""

    def __init__(self, change=lambda seen: seen):
        super().__init__(BASE.ae.model.but(latent_size=8), channels=1, size=32)
        self.change = change

    def draw(self, seen):
        return self.change(seen)


class Turning(STNAE):
    """The same, turned by an angle; perhaps a defect that it cannot draw is left out."""

    def __init__(self, angle, change=lambda seen: seen, **changes):
        super().__init__(MODEL.but(**changes), channels=1, size=32)
        self.angle, self.change = angle, change

    def degrees(self, x):
        return torch.full((len(x),), float(self.angle))

    def draw(self, seen):
        return self.change(seen)


def image(size=(64, 80), channels=1, seed=0):
    rough = np.random.default_rng(seed).random((channels, *size))
    smooth = (rough + np.roll(rough, 1, 1) + np.roll(rough, 1, 2)) / 3
    return np.rint(255 * smooth).astype(np.uint8)


def marked(size=(64, 80)):
    """An even grey image with a bright square, and where that is."""
    made, mask = np.full((1, *size), 100, np.uint8), np.zeros(size, bool)
    mask[20:26, 50:56] = True
    made[0][mask] = 255
    return made, mask


def grey(seen):
    return torch.full_like(seen, 100 / 255)


@pytest.mark.parametrize("size", [(64, 80), (100, 64), (64, 64), (129, 90)])
def test_what_is_drawn_as_seen_is_the_image_without_a_residual(size):
    found = FrameReconstructor(Drawing(), PATCHES, MSE).reconstruct(image(size))
    assert found.image.shape == (1, *size)
    assert found.residual.shape == size
    assert float(found.residual.max()) == 0
    if min(size) == 64:  # others are downsized and come back blurred
        np.testing.assert_allclose(found.image, image(size) / 255, atol=1e-6)


@pytest.mark.parametrize("measure", [MSE, SSIM])
def test_a_defect_that_is_not_drawn_is_where_it_was(measure):
    made, mask = marked()
    residual = FrameReconstructor(Drawing(grey), PATCHES, measure).reconstruct(made).residual.astype(float)
    assert residual[mask].min() > 20 * residual[~mask].mean()
    if measure is MSE:
        np.testing.assert_allclose(residual, np.where(mask, (155 / 255) ** 2, 0), atol=1e-3)


@pytest.mark.parametrize("compare", ["turned", "original"])
@pytest.mark.parametrize("angle", [0, 30, 90, 135])
@pytest.mark.parametrize("padding", ["surroundings", "zeros"])
def test_a_map_is_turned_back_to_where_the_defect_is(compare, angle, padding):
    made, _ = marked()
    residual = TurnedResidualParams(measure="mse", compare=compare)
    reconstructor = FrameReconstructor(Turning(angle, grey), PATCHES.but(padding=padding), residual)
    found = reconstructor.reconstruct(made).residual.astype(float)
    rows, columns = (np.average(at, weights=found) for at in np.indices(found.shape))
    assert (rows, columns) == pytest.approx((22.5, 52.5), abs=1.0)
    far = np.ones(found.shape, bool)
    far[15:31, 45:61] = False
    assert found[far].max() < 0.05 * found.max()


def test_compared_turned_a_perfect_reconstruction_leaves_nothing_and_as_it_was_what_turning_costs():
    left = {}
    for compare in ("turned", "original"):
        residual = TurnedResidualParams(measure="mse", compare=compare)
        reconstructor = FrameReconstructor(Turning(30, sampler="bilinear"), PATCHES, residual)
        left[compare] = float(reconstructor.reconstruct(image()).residual.astype(float).mean())
    assert left["turned"] == 0
    assert left["original"] > 1e-4


def test_padding_has_no_part_in_a_map():
    """What is drawn in the padding, or how the padding looks, changes nothing."""

    def wrong_in_padding(seen):
        return torch.where(seen == 0, 5.0, seen)

    one = np.maximum(image(), 1)  # 0 is in the padding alone
    for measure in (MSE, SSIM):
        clean, wrong = (
            FrameReconstructor(Drawing(change), ZEROS, measure).reconstruct(one).residual
            for change in (lambda seen: seen, wrong_in_padding)
        )
        np.testing.assert_array_equal(clean, wrong)


def test_every_pixel_of_an_image_that_is_not_square_is_judged():
    """None is left at 0 because no patch that counts covers it."""
    for network in (Drawing(lambda seen: seen + 0.5), Turning(45, lambda seen: seen + 0.5)):
        for size in ((64, 150), (90, 64)):
            found = FrameReconstructor(network, PATCHES, MSE).reconstruct(image(size)).residual
            np.testing.assert_allclose(found.astype(float), 0.25, atol=2e-3)


def test_reconstructed_by_hand():
    x = framed(torch.from_numpy(image((46, 46))[None].astype(np.float32) / 255), PATCHES)
    picture, residual, weight = reconstructed(Drawing(lambda seen: seen + 0.1), x, "mse", "turned")
    torch.testing.assert_close(middle_of(picture, 32), middle_of(x[:, :1], 32) + 0.1)
    torch.testing.assert_close(middle_of(residual, 32), torch.full((1, 1, 32, 32), 0.01))
    assert float(weight.sum()) == 32**2
    look = Drawing().look(x)
    torch.testing.assert_close(
        difference(look.seen, look.seen + 0.1, look.inside, "mse"), torch.full((1, 32, 32), 0.01)
    )


def test_likeness_is_told_at_the_size_that_the_network_sees():
    """An image that is downsized is compared downsized: the resampling is not the network's error."""
    large = image((128, 160))
    told = likeness(large, FrameReconstructor(Drawing(), PATCHES, MSE))
    assert told["error"] == pytest.approx(0, abs=1e-10)
    assert told["ssim"] == pytest.approx(1)


def test_loaded_weights_score_as_those_that_were_trained():
    torch.manual_seed(0)
    parts = {"patches": PATCHES, "model": MODEL, "residual": TurnedResidualParams(measure="ssim", compare="turned")}
    network = STNAE(MODEL, channels=1, size=32)
    ready = load_frames(network.state_dict(), build=STNAE, channels=1, compute=ComputeParams(device="cpu"), **parts)
    wanted = FrameReconstructor(network, PATCHES, parts["residual"]).reconstruct(image())
    found = ready.reconstruct(image()).residual
    np.testing.assert_allclose(found.astype(float), wanted.residual.astype(float), atol=2e-3)

import pytest
import torch
from base_params import BASE

from flawline.methods.ae import AE, reconstruction_loss
from flawline.methods.dae import dae_objective, deleted_blocks, denoising_loss

SETTINGS = {"loss": "mse", "blocks": 2, "block": 6, "deleted_weight": 1.0}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return AE(BASE.dae.model.but(latent_size=8), channels=1, size=32)


@pytest.fixture
def x():
    return torch.cat([torch.rand(3, 1, 46, 46, generator=seeded(1)), torch.ones(3, 1, 46, 46)], dim=1)


def test_a_block_is_a_square_within_the_patch():
    deleted = deleted_blocks(torch.zeros(40, 2, 20, 24), seeded(), blocks=1, block=6)
    assert deleted.shape == (40, 1, 20, 24)
    assert (deleted.sum(dim=(1, 2, 3)) == 36).all()
    rows, columns = deleted[:, 0].amax(dim=2).sum(dim=1), deleted[:, 0].amax(dim=1).sum(dim=1)
    assert (rows == 6).all()
    assert (columns == 6).all()
    many = deleted_blocks(torch.zeros(2000, 1, 20, 24), seeded(), blocks=1, block=6)
    assert int(many.amax(dim=0).sum()) == 20 * 24  # every place comes


def test_several_blocks_may_overlap_and_a_large_one_covers_the_patch():
    several = deleted_blocks(torch.zeros(50, 1, 16, 16), seeded(), blocks=3, block=6).sum(dim=(1, 2, 3))
    assert 36 <= float(several.min()) < float(several.max()) <= 3 * 36
    assert (deleted_blocks(torch.zeros(1, 1, 8, 8), seeded(), blocks=1, block=99) == 1).all()


def test_the_network_sees_holes_and_is_compared_with_the_whole_patch(model, x):
    seen = []
    model.encoder.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    loss = denoising_loss(model, x, seeded(), **SETTINGS)
    look = model.look(x)
    holes = deleted_blocks(look.seen, seeded(), blocks=2, block=6)
    holed = look.seen * (1 - holes)
    assert torch.equal(seen[0], 4 * holed - 2)
    by_hand = (model.draw(holed) - look.seen).square().mean()
    assert loss.item() == pytest.approx(float(by_hand), rel=1e-5)


def test_weight_of_deleted_pixels(model, x):
    only_holes = denoising_loss(model, x, seeded(), **SETTINGS | {"deleted_weight": 1e6})
    look = model.look(x)
    holes = deleted_blocks(look.seen, seeded(), blocks=2, block=6)
    error = (model.draw(look.seen * (1 - holes)) - look.seen).square()
    assert only_holes.item() == pytest.approx(float(error[holes == 1].mean()), rel=1e-3)
    without = denoising_loss(model, x, seeded(), **SETTINGS | {"deleted_weight": 0.0})
    assert without.item() == pytest.approx(float(error[holes == 0].mean()), rel=1e-4)


def test_what_is_watched_has_no_holes(model, x):
    assert float(denoising_loss(model, x, None, **SETTINGS)) == float(reconstruction_loss(model, x, loss="mse"))


def test_objective_takes_the_parameters():
    (stage,) = dae_objective(BASE.dae.model.but(blocks=7, block=5, deleted_weight=0.5)).stages
    assert stage.phases[0].loss.keywords == {"loss": "ssim", "blocks": 7, "block": 5, "deleted_weight": 0.5}

import pytest
import torch
from base_params import BASE
from torch import nn

from flawline.checks import FlawlineError
from flawline.methods.ae import AE, TABLE_1, difference, reconstruction_loss, weighted_mean
from flawline.vision.ssim import ssim_map

MODEL = BASE.ae.model.but(latent_size=8)


def frames(count=2, side=46, channels=1, seed=0):
    x = torch.rand(count, channels, side, side, generator=torch.Generator().manual_seed(seed))
    return torch.cat([x, torch.ones(count, 1, side, side)], dim=1)


def network(size=32, channels=1):
    torch.manual_seed(0)
    return AE(MODEL, channels=channels, size=size)


def test_encoder_is_table_1():
    """Sizes behind each layer of an image of 128 x 128 x 3, as printed."""
    x, sizes = torch.zeros(1, 3, 128, 128), []
    for layer in AE(BASE.ae.model, channels=3, size=128).encoder:
        x = layer(x)
        if isinstance(layer, nn.Conv2d):
            sizes.append((x.shape[2], x.shape[3], x.shape[1]))
    assert sizes == [(64, 64, 32), (32, 32, 32), (32, 32, 32), (16, 16, 64), (16, 16, 64), (8, 8, 128), (8, 8, 64),
                     (8, 8, 32), (1, 1, 100)]  # fmt: skip
    assert [(row.kernel, row.stride, row.padding) for row in TABLE_1] == [
        (4, 2, 1), (4, 2, 1), (3, 1, 1), (4, 2, 1), (3, 1, 1), (4, 2, 1), (3, 1, 1), (3, 1, 1),
    ]  # fmt: skip


def test_decoder_is_the_encoders_mirror():
    x, sizes = torch.zeros(1, 100, 1, 1), []
    for layer in AE(BASE.ae.model, channels=3, size=128).decoder:
        x = layer(x)
        if isinstance(layer, nn.ConvTranspose2d):
            sizes.append((x.shape[2], x.shape[1]))
    assert sizes == [(8, 32), (8, 64), (8, 128), (16, 64), (16, 64), (32, 32), (32, 32), (64, 32), (128, 3)]


@pytest.mark.parametrize(("side", "channels"), [(46, 1), (32, 3)])
def test_frames_become_reconstructions_of_their_channels(side, channels):
    found = network(channels=channels)(frames(side=side, channels=channels))
    assert found.shape == (2, channels, side, side)


def test_what_lies_around_the_patch_is_not_looked_at():
    model, x = network(), frames()
    other = x.clone()
    other[:, :, :7] = 0.3  # the patch begins at 7
    assert torch.equal(model.look(x).seen, model.look(other).seen)
    assert torch.equal(model(x), model(other))
    other[:, :1, 7] = 0.3
    assert not torch.equal(model(x), model(other))


def test_pixels_that_do_not_count_are_neither_seen_nor_in_the_loss():
    model, x = network(), frames(side=32)
    x[:, 1, :, :10] = 0
    other = x.clone()
    other[:, 0, :, :10] = 0.9
    for loss in ("mse", "ssim"):
        one, same = (reconstruction_loss(model, each, loss=loss) for each in (x, other))
        assert one.item() == same.item() > 0
    made = model.draw(model.look(x).seen)
    by_hand = (made - x[:, :1])[..., 10:].square().mean()
    assert float(reconstruction_loss(model, x, loss="mse")) == pytest.approx(float(by_hand), rel=1e-5)


def test_difference_by_hand():
    x, made = torch.zeros(1, 2, 16, 16), torch.zeros(1, 2, 16, 16)
    made[0, 0, 3, 4] = 2.0
    inside = torch.ones(1, 1, 16, 16)
    assert float(difference(x, made, inside, "mse")[0, 3, 4]) == 2.0  # (4 + 0) / 2
    assert float(difference(x, made, inside, "mse").sum()) == 2.0
    torch.testing.assert_close(difference(x, made, inside, "ssim"), 1 - ssim_map(x, made))
    assert (difference(x, x, inside, "ssim").abs() < 1e-6).all()


def test_weighted_mean_by_hand():
    values = torch.tensor([[[1.0, 5.0], [9.0, 3.0]]])
    assert float(weighted_mean(values, torch.tensor([[[1.0, 1.0], [0.0, 2.0]]]))) == 3.0
    assert float(weighted_mean(values, torch.zeros(1, 2, 2))) == 0.0


def test_size_that_the_encoder_cannot_halve_is_refused():
    with pytest.raises(FlawlineError, match=r"patches.size must be a multiple of 16 .*got 40"):
        AE(MODEL, channels=1, size=40)


def test_frames_without_the_plane_that_counts_are_refused():
    with pytest.raises(FlawlineError, match=r"frames must have shape \(N, 2, 46, 46\), got \(2, 1, 46, 46\)"):
        network()(frames()[:, :1])

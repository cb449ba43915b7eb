import numpy as np
import pytest
import torch
from base_params import BASE

from flawline.methods.deep_svdd import (
    DeepSVDD,
    deep_svdd_objective,
    hard_boundary_loss,
    load_deep_svdd,
    set_centre,
    set_radius,
    soft_boundary_loss,
)
from flawline.params import ComputeParams
from flawline.training.loop import fit
from flawline.training.objective import Material
from flawline.training.windows import windows_of

MODEL = BASE.deep_svdd.model.but(latent_size=16, pretrain_epochs=1)
PATCHES = BASE.deep_svdd.patches.but(size=32, stride=16, per_epoch=32)
TRAIN = BASE.deep_svdd.train.but(epochs=2, batch_size=8)


def images(count=6, seed=0):
    return list(np.random.default_rng(seed).integers(60, 160, (count, 1, 48, 64), dtype=np.uint8))


@pytest.fixture
def material():
    seen = images()
    return Material(*(windows_of(seen, rows, PATCHES, seed=0) for rows in (range(4), range(4, 6))))


def network(params=MODEL):
    torch.manual_seed(0)
    return DeepSVDD(params, channels=1, size=32)


def reached(distances, radius=0.0):
    """A model whose patches have these squared distances."""

    class Given(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.radius = torch.tensor(radius)

        def distance(self, x):
            return torch.tensor(distances)

    return Given()


def test_hard_boundary_loss_is_the_mean_squared_distance():
    assert float(hard_boundary_loss(reached([1.0, 3.0]), torch.zeros(2))) == 2.0


def test_soft_boundary_loss_counts_what_lies_outside_only():
    loss = soft_boundary_loss(reached([1.0, 3.0, 9.0], radius=2.0), torch.zeros(3), nu=0.5)
    assert float(loss) == pytest.approx(4 + (0 + 0 + 5) / 3 / 0.5)


def test_centre_is_the_mean_code_and_never_near_zero(material):
    model = network()
    set_centre(model, material, {})
    assert float(model.centre.abs().min()) >= 0.1 - 1e-6
    model.eval()
    codes = model.encode(material.train.cut(material.train.epoch(0))).mean(dim=0).detach()
    far = codes.abs() > 0.1
    torch.testing.assert_close(model.centre[far], codes[far], atol=1e-5, rtol=1e-4)


def test_radius_holds_all_but_nu_of_the_training_patches_once_it_has_learned(material):
    model = network()
    set_centre(model, material, {})
    for epoch in range(11):
        _, told = set_radius(model, material, {}, nu=0.25)
        assert (told["radius"] > 0) == (epoch == 10)
    with torch.no_grad():
        distances = model.distance(material.train.cut(material.train.epoch(0)))
    assert float((distances.sqrt() <= model.radius).float().mean()) == pytest.approx(0.75, abs=1 / 32)


@pytest.mark.parametrize("boundary", ["soft", "hard"])
def test_training_pulls_patches_to_the_centre_and_is_kept_in_the_weights(material, boundary):
    params = MODEL.but(boundary=boundary)
    fitted = fit(lambda: network(params), deep_svdd_objective(params), material, TRAIN.but(epochs=6))
    learned = fitted.history[fitted.history["stage"] == 1]
    assert len(learned) == 6
    assert learned["train_loss"].iloc[-1] < learned["train_loss"].iloc[0]
    assert fitted.sample_reconstructions == {}
    assert float(fitted.weights["centre"].abs().min()) >= 0.1 - 1e-6
    ready = load_deep_svdd(
        fitted.weights, build=DeepSVDD, channels=1, compute=ComputeParams(device="cpu"), patches=PATCHES, model=params
    )
    found = ready.reconstruct(images()[0])
    assert found.image is None
    assert found.picture() is None
    assert found.residual.shape == (48, 64)


def test_map_is_the_distance_of_the_patches_where_they_lie():
    model = network()
    ready = load_deep_svdd(
        model.state_dict(), build=DeepSVDD, channels=1, compute=ComputeParams(device="cpu"),
        patches=PATCHES.but(stride=32), model=MODEL,
    )  # fmt: skip
    image = images()[0][:, :32]  # two patches side by side
    with torch.no_grad():
        wanted = ready.network.distance(torch.from_numpy(np.stack([image[:, :, :32], image[:, :, 32:]])).float() / 255)
    residual = ready.reconstruct(image).residual
    np.testing.assert_allclose(residual[0, [0, 40]], wanted, rtol=1e-3)
    assert (residual == residual[0]).all()

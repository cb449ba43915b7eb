"""A spatial transformer around an autoencoder: turned, reconstructed, turned back; and how its variants learn."""

import numpy as np
import pytest
import torch
from base_params import BASE
from pydantic import ValidationError

from flawline.checks import FlawlineError
from flawline.methods.ae import reconstruction_loss
from flawline.methods.fitting import material_of, train_network
from flawline.methods.frames import framed, middle_of
from flawline.methods.registry import METHODS, RECONSTRUCTORS
from flawline.methods.stn import levelling_angles
from flawline.methods.stn_ae import STNAE, stn_ae_objective, turned_loss
from flawline.params import ComputeParams
from flawline.training.checkpoints import FileCheckpoints
from flawline.training.loop import Tools
from flawline.vision.orientation import orientations_of

PATCHES = BASE.stn_ae.patches.but(size=32, side=64, stride=16, per_epoch=24)
MODEL = BASE.stn_ae.model.but(latent_size=8, pretrain_epochs=2)
TRAIN = BASE.stn_ae.train.but(epochs=2, batch_size=8)
VARIANTS = ("frozen", "random", "refined", "closed_form")
ONE_THREAD = ComputeParams(device="cpu", threads=1)


def striped(count=6, size=64, seed=0):
    """Images (1, H, W) of lines at any angle."""
    generator = np.random.default_rng(seed)
    ys, xs = np.indices((size, size)) - (size - 1) / 2
    made = []
    for turned in generator.uniform(0, np.pi, count):
        across = xs * np.sin(turned) + ys * np.cos(turned)
        values = 0.5 + 0.3 * np.sin(2 * np.pi * across / 9) + generator.normal(0, 0.02, (size, size))
        made.append(np.rint(values.clip(0, 1) * 255).astype(np.uint8)[None])
    return made


def network(**changes):
    torch.manual_seed(0)
    return STNAE(MODEL.but(**changes), channels=1, size=32)


def frames(patches=PATCHES):
    windows = np.stack(striped(4))[:, :, 9:55, 9:55].astype(np.float32) / 255
    return framed(torch.from_numpy(windows), patches)


class Turns(STNAE):
    """Turns every frame by the same angle and draws what it sees."""

    def __init__(self, angle, **changes):
        super().__init__(MODEL.but(**changes), channels=1, size=32)
        self.angle = angle

    def degrees(self, x):
        return torch.full((len(x),), float(self.angle))

    def draw(self, seen):
        return seen


def taught(model=MODEL, train=TRAIN, patches=PATCHES, method="stn_ae", **tools):
    images = striped(8)
    network = RECONSTRUCTORS[method].network
    material = material_of(network, images, (range(6), range(6, 8)), patches=patches, seed=0)
    return train_network(
        network, images, material, patches=patches, model=model, train=train, tools=Tools(ONE_THREAD, **tools)
    )


# --- what it sees and what it gives back -----------------------------------------------------------------------------
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("patches", [PATCHES, PATCHES.but(padding="zeros")])
def test_frames_become_reconstructions_of_their_channels(variant, patches):
    x = frames(patches)
    assert network(variant=variant)(x).shape == x[:, :1].shape


@pytest.mark.parametrize("angle", [0, 30, 90, -140])
def test_what_is_drawn_as_seen_comes_back_as_it_was(angle):
    x = frames()
    found = Turns(angle, sampler="fourier")(x)
    inside = middle_of(found - x[:, :1], 16)  # in the patch at every angle
    assert float(inside.abs().mean()) < 0.01


def test_theta_turns_and_its_inverse_turns_back_only_what_was_seen():
    x = frames()
    model = Turns(45, sampler="bicubic")
    look = model.look(x)
    assert (look.inside == 1).all()  # the surroundings fill the turned patch
    back = model.back(look.inside, look, picture=False)
    assert float(back[0, 0, 23, 23]) == pytest.approx(1)
    assert float(back[0, 0, 7, 7]) == 0  # a corner of the patch was not seen
    assert float(back.sum()) == pytest.approx(4 * 32**2, rel=0.01)


def test_the_padding_is_never_seen_at_any_angle():
    x = frames(PATCHES.but(padding="zeros"))
    other = x.clone()
    other[:, :1][x[:, 1:] == 0] = 1.0
    for model in (Turns(30, sampler="bilinear"), Turns(0)):
        look, same = model.look(x), model.look(other)
        inside = look.inside.bool()
        torch.testing.assert_close(look.seen[inside], same.seen[inside], atol=1e-4, rtol=0)
        assert float(look.seen[~inside].abs().max()) == 0
        assert look.inside.mean() < 0.5


def test_closed_form_levels_the_lines():
    model = network(variant="closed_form")
    assert model.localiser is None
    angles, _ = orientations_of(model.look(frames()).seen[:, 0])
    assert float(((angles + 90) % 180 - 90).abs().max()) < 2.0


def test_blank_frame_is_left_as_it_is_by_the_closed_form():
    blank = framed(torch.full((1, 1, 46, 46), 0.5), PATCHES)
    model = network(variant="closed_form")
    assert float(model.degrees(blank)) == 0
    assert torch.equal(model.look(blank).seen, middle_of(blank[:, :1], 32))


# --- losses ----------------------------------------------------------------------------------------------------------
def test_without_a_turn_both_comparisons_are_the_plain_autoencoders_loss():
    x, model = frames(), network()
    model.degrees = lambda x: torch.zeros(len(x))
    plain = reconstruction_loss(model, x, loss="mse").item()
    for compare in ("turned", "original"):
        found = turned_loss(model, x, loss="mse", compare=compare, frozen=False).item()
        assert found == pytest.approx(plain, rel=0.02 if compare == "original" else 1e-6)


def test_a_perfect_reconstruction_has_no_loss_turned_and_the_samplers_error_as_it_was():
    """Why the comparison in the turned frame is the better one."""
    x = frames()
    errors = {}
    for sampler in ("bilinear", "fourier"):
        model = Turns(45, sampler=sampler)
        assert turned_loss(model, x, loss="mse", compare="turned", frozen=True).item() == 0
        errors[sampler] = turned_loss(model, x, loss="mse", compare="original", frozen=True).item()
    assert 0 < errors["fourier"] < 0.3 * errors["bilinear"]


@pytest.mark.parametrize(("variant", "learns"), [("frozen", False), ("random", True), ("refined", True)])
@pytest.mark.parametrize("compare", ["turned", "original"])
def test_the_localiser_learns_with_the_autoencoder_unless_it_is_frozen(variant, learns, compare):
    model = network(variant=variant, compare=compare)
    stage = stn_ae_objective(MODEL.but(variant=variant, compare=compare)).stages[-1]
    stage.phases[0].loss(model, frames(), None).backward()
    gradients = [parameter.grad for parameter in model.localiser.parameters()]
    assert any(each is not None and float(each.abs().sum()) > 0 for each in gradients) is learns
    moved = {id(each) for each in stage.phases[0].parameters(model)}
    assert ({id(each) for each in model.localiser.parameters()} <= moved) is learns
    assert {id(each) for each in model.encoder.parameters()} <= moved


# --- training --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("variant", "stages"), [("frozen", 2), ("random", 1), ("refined", 2), ("closed_form", 1)])
def test_variants_are_section_5s_strategies(variant, stages):
    objective = stn_ae_objective(MODEL.but(variant=variant))
    assert len(objective.stages) == stages
    assert objective.stages[-1].name == "train"


def test_every_row_of_the_paper_is_a_method_whose_variant_is_its_name():
    variants = {name: getattr(BASE, name).model.variant for name in ("stn_ae", "stn_ae_random", "stn_ae_refined")}
    assert variants == {"stn_ae": "frozen", "stn_ae_random": "random", "stn_ae_refined": "refined"}
    assert {METHODS[name].params for name in variants} == {type(BASE.stn_ae)}
    models = [getattr(BASE, name).model.but(variant="frozen") for name in variants]
    assert models == [models[0]] * 3


def test_frozen_means_frozen_and_refined_moves():
    found = {variant: taught(MODEL.but(variant=variant)) for variant in ("frozen", "refined")}
    before = taught(MODEL.but(variant="frozen"), TRAIN.but(epochs=1))
    names = [name for name in before.weights if name.startswith("localiser")]
    assert all(torch.equal(found["frozen"].weights[name], before.weights[name]) for name in names)
    assert any(not torch.equal(found["refined"].weights[name], before.weights[name]) for name in names)
    assert found["frozen"].history["stage"].tolist() == [0, 0, 1, 1]


def test_pretraining_tells_the_spread_of_angles_and_reduces_it():
    model = MODEL.but(pretrain_epochs=25)
    history = taught(model, TRAIN.but(epochs=1), PATCHES.but(per_epoch=64)).history
    first, last = history.iloc[0], history[history["stage"] == 0].iloc[-1]
    assert last["angle_spread"] < 0.5 * first["angle_spread_before"]
    assert last["ambiguous_share"] < 0.1
    assert history["angle_spread"].isna().tolist() == [False] * 25 + [True]


def test_resumed_training_is_the_whole_one_to_the_bit(tmp_path):
    whole = taught(MODEL.but(variant="refined"), TRAIN.but(epochs=3))
    for epochs in (1, 3):
        store = FileCheckpoints(tmp_path / "training.safetensors")
        resumed = taught(MODEL.but(variant="refined"), TRAIN.but(epochs=epochs), checkpoints=store)
    assert resumed.resumed_from == 3  # two epochs of the localiser's stage and one
    assert all(torch.equal(whole.weights[name], resumed.weights[name]) for name in whole.weights)


def test_blank_images_have_no_angle_to_teach_and_are_refused_before_training():
    images = [np.full((1, 64, 64), 128, np.uint8)] * 4
    row = RECONSTRUCTORS["stn_ae"].network
    material = material_of(row, images, (range(3), [3]), patches=PATCHES, seed=0)
    with pytest.raises(FlawlineError, match="a clear one in none of 24 training patches"):
        train_network(row, images, material, patches=PATCHES, model=MODEL, train=TRAIN, tools=Tools(ONE_THREAD))


def test_sampler_without_a_gradient_is_refused_where_the_localiser_learns_by_it():
    for variant in ("random", "refined"):
        with pytest.raises(ValidationError, match=r"'nearest' has no gradient .* variant '" + variant):
            MODEL.but(variant=variant, sampler="nearest")
    MODEL.but(variant="frozen", sampler="nearest")


def test_levelling_angle_of_an_augmented_window_turns_with_it():
    row = RECONSTRUCTORS["stn_ae"].network
    windows = material_of(row, striped(), (range(5), [5]), patches=PATCHES, seed=0).train
    some = np.array([[0, 10, 12, 0], [0, 10, 12, 25]])
    (straight, turned), _ = levelling_angles(windows.cut(some), 1.0)
    assert float((straight - turned) % 180) == pytest.approx(25, abs=2)

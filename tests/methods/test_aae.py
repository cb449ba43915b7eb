from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from base_params import BASE
from torch import nn, tensor

from flawline.methods.aae import AAE, aae_objective, clip_critic, critic_loss, generator_loss
from flawline.methods.cae import CAE, reconstruction_loss
from flawline.params import ComputeParams
from flawline.training.loop import Tools, fit
from flawline.training.objective import Batch, Material
from flawline.training.windows import windows_of

AAE_MODEL = BASE.aae.model

PARAMS = AAE_MODEL.but(latent_size=5, hidden_size=16, critic_steps=3, clip=0.02, warmup=0)
(STAGE,) = aae_objective(PARAMS).stages
PHASES = {phase.name: phase for phase in STAGE.phases}


def linear(inputs, outputs):
    """Weights and biases of a linear layer."""
    return outputs * (inputs + 1)


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def seeded(seed):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def aae():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return AAE(PARAMS, channels=1, size=16)


@pytest.fixture
def x():
    return torch.rand(16, 1, 16, 16, generator=seeded(1))


def batch_of(x):
    """Return the patches as they come to a loss; these phases do not ask where they are from."""
    return Batch(x, np.zeros((len(x), 3), np.int64))


class Summed(nn.Module):
    """A patch is its own code, and the critic's value of a code is its sum."""

    def encode(self, x):
        return x.flatten(1)

    def criticise(self, z):
        return z.sum(dim=1, keepdim=True)


class Squared(Summed):
    def criticise(self, z):
        return z.square().sum(dim=1, keepdim=True)


# --- the network -----------------------------------------------------------------------------------------------------
def test_the_critic_has_the_parameters_of_table_4_and_the_rest_the_caes():
    model = AAE(AAE_MODEL.but(encoder="synthetic"), channels=1, size=64)
    critic = linear(100, 10) + linear(10, 1)
    assert critic == 100 * 10 + 10 + 10 * 1 + 1
    assert count(model.critic) == critic
    assert count(model) == 870_389 + 1_021


def test_with_one_seed_the_shared_weights_are_the_caes():
    torch.manual_seed(7)
    cae = CAE(BASE.cae.model.but(latent_size=5, hidden_size=16), channels=1, size=16).state_dict()
    torch.manual_seed(7)
    aae = AAE(PARAMS, channels=1, size=16).state_dict()
    assert {name.split(".")[0] for name in aae.keys() - cae.keys()} == {"critic"}
    assert [name for name in cae if not torch.equal(cae[name], aae[name])] == []


def test_the_critics_value_by_hand():
    model = AAE(AAE_MODEL.but(latent_size=2, hidden_size=8), channels=1, size=16)
    with torch.no_grad():
        for parameter in model.critic.parameters():
            parameter.fill_(1.0)
    # Ten hidden units of 1 + 2 + 1 = 4; ten of -2 - 3 + 1 = -4, leaky: -0.04, and behind them 1 - 0.4, not leaky;
    # ten of -200 - 301 + 1 = -500, leaky: -5, and behind them 1 - 50 = -49, leaky too.
    z = tensor([[1.0, 2.0], [-2.0, -3.0], [-200.0, -301.0]])
    torch.testing.assert_close(model.criticise(z), tensor([[41.0], [0.6], [-0.49]]))


def test_reconstruction_does_not_need_the_critic(aae, x):
    before = aae(x)
    with torch.no_grad():
        for parameter in aae.critic.parameters():
            parameter.fill_(float("nan"))
    assert torch.equal(aae(x), before)


# --- the losses ------------------------------------------------------------------------------------------------------
def test_critic_loss_is_its_mean_on_codes_less_its_mean_on_the_prior():
    codes = tensor([[1.0, 2.0], [5.0, 0.0]])
    prior = torch.randn(2, 2, generator=seeded(3))
    expected = (1 + 2 + 5 + 0) / 2 - prior.sum().item() / 2
    assert critic_loss(Summed(), codes, seeded(3)).item() == pytest.approx(expected, rel=1e-6)


def test_the_critic_sees_as_many_draws_of_a_standard_normal_as_codes():
    n = 100_000
    codes = torch.zeros(n, 2)  # a critic of squares gives them 0, and N(0, I) twice the variance 1
    assert critic_loss(Squared(), codes, seeded(0)).item() == pytest.approx(-2, abs=4 * 2 / n**0.5)
    assert critic_loss(Summed(), codes, seeded(0)).item() == pytest.approx(0, abs=4 * 2**0.5 / n**0.5)


def test_one_generator_seed_gives_one_critic_loss(aae, x):
    one, same, other = (critic_loss(aae, aae.encode(x), seeded(seed)).item() for seed in (0, 0, 1))
    assert one == same != other


def test_confusion_loss_falls_as_codes_move_to_what_the_critic_likes():
    x = tensor([[1.0, 2.0], [5.0, 0.0]]).reshape(2, 1, 1, 2)
    assert generator_loss(Summed(), x).item() == -4  # the critic's mean of 3 and 5
    assert generator_loss(Summed(), x + 1).item() == -6


def test_a_step_down_the_confusion_loss_raises_the_critics_value_of_the_codes(aae, x):
    before = aae.criticise(aae.encode(x)).mean().item()
    generator_loss(aae, x).backward()
    with torch.no_grad():
        for parameter in PHASES["generator"].parameters(aae):
            parameter -= 0.01 * parameter.grad
    assert aae.criticise(aae.encode(x)).mean().item() > before


def test_a_step_down_the_critic_loss_parts_prior_and_codes(aae, x):
    codes = aae.encode(x).detach()
    before = critic_loss(aae, codes, seeded(0))
    before.backward()
    with torch.no_grad():
        for parameter in aae.critic.parameters():
            parameter -= 0.01 * parameter.grad
    assert critic_loss(aae, codes, seeded(0)) < before


# --- the phases ------------------------------------------------------------------------------------------------------
def test_every_batch_has_a_reconstruction_phase_then_a_critics_then_a_generators():
    """The encoder, which is the generator of codes, ends with lin2; the decoder starts with lin3 (Table 3)."""
    encoder, decoder = {"encoder", "compress"}, {"expand", "decoder"}
    assert [(phase.name, phase.times, set(phase.parts)) for phase in STAGE.phases] == [
        ("train", 1, encoder | decoder),
        ("critic", 3, {"critic"}),
        ("generator", 1, encoder),
    ]
    assert STAGE.watched is reconstruction_loss


def test_phases_name_every_parameter_between_them(aae):
    moved = {id(parameter) for phase in PHASES.values() for parameter in phase.parameters(aae)}
    assert moved == {id(parameter) for parameter in aae.parameters()}


@pytest.mark.parametrize("name", PHASES)
def test_a_phases_gradient_reaches_every_parameter_of_its_parts(aae, x, name):
    phase = PHASES[name]
    phase.loss(aae, phase.prepare(aae, batch_of(x)), seeded(0)).backward()
    assert [tuple(p.shape) for p in phase.parameters(aae) if p.grad is None or not p.grad.abs().sum() > 0] == []


@pytest.mark.parametrize(
    ("name", "untouched"),
    [
        ("train", {"critic"}),
        ("critic", {"encoder", "compress", "expand", "decoder"}),
        (
            "generator",
            {"expand", "decoder"},
        ),  # the critic's is on the way to the encoder's; no one takes it
    ],
)
def test_a_phases_gradient_leaves_the_others_alone(aae, x, name, untouched):
    phase = PHASES[name]
    phase.loss(aae, phase.prepare(aae, batch_of(x)), seeded(0)).backward()
    assert {key.split(".")[0] for key, p in aae.named_parameters() if p.grad is None} == untouched


@pytest.mark.parametrize("name", PHASES)
def test_an_update_moves_exactly_the_parts_of_its_phase(aae, x, name):
    phase = PHASES[name]
    before = {key: value.clone() for key, value in aae.state_dict().items()}
    optimizer = torch.optim.Adam(phase.parameters(aae), lr=1e-3)
    phase.loss(aae, phase.prepare(aae, batch_of(x)), seeded(0)).backward()
    optimizer.step()
    moved = {key for key, value in aae.state_dict().items() if not torch.equal(value, before[key])}
    assert moved == {key for key in before if key.split(".")[0] in phase.parts}


def test_clipping_moves_only_weights_of_the_critic_beyond_the_bound(aae):
    before = {key: value.clone() for key, value in aae.state_dict().items()}
    clip_critic(aae, clip=0.1)
    for key, value in aae.state_dict().items():
        expected = before[key].clamp(-0.1, 0.1) if key.startswith("critic") else before[key]
        assert torch.equal(value, expected)
    assert not torch.equal(aae.critic[0].weight, before["critic.0.weight"])


def test_the_critic_gets_the_codes_of_a_batch_without_their_gradient(aae, x):
    codes = PHASES["critic"].prepare(aae, batch_of(x))
    assert torch.equal(codes, aae.encode(x))
    assert not codes.requires_grad
    assert PHASES["train"].prepare(aae, batch_of(x)) is x


# --- a training ------------------------------------------------------------------------------------------------------
@pytest.fixture
def train_one_epoch(photographs):
    """Train for an epoch of three batches, 20 patches in eights."""

    def train(objective):
        geometry = BASE.cae.patches.but(size=16, stride=8, per_epoch=20)
        windows = windows_of(photographs, [0, 1], geometry, seed=0)
        make = partial(AAE, PARAMS, channels=1, size=16)
        tools = Tools(ComputeParams(device="cpu", threads=1))
        return fit(make, objective, Material(windows, windows), BASE.cae.train.but(epochs=1, batch_size=8), tools=tools)

    return train


def test_after_training_the_critics_weights_lie_in_the_box_and_some_on_its_side(train_one_epoch):
    weights = train_one_epoch(aae_objective(PARAMS)).weights
    critic = torch.cat([value.flatten() for name, value in weights.items() if name.startswith("critic")])
    assert len(critic) == linear(5, 10) + linear(10, 1)
    bound = tensor(0.02)
    assert (critic.abs() <= bound).all()
    assert (critic.abs() == bound).any()
    others = torch.cat([value.flatten() for name, value in weights.items() if not name.startswith("critic")])
    assert others.abs().max() > bound


def watch_calls(objective, note):
    """Return ``objective`` with losses that tell ``note`` the phase and the generator of each call."""

    def watched(phase):
        def loss(model, x, generator):
            note(phase.name, generator)
            return phase.loss(model, x, generator)

        return replace(phase, loss=loss)

    (stage,) = objective.stages
    return replace(objective, stages=(replace(stage, phases=tuple(map(watched, stage.phases))),))


def test_the_critic_is_updated_critic_steps_times_a_batch_and_the_others_once(train_one_epoch):
    calls = []
    train_one_epoch(watch_calls(aae_objective(PARAMS), lambda name, generator: calls.append(name)))
    assert calls == ["train", "critic", "critic", "critic", "generator"] * 3


def test_every_update_of_the_critic_sees_other_draws_of_the_prior(train_one_epoch):
    states = {"train": [], "critic": [], "generator": []}

    def note(name, generator):
        states[name].append(generator.get_state().numpy().tobytes())

    train_one_epoch(watch_calls(aae_objective(PARAMS), note))
    assert len(states["critic"]) == len(set(states["critic"])) == 9


def test_warmed_up_it_first_learns_without_the_critic():
    first, then = aae_objective(PARAMS.but(warmup=3)).stages
    assert ([phase.name for phase in first.phases], first.epochs) == (["train"], 3)
    assert [phase.name for phase in then.phases] == ["train", "critic", "generator"]

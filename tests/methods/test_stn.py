"""Patches with lines at known angles: what levels them, what Eq. 7 makes of them, what a localiser learns."""

import logging
import math

import numpy as np
import pytest
import torch
from base_params import BASE

from flawline.checks import FlawlineError
from flawline.methods.frames import framed
from flawline.methods.stn import (
    SERIES,
    check_teacher,
    gradient_energy,
    gradient_loss,
    levelling_angles,
    localiser_stages,
    measure_angles,
    structure_tensor_loss,
    sweep_loss,
    swept_angles,
    taught_loss,
)
from flawline.training.objective import Material

SURROUNDED = BASE.stn_ae.patches.but(size=64, side=128, stride=32)
ZEROS = SURROUNDED.but(padding="zeros")
SEEN = {"view": "crop", "blur": 1.0}


def lines(degrees, patches=SURROUNDED, *, cross=0.0, thin=1, period=8.0):
    """Frames (n, 2, F, F) of lines at angles (n,), counter-clockwise from the horizontal; with ``cross``, fainter ones
    across them; ``thin`` makes them so."""

    def profile(places):
        return (0.5 + 0.5 * np.sin(2 * np.pi * places / period)) ** thin

    side = 92  # of the window
    ys, xs = (np.indices((side, side)) - (side - 1) / 2).astype(np.float32)
    made = []
    for turned in np.deg2rad(degrees):
        along, across = xs * np.cos(turned) - ys * np.sin(turned), xs * np.sin(turned) + ys * np.cos(turned)
        made.append(0.2 + 0.5 * profile(across) + cross * profile(along))
    return framed(torch.from_numpy(np.stack(made)[:, None].astype(np.float32)), patches)


def blank(count=2, patches=SURROUNDED):
    return framed(torch.full((count, 1, 92, 92), 0.5), patches)


def apart(one, other):
    return ((one - other + 90) % 180 - 90).abs()


class Turns(torch.nn.Module):
    """A model that turns every frame by the same angle."""

    def __init__(self, degrees):
        super().__init__()
        self.angle = torch.nn.Parameter(torch.tensor(float(degrees)))

    def degrees(self, x):
        return self.angle.expand(len(x))


# --- the closed form -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("patches", [SURROUNDED, ZEROS])
def test_turned_by_its_levelling_angle_a_frame_has_level_lines(patches):
    wanted = torch.tensor([0.0, 20.0, 45.0, 80.0, 90.0, 130.0, 179.0])
    found, coherence = levelling_angles(lines(wanted.numpy(), patches), 1.0)
    assert float(apart(found, -wanted).max()) < 0.6
    assert float(coherence.min()) > 0.9
    assert ((found >= -90) & (found <= 90)).all()


def test_zeros_around_a_patch_do_not_give_an_angle():
    noise = torch.rand(40, 1, 92, 92, generator=torch.Generator().manual_seed(0))
    _, coherence = levelling_angles(framed(noise, ZEROS), 1.0)
    assert float(coherence.mean()) < 0.2


def test_a_blank_frame_stays_as_it_is_and_its_coherence_says_so():
    angles, coherence = levelling_angles(blank(), 1.0)
    assert torch.equal(angles, torch.zeros(2))
    assert torch.equal(coherence, torch.zeros(2))


# --- Eq. 7 -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("patches", [SURROUNDED, ZEROS])
@pytest.mark.parametrize("view", ["crop", "resized"])
def test_energy_is_least_where_lines_are_level_and_most_where_they_are_upright(patches, view):
    x, degrees = lines([30.0], patches), torch.arange(0.0, 180.0, 15.0)
    energy = gradient_energy(x.expand(12, -1, -1, -1), degrees, view=view, blur=1.0)
    assert float(degrees[energy.argmin()]) == 150.0  # 30 + 150 is half a turn
    assert float(degrees[energy.argmax()]) == 60.0
    assert float(energy.min()) < 0.1 * float(energy.max())


def test_energy_of_a_ramp_by_hand():
    """Sobel makes 8 of a step of 1 a pixel; smoothing leaves a ramp as it is."""
    ramp = torch.arange(92.0).expand(1, 1, 92, 92) / 100
    found = gradient_energy(framed(ramp, SURROUNDED), torch.zeros(1), **SEEN)
    assert float(found) == pytest.approx(0.08, rel=1e-4)
    assert float(gradient_energy(framed(ramp, SURROUNDED), torch.tensor([90.0]), **SEEN)) == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("view", ["crop", "resized"])
def test_energy_of_white_noise_does_not_depend_on_the_angle_but_for_what_interpolation_smooths(view):
    """Eq. 7 as printed measures the mask's edge: 17 to 29 % more at 45 degrees."""
    noise = framed(torch.rand(60, 1, 92, 92, generator=torch.Generator().manual_seed(0)), ZEROS)
    straight, oblique = (gradient_energy(noise, torch.full((60,), d), view=view, blur=1.0).mean() for d in (0.0, 45.0))
    assert float(oblique) == pytest.approx(float(straight), rel=0.08)


def test_padding_has_no_part_in_the_energy():
    x = lines([10.0], ZEROS)
    other = x.clone()
    other[:, 0][x[:, 1] == 0] = 1.0
    assert torch.equal(gradient_energy(x, torch.zeros(1), **SEEN), gradient_energy(other, torch.zeros(1), **SEEN))


def test_several_families_of_lines_give_several_minima_and_the_sweep_finds_the_lowest():
    """Fig. 7."""
    x = lines([35.0], cross=0.4, thin=30, period=16.0)
    degrees = torch.arange(0.0, 180.0, 5.0)
    energy = gradient_energy(x.expand(36, -1, -1, -1), degrees, view="crop", blur=0.7)
    minima = degrees[(energy < energy.roll(1)) & (energy < energy.roll(-1))]
    assert len(minima) > 1
    assert float(apart(minima, 55.0).min()) <= 5
    assert 145.0 in minima
    assert swept_angles(x, count=36, view="crop", blur=0.7).tolist() == [145.0]


def test_gradient_of_the_energy_leads_to_level_lines():
    x = lines([20.0])
    for start, sign in ((-10.0, 1), (-30.0, -1)):  # level at -20
        model = Turns(start)
        gradient_loss(model, x, **SEEN).backward()
        assert float(model.angle.grad) * sign > 0


# --- teachers --------------------------------------------------------------------------------------------------------
def test_taught_loss_by_hand():
    degrees, wanted = torch.tensor([10.0, 100.0, 55.0]), torch.tensor([190.0, 10.0, 10.0])
    assert float(taught_loss(degrees[:1], wanted[:1], torch.ones(1))) == pytest.approx(0, abs=1e-5)  # half a turn apart
    assert float(taught_loss(degrees[1:2], wanted[1:2], torch.ones(1))) == pytest.approx(2)  # a quarter turn
    assert float(taught_loss(degrees, wanted, torch.tensor([1.0, 0.0, 3.0]))) == pytest.approx(0.75)
    assert float(taught_loss(degrees, wanted, torch.zeros(3))) == 0


def test_ambiguous_and_blank_patches_teach_nothing():
    clear = lines([30.0])
    checks = lines([30.0], cross=0.5)  # the same both ways
    mixed = torch.cat([clear, checks, blank(1)])
    settings = {"blur": 1.0, "least_coherence": 0.2}
    model = Turns(0.0)
    alone, together = (structure_tensor_loss(model, x, **settings) for x in (clear, mixed))
    assert float(together.detach()) == pytest.approx(float(alone.detach()), rel=1e-5)
    assert float(alone.detach()) == pytest.approx(1 - math.cos(math.radians(60)), abs=0.02)
    nothing = structure_tensor_loss(model, blank(), **settings)
    nothing.backward()
    assert float(nothing.detach()) == 0
    assert float(model.angle.grad) == 0


def test_sweep_teaches_the_best_angle():
    x = lines([30.0, 30.0], cross=0.1)
    assert float(sweep_loss(Turns(150.0), x, count=12, **SEEN).detach()) == pytest.approx(0, abs=1e-4)
    assert float(sweep_loss(Turns(60.0), x, count=12, **SEEN).detach()) == pytest.approx(2, abs=1e-4)


# --- stages ----------------------------------------------------------------------------------------------------------
class Given:
    """Windows that are frames already."""

    def __init__(self, x):
        self.x = x

    def fixed(self):
        return np.arange(len(self.x))

    def cut(self, which, device="cpu"):
        return self.x[which]


def material(x):
    return Material(Given(x), Given(x))


SETTINGS = {"blur": 1.0, "least_coherence": 0.2}


def test_measured_are_the_spreads_once_turned_and_before_of_clear_patches_alone():
    x = torch.cat([lines([10.0, 40.0, 10.0, 40.0]), blank(1)])

    class Levels(torch.nn.Module):
        def degrees(self, x):
            return levelling_angles(x, 1.0)[0]

    own, told = measure_angles(Levels(), material(x), {}, **SETTINGS)
    assert own == {}
    assert set(told) == set(SERIES)
    assert told["angle_spread"] < 0.5
    assert told["angle_spread_before"] == pytest.approx(15.2, abs=0.5)  # two directions 30 degrees apart
    assert told["ambiguous_share"] == pytest.approx(0.2)


def test_without_a_clear_patch_the_spread_is_that_of_all_angles_and_finite():
    _, told = measure_angles(Turns(0.0), material(blank()), {}, **SETTINGS)
    assert 100 < told["angle_spread"] < math.inf
    assert told["ambiguous_share"] == 1


def test_a_teacher_without_a_clear_angle_is_refused():
    with pytest.raises(FlawlineError, match=r"a clear one in none of 2 training patches: .*blank or look the same"):
        check_teacher(Turns(0.0), material(blank()), {}, teacher="structure_tensor", **SETTINGS)
    assert check_teacher(Turns(0.0), material(blank()), {}, teacher="gradient", **SETTINGS) == {}


def test_many_ambiguous_patches_are_said(caplog):
    x = torch.cat([lines([10.0]), blank(3)])
    with caplog.at_level(logging.WARNING):
        check_teacher(Turns(0.0), material(x), {}, teacher="structure_tensor", **SETTINGS)
    assert "75 % of the training patches have no clear orientation" in caplog.text
    caplog.clear()
    check_teacher(Turns(0.0), material(lines([1.0, 2.0])), {}, teacher="structure_tensor", **SETTINGS)
    assert not caplog.text


def test_stages_are_a_sweep_if_asked_for_and_the_teacher():
    model = BASE.stn_ae.model.but(teacher="gradient")
    assert [stage.name for stage in localiser_stages(model)] == ["pretrain"]
    sweep, pretrain = localiser_stages(model.but(sweep=12, sweep_epochs=3, pretrain_epochs=7))
    assert (sweep.name, sweep.epochs, pretrain.name, pretrain.epochs) == ("sweep", 3, "pretrain", 7)
    assert sweep.watched.func is sweep_loss
    assert pretrain.watched.func is gradient_loss
    assert localiser_stages(model.but(teacher="structure_tensor"))[0].watched.func is structure_tensor_loss
    assert all(phase.parts == ("localiser",) for stage in (sweep, pretrain) for phase in stage.phases)

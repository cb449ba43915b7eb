"""A localiser that learns from views of whole images."""

import pytest
import torch
from base_params import BASE
from moved_parts import params, part_of

from flawline.checks import FlawlineError
from flawline.methods.levelling import Levels, teach_localiser
from flawline.params import ComputeParams
from flawline.training.loop import Tools
from flawline.vision.fitting import fit_aligner
from flawline.vision.levelling import VIEW, apart
from flawline.vision.transform import Transform

STN = BASE.registration.stn.but(per_epoch=48, pretrain_epochs=14)
TOOLS = Tools(ComputeParams(device="cpu", threads=1))
MOVES = [Transform(angle, 2, -3) for angle in (0.0, 40.0, -25.0, 80.0, -70.0, 15.0)]


def taught(views, blur):
    return teach_localiser(views, blur, params=STN, seed=0, tools=TOOLS)


def test_parts_are_levelled_by_what_was_learned_of_others():
    images = [part_of(move, shape="bar", seed=k) for k, move in enumerate(MOVES)]
    leveller, found = fit_aligner(images, params("stn"), names=list("abcdef"), teach=taught)
    assert len(found) == len(images)
    assert "by a localiser trained on the normal images" in leveller.orientation()
    base = leveller.align(part_of(shape="bar", seed=20)).move.angle
    angles = (-75.0, -50.0, -20.0, 30.0, 65.0, 85.0)
    turned = [leveller.align(part_of(Transform(angle, 5, 4), shape="bar", seed=21)).move.angle for angle in angles]
    errors = [abs(apart(found - base, angle)) for found, angle in zip(turned, angles, strict=True)]
    assert sum(errors) / len(errors) < 25, errors  # a quick training of six images; 45 by chance


def test_the_same_seed_learns_the_same():
    views = [(torch.rand(1, 1, VIEW, VIEW) > 0.5).float() for _ in range(2)]
    views = [torch.nn.functional.avg_pool2d(view, 9, 1, 4) for view in views]
    quick = STN.but(per_epoch=4, pretrain_epochs=1, least_coherence=0.0)
    first, again = (teach_localiser(views, 1.0, params=quick, seed=3, tools=TOOLS) for _ in range(2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert first.keys() == Levels().localiser.state_dict().keys()


def test_views_without_an_orientation_teach_nothing_and_that_is_said():
    with pytest.raises(FlawlineError, match="there is no orientation to normalise"):
        taught([torch.full((1, 1, VIEW, VIEW), 0.5)] * 3, 1.0)

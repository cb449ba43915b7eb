"""How the localiser learns by which `flawline.vision.levelling` turns whole images: from views of the normal training
images, turned by random angles, without a label. The losses are those of `flawline.methods.stn`."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from flawline.methods.frames import frame_windows, middle_of, split_counts
from flawline.methods.stn import localiser_stages
from flawline.params import ComputeParams, FramePatchParams, StnParams
from flawline.training.compute import Machine
from flawline.training.loop import Tools, fit
from flawline.training.objective import Material, Objective
from flawline.training.progress import Progress
from flawline.vision.levelling import HEAD, LOCALISER, VIEW
from flawline.vision.localiser import Localiser

HELD_OUT = 5  # every fifth image's views are not learned from, of 5 images or more


class Levels(nn.Module):
    """A localiser alone: frames (n, 2, F, F) to the degrees (n,) by which they are to be turned."""

    def __init__(self) -> None:
        super().__init__()
        self.localiser = Localiser(HEAD, channels=1, size=VIEW)

    def degrees(self, x: Tensor) -> Tensor:
        """Return by how many degrees (n,), counter-clockwise, frames (n, 2, F, F) are to be turned."""
        channels, counts = split_counts(x)
        return self.localiser(middle_of(channels * counts, VIEW))

    def forward(self, x: Tensor) -> Tensor:
        return self.degrees(x)


def teacher(params: StnParams, *, seed: int, compute: ComputeParams, machine: Machine, progress: Progress) -> Callable:
    """Return what trains a localiser on views of images, for `flawline.vision.fitting.fit_aligner`."""
    tools = Tools(compute, machine=machine, progress=progress)
    return partial(teach_localiser, params=params, seed=seed, tools=tools)


def teach_localiser(
    views: Sequence[Tensor], blur: float, *, params: StnParams, seed: int, tools: Tools | None = None
) -> dict[str, Tensor]:
    """Return the weights of a localiser that learned of the ``views`` (n, 1, VIEW, VIEW) of each image; ``blur`` is the
    structure tensor's, in pixels. Raise FlawlineError if the structure tensor is to teach and has no clear angle."""
    some = [image for index, image in enumerate(views) if len(views) < HELD_OUT or index % HELD_OUT]
    others = views[::HELD_OUT]
    patches = FramePatchParams(
        side=VIEW, size=VIEW, stride=VIEW // 2, per_epoch=params.per_epoch, padding="surroundings", turned=True
    )
    train, validation = (
        frame_windows(pictures, range(len(pictures)), patches, seed=seed) for pictures in map(_pictures, (some, others))
    )
    objective = Objective(localiser_stages(params.but(blur=blur)), reconstructs=False)
    fitted = fit(Levels, objective, Material(train, validation), params.train, tools=tools)
    return {name.removeprefix(LOCALISER): value for name, value in fitted.weights.items()}


def _pictures(views: Sequence[Tensor]) -> list[NDArray[np.uint8]]:
    """Return the views (n, 1, h, w) of each image as pictures (1, h, w), one after the other."""
    return [np.rint(255 * view.numpy()).astype(np.uint8) for image in views for view in image]

"""Teaching a reconstructor: what its row says, put into the one training loop."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from numpy.typing import NDArray

from flawline.methods.registry import Network, resolve
from flawline.training.loop import Fitted, Tools, fit
from flawline.training.objective import Material
from flawline.training.windows import PseudoWindows


def train_network(
    network: Network,
    images: Sequence[NDArray],
    material: Material,
    *,
    patches: Any,
    model: Any,
    train: Any,
    tools: Tools,
) -> Fitted:
    """Return what the network of a row learned of ``material``, windows of ``images`` (C, H, W)."""
    build = partial(resolve(network.build), model, channels=images[0].shape[0], size=patches.size)
    return fit(build, resolve(network.objective)(model), material, train, tools=tools)


def material_of(
    network: Network,
    images: Sequence[NDArray],
    rows: tuple[Sequence[int], Sequence[int]],
    *,
    patches: Any,
    seed: int,
    pseudo: Mapping[str, tuple[Sequence[NDArray], ...]] | None = None,
) -> Material:
    """Return the windows of the training and the validation images, at ``rows``, and of the pseudo-defective images of
    ``pseudo`` with their masks and, if given, what they were before, by the split that they are made of.

    Raise FlawlineError if there is no image, one does not suit, or 8 and 16 bit are mixed."""
    windows = resolve(network.windows)
    train, validation = (windows(images, some, patches, seed=seed) for some in rows)
    damaged = {
        split: PseudoWindows(windows(some, range(len(some)), patches, seed=seed), *more)
        for split, (some, *more) in (pseudo or {}).items()
    }
    if network.join is not None:
        train = resolve(network.join)(train, damaged["train"], patches)
    return Material(train, validation, damaged)

"""Teaching a reconstructor: what its row says, put into the one training loop."""

from collections.abc import Sequence
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
    pseudo: tuple[Sequence[NDArray], Sequence[NDArray]] | None = None,
) -> Material:
    """Return the windows of the training and the validation images, at ``rows``, and of the pseudo-defective images of
    ``pseudo`` with their masks, where a method learns with them.

    Raise FlawlineError if there is no image, one does not suit, or 8 and 16 bit are mixed."""
    windows = resolve(network.windows)
    train, validation = (windows(images, some, patches, seed=seed) for some in rows)
    if pseudo is None:
        return Material(train, validation)
    damaged, masks = pseudo
    return Material(train, validation, PseudoWindows(windows(damaged, range(len(damaged)), patches, seed=seed), masks))

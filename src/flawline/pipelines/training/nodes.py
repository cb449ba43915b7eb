"""Teach a reconstructor normal images."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

from flawline.intake.manifest import rows_of
from flawline.methods.fitting import material_of, train_network
from flawline.methods.registry import Network, Reconstructor, resolve
from flawline.params import ComputeParams
from flawline.storage.ragged import Lazy, RaggedArray
from flawline.training.checkpoints import CheckpointStore
from flawline.training.compute import Machine
from flawline.training.folds import fit_folds
from flawline.training.loop import Fitted, Tools
from flawline.training.progress import Progress


def make_fit(row: Reconstructor) -> Callable:
    """Return the node that makes the weights of a reconstructor without a network."""

    def fit(images: RaggedArray, manifest: pd.DataFrame, seed: int, **parts: Any) -> dict[str, Tensor]:
        """Return what the reconstructor learned of the normal training images."""
        some = Lazy.of(images, rows_of(manifest, ["train"]))
        return resolve(row.fit)(some, seed=seed, **row.typed(**parts))

    return fit


def make_train(row: Reconstructor, network: Network) -> Callable:
    """Return the training node of a reconstructor's network."""

    def train(
        images: RaggedArray, manifest: pd.DataFrame, *, patches: Any, model: Any, train: Any, seed: int,
        compute: ComputeParams, checkpoints: CheckpointStore, machine: Machine, progress: Progress,
        pseudo_images: RaggedArray | None = None, pseudo_masks: RaggedArray | None = None,
        pseudo_defects: pd.DataFrame | None = None,
    ) -> tuple[dict[str, Tensor], pd.DataFrame, dict[str, Tensor]]:  # fmt: skip
        """Return the weights of the best epoch, a row for every epoch, and held-out patches as they were reconstructed
        after some epochs."""
        parts = row.typed(patches=patches, model=model, train=train)
        pseudo = {}
        if pseudo_images is not None and pseudo_masks is not None and pseudo_defects is not None:
            place = {name: row for row, name in enumerate(manifest["image"])}
            before = Lazy.of(images, [place[name] for name in pseudo_defects["image"]])
            pseudo = by_split(pseudo_defects, pseudo_images, pseudo_masks, before)
        tools = Tools(compute, checkpoints, machine, progress)
        fitted = _train(network, images, _rows(manifest), parts=parts, seed=seed, tools=tools, pseudo=pseudo)
        return fitted.weights, fitted.history, fitted.sample_reconstructions

    return train


def by_split(table: pd.DataFrame, *arrays: Sequence[NDArray]) -> dict[str, tuple[Lazy, ...]]:
    """Return of each split that was damaged its part of ``arrays``, which have an item a row of the ``table``."""
    rows = {str(split): list(own) for split, own in table.groupby("split", sort=False).indices.items()}
    return {split: tuple(Lazy.of(each, own) for each in arrays) for split, own in rows.items()}


def make_train_folds(row: Reconstructor, network: Network) -> Callable:
    """Return the node that trains a network for each fold of the training images."""

    def train_folds(
        images: RaggedArray, manifest: pd.DataFrame, *, patches: Any, model: Any, train: Any, folds: int, seed: int,
        compute: ComputeParams, checkpoints: CheckpointStore, machine: Machine, progress: Progress,
    ) -> dict[str, Tensor]:  # fmt: skip
        """Return the weights of a network a fold, each trained on the training images that are not in it; none where
        there are no folds."""
        if not folds:
            return {}
        parts = row.typed(patches=patches, model=model, train=train)
        seen, held_out = _rows(manifest)

        def train_one(some: Sequence[int], tools: Tools) -> Fitted:
            return _train(network, images, (some, held_out), parts=parts, seed=seed, tools=tools)

        return fit_folds(train_one, seen, folds, seed=seed, tools=Tools(compute, checkpoints, machine, progress))

    return train_folds


def _rows(manifest: pd.DataFrame) -> tuple[list[int], list[int]]:
    """Return where the training and the validation images stand."""
    return rows_of(manifest, ["train"]), rows_of(manifest, ["validation"])


def _train(
    network: Network,
    images: Sequence[NDArray],
    rows: tuple[Sequence[int], Sequence[int]],
    *,
    parts: dict[str, Any],
    seed: int,
    tools: Tools,
    pseudo: Mapping[str, tuple[Sequence[NDArray], ...]] | None = None,
) -> Fitted:
    material = material_of(network, images, rows, patches=parts["patches"], seed=seed, pseudo=pseudo)
    return train_network(network, images, material, tools=tools, **parts)

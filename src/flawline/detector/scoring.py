"""A finished method as a function of one image: the one scorer of stages, detector, inspection and served model."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from numpy.typing import NDArray
from torch import Tensor

from flawline.methods.inputs import embed_all, views_of
from flawline.methods.one_class import Inputs, OneClassScorer, Scored, State
from flawline.methods.reconstruction import Reconstruction, TrainedReconstructor
from flawline.methods.registry import Method
from flawline.params import ComputeParams
from flawline.storage.tensors import part
from flawline.training.compute import pick_runtime

Tensors = Mapping[str, Tensor]


class ImageScorer:
    """Scores images (C, H, W) uint8 or uint16 in the channels that a method learned from.

    ``params`` are as a detector keeps them, "scorer" and "reconstructor"; ``weights`` hold the groups "one_class" and
    "reconstructor" as `flawline.storage.tensors.packed` joins them. What it is not given it makes: a stage that has
    stored residual images and embeddings gives these."""

    def __init__(
        self, method: Method, params: Mapping[str, Any], weights: Tensors, *, channels: int, compute: ComputeParams
    ):
        self._method, self._params, self._weights = method, params, weights
        self._channels, self._compute = channels, compute

    @property
    def engine(self) -> str:
        """What runs the networks, and where; empty of a method that has none."""
        return str(pick_runtime(self._method.computing(self._compute))) if self._method.runs_network else ""

    @property
    def settled(self) -> ComputeParams:
        """Where it runs and by what, with nothing left open."""
        runtime = pick_runtime(self._compute)
        return self._compute.but(device=runtime.device, engine=runtime.engine)

    @cached_property
    def scorer(self) -> OneClassScorer:
        return self._method.make_scorer(self._params["scorer"], runtime=pick_runtime(self._compute))

    @cached_property
    def _state(self) -> State:
        return self.scorer.ready(part(self._weights, "one_class"))

    @cached_property
    def reconstructor(self) -> TrainedReconstructor | None:
        """What reconstructs images for the scorer; None where it sees the photograph alone."""
        row = self._method.reconstructor
        if row is None:
            return None
        parts = row.typed(**self._params.get("reconstructor", {}))
        weights = part(self._weights, "reconstructor")
        return row.ready(weights, parts, channels=self._channels, compute=self._compute)

    def score(
        self, image: NDArray, *, residual: NDArray | None = None, embedding: NDArray | None = None
    ) -> tuple[Scored, Reconstruction | None]:
        """Return score and map of an image (C, H, W), and its reconstruction if one was made on the way. ``residual``
        is its residual image, or its codes where the scorer sees these."""
        reconstruction = None
        if residual is None and self._method.sees_codes:
            residual = self.reconstructor.codes(image)  # type: ignore[union-attr]
        elif residual is None and self._method.reconstructor is not None:
            reconstruction = self.reconstructor.reconstruct(image)  # type: ignore[union-attr]
            residual = reconstruction.residual
        inputs = Inputs(views_of(self._method.views, image, residual), embedding)
        if embedding is None and self.scorer.embeds:
            inputs = Inputs(inputs.views, next(embed_all(self.scorer, [inputs], batch_size=1)))
        return self.scorer.score(self._state, inputs), reconstruction

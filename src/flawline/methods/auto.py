"""The scorer of a method that was chosen by the good images (`flawline.methods.method_choice`): it hands everything on
to the scorer of the chosen method."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import Tensor

from flawline.checks import FlawlineError
from flawline.methods.one_class import IMAGE, Inputs, MapScorer, State
from flawline.methods.registry import Method, get_method, resolve
from flawline.params import AutoScorerParams, ComputeParams, FeatureParams
from flawline.storage.ragged import Lazy
from flawline.storage.tensors import packed, part
from flawline.training.runtime import TORCH_ON_CPU, Runtime

OWN, RECONSTRUCTOR = "scorer", "reconstructor"  # groups of its state


class Auto(MapScorer):
    """Scores as the method ``params.method`` does.

    Of a method that sees residual images too, the reconstructor's weights are part of what the scorer learned; so it
    must be one that is computed from the images, without a training."""

    embeds = True
    one_size = False

    def __init__(self, params: AutoScorerParams, views: Sequence[str] = (IMAGE,), *, runtime: Runtime = TORCH_ON_CPU):
        super().__init__(params, views, runtime=runtime)
        self.method = suited(params.method)
        try:
            self.scorer = self.method.make_scorer(params.own(), runtime=runtime)
        except ValidationError as error:
            told = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
            raise FlawlineError(f"settings and change do not make a scorer of {params.method}: {told}") from None

    @property
    def features(self) -> FeatureParams:
        """What the chosen method looks at images through."""
        return self.scorer.features

    def embed(self, views: tuple[Tensor, ...]) -> NDArray[np.floating]:
        return self.scorer.embed(views)

    def check(self, count: int) -> None:
        self.scorer.check(count)

    def fit(self, inputs: Sequence[Inputs], *, seed: int) -> State:
        """Learn from normal images as the chosen method does. Raise FlawlineError if they do not suit it."""
        weights = self._fit_reconstructor(inputs, seed=seed)
        seen = inputs if weights is None else self._with_residuals(weights, inputs)
        return packed({OWN: self.scorer.fit(seen, seed=seed), RECONSTRUCTOR: weights or {}})

    def ready(self, state: State) -> State:
        return packed({OWN: self.scorer.ready(part(state, OWN)), RECONSTRUCTOR: part(state, RECONSTRUCTOR)})

    def anomaly_map(self, state: State, inputs: Inputs) -> NDArray[np.float16]:
        if self.method.reconstructor is not None:
            inputs = _seeing(inputs, self._residual(part(state, RECONSTRUCTOR), inputs))
        return self.scorer.anomaly_map(part(state, OWN), inputs)

    def learns_by(self) -> dict[str, Any]:
        """Return what the chosen method learns by, and its name."""
        return {"method": self.method.name, "reconstructor": self.params.reconstructor, **self.scorer.learns_by()}

    def is_monotone(self, count: int) -> bool:
        return self.scorer.is_monotone(count)

    def _parts(self) -> dict[str, Any]:
        row = self.method.reconstructor
        return {} if row is None else row.typed(**(self.params.reconstructor or {}))

    def _fit_reconstructor(self, inputs: Sequence[Inputs], *, seed: int) -> State | None:
        row = self.method.reconstructor
        if row is None:
            return None
        images = Lazy(len(inputs), lambda k: _stored(inputs[k]))
        return resolve(row.fit)(images, seed=seed, **self._parts())

    def _with_residuals(self, weights: State, inputs: Sequence[Inputs]) -> Lazy:
        """Return what the chosen method's scorer sees of images: their residual images are made once and kept."""
        residuals = [self._residual(weights, each) for each in inputs]
        return Lazy(len(inputs), lambda k: _seeing(inputs[k], residuals[k]))

    def _residual(self, weights: State, inputs: Inputs) -> NDArray[np.float16]:
        row = self.method.reconstructor
        assert row is not None  # its callers have asked
        compute = ComputeParams.model_validate({"device": self.device})
        made = row.ready(weights, self._parts(), channels=inputs.views[0].shape[0], compute=compute)
        return made.reconstruct(_stored(inputs)).residual


def suited(name: str) -> Method:
    """Return the method called ``name``; raise FlawlineError unless its score is made from its map, it embeds images,
    and its reconstructor, if it has one, takes no training."""
    method = get_method(name)
    row = method.reconstructor
    if not (method.by_map and method.scorer_class.embeds) or (row is not None and row.network is not None):
        raise FlawlineError(
            f"auto chooses between methods that look through a pretrained network, score by a map and train nothing; "
            f"'{name}' is none: take it out of auto.candidates"
        )
    return method


def _stored(inputs: Inputs) -> NDArray[np.uint16]:
    """Return the photograph (C, H, W) of what a scorer sees, as reconstructors take it."""
    return np.rint(inputs.views[0] * 65535).astype(np.uint16)


def _seeing(inputs: Inputs, residual: NDArray[np.float16]) -> Inputs:
    return replace(inputs, views=(*inputs.views[:1], residual.astype(np.float32)))

"""A finished method as a function of one image: what the pipelines do in stages, done at once for a detector."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from flawline.methods.heads import Head, Look, Scored, State
from flawline.methods.looking import embed_all, views_of
from flawline.methods.maps import anomaly_map, image_score, load_model, reconstruction
from flawline.methods.mean_image import MeanImageRedrawer
from flawline.methods.redrawing import Redrawer, difference, load_redrawer
from flawline.methods.registry import Autoencoder, Method, OneClass
from flawline.params import ComputeParams, CPCAEModelParams, PatchParams, PlacedPatchParams
from flawline.storage.tensors import part
from flawline.vision.patches import patch_grid

Tensors = Mapping[str, Tensor]
CPU = ComputeParams(device="cpu")


class ImageScorer(Protocol):
    """Scores images (C, H, W) uint8 or uint16 in the channels it learned from."""

    least_side: int | None  # pixels that an image must have each way; None: exactly those that were learned from

    def score(self, image: NDArray) -> Scored: ...

    def redraw(self, image: NDArray) -> NDArray[np.uint8] | None:
        """Return the image (C, H, W) as it should look, None where the method does not redraw."""
        ...


def make_scorer(method: Method, params: Mapping[str, Any], weights: Tensors, *, channels: int) -> ImageScorer:
    """Return the scorer that ``params`` (as JSON) and ``weights`` of a detector make."""
    if isinstance(method, Autoencoder):
        return AutoencoderScorer(method, params, weights, channels=channels)
    return HeadScorer(method, params, weights)


class AutoencoderScorer:
    """The anomaly map is the smoothed residual of an autoencoder, the score its largest value."""

    def __init__(self, method: Autoencoder, params: Mapping[str, Any], weights: Tensors, *, channels: int):
        self._method, self._weights, self._channels = method, part(weights, "network"), channels
        self._model_params = method.model_params.model_validate(params["model"])
        self._patches = PatchParams.model_validate(params["patches"])
        self._smoothing = params["map"]["smoothing"]
        self.least_side: int | None = self._patches.size

    @cached_property
    def _model(self) -> nn.Module:
        built = self._method.build(self._model_params, channels=self._channels, size=self._patches.size)
        return load_model(built, self._weights, CPU)

    def score(self, image: NDArray) -> Scored:
        found = anomaly_map(
            self._model, image, self._grid(image), self._patches, self._smoothing, residual=self._method.residual
        )
        return Scored(image_score(found), found)

    def redraw(self, image: NDArray) -> NDArray[np.uint8]:
        return reconstruction(self._model, image, self._grid(image), self._patches)

    def _grid(self, image: NDArray) -> NDArray[np.int64]:
        return patch_grid(*image.shape[1:], size=self._patches.size, stride=self._patches.stride)


class HeadScorer:
    """A head's score of an image, or of how it differs from its reconstruction."""

    def __init__(self, method: OneClass, params: Mapping[str, Any], weights: Tensors):
        self._method, self._params, self._weights = method, params, weights
        self.least_side: int | None = None

    @cached_property
    def _head(self) -> Head:
        return self._method.head(self._method.head_params.model_validate(self._params["head"]), self._method.views)

    @cached_property
    def _state(self) -> State:
        return part(self._weights, "one_class")

    @cached_property
    def _redrawer(self) -> Redrawer | None:
        weights = part(self._weights, "redrawer")
        if self._method.redrawer != "cpcae":
            return MeanImageRedrawer(weights) if self._method.redrawer else None
        params = self._params["redrawer"]
        patches, model = PlacedPatchParams.model_validate(params["patches"]), params["model"]
        return load_redrawer(patches, CPCAEModelParams.model_validate(model), weights, CPU)

    def score(self, image: NDArray) -> Scored:
        seen = None if self._redrawer is None else difference(image, self._redrawer)
        look = Look(views_of(self._method, image, seen))
        if self._method.embeds:
            look = Look(look.views, next(embed_all(self._head, [look], batch_size=1)))
        return self._head.score(self._state, look)

    def redraw(self, image: NDArray) -> NDArray[np.uint8] | None:
        if self._redrawer is None:
            return None
        return np.rint(self._redrawer.redraw(image).clip(0, 1) * 255).astype(np.uint8)

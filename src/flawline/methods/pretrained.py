"""What all scorers share that look at images through a pretrained network: the network itself."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

from torch import Tensor

from flawline.methods.features import load_extractor
from flawline.methods.one_class import IMAGE, OneClassScorer
from flawline.params import FeatureParams
from flawline.training.runtime import TORCH_ON_CPU, Runtime

Extractor = Callable[[Tensor], list[Tensor]]  # images (n, C, H, W) in [0, 1] -> layers (n, D_l, h_l, w_l)


class PretrainedScorer(OneClassScorer):
    """A scorer that looks at images through a pretrained network: ``extractor``, or where none is given the one that
    ``params.features`` names, loaded when it is first needed."""

    embeds = True

    def __init__(
        self,
        params: Any,
        views: Sequence[str] = (IMAGE,),
        *,
        runtime: Runtime = TORCH_ON_CPU,
        extractor: Extractor | None = None,
    ):
        super().__init__(params, views, runtime=runtime)
        self._given = extractor

    @property
    def features(self) -> FeatureParams:
        """What it looks at images through."""
        return self.params.features

    @cached_property
    def _extractor(self) -> Extractor:
        return self._given or load_extractor(self.features, self.runtime)

    def check(self, count: int) -> None:
        """Raise FlawlineError if ``count`` normal images are too few, or the pretrained network cannot be loaded."""
        self.check_count(count)
        _ = self._extractor

    @abstractmethod
    def check_count(self, count: int) -> None:
        """Raise FlawlineError if ``count`` normal images are too few to learn from."""

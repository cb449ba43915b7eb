"""An anomaly map to the score of its image: which of its pixels count, and how they become one number."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flawline.params import ImageScoreParams


@dataclass(frozen=True)
class Reduction:
    """How the values of a map become the score of its image, which is higher the more anomalous they are.

    ``level`` is the value from which pixels count for ``region_mass``, as `learn_reduction` finds it; None: not
    learned, or not needed."""

    params: ImageScoreParams
    level: float | None = None

    @property
    def is_maximum(self) -> bool:
        """True if the score is one of the map's values, so that a limit on scores is one on pixels too."""
        return self.params.reduction == "maximum"

    @property
    def is_learned(self) -> bool:
        return self.level is not None or self.params.reduction != "region_mass"

    def __call__(self, values: NDArray) -> float:
        """Return the score of an image whose judged pixels have these ``values`` (any shape, at least one). Raise
        ValueError if the level that it needs was not learned."""
        if self.params.reduction == "top_share":
            return float(highest(values, self.params.share).mean(dtype=np.float64))
        if self.params.reduction == "region_mass":
            return region_mass(values, self._known_level())
        return float(values.max())

    def counts_from(self, threshold: float) -> float:
        """Return the value above which a pixel helps a score above ``threshold``: without any such pixel no image has
        such a score."""
        return self._known_level() if self.params.reduction == "region_mass" else threshold

    def _known_level(self) -> float:
        if self.level is None:
            raise ValueError("region_mass needs the level that learn_reduction finds in normal maps")
        return self.level


def learn_reduction(params: ImageScoreParams, normal_maps: Iterable[NDArray]) -> Reduction:
    """Return the reduction that ``params`` ask for; only ``region_mass`` looks at ``normal_maps`` (H, W), at least one.

    Its level is the median over the normal images of the value that ``share`` of an image's pixels reach or exceed. Of
    all their pixels together, one odd image would set the level alone."""
    if params.reduction != "region_mass":
        return Reduction(params)
    reached = [float(highest(one, params.share).min()) for one in normal_maps]
    if not reached:
        raise ValueError("normal_maps must hold at least one map to learn the level of region_mass from, got none")
    return Reduction(params, float(np.median(reached)))


def highest(values: NDArray, share: float) -> NDArray[np.floating]:
    """Return the highest ``share`` of ``values``, in no order: so many as are nearest to it, but at least one."""
    flat = np.array(values, np.promote_types(values.dtype, np.float32)).ravel()  # float16 is searched at a third
    least = flat.size - max(1, round(share * flat.size))
    flat.partition(least)
    return flat[least:]


def region_mass(values: NDArray, level: float) -> float:
    """Return by how much the values above ``level`` exceed it, summed."""
    above = values[~(values <= np.float64(level))].astype(np.float64)  # not >: a NaN must not vanish
    return float((above - level).sum())

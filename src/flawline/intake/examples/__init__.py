"""Embedded examples: small data sets with exact masks, drawn or cut out of installed pictures, never downloaded."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from flawline.intake.examples.base import ExampleImage
from flawline.intake.examples.chess import chessboard, draw_chess
from flawline.intake.examples.fabric import draw_fabric
from flawline.intake.examples.noise import draw_noise
from flawline.intake.examples.riblet import draw_riblet_albedo, draw_riblet_normals
from flawline.intake.examples.surface import draw_surface
from flawline.intake.examples.twill import draw_twill
from flawline.params import ExamplesParams

__all__ = [
    "EXAMPLES",
    "ExampleCategory",
    "ExampleImage",
    "chessboard",
    "draw_chess",
    "draw_fabric",
    "draw_noise",
    "draw_riblet_albedo",
    "draw_riblet_normals",
    "draw_surface",
    "draw_twill",
    "params_of",
]


@dataclass(frozen=True)
class ExampleCategory:
    """One embedded category: the name of its parameters in ExamplesParams, and what draws its images from them."""

    params: str
    draw: Callable[[Any], Iterator[ExampleImage]]

    def __call__(self, examples: ExamplesParams) -> Iterator[ExampleImage]:
        return self.draw(getattr(examples, self.params))


EXAMPLES: dict[str, ExampleCategory] = {
    "chess": ExampleCategory("chess", draw_chess),
    "noise": ExampleCategory("noise", draw_noise),
    "brick": ExampleCategory("surface", partial(draw_surface, "brick")),
    "gravel": ExampleCategory("surface", partial(draw_surface, "gravel")),
    "grass": ExampleCategory("surface", partial(draw_surface, "grass")),
    "riblet-albedo": ExampleCategory("riblet", draw_riblet_albedo),
    "riblet-normals": ExampleCategory("riblet", draw_riblet_normals),
    "fabric": ExampleCategory("fabric", draw_fabric),
    "twill": ExampleCategory("twill", draw_twill),
}


def params_of(category: str) -> str | None:
    """Return the field of ExamplesParams with the settings of the embedded example ``category``, or None if it is
    none."""
    return EXAMPLES[category].params if category in EXAMPLES else None

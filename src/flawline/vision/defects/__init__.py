"""Pseudo-defects: draw a region in a normal image, damage the pixels in it, know exactly which ones."""

from flawline.vision.defects.base import Damaged, Injector
from flawline.vision.defects.blends import Blend
from flawline.vision.defects.elastic import Elastic
from flawline.vision.defects.injection import PseudoDefect, PseudoDefects, inject
from flawline.vision.defects.julia import Julia, JuliaSet, julia_patches, julia_steps_left
from flawline.vision.defects.line import Line
from flawline.vision.defects.noise import GaussianNoise, PoissonNoise
from flawline.vision.defects.regions import Disk, random_disk, random_region
from flawline.vision.defects.registry import INJECTORS
from flawline.vision.defects.stain import Stain
from flawline.vision.defects.transplants import Patch, Scar

__all__ = [
    "INJECTORS",
    "Blend",
    "Damaged",
    "Disk",
    "Elastic",
    "GaussianNoise",
    "Injector",
    "Julia",
    "JuliaSet",
    "Line",
    "Patch",
    "PoissonNoise",
    "PseudoDefect",
    "PseudoDefects",
    "Scar",
    "Stain",
    "inject",
    "julia_patches",
    "julia_steps_left",
    "random_disk",
    "random_region",
]

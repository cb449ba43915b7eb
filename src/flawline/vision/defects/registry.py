"""Every kind of pseudo-defect by its name, which is also its parameters' name in ``DefectInjectionParams``."""

from collections.abc import Callable
from typing import Any

from flawline.vision.defects.base import Injector
from flawline.vision.defects.blends import Blend
from flawline.vision.defects.elastic import Elastic
from flawline.vision.defects.julia import Julia
from flawline.vision.defects.line import Line
from flawline.vision.defects.noise import GaussianNoise, PoissonNoise
from flawline.vision.defects.stain import Stain
from flawline.vision.defects.transplants import Patch, Scar

INJECTORS: dict[str, Callable[[Any], Injector]] = {
    "elastic": Elastic,
    "line": Line,
    "gaussian": GaussianNoise,
    "poisson": PoissonNoise,
    "julia": Julia,
    "patch": Patch,
    "scar": Scar,
    "blend": Blend,
    "stain": Stain,
}

"""What a study varies beside categories and seeds: every combination of the values of some parameters."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from flawline.checks import FlawlineError

IN_PATHS = ("protocol",)  # parameters whose values have folders of their own
OWN = ("category", "seed", "raw", "images", "variant")
UNSAFE = re.compile(r"[^A-Za-z0-9._=-]")  # what a variant's name cannot hold


@dataclass(frozen=True)
class Variation:
    """Values of some parameters, by their dotted names; none: a study that varies nothing."""

    chosen: Mapping[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """What a person reads: the values behind the last part of each name."""
        return ", ".join(f"{name.rpartition('.')[2]} {value}" for name, value in self.chosen.items())

    @property
    def variant(self) -> str:
        """The name of the runs' own folder; empty where their paths differ already."""
        named = [f"{name}={value}" for name, value in self.chosen.items() if name not in IN_PATHS]
        return UNSAFE.sub("_", "-".join(named))[-64:].lstrip("._=-")

    def tree(self) -> dict[str, Any]:
        """Return the values as a tree of parameters, with the variant's name."""
        found: dict[str, Any] = {"variant": self.variant} if self.variant else {}
        for name, value in self.chosen.items():
            *branch, last = name.split(".")
            place = found
            for part in branch:
                place = place.setdefault(part, {})
            place[last] = value
        return found


def variations_of(varied: Mapping[str, Sequence[Any]]) -> list[Variation]:
    """Return every combination of the values of parameters, in order; one that changes nothing where none are varied.

    Raise FlawlineError if a parameter has no value, or is not one that a study can vary."""
    for name, values in varied.items():
        if name in OWN:
            raise FlawlineError(f"a study cannot vary {name} by --vary; use --categories, --seeds and --raw")
        if not values:
            raise FlawlineError(f"--vary {name} needs values: --vary {name}=VALUE,VALUE")
    found = [Variation(dict(zip(varied, values, strict=True))) for values in product(*varied.values())]
    names = [each.variant for each in found if each.variant]
    if not any(name in IN_PATHS for name in varied) and len(set(names)) < len(names):
        raise FlawlineError("the values of --vary are too long to be told apart by a folder's name; vary fewer at once")
    return found

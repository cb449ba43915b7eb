"""Which parameters a tracked run keeps: those of what ran, as a person compares them in MLflow."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, get_args

from kedro.pipeline import Pipeline

from flawline.methods.registry import METHODS
from flawline.params import DefectKind, flatten
from flawline.places import IMAGES

CANDIDATES = "candidates"  # of a method that chooses: each has a run of its own


def what_counts(tree: Mapping[str, Any], pipelines: Iterable[Pipeline]) -> dict[str, Any]:
    """Return flat those parameters of the ``tree`` that pipelines read and that have a part in what they do.

    What draws one kind of pseudo-defect is one parameter, as JSON: nobody compares its fifty numbers."""
    inputs = set().union(*(pipeline.inputs() for pipeline in pipelines))
    read = {name.removeprefix("params:") for name in inputs if name.startswith("params:")}
    flat = flatten(with_kinds_as_text(tree))
    idle = idle_branches(tree)
    return {name: value for name, value in flat.items() if _is_in(name, read) and not _is_in(name, idle)}


def of_method(tree: Mapping[str, Any], method: str) -> dict[str, Any]:
    """Return flat the parameters of a method and those of the whole run, without those of its candidates, and without
    those by which the run was given nothing, such as the folder of new images where none are inspected."""
    plain = {name: value for name, value in tree.items() if not isinstance(value, Mapping) and value not in (None, "")}
    own = {name: value for name, value in tree[method].items() if not (METHODS[method].chooses and name == CANDIDATES)}
    return plain | flatten({method: own})


def of_candidate(tree: Mapping[str, Any], method: str, candidate: str) -> dict[str, Any]:
    """Return flat the parameters of a candidate of a method that chooses; none of what is no candidate, such as the
    scorer that is taken where there are too few images to choose by."""
    return flatten(tree[method][CANDIDATES].get(candidate, {}))


def idle_branches(tree: Mapping[str, Any]) -> set[str]:
    """Return the branches of the ``tree`` that a run reads and makes nothing of."""
    align, raw, kinds = tree["registration"]["align"], tree["raw"], tree["defect_injection"]["kinds"]
    idle = {f"defect_injection.{kind}" for kind in get_args(DefectKind) if kind not in kinds}
    idle |= {f"examples.{name}" for name in tree["examples"] if raw or name != tree["category"]}
    idle |= {f"{name}.{CANDIDATES}" for name, method in METHODS.items() if method.chooses}
    idle |= {"registration.stn"} if align != "stn" else set()
    idle |= {"registration.auto"} if align != "auto" else set()
    return idle | ({"patch_set"} if tree["protocol"] == IMAGES else set())


def with_kinds_as_text(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return the ``tree`` with what draws each kind of pseudo-defect as one text."""
    kinds = set(get_args(DefectKind))
    injection = {
        name: json.dumps(value) if name in kinds else value for name, value in tree["defect_injection"].items()
    }
    return {**tree, "defect_injection": injection}


def _is_in(name: str, branches: set[str]) -> bool:
    """Return True if a dotted name is one of ``branches`` or lies in one."""
    parts = name.split(".")
    return any(".".join(parts[:count]) in branches for count in range(1, len(parts) + 1))

"""The whole tree of parameters: what every run has, and a branch of its own for each method and reconstructor."""

import json
import re
from types import NoneType
from typing import Any, get_args

from pydantic import ValidationError, create_model

from flawline.checks import FlawlineError, near_name
from flawline.methods import registry
from flawline.params import BaseParameters, check_category

_LAST: dict[tuple, BaseParameters] = {}  # the last tree that was checked


def parameters_type() -> type[BaseParameters]:
    """Return the type of the whole tree, with a field for each name that the registry has; a branch whose fields all
    have defaults may be missing."""
    branches = {name: _field(kind) for name, kind in registry.branches().items()}
    return create_model("Parameters", __base__=BaseParameters, **branches)


def _field(kind: type) -> Any:
    needed = any(field.is_required() for field in kind.model_fields.values())  # type: ignore[attr-defined]
    return (kind, ...) if needed else (kind, kind())


def validate_parameters(tree: dict[str, Any]) -> BaseParameters:
    """Check the whole tree at once; raise FlawlineError naming every wrong key, what was wanted and what came."""
    category = check_category(tree.get("category"))
    return _validated({**tree, "category": category})


def _validated(tree: dict[str, Any]) -> BaseParameters:
    """Return the tree as parameters: the same ones for the tree that was asked for last, as several hooks ask."""
    known = (json.dumps(tree, sort_keys=True, default=repr), tuple(registry.branches().values()))
    if known not in _LAST:
        try:
            checked = parameters_type().model_validate(tree)
        except ValidationError as error:
            lines = [_explain(problem, tree) for problem in error.errors()]
            raise FlawlineError("parameters are not valid:\n" + "\n".join(f"  {line}" for line in lines)) from None
        _LAST.clear()
        _LAST[known] = checked
    return _LAST[known]


def _explain(problem: Any, tree: Any) -> str:
    where = ".".join(_keys(problem["loc"], tree))
    if problem["type"] == "extra_forbidden":
        return f"{where}: no such parameter{near_name(problem['loc'][-1], _fields_at(problem['loc'][:-1]))}"
    if problem["type"] == "missing":
        return f"{where}: is needed and was not given"
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "value_error":
        return f"{where}: {message}" if where else message
    near = near_name(problem["input"], _literals(problem)) if problem["type"] == "literal_error" else ""
    return f"{where}: {message[0].lower()}{message[1:]}, got {problem['input']!r}{near}"


def _literals(problem: Any) -> list[str]:
    """Return the words that a parameter may be, of an error that says so."""
    return re.findall(r"'([^']*)'", problem["ctx"]["expected"])


def _keys(path: tuple[Any, ...], tree: Any) -> list[str]:
    """Return the part of ``path`` that lies in ``tree``; beyond a value, pydantic goes on with its types' names."""
    keys = []
    for part in path:
        if not isinstance(tree, dict | list | tuple):
            break
        keys.append(str(part))
        known = part in tree if isinstance(tree, dict) else isinstance(part, int) and part < len(tree)
        tree = tree[part] if known else None
    return keys


def _but_none(kind: Any) -> Any:
    """Return what ``X | None`` is where it is not None; any other type as it is."""
    others = [each for each in get_args(kind) if each is not NoneType]
    return others[0] if NoneType in get_args(kind) and len(others) == 1 else kind


def _fields_at(path: tuple[Any, ...]) -> list[str]:
    model: Any = parameters_type()
    for part in path:
        if isinstance(part, int):
            model = get_args(model)[0]  # tuple[Model, ...]
            continue
        field = getattr(model, "model_fields", {}).get(part)
        if field is None:
            return []
        model = _but_none(field.annotation)
    return list(getattr(model, "model_fields", {}))

"""The pages made from the source: every parameter with its comment, every public module of the plain library."""

import ast
import inspect
import io
import pkgutil
import tokenize
import types
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from flawline import params
from flawline.methods.tree import parameters_type

PACKAGES = ("intake", "vision", "metrics", "training", "methods", "detector", "figures", "storage")
FOREIGN = "flawline.detector.serving"  # MLflow adds a text of its own to what it finds there
CONF = Path(__file__).parents[1] / "conf" / "base" / "parameters"
SIGNS = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}


# --- parameters ------------------------------------------------------------------------------------------------------
def parameters_page() -> str:
    """Return a section for each part of the tree, a table row a parameter."""
    base, comments = base_values(), comments_by_field()
    own, parts = [], []
    for name, field in parameters_type().model_fields.items():
        model = model_of(field.annotation)
        if model is None:
            own.append(row(params.BaseParameters, name, field, name, base, comments))
        else:
            parts.append(section(name, model, base.get(name, {}), comments))
    return "\n\n".join(["## The run\n\n" + table(own), *parts])


def section(name: str, model: type[BaseModel], values: dict, comments: dict) -> str:
    doc = summary(model)
    return f"## {name}\n\n" + (f"{doc}\n\n" if doc else "") + table(rows(model, "", values, comments))


def rows(model: type[BaseModel], prefix: str, values: dict, comments: dict) -> list[str]:
    """Return the rows of a model and of the models in it, by dotted name."""
    found = []
    for name, field in model.model_fields.items():
        inner = model_of(field.annotation)
        if inner is None:
            found.append(row(model, name, field, prefix + name, values, comments))
        else:
            found += rows(inner, f"{prefix}{name}.", values.get(name) or {}, comments)
    return found


def row(model: type, name: str, field: FieldInfo, shown: str, values: dict, comments: dict) -> str:
    told = (comments[key] for owner in model.__mro__ if (key := (owner.__name__, name)) in comments)
    meaning = field.description or next(told, "")  # an inherited parameter is told where it is declared
    default = values[name] if name in values else field.get_default(call_default_factory=True)
    default = "" if field.is_required() and name not in values else f"`{plain(default)}`"
    return f"| `{shown}` | {kind(field.annotation, field.metadata)} | {default} | {escape(meaning)} |"


def table(lines: list[str]) -> str:
    return "\n".join(["| name | type and range | default | meaning |", "|---|---|---|---|", *lines])


def model_of(annotation: Any) -> type[BaseModel] | None:
    """Return ``annotation`` if it is a parameter model itself."""
    return annotation if inspect.isclass(annotation) and issubclass(annotation, BaseModel) else None


def kind(annotation: Any, metadata: Any = ()) -> str:
    """Say a type and its range in words."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return kind(arguments[0], [*arguments[1:], *metadata])
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join("`null`" if part is types.NoneType else kind(part, metadata) for part in arguments)
    if origin is tuple:
        many = len(arguments) == 2 and arguments[1] is ...
        shown = "list of " + kind(arguments[0]) if many else "(" + ", ".join(kind(part) for part in arguments) + ")"
        return shown + bounds(metadata)
    if model := model_of(annotation):
        inner = ", ".join(model.model_fields)
        return f"{{{inner}}}"
    names = {int: "whole number", float: "number", str: "text", bool: "true or false"}
    return names.get(annotation, getattr(annotation, "__name__", str(annotation))) + bounds(metadata)


def bounds(metadata: Any) -> str:
    """Return the limits that pydantic's field constraints hold, such as `` > 0, < 1``."""
    flat = [part for item in metadata for part in getattr(item, "metadata", [item])]
    limits = [f"{sign} {number(getattr(part, name))}" for part in flat for name, sign in SIGNS.items()
              if getattr(part, name, None) is not None]  # fmt: skip
    least = [f"at least {part.min_length}" for part in flat if getattr(part, "min_length", None)]
    return (" " + ", ".join(limits) if limits else "") + "".join(f", {part}" for part in least)


def number(limit: float) -> str:
    """Return a limit without digits that say nothing."""
    return str(int(limit)) if float(limit).is_integer() else f"{limit:g}"


def base_values() -> dict:
    """Return the parameters of conf/base as they are written there."""
    values: dict = {}
    for path in sorted(CONF.rglob("*.yml")):
        values |= yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    settings = yaml.safe_load((CONF.parent / "globals.yml").read_text(encoding="utf-8"))
    return values | settings  # category and seed, which the parameters take from there


def comments_by_field() -> dict[tuple[str, str], str]:
    """Return the comment above and on the lines of each annotated field of params.py, by (class, field)."""
    source = inspect.getsource(params)
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    found = [token for token in tokens if token.type == tokenize.COMMENT]
    comments = {token.start[0]: token.string.lstrip("# ").strip() for token in found}
    alone = {token.start[0] for token in found if token.line.lstrip().startswith("#")}
    classes = [node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]
    return {
        (owner.name, field.target.id): " ".join(comments[n] for n in lines_of(field, alone) if n in comments)
        for owner in classes
        for field in owner.body
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
    }


def lines_of(node: ast.stmt, alone: set[int]) -> range:
    """Return the lines of a field, and those directly above it that hold a comment and nothing else."""
    first = node.lineno
    while first - 1 in alone:
        first -= 1
    return range(first, (node.end_lineno or node.lineno) + 1)


def plain(value: Any) -> str:
    """Return a value as one would write it in YAML."""
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json")
    return yaml.safe_dump(list(value) if isinstance(value, tuple) else value, default_flow_style=True,
                          width=10_000).removesuffix("\n").removesuffix("\n...")  # fmt: skip


def summary(item: Any) -> str:
    """Return the docstring of a model itself, not that of its base."""
    return inspect.cleandoc(item.__dict__.get("__doc__") or "")


def escape(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


# --- modules ---------------------------------------------------------------------------------------------------------
def api_page() -> str:
    """Return a section for each package, an automodule for each of its modules."""
    return "\n\n".join(package_section(name) for name in PACKAGES)


def package_section(name: str) -> str:
    package = import_module(f"flawline.{name}")
    home = f"flawline.{name}."
    below = (each.name.removeprefix(home) for each in pkgutil.walk_packages(package.__path__, prefix=home))
    modules = sorted(module for module in below if not module.startswith("_") and home + module != FOREIGN)
    parts = [f"### {module}\n\n```{{eval-rst}}\n.. automodule:: flawline.{name}.{module}\n```" for module in modules]
    return "\n\n".join([f"## flawline.{name}\n\n{package.__doc__}", *parts])

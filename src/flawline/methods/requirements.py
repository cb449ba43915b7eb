"""What a method requires of the images, asked as soon as the folder is read and before anything long starts."""

from collections.abc import Mapping, Sequence
from typing import Any

from flawline.checks import FlawlineError
from flawline.methods.one_class import check_one_size
from flawline.methods.registry import METHODS, Method, Reconstructor, resolve

Shapes = Sequence[tuple[int, ...]]  # (C, H, W) each


def check_method(method: Method, tree: Mapping[str, Any], shapes: Shapes | None, count: int) -> None:
    """Raise FlawlineError if ``method``, with the parameters ``tree``, cannot serve images of ``shapes`` (None: not
    known yet) of which ``count`` are learned from."""
    scorer = method.make_scorer(_branch(method, tree).scorer)
    scorer.check(count)
    if shapes is None:
        return
    if scorer.one_size:
        check_one_size(shapes, method.name)
    if method.reconstructor is not None:
        _check_reconstructor(method.reconstructor, tree, shapes)


def _check_reconstructor(row: Reconstructor, tree: Mapping[str, Any], shapes: Shapes) -> None:
    if row.check is not None:
        branch = _branch(row, tree)
        resolve(row.check)(shapes, **{part: getattr(branch, part) for part in row.parts})


def _branch(row: Method | Reconstructor, tree: Mapping[str, Any]) -> Any:
    """Return the parameters of a row; a branch that ``tree`` lacks has its defaults."""
    return row.params.model_validate(tree.get(row.name, {}))


def why_not(method: Method, tree: Mapping[str, Any], shapes: Shapes | None, count: int) -> str | None:
    """Return why ``method`` cannot serve the images, or None if it can."""
    try:
        check_method(method, tree, shapes, count)
    except FlawlineError as error:
        return str(error)
    return None


def check_methods(names: Sequence[str], tree: Mapping[str, Any], shapes: Shapes | None, count: int) -> None:
    """Raise FlawlineError if one of the methods ``names`` cannot serve the images; it names those that can."""
    for name in names:
        reason = why_not(METHODS[name], tree, shapes, count)
        if reason is not None:
            able = [each for each, method in METHODS.items() if why_not(method, tree, shapes, count) is None]
            said = f"These methods can serve these images: {', '.join(able)}." if able else "No method can."
            how = f" Take one: make run ... METHOD={able[0]}, or kedro run --pipelines={able[0]}." if able else ""
            raise FlawlineError(f"{reason}\n{said}{how}")

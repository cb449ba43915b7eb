"""What a method requires of the images, asked as soon as the folder is read and before anything long starts."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from flawline.checks import FlawlineError
from flawline.methods.registry import DEFAULT, METHODS, Method, Reconstructor, resolve

SHOWN = 10  # images named in an error
Shapes = Sequence[tuple[int, ...]]  # (C, H, W) each


def check_method(method: Method, tree: Mapping[str, Any], shapes: Shapes | None, count: int) -> None:
    """Raise FlawlineError if ``method``, with the parameters ``tree``, cannot serve images of ``shapes`` (None: not
    known yet) of which ``count`` are learned from."""
    scorer = method.make_scorer(_branch(method, tree).scorer)
    scorer.check(count)
    if shapes is None:
        return
    scorer.check_sizes(shapes, method.name)
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


def odd_ones(method: Method, tree: Mapping[str, Any], shapes: Shapes, count: int) -> list[int]:
    """Return which few images keep ``method`` from serving the others: those too small for it, or of another size than
    most where it takes one only. Empty if they are half of all or more, or the others would not do either."""
    sizes = [tuple(shape[-2:]) for shape in shapes]
    alone = {size: why_not(method, tree, [shape], count) is None for size, shape in zip(sizes, shapes, strict=True)}
    fit = [size for size in sizes if alone[size]]
    for kept in (set(fit), {size for size, _ in Counter(fit).most_common(1)}):
        odd = [i for i, size in enumerate(sizes) if size not in kept]
        rest = [shape for size, shape in zip(sizes, shapes, strict=True) if size in kept]
        if rest and len(odd) < len(rest) and why_not(method, tree, rest, count) is None:
            return odd
    return []


def _left_out(odd: Sequence[int], images: Sequence[str], shapes: Shapes) -> str:
    """Return which images do not fit, and the parameter that leaves them out."""
    told = [f"{images[i]} ({shapes[i][-2]} x {shapes[i][-1]})" for i in odd]
    more = f" and {len(told) - SHOWN} more" if len(told) > SHOWN else ""
    least = min(min(shape[-2:]) for i, shape in enumerate(shapes) if i not in set(odd))
    small = all(min(shapes[i][-2:]) < least for i in odd)
    how = f"ingestion.least_side={least}" if small else "ingestion.sizes=usual"
    return (
        f"Of {len(shapes)} images these {len(odd)} do not fit: {', '.join(told[:SHOWN])}{more}. Remove them, or leave "
        f"them out: --params {how}.\n"
    )


def check_methods(
    names: Sequence[str], tree: Mapping[str, Any], shapes: Shapes | None, count: int, images: Sequence[str] = ()
) -> None:
    """Raise FlawlineError if one of the methods ``names`` cannot serve the ``images``; it names the few that do not fit
    where the others would, and the methods that can serve all."""
    for name in names:
        reason = why_not(METHODS[name], tree, shapes, count)
        if reason is not None:
            odd = odd_ones(METHODS[name], tree, shapes, count) if shapes and images else []
            few = _left_out(odd, images, shapes) if shapes and odd else ""
            able = [each for each, method in METHODS.items() if why_not(method, tree, shapes, count) is None]
            said = f"These methods can serve these images: {', '.join(able)}." if able else "No method can."
            best = DEFAULT if DEFAULT in able else next(iter(able), "")
            how = f" Take one: make run ... METHOD={best}, or kedro run --pipelines={best}." if able else ""
            raise FlawlineError(f"{reason}\n{few}{said}{how}")

"""Errors a user can act on: what was wanted, what came, what to do."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any


class FlawlineError(ValueError):
    """A mistake in the input, not in the program: shown to the user as one message without a traceback."""


def check_range(name: str, value: float, *, low: float | None = None, high: float | None = None) -> None:
    """Raise FlawlineError unless ``low <= value <= high`` (a bound that is None is open)."""
    if (low is not None and not value >= low) or (high is not None and not value <= high):
        wanted = f">= {low}" if high is None else f"<= {high}" if low is None else f"in [{low}, {high}]"
        raise FlawlineError(f"{name} must be {wanted}, got {value}")


def check_shape(name: str, array: Any, wanted: tuple[int | str, ...]) -> None:
    """Raise FlawlineError unless ``array`` has the shape ``wanted``, where a string stands for any length."""
    shape = tuple(array.shape)
    fits = len(shape) == len(wanted) and all(isinstance(w, str) or w == s for w, s in zip(wanted, shape, strict=True))
    if not fits:
        raise FlawlineError(f"{name} must have shape ({', '.join(map(str, wanted))}), got {shape}")


def near_name(name: str, known: Iterable[str]) -> str:
    """Return `` (did you mean 'x'?)`` for the known name nearest to ``name``, or an empty string."""
    matches = get_close_matches(str(name), [str(k) for k in known], n=1)
    return f" (did you mean '{matches[0]}'?)" if matches else ""


def how_to_install(extra: str) -> str:
    """Return the command that installs what flawline can do without."""
    return f"pip install 'flawline[{extra}]' (in a clone: -e '.[{extra}]')"

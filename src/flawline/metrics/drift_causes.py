"""What drifted, by the figures of `flawline.vision.appearance` that did: light, focus, framing, product, or the parts.

A cause moves other figures than its own where it is strong: blur darkens highlights, a nearer camera is blurrier, too
much light fills what was bright. So causes are told in the order in which they explain one another; what a cause
explains is named with it and is no cause of its own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pandas as pd

from flawline.metrics.drift import SCORE

LIGHT, FOCUS, FRAMING, PRODUCT, PARTS = CAUSES = ("light", "focus", "framing", "product", "parts")
SHAPES, PLACES = ("size", "scale"), ("across", "down", "size")
LEVELS = ("shadows", "highlights")
TONES = (*LEVELS, "tonal_range")
WHITE = 254.0  # grey levels: highlights that cannot become brighter


@dataclass(frozen=True)
class Cause:
    """What drifted: a name of CAUSES, its ``figures`` with their directions, those that it ``explains``, and the
    numbers, from 1, of the images since which it drifts and by which it was sure."""

    name: str
    figures: Mapping[str, str]
    explains: tuple[str, ...]
    since: int
    told_at: int


def find_causes(drift: pd.DataFrame) -> list[Cause]:
    """Return what drifted, the cause that explains most first, from the rows of `flawline.metrics.drift.find_drift`."""
    rows = drift.set_index("figure")
    moved = rows.loc[rows["drifts"], "direction"].to_dict()
    white = "highlights" in rows.index and rows.loc["highlights", "found_high"] >= WHITE
    causes, left = [], dict(moved)
    for name, rule in RULES:
        own, explains = rule(left, bool(white))
        if own:
            causes.append(_cause(name, own, [*explains, SCORE], rows.loc[list(moved)]))
            left = {each: way for each, way in left.items() if each not in (*own, *explains, SCORE)}
    return causes


def _cause(name: str, own: list[str], explains: list[str], drifting: pd.DataFrame) -> Cause:
    mine = drifting.loc[own]
    explained = tuple(each for each in explains if each in drifting.index and each not in own)
    return Cause(name, mine["direction"].to_dict(), explained, int(mine["since"].min()), int(mine["told_at"].min()))


Ruled = tuple[list[str], list[str]]  # (the figures that a cause is told by, what else it explains)


def _flooded(moved: Mapping[str, str], white: bool) -> Ruled:
    """So much light that what was bright is white: the tones between are lost, and edges with them."""
    brighter = [name for name in LEVELS if moved.get(name) == "higher"]
    dark = moved.get("shadows") == "lower" or moved.get("focus") == "lower"
    told = white and brighter and not dark
    return (brighter, ["tonal_range", "focus", *SHAPES]) if told else ([], [])


def _product(moved: Mapping[str, str], white: bool) -> Ruled:
    """Neither light nor framing changes both the tones and the shape."""
    tones, shapes = _of(moved, *TONES), _of(moved, *SHAPES)
    told = tones and shapes and ("size" in moved or "tonal_range" in moved)
    return ([*tones, *shapes], list(moved)) if told else ([], [])


def _framing(moved: Mapping[str, str], white: bool) -> Ruled:
    """The scale alone does not tell of the framing: many broken parts change it too."""
    return _of(moved, *PLACES), ["scale", *(["focus"] if "size" in moved else [])]


def _focus(moved: Mapping[str, str], white: bool) -> Ruled:
    faded = {"shadows": "higher", "highlights": "lower", "tonal_range": "lower"}
    softer = moved.get("focus") == "lower"
    return _of(moved, "focus"), [name for name, way in faded.items() if softer and moved.get(name) == way]


def _light(moved: Mapping[str, str], white: bool) -> Ruled:
    return _of(moved, *TONES), []


def _parts(moved: Mapping[str, str], white: bool) -> Ruled:
    return _of(moved, SCORE, "scale"), []


def _of(moved: Mapping[str, str], *names: str) -> list[str]:
    return [name for name in names if name in moved]


RULES: tuple[tuple[str, Callable[[Mapping[str, str], bool], Ruled]], ...] = (
    (LIGHT, _flooded), (PRODUCT, _product), (FRAMING, _framing), (FOCUS, _focus), (LIGHT, _light), (PARTS, _parts),
)  # fmt: skip

"""Figures of a whole photograph that tell its light, focus and framing apart, and from what it shows.

Each is made so that the other causes hardly move it. The light is told by the darkest and the brightest twentieth,
which a part that moves does not change; all others are ratios, which a gain does not change; all but the focus are
measured on a small copy, in which a slight blur is not seen. A defect covers few pixels, and moves none of them far.

Detectors keep these figures: whoever measures one otherwise gives detectors a new format, `FORMAT` of
`flawline.detector.file`."""

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flawline.vision.levels import full_value, grey_levels

SIDE = 64  # of the small copy, pixels
SEEN = 128  # pixels of the shorter side that the small copy is made of, at least, where there are so many
TAIL = 0.05  # share of the pixels that are darker than the shadows, and brighter than the highlights
LINES = 64  # rows and columns along which focus is measured, at least, where there are so many
NEAR, FAR = 2, 4  # pixels apart
FULL, MOST = 0.5, 0.98  # of the difference from the border that this share of the pixels is below: wholly the part
SLOWEST, FASTEST = 0.024, 0.12  # cycles a pixel of the small copy: a structure, and not the shade, nor a blur
FIGURES = ("shadows", "highlights", "tonal_range", "focus", "across", "down", "size", "scale")
LEVELS = ("shadows", "highlights")  # of them those that are grey levels


def appearance_of(photograph: NDArray, bits: int) -> dict[str, float]:
    """Return the FIGURES of a photograph (C, H, W) uint8 or uint16 as it was decoded, of which so many bits a channel
    are used."""
    return on_scale(appearance(photograph), depth=8 * photograph.itemsize, bits=bits)


def on_scale(figures: Mapping[str, float], *, depth: int, bits: int) -> dict[str, float]:
    """Return the FIGURES of a photograph of ``depth`` bits a channel, of which ``bits`` are used, with its grey levels
    on the scale of these."""
    scale = {name: full_value(depth) / full_value(bits) for name in LEVELS}
    return {name: round(figures[name] * scale.get(name, 1.0), 6) for name in FIGURES}


def appearance(photograph: NDArray) -> dict[str, float]:
    """Return the FIGURES, to six decimals, of a photograph (C, H, W) uint8 or uint16.

    ``shadows`` and ``highlights``: the grey levels that TAIL of the pixels are darker and brighter than;
    ``tonal_range``: how far these are apart, relative to their sum; ``focus``: how much pixels differ that are NEAR,
    squared, relative to those FAR apart; ``across``, ``down`` and ``size``: the middle and the spread of what differs
    from the border, as shares of the sides; ``scale``: the mean frequency of the coarse structure, as log2 of cycles a
    pixel of the small copy."""
    small = _small_copy(photograph)
    low, high = _quantiles(small, TAIL, 1 - TAIL)
    found = {
        "shadows": low, "highlights": high, "tonal_range": _ratio(high - low, high + low),
        "focus": _focus(photograph), **_place(small), "scale": _scale(small),
    }  # fmt: skip
    return {name: round(value, 6) for name, value in found.items()}


def _small_copy(photograph: NDArray) -> NDArray[np.float32]:
    """Return grey levels (SIDE, SIDE), each pixel the mean of what it covers; of a large photograph, of some of it."""
    step = max(1, min(photograph.shape[1:]) // SEEN)
    grey = grey_levels(photograph[:, ::step, ::step])
    return np.asarray(Image.fromarray(grey).resize((SIDE, SIDE), Image.Resampling.BOX))


def _quantiles(values: NDArray[np.float32], *shares: float) -> list[float]:
    """Return the values that these shares of all are below. They are sorted: a partition takes ten times as long where
    most are equal, as those of a white ground are."""
    ordered = np.sort(values, axis=None)
    return [float(ordered[int(share * values.size)]) for share in shares]


def _ratio(above: float, below: float) -> float:
    return above / below if below > 0 else 0.0


def _focus(photograph: NDArray) -> float:
    _, height, width = photograph.shape
    rows = grey_levels(photograph[:, :: max(1, height // LINES)])
    columns = grey_levels(photograph[:, :, :: max(1, width // LINES)]).T
    near, far = (_steps(rows, apart) + _steps(columns, apart) for apart in (NEAR, FAR))
    return _ratio(near, far)


def _steps(lines: NDArray[np.float32], apart: int) -> float:
    """Return the mean squared difference of values so far ``apart`` along lines (n, length); 0 of shorter ones."""
    steps = lines[:, apart:] - lines[:, :-apart]
    return float(np.vdot(steps, steps)) / max(1, steps.size)


def _place(small: NDArray[np.float32]) -> dict[str, float]:
    """Return the middle and the spread of what differs from the border; the middle and 0 where nothing does."""
    places = (np.arange(SIDE) + 0.5) / SIDE
    weights = np.abs(small - _quantiles(small[_border()], 0.5)[0])
    full = FULL * _quantiles(weights, MOST)[0]
    if full <= 0:
        return {"across": 0.5, "down": 0.5, "size": 0.0}
    weights = np.minimum(weights / full, 1) ** 2
    total = weights.sum()
    rows, columns = weights.sum(axis=1) / total, weights.sum(axis=0) / total
    down, across = float(rows @ places), float(columns @ places)
    spread = rows @ (places - down) ** 2 + columns @ (places - across) ** 2
    return {"across": across, "down": down, "size": float(np.sqrt(spread))}


def _scale(small: NDArray[np.float32]) -> float:
    window, band, frequencies = _spectrum()
    strength = np.abs(np.fft.rfft2((small - small.mean()) * window))[band]
    return _ratio(float(strength @ frequencies), float(strength.sum()))


@lru_cache
def _border() -> NDArray[np.bool_]:
    border = np.ones((SIDE, SIDE), bool)
    border[SIDE // 16 : -SIDE // 16, SIDE // 16 : -SIDE // 16] = False
    return border


@lru_cache
def _spectrum() -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.float64]]:
    """Return a window (SIDE, SIDE), the frequencies in the band (SIDE, SIDE // 2 + 1) and log2 of each of these."""
    window = np.outer(np.hanning(SIDE), np.hanning(SIDE)).astype(np.float32)
    frequency = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)[None])
    band = (frequency > SLOWEST) & (frequency < FASTEST)
    return window, band, np.log2(frequency[band])

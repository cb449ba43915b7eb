"""Pseudo-defects as one picture, a contact sheet: what was there, what was made of it, which pixels are defective."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from flawline.checks import FlawlineError, check_shape
from flawline.figures.photographs import to_rgb8, white_level

CELL = 128  # side of a picture on the sheet, pixels
GAP = 6  # pixels between two pictures
TITLE = 18  # height of a row's name, pixels
ACROSS = 3  # defects side by side
AROUND = 2.0  # sides of the square that is shown, in longer sides of the defect's box
LEAST = 32  # pixels of that square's side, where the image has as many
PAPER, INK = (255, 255, 255), (22, 24, 29)


@dataclass(frozen=True)
class SheetRow:
    """A pseudo-defect to show: two images (C, H, W) of one type and the defective pixels (H, W)."""

    name: str
    original: NDArray
    damaged: NDArray
    mask: NDArray


def contact_sheet(rows: Sequence[SheetRow]) -> NDArray[np.uint8]:
    """Draw each of ``rows`` as original, damaged and mask (white: defective), as one picture (H, W, 3) uint8.

    Each shows a square around the defect, enlarged without smoothing or shrunk to ``CELL`` pixels; where the image is
    narrower, the whole of it that way. Raise FlawlineError if there is no row, or a mask marks nothing."""
    if not rows:
        raise FlawlineError("rows must hold at least one pseudo-defect, got none: make some with defect_injection")
    blocks = [_block(row) for row in rows]
    width, height = blocks[0].size
    across = min(ACROSS, len(blocks))
    lines = -(-len(blocks) // across)
    sheet = Image.new("RGB", (across * width + GAP, lines * height + GAP), PAPER)
    for i, block in enumerate(blocks):
        sheet.paste(block, (GAP + (i % across) * width, GAP + (i // across) * height))
    return np.asarray(sheet)


def first_of_each(parameters: Sequence[dict[str, Any]]) -> dict[str, int]:
    """Return the first of each kind and family, by name: {"line": 0, "julia hole": 1, "julia yarn": 4}. ``parameters``
    are a mapping a defect with ``kind`` and, of a kind that has families, ``family``; kinds stand in their order."""
    found: dict[str, dict[str, int]] = {}
    for i, each in enumerate(parameters):
        kind, family = str(each["kind"]), each.get("family")
        found.setdefault(kind, {}).setdefault(f"{kind} {family}" if isinstance(family, str) else kind, i)
    return {name: i for names in found.values() for name, i in names.items()}


def _block(row: SheetRow) -> Image.Image:
    """Draw a row: its name above three pictures, with a gap to the right and below."""
    check_shape("damaged", row.damaged, row.original.shape)
    check_shape("mask", row.mask, row.original.shape[1:])
    rows, columns = window(row.mask)
    white = white_level(row.original)
    shown = [to_rgb8(image[:, rows, columns], white=white) for image in (row.original, row.damaged)]
    shown.append(np.repeat(np.where(row.mask[rows, columns, None], np.uint8(255), np.uint8(0)), 3, axis=2))
    block = Image.new("RGB", (3 * CELL + 2 * 2 + 2 * GAP, TITLE + CELL + GAP), PAPER)
    ImageDraw.Draw(block).text((0, 1), row.name, INK, font=ImageFont.load_default(size=13))
    for i, picture in enumerate(shown):
        block.paste(_cell(picture), (i * (CELL + 2), TITLE))
    return block


def window(mask: NDArray) -> tuple[slice, slice]:
    """Return the rows and columns of the square around the pixels of ``mask`` (H, W) that is shown, moved so that it
    lies in the image."""
    ys, xs = np.nonzero(mask)
    if not ys.size:
        raise FlawlineError("mask must mark at least one pixel, got none")
    side = max(LEAST, round(AROUND * (1 + max(np.ptp(ys), np.ptp(xs)))))
    return _span(ys, side, mask.shape[0]), _span(xs, side, mask.shape[1])


def _span(places: NDArray, side: int, length: int) -> slice:
    """Return ``side`` pixels of a row of ``length`` with ``places`` in their middle, as far as the row has them."""
    start = (int(places.min()) + int(places.max()) + 1 - side) // 2
    start = max(0, min(start, length - side))
    return slice(start, min(length, start + side))


def _cell(picture: NDArray[np.uint8]) -> Image.Image:
    """Bring a picture (h, w, 3) to the sheet's size: its longer side fills the cell."""
    height, width = picture.shape[:2]
    scale = CELL / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    how = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BOX
    cell = Image.new("RGB", (CELL, CELL), PAPER)
    cell.paste(Image.fromarray(picture).resize(size, how), ((CELL - size[0]) // 2, (CELL - size[1]) // 2))
    return cell

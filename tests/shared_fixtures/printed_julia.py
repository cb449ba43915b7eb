"""Algorithm 1 of Alpdemir 2022 as it is printed, its misprints corrected: what the fast one is held against."""

from flawline.vision.defects import JuliaSet


def printed_steps_left(drawn: JuliaSet) -> list[list[int]]:
    """Return J (h, w), row by row: a loop over the pixels."""
    return [[_left(drawn, x, y) for x in range(drawn.width)] for y in range(drawn.height)]


def _left(drawn: JuliaSet, x: int, y: int) -> int:
    zx = drawn.alpha * (x - drawn.width / 2) / (0.5 * drawn.zoom * drawn.width) + drawn.dx
    zy = drawn.beta * (y - drawn.height / 2) / (0.5 * drawn.zoom * drawn.height) + drawn.dy
    i = 255
    while zx * zx + zy * zy < 4 and i > 1:
        zx, zy = zx * zx - zy * zy + drawn.cx, 2 * zx * zy + drawn.cy
        i -= 1
    return i

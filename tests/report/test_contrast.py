"""Every text of the pages can be read on its background: WCAG 2.1, 1.4.3, level AA."""

import re
from importlib.resources import files

import pytest

CSS = files("flawline.report").joinpath("page.css").read_text(encoding="utf-8")
LEAST, LEAST_OF_EDGES = 4.5, 3.0  # of text; of what only has to be seen, such as the outline of what has the focus
TEXTS = {  # colour of a text -> the backgrounds that it stands on
    "ink": ("paper", "wash"),
    "soft": ("paper", "wash"),
    "accent": ("paper", "wash"),
    "reject": ("paper", "wash"),
    "on": ("pass", "review", "reject", "not_judged", "suited", "doubtful", "unsuited", "accent"),
}
EDGES = (("accent", "paper"), ("accent", "wash"), ("soft", "paper"))


def themes():
    """Return the colours of each theme by name: light, dark and print, as they stand in the sheet."""
    blocks = re.findall(r":root \{(.*?)\}", CSS, re.DOTALL)
    return [dict(re.findall(r"--(\w+): (#\w+);", block)) for block in blocks]


def luminance(colour):
    """Relative luminance of #rgb or #rrggbb as WCAG defines it."""
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    shares = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_contrast_is_that_of_the_standard():
    assert contrast("#fff", "#000000") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)  # the known grey that just fails


def test_there_are_three_themes_with_all_colours():
    names = {*TEXTS, *(name for backgrounds in TEXTS.values() for name in backgrounds)}
    assert [names - set(theme) for theme in themes()] == [set()] * 3


@pytest.mark.parametrize("theme", themes(), ids=["light", "dark", "print"])
def test_every_text_can_be_read(theme):
    pairs = [(text, on, LEAST) for text, backgrounds in TEXTS.items() for on in backgrounds]
    pairs += [(edge, on, LEAST_OF_EDGES) for edge, on in EDGES]
    found = {(one, other): contrast(theme[one], theme[other]) for one, other, _ in pairs}
    assert {pair: round(found[pair[:2]], 2) for pair in pairs if found[pair[:2]] < pair[2]} == {}


def test_no_colour_is_used_that_is_not_looked_at_here():
    used = set(re.findall(r"[ ;{]color: ([^;}]+)[;}]", CSS))
    assert used == {f"var(--{name})" for name in TEXTS} | {"inherit"}
    backgrounds = set(re.findall(r"background(?:-color)?: var\(--(\w+)", CSS))
    known = {on for those in TEXTS.values() for on in those}
    bare = {"line", "dot"}  # bears no text; one of the verdicts' colours
    assert backgrounds <= known | bare

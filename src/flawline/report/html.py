"""Templates filled: everything in one file, nothing fetched, and no script runs but ours."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from flawline.figures import svg
from flawline.report import tables, words
from flawline.report.contents import DataPage, InspectionPage, RunPage, StudyPage

if TYPE_CHECKING:
    from matplotlib.figure import Figure


FILTERS = (words.number, words.aligned, words.p_value, words.rate_of, words.unbroken)


def fill(template: str, *, page: RunPage | InspectionPage | DataPage | StudyPage, **values: Any) -> str:
    """Fill a template with a page and what was made of it."""
    settings = tables.setting_groups(page.settings)
    return _environment().get_template(template).render(page=page, settings=settings, **values)


def chart(title: str, figure: Figure) -> dict[str, Any]:
    """Return a chart as the templates take it; the drawing is ours, its texts were escaped when it was drawn."""
    return {"title": title, "drawing": Markup(svg(figure))}


@cache
def _environment() -> Environment:
    """Make the template environment: every value is escaped, a misspelt one is an error."""
    environment = Environment(
        loader=PackageLoader("flawline", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update({each.__name__: each for each in FILTERS})
    environment.tests["missing"] = words.missing
    script = _text("page.js")
    environment.globals.update(
        css=Markup(_text("page.css")), js=Markup(script), js_digest=Markup(digest(script)), words=words
    )
    return environment


def _text(name: str) -> str:
    return files("flawline.report").joinpath(name).read_text(encoding="utf-8")


def digest(script: str) -> str:
    """Return the digest by which a page's policy lets one script run, and no other."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()

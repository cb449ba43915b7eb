"""Sphinx settings. Two pages are filled in from the source while the site is built: parameters.md and api.md."""

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from generated import api_page, parameters_page

project = "flawline"
author = "the flawline authors"
copyright = author
extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "flawline"
html_show_copyright = False
html_show_sphinx = False
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]
autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
pygments_style = "friendly"

FILLED_IN = {"parameters": ("<!-- PARAMETERS -->", parameters_page), "api": ("<!-- API -->", api_page)}


def fill_in(app, docname: str, source: list[str]) -> None:
    """Put generated text in the place of a page's mark."""
    if docname in FILLED_IN:
        mark, make = FILLED_IN[docname]
        source[0] = source[0].replace(mark, make())


def shorten(app, what, name, item, options, signature: str | None, returns: str | None) -> tuple:
    """Write NDArray where numpy's alias was spelt out, as the source does."""
    long = re.compile(r"(~?numpy\.)?ndarray\[tuple\[(~?typing\.)?Any, \.\.\.\], (~?numpy\.)?dtype\[[^\]]*\]\]")
    return tuple(long.sub("NDArray", text) if text else text for text in (signature, returns))


def setup(app) -> None:
    app.connect("autodoc-process-signature", shorten)
    app.connect("source-read", fill_in)

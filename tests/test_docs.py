"""What the documentation names is there."""

import re
import runpy
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest
from base_params import TREE
from PIL import Image

from flawline.params import flatten

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs" / "papers").glob("*.md"))]
NAME = re.compile(r"`(flawline(?:\.\w+)+)`")
GIVEN = re.compile(r"--params[ =]'?([^`'\n]+)")  # up to the end of the command
MADE = ("conf/local/",)  # by the user
PATH = re.compile(r"`((?:src|tests|conf|notebooks)/[\w./-]+)`")


@cache
def exists(name):
    """Whether a dotted name is a module or something in one."""
    module, rest = name, []
    while True:
        try:
            found = import_module(module)
            break
        except ModuleNotFoundError:
            module, _, last = module.rpartition(".")
            rest.insert(0, last)
            if not module:
                return False
    for part in rest:
        fields = getattr(found, "model_fields", None) or getattr(found, "__dataclass_fields__", {})
        if not hasattr(found, part) and part not in fields:
            return False
        found = getattr(found, part, None)
    return True


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_name_and_path_on_a_page_is_there(page):
    text = page.read_text()
    assert [name for name in NAME.findall(text) if not exists(name)] == []
    there = [path for path in PATH.findall(text) if not path.startswith(MADE)]
    assert [path for path in there if not (ROOT / path.rstrip("/")).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_parameter_that_a_command_gives_is_in_conf(page):
    given = [key for some in GIVEN.findall(page.read_text()) for key in re.findall(r"(?<![\w.])([a-z_][\w.]*)=", some)]
    assert [key for key in given if key not in flatten(TREE)] == []


def test_the_picture_of_the_readme_is_drawn_of_a_finished_run(finished_once, tmp_path):
    runpy.run_path(str(ROOT / "docs" / "make_pictures.py"))["main"](finished_once.path, tmp_path / "chess.png")
    with Image.open(tmp_path / "chess.png") as drawn, Image.open(ROOT / "docs" / "images" / "chess.png") as shown:
        assert drawn.size == shown.size

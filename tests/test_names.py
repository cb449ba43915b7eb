"""Folders whose names hold signs that mean something to a shell, to make, to Kedro or to the configuration."""

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flawline.checks import FlawlineError
from flawline.cli import run, split_typed
from flawline.hooks.parameters import check_folder_names
from flawline.params import check_category

MAKEFILE = Path(__file__).parents[1] / "Makefile"
AWFUL = ['it\'s, "x" $e {f} #g=h%i&j;k*?', "a$(b", "a${b}", "a, b", "a\\b", "(c)", "[d]", "~", "-x", 'q"', '"q"']
STUB = """#!/bin/sh
for each in "$@"; do printf '%s\\0' "$each"; done
"""


@pytest.fixture
def make(tmp_path):
    """Run make with a kedro that tells what it was called with; return (exit code, the arguments)."""
    stub = tmp_path / "venv" / "bin" / "kedro"
    stub.parent.mkdir(parents=True)
    stub.write_text(STUB)
    stub.chmod(0o755)
    (tmp_path / "venv" / ".ready").touch()

    def call(*arguments, **variables):
        given = [f"{name}={value}" for name, value in variables.items()]
        command = ["make", "--silent", "-f", str(MAKEFILE), *arguments, f"VENV={tmp_path / 'venv'}", *given]
        done = subprocess.run(command, capture_output=True, text=True, cwd=MAKEFILE.parent, env=clean(), check=False)
        return done.returncode, done.stdout.split("\0")[:-1]

    return call


def clean():
    return {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}


def parsed(arguments):
    """Return what `kedro run` makes of --params."""
    parameter = next(each for each in run.params if each.name == "params")
    with run.make_context("run", arguments[1:], resilient_parsing=False) as context:
        return context.params[parameter.name]


@pytest.mark.parametrize("name", AWFUL)
@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")
def test_make_hands_a_folder_over_as_it_is_called(make, name):
    code, arguments = make("run", RAW=f"/photos/{name}", SEED="3", METHOD="cae")
    params = parsed(arguments)
    assert (code, params["raw"], params["seed"]) == (0, f"/photos/{name}", 3)
    assert check_category(params["category"]) == params["category"]
    code, arguments = make("inspect", IMAGES=f"/photos/{name}", CATEGORY="bolt")
    assert (code, parsed(arguments)["images"], parsed(arguments)["category"]) == (0, f"/photos/{name}", "bolt")


@pytest.mark.parametrize(("folder", "category"), [
    ("/photos/bolt", "bolt"), ("/photos/bolt/", "bolt"), ("/photos/bolt/../nut M8 (new)", "nut-M8-new"),
    ("/photos/_x_", "x_"), ("/photos/" + "a" * 90, "a" * 64),
])  # fmt: skip
@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")
def test_category_is_made_from_the_folders_name(make, folder, category):
    assert parsed(make("run", RAW=folder)[1])["category"] == category


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")
def test_folders_without_a_letter_that_a_category_may_have_are_different_categories(make):
    names = {parsed(make("run", RAW=f"/photos/{name}")[1])["category"] for name in ("螺丝", "螺母", "...", "--")}
    assert len(names) == 4
    assert all(check_category(name) == name for name in names)


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")
def test_inspection_without_a_folder_is_refused_and_a_run_takes_the_example(make):
    assert make("inspect")[0] != 0
    assert parsed(make("run")[1]) == {
        "category": "chess",
        "seed": 0,
        "registration": {"align": "auto"},
    }


@pytest.mark.parametrize(("typed", "texts", "rest"), [
    ("category=007,raw=/a/b", {"category": "007", "raw": "/a/b"}, []),
    ("raw=/a, b,seed=3", {"raw": "/a, b"}, ["seed=3"]),
    ('raw="/a,seed=3",seed=1', {"raw": "/a,seed=3"}, ["seed=1"]),
    ('raw="/p/a", b",images=/c d', {"raw": '/p/a", b', "images": "/c d"}, []),
    ('seed=1, raw = "/a b" ,cae.train.epochs=2', {"raw": "/a b"}, ["seed=1", "cae.train.epochs=2"]),
    ("raw=/a=b,", {"raw": "/a=b"}, []), ('raw="', {"raw": '"'}, []), ('raw="/a', {"raw": '"/a'}, []),
    ("category:7", {"category": "7"}, []), ("", {}, [""]),
])  # fmt: skip
def test_folders_are_told_from_other_parameters(typed, texts, rest):
    assert split_typed(typed) == (texts, rest)


@pytest.mark.parametrize("name", ["raw", "images"])
def test_sign_that_means_a_value_in_the_configuration_is_named(name):
    with pytest.raises(FlawlineError, match=rf"{name} must not hold the characters \$\{{.*Rename the folder, or make"):
        check_folder_names({name: "/photos/a${b}"})
    check_folder_names({name: "/photos/$a{b}"})
    check_folder_names({})


def test_awful_folder_is_read(project, tmp_path):
    folder = tmp_path / AWFUL[0] / "good"
    folder.mkdir(parents=True)
    for number in range(4):
        pixels = np.random.default_rng(number).integers(0, 256, (40, 40), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    project.run("ingestion", category="x", raw=str(folder.parent))
    assert len(project.load("manifest", category="x")) == 4

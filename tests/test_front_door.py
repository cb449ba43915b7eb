"""The make targets of the README's first page, as they run in a fresh clone: nothing is activated."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from urllib.error import URLError
from urllib.request import urlopen

import pytest

ROOT = Path(__file__).parents[1]
PLAIN_PATH = "/usr/local/bin:/usr/bin:/bin"
PATIENCE = 180  # seconds: on busy cores a server takes long


@pytest.fixture
def clone(project):
    """A project with its Makefile and a finished virtual environment, which is the one that the tests run in."""
    for name in ("Makefile", "constraints.txt"):
        shutil.copy(ROOT / name, project.path)
    (project.path / ".venv").mkdir()
    (project.path / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
    (project.path / ".venv" / ".ready").touch()
    return project


def plain(**more: str) -> dict[str, str]:
    """Return the environment of a shell in which nothing was activated, and no ``make`` runs these tests."""
    foreign = ("VIRTUAL_ENV", "MLFLOW_TRACKING_URI", "MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS")
    kept = {key: value for key, value in os.environ.items() if key not in foreign}
    return kept | {"PATH": PLAIN_PATH} | more


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@contextmanager
def serving(clone, target: str, port: int):
    """Start a make target that serves, and end it with all its children."""
    said = clone.path / "said.txt"
    with said.open("w") as output, subprocess.Popen(
        ["make", target, f"PORT={port}"], cwd=clone.path, env=plain(), start_new_session=True,
        stdout=output, stderr=subprocess.STDOUT,
    ) as process:  # fmt: skip
        try:
            yield process, said
        finally:
            end(process)


def end(process: subprocess.Popen) -> None:
    """Kedro-Viz and MLflow leave children that hold the port: the whole group ends."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(timeout=5)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue


def page(port: int, path: str, process: subprocess.Popen, said: Path) -> str:
    """Ask for a page until it is there."""
    start = monotonic()
    while True:
        try:
            with urlopen(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE) as answer:
                assert answer.status == 200
                return answer.read().decode()
        except (URLError, OSError):
            assert process.poll() in (None, 0), said.read_text()  # Kedro-Viz leaves its child alone at the end
            assert monotonic() - start < PATIENCE, said.read_text()
            sleep(0.2)


@pytest.mark.slow
def test_make_ui_serves_the_tracked_runs(clone):
    port = free_port()
    with serving(clone, "ui", port) as (process, said):
        assert "<title>MLflow</title>" in page(port, "/", process, said)
    assert not (clone.path / "mlruns").exists()  # it is the project's own file that is shown


@pytest.mark.slow
def test_make_viz_serves_the_lineage(clone):
    port = free_port()
    with serving(clone, "viz", port) as (process, said):
        assert "Kedro-Viz" in page(port, "/", process, said)
        lineage = page(port, "/api/main", process, said)
        assert '"__default__"' in lineage
        assert '"saeedi2022"' in lineage


def dry(clone, *arguments: str) -> list[str]:
    """Return the commands that make would run."""
    made = subprocess.run(
        ["make", "--dry-run", *arguments], cwd=clone.path, env=plain(), capture_output=True, text=True
    )
    return made.stdout.splitlines() or made.stderr.splitlines()


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (["run"], ".venv/bin/kedro run  --params 'category=chess,seed=0,registration.align=auto'"),
        (
            ["run", "RAW=/photos/bolt"],
            ".venv/bin/kedro run  --params 'category=bolt,seed=0,raw=/photos/bolt,registration.align=auto'",
        ),
        (
            ["run", "RAW=/photos/bolt", "CATEGORY=m6", "METHOD=cae", "SEED=2"],
            ".venv/bin/kedro run --pipelines=cae --params 'category=m6,seed=2,raw=/photos/bolt'",
        ),
        (
            ["run", "RAW=/photos/bolt", "ALIGN=rigid"],
            ".venv/bin/kedro run  --params 'category=bolt,seed=0,raw=/photos/bolt,registration.align=rigid'",
        ),
        (
            ["inspect", "IMAGES=/photos/today", "CATEGORY=bolt"],
            ".venv/bin/kedro run --pipelines=inspection "
            "--params 'category=bolt,seed=0,registration.align=auto,images=/photos/today'",
        ),
        (
            ["inspect", "IMAGES=/photos/today", "CATEGORY=bolt", "CLUSTER=local"],
            ".venv/bin/kedro run --pipelines=inspection --cluster local "
            "--params 'category=bolt,seed=0,registration.align=auto,images=/photos/today'",
        ),
        (
            ["inspect", "IMAGES=/photos/today", "CATEGORY=bolt", "METHOD=cae"],
            ".venv/bin/kedro run --pipelines=cae_inspection --params 'category=bolt,seed=0,images=/photos/today'",
        ),
    ],
)
def test_what_a_target_runs(clone, arguments, command):
    assert dry(clone, *arguments) == [command]


def test_inspection_without_images_says_what_is_wanted(clone):
    assert "wanted a folder of new images: make inspect IMAGES=folder CATEGORY=name" in dry(clone, "inspect")[0]


def test_what_python_compiled_is_kept_although_a_container_forbids_it(clone):
    command = ["make", "--eval", "seen: ; @env", "seen"]
    forbidden = plain(PYTHONDONTWRITEBYTECODE="1", PYTHONUTF8="1")
    seen = subprocess.run(command, cwd=clone.path, env=forbidden, capture_output=True, text=True, check=True).stdout
    assert "PYTHONUTF8=1" in seen
    assert "PYTHONDONTWRITEBYTECODE" not in seen


@pytest.mark.parametrize("target", ["ui", "viz"])
def test_port_in_use_is_told_in_one_line(clone, target):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        made = subprocess.run(
            ["make", target, f"PORT={port}"], cwd=clone.path, env=plain(), capture_output=True, text=True, check=False
        )
    said = made.stderr.splitlines()
    assert said[0] == f"port {port} is in use. End what uses it, or take another: make {target} PORT={port + 1}"
    assert len(said) == 2  # and make's own line

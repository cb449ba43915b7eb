"""A Kedro project in a temporary folder, empty or with a finished run, and photographs to feed it."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

ROOT = Path(__file__).parents[1]
REAL_DATA = ROOT.parent / "shared" / "data"
KEDRO = (sys.executable, "-m", "kedro")

os.environ["MLFLOW_TELEMETRY_DISABLED"] = os.environ["DO_NOT_TRACK"] = "1"


def pytest_collection_modifyitems(items):
    if REAL_DATA.is_dir():
        return
    skip = pytest.mark.skip(reason=f"needs the inspection images in {REAL_DATA}")
    for item in items:
        if "real_data" in item.keywords:
            item.add_marker(skip)


class Project:
    """A Kedro project: run it in this process, where that is quick, or as the user does, in another."""

    def __init__(self, path: Path):
        self.path = path

    def run(self, pipelines: str | None = None, *, env: str = "smoke", options: dict | None = None, **params: Any):
        """Run ``pipelines`` (comma-separated) in this process; ``params`` have dotted names, ``options`` are those of
        ``KedroSession.run``."""
        names = pipelines.split(",") if pipelines else None
        with self.session(env, **params) as session:
            return session.run(pipeline_names=names, **(options or {}))

    def load(self, name: str, *, env: str = "smoke", **params: Any) -> Any:
        """Load a dataset by its name."""
        with self.session(env, **params) as session:
            return session.load_context().catalog.load(name)

    def load_all(self, *names: str, env: str = "smoke", **params: Any) -> list[Any]:
        """Load several datasets by their names: opening the project takes a second, loading hardly any time."""
        with self.session(env, **params) as session:
            catalog = session.load_context().catalog
            return [catalog.load(name) for name in names]

    def session(self, env: str = "smoke", **params: Any):
        from kedro.framework.session import KedroSession
        from kedro.framework.startup import bootstrap_project

        bootstrap_project(self.path)
        return KedroSession.create(project_path=self.path, env=env, runtime_params=nested(params))

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen:
        """Start a ``kedro`` command in another process."""
        return subprocess.Popen([*KEDRO, *arguments], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                preexec_fn=hear_ctrl_c, **{"cwd": self.path, **options})  # fmt: skip

    def kedro(self, *arguments: str, **options: Any) -> tuple[int, str]:
        """Run a ``kedro`` command in another process; return its exit code and all it printed."""
        with self.start(*arguments, **options) as process:
            said, _ = process.communicate(timeout=240)
        return process.returncode, said

    def newest(self, pattern: str) -> Path:
        """Return the last path below data/ that matches: of a versioned file, the newest."""
        found = sorted((self.path / "data").glob(pattern))
        assert found, f"no {pattern} below {self.path / 'data'}"
        return found[-1]

    def edit(self, file: str, **values: Any) -> None:
        """Set values, by dotted names, in a file below conf/."""
        path = self.path / "conf" / file
        tree = yaml.safe_load(path.read_text()) or {}
        for name, value in values.items():
            *parents, last = name.split(".")
            branch = tree
            for parent in parents:
                branch = branch.setdefault(parent, {})
            branch[last] = value
        path.write_text(yaml.safe_dump(tree))

    @property
    def client(self):
        from mlflow.tracking import MlflowClient

        return MlflowClient(f"sqlite:///{self.path / 'mlflow.db'}")

    def mlflow_runs(self) -> list:
        """Return the project's MLflow runs, the newest first."""
        client = self.client
        experiment = client.get_experiment_by_name("flawline")
        return client.search_runs([experiment.experiment_id], order_by=["attributes.start_time DESC"])


def hear_ctrl_c() -> None:
    """A shell starts what it puts into the background deaf to Ctrl-C, and its children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def nested(params: dict[str, Any]) -> dict[str, Any]:
    """Return {"a.b": 1} as {"a": {"b": 1}}, as Kedro makes it of --params a.b=1."""
    tree: dict[str, Any] = {}
    for name, value in params.items():
        *parents, last = name.split(".")
        branch = tree
        for parent in parents:
            branch = branch.setdefault(parent, {})
        branch[last] = value
    return tree


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """Several tests run side by side on few cores."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def _own_tracking(tmp_path_factory):
    """Where no project says where runs are tracked, MLflow would make its tables in the current folder, which all the
    tests that run side by side share."""
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{tmp_path_factory.mktemp('tracking') / 'mlflow.db'}"


@pytest.fixture(autouse=True)
def _no_open_run():
    """A test that breaks a run off must not hand it to the next."""
    yield
    if "mlflow" in sys.modules:
        from flawline.hooks.tracking import close_interrupted

        close_interrupted()


@pytest.fixture(scope="session")
def blank_project(tmp_path_factory) -> Path:
    """The project as it is cloned, with MLflow's tables made: that takes seconds. Copy it."""
    path = tmp_path_factory.mktemp("blank") / "project"
    (path / "data").mkdir(parents=True)
    (path / "src").mkdir()  # the package is imported from where it is installed
    shutil.copytree(ROOT / "conf", path / "conf", ignore=shutil.ignore_patterns("local"))
    (path / "conf" / "local").mkdir()
    for name in ("pyproject.toml", ".telemetry"):
        shutil.copy(ROOT / name, path)
    Project(path).edit("smoke/parameters/smoke.yml", **{"examples.chess.calibration": 9})
    assert Project(path).client.search_experiments()  # makes the tables
    return path


@pytest.fixture
def project(blank_project, tmp_path, monkeypatch) -> Project:
    """An empty project of the test's own, which is the current folder."""
    return _copy(blank_project, tmp_path / "project", monkeypatch)


@pytest.fixture(scope="session")
def finished_once(blank_project, tmp_path_factory) -> Project:
    """A project whose whole line ran on the example, env smoke, seed 0. Only look at it."""
    project = Project(shutil.copytree(blank_project, tmp_path_factory.mktemp("finished") / "project"))
    project.run()
    return project


@pytest.fixture
def finished(finished_once, tmp_path, monkeypatch) -> Project:
    """A copy of ``finished_once`` to work on."""
    return _copy(finished_once.path, tmp_path / "project", monkeypatch)


@pytest.fixture(scope="session")
def compared_once(blank_project, tmp_path_factory) -> Project:
    """A project in which all one-class methods ran on the example, env smoke, seed 0. Only look at it."""
    project = Project(shutil.copytree(blank_project, tmp_path_factory.mktemp("compared") / "project"))
    project.run("saeedi2022")
    return project


@pytest.fixture
def compared(compared_once, tmp_path, monkeypatch) -> Project:
    """A copy of ``compared_once`` to work on."""
    return _copy(compared_once.path, tmp_path / "project", monkeypatch)


def _copy(source: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    shutil.copytree(source, target)
    monkeypatch.chdir(target)
    return Project(target)


@pytest.fixture
def photographs():
    """A function that writes grey textures as PNG files to a folder."""

    def write(folder: Path, count: int, *, size: Sequence[int] = (48, 48), seed: int = 0, spot: int = 0) -> list[Path]:
        generator = np.random.default_rng(seed)
        folder.mkdir(parents=True, exist_ok=True)
        paths = []
        for i in range(count):
            pixels = generator.normal(120, 10, size).clip(0, 255).astype(np.uint8)  # (H, W)
            pixels[10 : 10 + spot, 10 : 10 + spot] = 255
            paths.append(folder / f"{i:03d}.png")
            Image.fromarray(pixels).save(paths[-1])
        return paths

    return write


@pytest.fixture
def parts(tmp_path, photographs) -> Path:
    """A raw folder, layout 'folders': twelve good photographs, two scratched ones with masks."""
    folder = tmp_path / "parts"
    photographs(folder / "good", 12)
    for path in photographs(folder / "scratch", 2, seed=1, spot=8):
        mask = np.zeros((48, 48), np.uint8)
        mask[10:18, 10:18] = 255
        target = folder / "ground_truth" / "scratch" / f"{path.stem}_mask.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask).save(target)
    return folder

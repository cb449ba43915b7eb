"""A Kedro project in a temporary folder, empty or with a finished run, and photographs to feed it."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import quick_conf
import yaml
from filelock import FileLock
from PIL import Image

ROOT = Path(__file__).parents[1]
REAL_DATA = ROOT.parent / "shared" / "data"
KEDRO = (sys.executable, "-m", "kedro")
WHOLE = "cae,defect_injection"
OWN = {"inspection": "cae_inspection"}
STAGES = {
    "ingestion",
    "registration",
    "defect_injection",
    "patching",
    "training",
    "embedding",
    "evaluation",
    "reporting",
}

# Kedro looks for this package, which is not there, at each of the 400 parameters of a run: that takes long.
sys.modules.setdefault("ibis", None)  # type: ignore[arg-type]

quick_conf.install()

os.environ["MLFLOW_TELEMETRY_DISABLED"] = os.environ["DO_NOT_TRACK"] = "1"


def pytest_collection_modifyitems(items):
    items.sort(key=_order)
    if REAL_DATA.is_dir():
        return
    skip = pytest.mark.skip(reason=f"needs the inspection images in {REAL_DATA}")
    for item in items:
        if "real_data" in item.keywords:
            item.add_marker(skip)


def _order(item) -> int:
    """Slow tests first, quick ones last, so that no worker is left alone with a slow one at the end."""
    if "slow" in item.keywords:
        return 0
    return 1 if "blank_project" in item.fixturenames else 2


class Project:
    """A Kedro project: run it in this process, where that is quick, or as the user does, in another."""

    def __init__(self, path: Path):
        self.path = path

    def run(self, pipelines: str | None = None, *, env: str = "smoke", options: dict | None = None, **params: Any):
        """Run ``pipelines`` (comma-separated) in this process; ``params`` have dotted names, ``options`` are those of
        ``KedroSession.run``. Stages are those of the autoencoder ``cae``, which has every one; so is the inspection."""
        with self.session(env, **params) as session:
            return session.run(**chosen(pipelines), **(options or {}))

    def make(self, pipelines: str | None, *outputs: str, missing: bool = False, env: str = "smoke", **params: Any):
        """Run ``pipelines`` as ``run`` does, whole or as far as ``outputs`` need it, by Kedro's runner alone; with
        ``missing``, only what is not stored. No hook looks at it, so nothing is checked, stamped, tracked or told."""
        from kedro.pipeline import Pipeline
        from kedro.runner import SequentialRunner

        from flawline.pipeline_registry import register_pipelines

        asked, known = chosen(pipelines), register_pipelines()
        names, tags = asked["pipeline_names"], asked.get("tags", ())
        line = sum((known[name] for name in names), Pipeline([])).filter(tags=tags, to_outputs=outputs)
        with self.session(env, **params) as session:
            context = session.load_context()
            context._pipelines_to_validate = names  # as a session does: else Kedro looks at the nodes of all
            catalog = context.catalog
        SequentialRunner().run(line, catalog, only_missing_outputs=missing)

    def load(self, name: str, *, env: str = "smoke", **params: Any) -> Any:
        """Load a dataset by its name."""
        return self.catalog(env=env, **params).load(name)

    def load_all(self, *names: str, env: str = "smoke", **params: Any) -> list[Any]:
        """Load several datasets by their names."""
        catalog = self.catalog(env=env, **params)
        return [catalog.load(name) for name in names]

    def catalog(self, *, env: str = "smoke", **params: Any) -> Any:
        """Return the entries of conf/: a whole session would also check all parameters and open MLflow."""
        from kedro.config import OmegaConfigLoader
        from kedro.io import DataCatalog

        from flawline.conf import CONFIG_LOADER_ARGS

        conf = OmegaConfigLoader(str(self.path / "conf"), env=env, runtime_params=nested(params), **CONFIG_LOADER_ARGS)
        entries = conf["catalog"]
        for entry in entries.values():
            entry |= {key: str(self.path / entry[key]) for key in ("filepath", "path") if entry.get(key)}
        return DataCatalog.from_config(entries)

    def session(self, env: str = "smoke", **params: Any):
        from kedro.framework.project import PACKAGE_NAME
        from kedro.framework.session import KedroSession
        from kedro.framework.startup import bootstrap_project

        if PACKAGE_NAME is None:  # the settings are the package's, the same for every copy of the project
            bootstrap_project(self.path)
        return KedroSession.create(project_path=self.path, env=env, runtime_params=nested(params))

    def start(self, *arguments: str, program: Sequence[str] = KEDRO, **options: Any) -> subprocess.Popen:
        """Start a ``kedro`` command in another process."""
        return subprocess.Popen([*program, *arguments], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
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


def chosen(pipelines: str | None) -> dict[str, list[str]]:
    """Return the options of ``KedroSession.run`` that choose ``pipelines``, as ``Project.run`` names them."""
    asked = (pipelines or WHOLE).split(",")
    if set(asked) <= STAGES:
        return {"pipeline_names": WHOLE.split(","), "tags": asked}
    return {"pipeline_names": [OWN.get(name, name) for name in asked]}


class Opened(NamedTuple):
    """What Kedro makes of a project: all that a run would start with."""

    parameters: dict[str, Any]
    catalog: Any


class UnchangedProject(Project):
    """A project that nothing changes any more, so that its conf/ is read once for all that is asked of it."""

    def __init__(self, path: Path):
        super().__init__(path)
        self.catalogs: dict[str, Any] = {}
        self.known: dict[str, Opened] = {}

    def catalog(self, *, env: str = "smoke", **params: Any) -> Any:
        key = repr((env, sorted(params.items())))
        if key not in self.catalogs:
            self.catalogs[key] = super().catalog(env=env, **params)
        return self.catalogs[key]

    def opened(self, *, env: str = "smoke", **params: Any) -> Opened:
        """Return what Kedro makes of the project, the same every time."""
        key = repr((env, sorted(params.items())))
        if key not in self.known:
            with self.session(env, **params) as session:
                context = session.load_context()
                self.known[key] = Opened(context.config_loader["parameters"], context.catalog)
        return self.known[key]


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
def once(tmp_path_factory) -> Callable[..., Project]:
    """A function that returns the project of a name. The first of the workers that asks for it has it made, at the path
    where it stays: ``source`` is copied there and ``work`` done on it. The others wait. Several workers read it at the
    same time, so whoever wants to work on it copies it."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # of all the workers of this run

    def made(name: str, work: Callable[[Project], object], *, source: Path | None = None) -> Project:
        folder = base / "once" / name
        folder.mkdir(parents=True, exist_ok=True)
        project = Project(folder / "project")
        with FileLock(folder / "lock"):
            if not (folder / "whole").exists():
                shutil.rmtree(project.path, ignore_errors=True)
                if source:
                    copy_project(source, project.path)
                work(project)
                (folder / "whole").touch()
        return project

    return made


@pytest.fixture(scope="session")
def blank_project(once) -> Path:
    """The project as it is cloned, with MLflow's tables made: that takes seconds. Copy it."""
    return once("blank", _clone).path


def _clone(project: Project) -> None:
    path = project.path
    (path / "data").mkdir(parents=True)
    (path / "src").mkdir()  # the package is imported from where it is installed
    shutil.copytree(ROOT / "conf", path / "conf", ignore=shutil.ignore_patterns("local"))
    (path / "conf" / "local").mkdir()
    for name in ("pyproject.toml", ".telemetry"):
        shutil.copy(ROOT / name, path)
    project.edit("smoke/parameters/smoke.yml", **{"examples.chess.calibration": 9})
    assert project.client.search_experiments()  # makes the tables


@pytest.fixture(scope="session")
def blank_once(blank_project, tmp_path_factory) -> UnchangedProject:
    """An empty project. Only look at it."""
    return UnchangedProject(copy_project(blank_project, tmp_path_factory.mktemp("blank") / "project").path)


@pytest.fixture
def project(here, blank_project) -> Project:
    """An empty project of the test's own, which is the current folder."""
    return here(blank_project)


@pytest.fixture(scope="session")
def finished_path(once, blank_project) -> Path:
    """Where a project lies in which the whole line of cae ran on the example, env smoke, seed 0. Copy it."""
    return once("finished", lambda project: project.run("cae,defect_injection"), source=blank_project).path


@pytest.fixture(scope="session")
def finished_once(finished_path, tmp_path_factory) -> UnchangedProject:
    """A project whose whole line ran on the example, env smoke, seed 0. Only look at it."""
    return UnchangedProject(copy_project(finished_path, tmp_path_factory.mktemp("finished") / "project").path)


@pytest.fixture
def finished(here, finished_path) -> Project:
    """A project as ``finished_once`` to work on."""
    return here(finished_path)


@pytest.fixture(scope="session")
def compared_path(once, blank_project) -> Path:
    """Where a project lies in which all one-class methods ran on the example, env smoke, seed 0. Copy it.

    MLflow got no figures and detectors of these thirteen, which take half the time: look for them in ``finished``."""

    def work(project: Project) -> None:
        from flawline.hooks.tracked_run import TrackedRun

        with pytest.MonkeyPatch.context() as patch:
            for kept in ("_log_figures", "_log_detector"):
                patch.setattr(TrackedRun, kept, lambda *_: None)
            project.run("saeedi2022")

    return once("compared", work, source=blank_project).path


@pytest.fixture(scope="session")
def compared_once(compared_path, tmp_path_factory) -> UnchangedProject:
    """A project in which all one-class methods ran on the example, env smoke, seed 0. Only look at it."""
    return UnchangedProject(copy_project(compared_path, tmp_path_factory.mktemp("compared") / "project").path)


@pytest.fixture
def compared(here, compared_path) -> Project:
    """A project as ``compared_once`` to work on."""
    return here(compared_path)


@pytest.fixture(scope="session", name="copy_project")
def _copy_project() -> Callable[[Path, Path], Project]:
    return copy_project


def copy_project(source: Path, target: Path) -> Project:
    """Copy a project; its runs find their artifacts, and put new ones, in the copy."""
    shutil.copytree(source, target)
    with closing(sqlite3.connect(target / "mlflow.db")) as tables, tables:
        for table, column in (("experiments", "artifact_location"), ("runs", "artifact_uri"),
                              ("logged_models", "artifact_location"),
                              ("model_versions", "storage_location")):  # fmt: skip
            tables.execute(f"UPDATE {table} SET {column} = replace({column}, ?, ?)", (str(source), str(target)))
    return Project(target)


@pytest.fixture
def here(tmp_path, monkeypatch) -> Callable[[Path], Project]:
    """A function that copies a project for a test to work on, as its current folder."""

    def copy(source: Path) -> Project:
        project = copy_project(source, tmp_path / "project")
        monkeypatch.chdir(project.path)
        return project

    return copy


@pytest.fixture
def photographs() -> Callable[..., list[Path]]:
    """A function that writes grey textures as PNG files to a folder."""
    return write_photographs


def write_photographs(
    folder: Path, count: int, *, size: Sequence[int] = (48, 48), seed: int = 0, spot: int = 0
) -> list[Path]:
    generator = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for i in range(count):
        pixels = generator.normal(120, 10, size).clip(0, 255).astype(np.uint8)  # (H, W)
        pixels[10 : 10 + spot, 10 : 10 + spot] = 255
        paths.append(folder / f"{i:03d}.png")
        Image.fromarray(pixels).save(paths[-1])
    return paths


@pytest.fixture
def parts(tmp_path) -> Path:
    """A raw folder, layout 'folders': twelve good photographs, two scratched ones with masks."""
    return write_parts(tmp_path / "parts")


def write_parts(folder: Path) -> Path:
    write_photographs(folder / "good", 12)
    for path in write_photographs(folder / "scratch", 2, seed=1, spot=8):
        mask = np.zeros((48, 48), np.uint8)
        mask[10:18, 10:18] = 255
        target = folder / "ground_truth" / "scratch" / f"{path.stem}_mask.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask).save(target)
    return folder


@pytest.fixture(scope="session")
def registered_path(once, blank_project) -> Path:
    """Where a project lies whose raw folder "parts" is as the fixture of that name, ingested and registered. Copy it,
    and name the raw folder of the copy."""

    def work(project: Project) -> None:
        project.run("ingestion,registration", category="parts", raw=str(write_parts(project.path / "parts")))

    return once("registered", work, source=blank_project).path


@pytest.fixture
def registered(here, registered_path) -> Project:
    """A project to work on whose raw folder "parts" is ingested and registered."""
    return here(registered_path)

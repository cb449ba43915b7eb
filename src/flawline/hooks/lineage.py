"""Nothing stale is used: every stored result carries what it was made from, and is refused once that has changed.

Beside each result lies PATH.stamp.json with the value of every parameter that any node before it read, the digests of
the manifest it stands on and of its direct inputs, and its own. The stamp is removed before the result is written and
written after it, so that a half-written result has none. Before a run, every stored input is compared with what the
parameters, the manifest and the inputs' own stamps say now."""

import json
from collections.abc import Collection, Generator, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import AbstractDataset, AbstractVersionedDataset, DataCatalog
from kedro.io.core import VersionNotFoundError
from kedro.pipeline import Node, Pipeline

from flawline import __version__
from flawline.checks import FlawlineError
from flawline.methods.registry import METHODS
from flawline.methods.tree import validate_parameters
from flawline.params import flatten
from flawline.places import IMAGES
from flawline.storage.digests import Digest
from flawline.storage.whole import write_whole

ROOT = "manifest"  # what lies before it are the user's files, which the manifest names by digest
# The first changes a result's last bits at most; of the second only the images matter, and the manifest names those.
NO_MATTER = ("params:compute", "params:raw")
# What a detector keeps of these an inspection can override, so another value does not make it stale.
OVERRIDABLE = {"detector": "params:inspection"}
NO_RESULT = ("inspection.challenge",)  # it says what an inspection must pass first, and changes nothing that is made
SUFFIX = ".stamp.json"
HASHED = 16 << 20  # larger files are told apart by their size


class StaleError(FlawlineError):
    """A stored result does not belong to the present parameters or data."""


@dataclass(frozen=True)
class Recipe:
    """What a dataset is made from: the node that makes it, and the parameters that any node before it reads."""

    node: Node
    params: dict[str, Any]
    on_manifest: bool


class LineageHook:
    """Stamps what is saved, checks what is loaded."""

    def __init__(self) -> None:
        self.project = Path.cwd()
        self.env: str | None = None
        self.run_id = ""
        self.values: dict[str, Any] = {}
        self.catalog: DataCatalog | None = None
        self.lines: dict[str, Pipeline] = {}
        self.recipes: dict[str, Recipe] = {}

    @classmethod
    def over(cls, context: KedroContext, pipeline: Pipeline) -> "LineageHook":
        """Return a hook that knows ``context``'s parameters and catalog, to ask it what of ``pipeline`` is fresh."""
        hook = cls()
        hook.after_context_created(context)
        hook.catalog = context.catalog
        hook.learn({"": pipeline})
        return hook

    def learn(self, running: Mapping[str, Pipeline]) -> None:
        """Learn how everything is made that the pipelines ``running`` read or write."""
        self.lines = {**running, **makers_of(running.values())}
        nodes = {node.name: node for line in reversed(self.lines.values()) for node in line.nodes}
        self.recipes = find_recipes(list(nodes.values()), self.values)

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        self.project, self.env = context.project_path, context.env
        self.values = flatten(validate_parameters(context.config_loader["parameters"]).model_dump(mode="json"))

    @hook_impl
    def after_catalog_created(self, catalog: DataCatalog) -> None:
        self.catalog = catalog

    @hook_impl(wrapper=True)
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog
    ) -> Generator[None, Any, Any]:
        """Check before the other hooks, and learn which run they opened: MLflow tells it in this thread only."""
        self.learn(whole(run_params))
        pinned = set(run_params.get("load_versions") or {})
        used = pipeline.inputs()
        pinned |= {
            name for name in used if getattr(self._dataset(name), "given", None)
        }  # as it is, whatever it was made from
        if run_params.get("only_missing_outputs") and pipeline.all_outputs() & {"verdicts", "promotion"}:
            raise FlawlineError("--only-missing-outputs would show an earlier inspection or promotion: leave it out")
        if run_params.get("only_missing_outputs"):  # what is there already is used in the place of being made
            used |= {name for name in pipeline.all_outputs() if self._is_stored(name)}
        self.check(used & self.recipes.keys(), pinned=pinned)
        result = yield
        self.run_id = current_run()
        return result

    @hook_impl
    def before_dataset_saved(self, dataset_name: str) -> None:
        dataset = self._dataset(dataset_name)
        if dataset_name in self.recipes and is_stamped(dataset) and not is_versioned(dataset):
            stamp_path(where(dataset)).unlink(missing_ok=True)

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, node: Node) -> None:
        dataset = self._dataset(dataset_name)
        if dataset_name in self.recipes and is_stamped(dataset):
            recipe, path = self.recipes[dataset_name], where(dataset)
            manifest = self.manifest_digest() if recipe.on_manifest else None
            write_stamp(path, Stamp(recipe.params, manifest, self._contents(node), result_digest(path), self.run_id))

    def check(self, names: Iterable[str], *, pinned: Collection[str] = ()) -> None:
        """Raise StaleError or FlawlineError unless all stored datasets ``names`` are there, whole and up to date.

        A version that the user pinned only has to be whole: it carries its own parameters."""
        found = {name: self.problem(name, pinned=name in pinned) for name in sorted(names)}
        problems = {name: problem for name, problem in found.items() if problem is not None}
        if not problems:
            return
        name, first = next(iter(problems.items()))
        commands = [
            f"kedro run{line} --nodes={','.join(nodes)}{self._which()}" for line, nodes in self.repair(problems)
        ]
        whole_line = f"or run the whole pipeline again: kedro run{self.line_of(name)[1]}{self._which()}"
        hint = self._pin_hint(name, self._dataset(name)) if first.stale else ""
        again = "\nthen: ".join(commands)
        said = f"{first.said}.\nMake it with: {again}\n{whole_line}{hint}"
        raise StaleError(said) if first.there else FlawlineError(said)

    def problem(self, name: str, *, pinned: bool = False) -> "Problem | None":
        """Return what is wrong with the stored dataset ``name``; None if it is there, whole and up to date."""
        dataset, recipe = self._dataset(name), self.recipes[name]
        if not is_stamped(dataset):
            return None
        try:
            path = where(dataset)
        except VersionNotFoundError:
            path = None
        if path is None or not path.exists():
            return Problem(f"{name} is not there yet", there=False)
        stamp = read_stamp(path)
        if stamp is None or stamp["content"] != result_digest(path):
            return Problem(f"{name} ({self._short(path)}) is not whole, or was changed by hand")
        changes = [] if pinned else self.changes(recipe, stamp)
        return Problem(f"{name} is stale: since it was made, {'; '.join(changes)}", stale=True) if changes else None

    def line_of(self, name: str) -> tuple[Pipeline, str]:
        """Return the line that makes the dataset ``name``, and the option of ``kedro run`` that names it."""
        line = next(each for each, pipeline in self.lines.items() if name in pipeline.all_outputs())
        return self.lines[line], "" if line in ("", "__default__") else f" --pipelines={line}"

    def repair(self, names: Iterable[str]) -> list[tuple[str, list[str]]]:
        """Return for each line that makes some of ``names`` the option of ``kedro run`` that names it, and which of its
        nodes must run until these are up to date."""
        wanted: dict[str, tuple[Pipeline, list[str]]] = {}
        for name in names:
            line, option = self.line_of(name)
            wanted.setdefault(option, (line, []))[1].append(name)
        return [(option, self.unfinished(line.to_outputs(*some))) for option, (line, some) in wanted.items()]

    def changes(self, recipe: Recipe, stamp: Mapping[str, Any]) -> list[str]:
        """Say what changed since a stamp was written: parameters by name, then the data."""
        changed = [
            f"{key} went from {stamp['params'].get(key, 'nothing')!r} to {recipe.params.get(key, 'nothing')!r}"
            for key in sorted(recipe.params.keys() | stamp["params"].keys())
            if recipe.params.get(key) != stamp["params"].get(key)  # a later one that is null changes nothing
        ]
        digest = self.manifest_digest()
        if recipe.on_manifest and digest is not None and stamp["manifest"] != digest:
            changed.append("the images or their splits changed (another manifest)")
        changed += [f"{name} was made again" for name, content in stamp["inputs"].items()
                    if self._content(name) not in (content, None)]  # fmt: skip
        return changed

    def _contents(self, node: Node) -> dict[str, str]:
        """Return the digests of the stored inputs of ``node``, but for the manifest, which is compared by itself."""
        contents = {name: self._content(name) for name in node.inputs if name in self.recipes and name != ROOT}
        return {name: content for name, content in contents.items() if content is not None}

    def _content(self, name: str) -> str | None:
        """Return the digest of a stored dataset as its stamp has it, or None where there is no stamp."""
        dataset = self._dataset(name)
        try:
            stamp = read_stamp(where(dataset)) if is_stamped(dataset) else None
        except VersionNotFoundError:
            stamp = None
        return stamp["content"] if stamp else None

    def manifest_digest(self) -> str | None:
        """Return the SHA-256 of the manifest as it is stored now, or None."""
        path = where(self._dataset(ROOT))
        return result_digest(path) if path.exists() else None

    def is_fresh(self, name: str) -> bool:
        """Return True if the stored dataset ``name`` is whole and up to date."""
        return self.problem(name) is None

    def unfinished(self, pipeline: Pipeline) -> list[str]:
        """Return the names of the nodes that must run until all that ``pipeline`` stores is up to date: those whose
        outputs are not, those that come after them, and those that make for these what is only kept in memory."""
        todo: set[str] = set()  # datasets
        nodes = []
        for node in pipeline.nodes:  # a node stands behind those it reads from
            if todo & set(node.inputs) or not all(self.is_fresh(name) for name in node.outputs if self._lasts(name)):
                todo |= set(node.outputs)
                nodes.append(node)
        for node in reversed(pipeline.nodes):
            needed = {name for each in nodes for name in each.inputs}
            if node not in nodes and any(name in needed and not self._lasts(name) for name in node.outputs):
                nodes.append(node)
        return [node.name for node in pipeline.nodes if node in nodes]

    def _lasts(self, name: str) -> bool:
        return is_stamped(self._dataset(name))

    def _dataset(self, name: str) -> AbstractDataset | None:
        return self.catalog.get(name) if self.catalog is not None else None

    def _is_stored(self, name: str) -> bool:
        dataset = self._dataset(name)
        return is_stamped(dataset) and dataset is not None and dataset.exists()

    def _which(self) -> str:
        env = f" --env={self.env}" if self.env not in (None, "local") else ""
        usual = {"raw": None, "protocol": IMAGES, "variant": "", "registration.align": "none"}  # what make adds too
        more = {name: self.values.get(name, value) for name, value in usual.items()}
        named = "".join(f",{name}={value}" for name, value in more.items() if value not in (usual[name], None))
        return f"{env} --params category={self.values.get('category')},seed={self.values.get('seed')}{named}"

    def _short(self, path: Path) -> str:
        return str(path.relative_to(self.project) if path.is_relative_to(self.project) else path)

    @staticmethod
    def _pin_hint(name: str, dataset: Any) -> str:
        if not is_versioned(dataset):
            return ""
        return f"\nOr use it as it is: --load-versions={name}:{dataset.resolve_load_version()}"


def current_run() -> str:
    """Return the id of the MLflow run that is going on, or an empty string."""
    import mlflow

    run = mlflow.active_run()
    return run.info.run_id if run else ""


def whole(run_params: Mapping[str, Any]) -> dict[str, Pipeline]:
    """Return the pipelines of a run with all their nodes, of which it may run some only."""
    from flawline.pipeline_registry import register_pipelines

    known = register_pipelines()
    return {name: known[name] for name in run_params.get("pipeline_names") or ["__default__"]}


def makers_of(running: Iterable[Pipeline]) -> dict[str, Pipeline]:
    """Return the registered pipelines that make what some others read: from a raw folder, each whole."""
    from flawline.pipeline_registry import register_pipelines

    known, lines = register_pipelines(), {}
    needed = {name for pipeline in running for name in pipeline.inputs() if not name.startswith("params:")}
    for prefix in sorted({name.partition(".")[0] for name in needed if "." in name}):
        method = maker(prefix)
        if method is not None:
            lines[method] = known[method]
    return {**lines, "__default__": known["__default__"], "defect_injection": known["defect_injection"]}


def maker(name: str) -> str | None:
    """Return the method in whose pipeline the namespace ``name`` stands: itself, or one that uses the reconstructor."""
    if name in METHODS:
        return name
    return next((each for each, row in METHODS.items() if name in row.views), None)


@dataclass(frozen=True)
class Problem:
    """What is wrong with a stored dataset: not there, not whole, or stale."""

    said: str
    there: bool = True
    stale: bool = False


def find_recipes(nodes: list[Node], values: Mapping[str, Any]) -> dict[str, Recipe]:
    """Return the recipe of every dataset that a node makes, from the nodes' inputs all the way up."""
    makers = {output: node for node in nodes for output in node.outputs}
    found: dict[str, Recipe] = {}

    def recipe(name: str) -> Recipe:
        if name not in found:
            node = makers[name]
            params = read_by(node, values)
            above = [recipe(each) for each in node.inputs if each in makers]
            for each in above:
                params |= each.params
            on_manifest = name != ROOT and any(each == ROOT or (each in makers and recipe(each).on_manifest)
                                               for each in node.inputs)  # fmt: skip
            found[name] = Recipe(node, params, on_manifest)
        return found[name]

    for name in makers:
        recipe(name)
    return found


def read_by(node: Node, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the value of every single parameter that a node reads; of the examples, only the category's own, of
    patch sets none where methods see photographs, and of what alignments are tried by none where one is named."""
    from flawline.intake.examples import params_of

    own = {"params:examples": f"params:examples.{params_of(str(values.get('category')))}"}
    kept = {OVERRIDABLE[name.rpartition(".")[2]] for name in node.outputs if name.rpartition(".")[2] in OVERRIDABLE}
    unread = {"params:patch_set"} if values.get("protocol") == IMAGES else set()
    if "alignment_choice" in node.outputs and values.get("registration.align") != "auto":
        unread |= {name for name in node.inputs if name.startswith("params:")} - {"params:registration"}
    names = [own.get(name, name).removeprefix("params:") for name in node.inputs
             if name.startswith("params:") and name not in {*NO_MATTER, *kept, *unread}]  # fmt: skip
    return {key: value for key, value in values.items() if key not in NO_RESULT
            for name in names if key == name or key.startswith(f"{name}.")}  # fmt: skip


def is_stamped(dataset: AbstractDataset | None) -> bool:
    return getattr(dataset, "stamped", True) and getattr(dataset, "_filepath", None) is not None


def is_versioned(dataset: AbstractDataset | None) -> bool:
    return isinstance(dataset, AbstractVersionedDataset) and dataset._version is not None


def where(dataset: Any) -> Path:
    """Return the file or folder that a dataset loads from, or has just saved to."""
    if is_versioned(dataset):
        version = dataset._version.load or dataset._cached_save_version or dataset._version.save
        path = Path(dataset._get_versioned_path(version)) if version else None
        if path is not None and (path.exists() or dataset._version.load):
            return path
        return Path(dataset._get_load_path())
    return Path(dataset._filepath)


def stamp_path(path: Path) -> Path:
    return path.with_name(path.name + SUFFIX)


@dataclass
class Stamp:
    """What lies beside a result."""

    params: dict[str, Any]  # of all nodes before it
    manifest: str | None  # digest, where it stands on the manifest
    inputs: dict[str, str]  # digests of what the node that made it read
    content: str  # its own digest
    run: str
    version: str = __version__
    made: str = field(default_factory=lambda: f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}")


def write_stamp(path: Path, stamp: Stamp) -> None:
    """Write the stamp of a result that was saved just now."""
    write_whole(stamp_path(path), json.dumps(stamp.__dict__, indent=1))


def read_stamp(path: Path) -> dict[str, Any] | None:
    """Return a result's stamp, or None if it has none that is whole."""
    try:
        return json.loads(stamp_path(path).read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None


def result_digest(path: Path) -> str:
    """Return a digest of a file, or of all files below a folder: of the content, of large files only the size."""
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    digest = Digest()
    for file in files:
        size = file.stat().st_size
        digest.add(f"{file.name}:{size}:")
        if size <= HASHED:
            digest.add(file.read_bytes())
    return digest.hexdigest()

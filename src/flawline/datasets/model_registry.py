"""Which detector of MLflow's a name means, and its file: pinned to one version, kept where it can be found."""

import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from flawline.checks import FlawlineError
from flawline.params import CATALOG_VERSION

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

    from flawline.detector.file import Detector

CHAMPION = "champion"  # alias of the version that judges
LATEST = "latest"  # as MLflow calls the newest version
DETECTOR_VERSION = "detector_version"  # tag of a registered version: what the catalog calls it
KEPT = "registered"  # folder of what was fetched, beside the versions of the catalog
MODEL = re.compile(r"models:/(?P<name>[^/@]+)(?:@(?P<alias>[^/@]+)|/(?P<version>[^/@]+))")
RUN = re.compile(r"runs:/(?P<run>[^/]+)/.+")
SHOWN = 5  # names that are told


def registered_name(category: str, method: str) -> str:
    """Return the name under which the detectors of a category and method are registered."""
    return f"flawline-{category}-{method}"


def is_of_catalog(given: str) -> bool:
    """Return True if a detector's name is a version of the catalog, which MLflow need not know."""
    return bool(CATALOG_VERSION.fullmatch(given))


def pinned(given: str, category: str, method: str) -> str:
    """Return the URI of the very version that a name means now: of an MLflow model, or an alias, "latest" or a number
    of a version of the method's own. Raise FlawlineError if there is none."""
    uri = given if ":/" in given else _of_method(given, registered_name(category, method))
    match = MODEL.fullmatch(uri)
    if match is None:  # a run's model, or one by its id: these mean the same for ever
        return uri
    return f"models:/{match['name']}/{_version_of(match['name'], match['alias'], match['version'], uri=uri)}"


def _of_method(given: str, name: str) -> str:
    return f"models:/{name}/{given}" if given == LATEST or given.isdecimal() else f"models:/{name}@{given}"


def _version_of(name: str, alias: str | None, version: str, *, uri: str) -> str:
    from mlflow.exceptions import MlflowException

    client = _client()
    try:
        if version == LATEST:
            return newest_version(name)
        found = client.get_model_version_by_alias(name, alias) if alias else client.get_model_version(name, version)
    except MlflowException as error:
        raise FlawlineError(f"no detector at {uri} ({_first_line(error)}). {known_of(name)}") from None
    return str(found.version)


def newest_version(name: str) -> str:
    """Return the number of the newest version of a registered model. Raise FlawlineError if there is none."""
    numbers = [int(each.version) for each in _versions(name)]
    if not numbers:
        raise FlawlineError(f"no version of {name} is registered. {known_of(name)}")
    return str(max(numbers))


def version_to_promote(given: str | None, category: str, method: str) -> str:
    """Return the URI of the registered version that a name means, here also of the catalog and of a run; None: the
    newest. Raise FlawlineError if it is not registered for the category and method."""
    name = registered_name(category, method)
    if given is None:
        return f"models:/{name}/{newest_version(name)}"
    run = RUN.fullmatch(given)
    if run or is_of_catalog(given):
        wanted = f"run_id = '{run['run']}'" if run else f"tags.{DETECTOR_VERSION} = '{given}'"
        found = [int(each.version) for each in _versions(name, wanted)]
        if not found:
            raise FlawlineError(f"{given} is not registered as a version of {name}. {known_of(name)}")
        return f"models:/{name}/{max(found)}"
    uri = pinned(given, category, method)
    if not uri.startswith(f"models:/{name}/"):
        raise FlawlineError(f"{given} is no version of {name}, so it cannot be its {CHAMPION}. {known_of(name)}")
    return uri


def alias_of(alias: str, name: str) -> str | None:
    """Return the URI of the version of a registered model that an alias names; None if it names none."""
    version = _aliases(name).get(alias)
    return None if version is None else f"models:/{name}/{version}"


def known_of(name: str) -> str:
    """Return in a sentence what is registered under a name, or what else is."""
    from mlflow.exceptions import MlflowException

    try:
        versions = sorted(int(each.version) for each in _versions(name))
        aliases = [f"{alias} (version {version})" for alias, version in sorted(_aliases(name).items())]
        others = sorted(each.name for each in _client().search_registered_models("name LIKE 'flawline-%'"))
    except MlflowException as error:
        return f"What there is cannot be told: {_first_line(error)}."
    if versions:
        return f"{name} has the versions {_some(versions)} and the aliases {_some(aliases)}: give one of these."
    there = f"{name} has no version" if name in others else f"There is no model {name}; there are: {_some(others)}"
    return f"{there}. A run registers what it makes: kedro run."


def _some(names: list) -> str:
    """Return the last names of a list, for a sentence."""
    more = f", and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return (", ".join(map(str, names[-SHOWN:])) or "none") + more


def _versions(name: str, wanted: str = "") -> list:
    filters = " and ".join(filter(None, (f"name = '{name}'", wanted)))
    return list(_client().search_model_versions(filters))


def _aliases(name: str) -> dict[str, str]:
    found = _client().search_registered_models(f"name = '{name}'")
    return dict(found[0].aliases) if found else {}


def _client() -> "MlflowClient":
    from mlflow.tracking import MlflowClient

    return MlflowClient()


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0].rstrip(".")


def fetched(uri: str, folder: Path, *, name: str) -> Path:
    """Return the file of the detector that an MLflow model holds, kept in ``folder`` under its SHA-256: what a server
    hands over is temporary, and what it keeps may be deleted, while a record must be replayed years later.

    ``name`` is the registered model of which is told what there is if there is no such detector. Raise FlawlineError
    if there is none."""
    from flawline.storage.digests import file_digest

    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder, prefix=".unfinished-") as temporary:
        file = _downloaded(uri, Path(temporary), name=name)
        kept = folder / f"{file_digest(file)}.safetensors"
        file.replace(kept)
    return kept


def _downloaded(uri: str, folder: Path, *, name: str) -> Path:
    import mlflow
    from mlflow.exceptions import MlflowException
    from mlflow.models import Model

    try:
        model = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=str(folder)))
        flavour = Model.load(str(model)).flavors.get("python_function", {})
    except (MlflowException, OSError) as error:
        raise FlawlineError(f"no detector can be had from {uri} ({_first_line(error)}). {known_of(name)}") from None
    artifact = flavour.get("artifacts", {}).get("detector", {}).get("path")
    if artifact is None or not (model / artifact).is_file():
        raise FlawlineError(f"the model {uri} holds no detector of flawline's. {known_of(name)}")
    return model / artifact


def read_registered(uri: str, path: Path, category: str, method: str) -> "Detector":
    """Read the detector that was fetched from ``uri``. Raise FlawlineError if it is of another category or method."""
    from flawline.detector.file import load_detector

    detector = load_detector(path, version=uri)
    if (detector.category, detector.method) != (category, method):
        raise FlawlineError(
            f"{uri} is a detector of the category {detector.category} by {detector.method}; wanted {category} by "
            f"{method}. Give category={detector.category} and the pipeline of {detector.method}, or another detector."
        )
    return detector

"""What a name means in MLflow's registry, and where the file of a detector is kept."""

import mlflow
import pytest
from kedro.io import DatasetError, Version
from logged_models import register_detector, write_model
from mlflow.tracking import MlflowClient
from small_detector import untrained

from flawline.checks import FlawlineError
from flawline.datasets import DetectorDataset, RegisteredDetectorDataset
from flawline.datasets.model_registry import alias_of, fetched, newest_version, pinned, version_to_promote
from flawline.storage.digests import file_digest

NAME = "flawline-bolt-cae"
OLD, NEW = "2025-01-31T12.00.00.000Z", "2026-01-31T12.00.00.000Z"
BOLT = {"category": "bolt", "method": "cae"}


def small(top=0.3):
    return untrained((20, 24), (20, 24), (0.1, 0.2, top), target=0.4, review=0.4)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store with three versions of a model, of which the second is the champion, and another without a detector."""
    folder = tmp_path_factory.mktemp("store")
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
    client = MlflowClient()
    for k, version in enumerate((OLD, NEW, NEW)):
        register_detector(client, NAME, folder / str(k), small(k + 1.0), detector_version=version)
    client.set_registered_model_alias(NAME, "champion", "2")
    register_detector(client, "flawline-nut-cae", folder / "empty", None)
    yield folder
    mlflow.set_tracking_uri(before)


# --- names -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("given", "uri"), [
    ("champion", f"models:/{NAME}/2"), ("latest", f"models:/{NAME}/3"), ("1", f"models:/{NAME}/1"),
    (f"models:/{NAME}@champion", f"models:/{NAME}/2"), (f"models:/{NAME}/latest", f"models:/{NAME}/3"),
    (f"models:/{NAME}/3", f"models:/{NAME}/3"), ("runs:/ab12/detector", "runs:/ab12/detector"),
    ("models:/m-0123", "models:/m-0123"),
])  # fmt: skip
def test_a_name_that_may_move_is_pinned_to_the_version_that_it_means_now(store, given, uri):
    assert pinned(given, "bolt", "cae") == uri


@pytest.mark.parametrize(("given", "message"), [
    ("chempion", rf"no detector at models:/{NAME}@chempion \(.*\)\. {NAME} has the versions 1, 2, 3 and the aliases "
                 r"champion \(version 2\): give one of these"),
    ("7", rf"no detector at models:/{NAME}/7 .* has the versions 1, 2, 3"),
    ("models:/flawline-bolt-vae@champion", rf"There is no model flawline-bolt-vae; there are: {NAME}, flawline-nut-"),
    ("models:/flawline-bolt-vae/latest", "no version of flawline-bolt-vae is registered. There is no model"),
])  # fmt: skip
def test_a_name_that_means_nothing_is_told_with_what_there_is(store, given, message):
    with pytest.raises(FlawlineError, match=message):
        pinned(given, "bolt", "cae")


def test_a_model_without_versions_is_told(store):
    MlflowClient().create_registered_model("flawline-nut-vae")
    with pytest.raises(FlawlineError, match=r"no version of flawline-nut-vae is registered\. flawline-nut-vae has no"):
        newest_version("flawline-nut-vae")
    MlflowClient().delete_registered_model("flawline-nut-vae")


def test_what_is_promoted_is_a_registered_version(store):
    assert newest_version(NAME) == "3"
    found = [version_to_promote(given, "bolt", "cae") for given in (None, OLD, NEW, "champion", f"models:/{NAME}/1")]
    assert found == [f"models:/{NAME}/{number}" for number in (3, 1, 3, 2, 1)]
    with pytest.raises(FlawlineError, match=f"2027.* is not registered as a version of {NAME}"):
        version_to_promote("2027-01-31T12.00.00.000Z", "bolt", "cae")
    with pytest.raises(FlawlineError, match=f"runs:/ab/detector is not registered as a version of {NAME}"):
        version_to_promote("runs:/ab/detector", "bolt", "cae")
    with pytest.raises(FlawlineError, match=f"is no version of {NAME}, so it cannot be its champion"):
        version_to_promote("models:/flawline-nut-cae/1", "bolt", "cae")


def test_an_alias_names_a_version_or_none(store):
    assert alias_of("champion", NAME) == f"models:/{NAME}/2"
    assert alias_of("champion", "flawline-nut-cae") is None
    assert alias_of("champion", "nothing") is None


# --- files -----------------------------------------------------------------------------------------------------------
def test_a_file_is_kept_under_its_digest_and_nothing_else_is(store, tmp_path):
    kept = [fetched(f"models:/{NAME}/2", tmp_path / "kept", name=NAME) for _ in range(2)]
    source = store / "1" / "artifacts" / "detector.safetensors"
    assert kept == [tmp_path / "kept" / f"{file_digest(source)}.safetensors"] * 2
    assert list((tmp_path / "kept").iterdir()) == kept[:1]
    assert kept[0].read_bytes() == source.read_bytes()


def test_a_model_without_a_detector_or_without_its_files_is_told(store, tmp_path):
    with pytest.raises(FlawlineError, match="the model models:/flawline-nut-cae/1 holds no detector of flawline's"):
        fetched("models:/flawline-nut-cae/1", tmp_path, name="flawline-nut-cae")
    with pytest.raises(FlawlineError, match=r"no detector can be had from runs:/ab12/detector \(.*ab12"):
        fetched("runs:/ab12/detector", tmp_path, name=NAME)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_ends_meanwhile_is_told(store, tmp_path, monkeypatch):
    from mlflow.exceptions import MlflowException

    def gone(*_, **__):
        raise MlflowException("API request failed\nat line 3")

    monkeypatch.setattr(MlflowClient, "get_model_version_by_alias", gone)
    monkeypatch.setattr(MlflowClient, "search_model_versions", gone)
    with pytest.raises(
        FlawlineError, match=r"\(API request failed\)\. What there is cannot be told: API request failed"
    ):
        pinned("champion", "bolt", "cae")


# --- the datasets ----------------------------------------------------------------------------------------------------
def at(tmp_path, given, **of):
    return DetectorDataset(filepath=str(tmp_path / "cae" / "detector.safetensors"), given=given, of=BOLT | of,
                           version=Version(None, "2024"))  # fmt: skip


def test_an_alias_is_loaded_as_the_version_that_it_named_first(store, tmp_path):
    dataset = at(tmp_path, "champion")
    assert not dataset.stamped
    assert dataset.exists()
    found = dataset.load()
    assert found.thresholds == small(2.0).thresholds
    assert found.source.version == f"models:/{NAME}/2"
    assert found.source.file == str(tmp_path / "cae" / "registered" / f"{found.source.sha256}.safetensors")
    MlflowClient().set_registered_model_alias(NAME, "champion", "1")
    try:
        assert dataset.load().source == found.source
    finally:
        MlflowClient().set_registered_model_alias(NAME, "champion", "2")


def test_a_detector_of_another_product_is_refused_with_what_was_wanted(store, tmp_path):
    dataset = at(tmp_path, f"models:/{NAME}/1", category="nut")
    with pytest.raises(
        FlawlineError, match=r"is a detector of the category bolt by cae; wanted nut by cae\. Give category="
    ):
        dataset.settle()
    with pytest.raises(DatasetError, match="wanted nut by cae"):
        dataset.load()


def test_a_version_of_the_catalog_is_pinned_and_mlflow_is_not_asked(tmp_path, monkeypatch):
    for version, top in ((OLD, 1.0), (NEW, 2.0)):
        path = str(tmp_path / "cae" / "detector.safetensors")
        DetectorDataset(filepath=path, version=Version(None, version)).save(small(top))
    monkeypatch.setattr("flawline.datasets.detector.pinned", None)
    dataset = at(tmp_path, OLD)
    dataset.settle()
    assert dataset.stamped
    assert dataset.load().source.version == OLD
    assert at(tmp_path, None).load().source.version == NEW
    with pytest.raises(DatasetError, match=r"no detector at .*2027"):
        at(tmp_path, "2027-01-31T12.00.00.000Z").load()


def test_candidate_and_champion(store, tmp_path):
    def of(**more):
        return RegisteredDetectorDataset(filepath=str(tmp_path), of=BOLT, **more)

    assert of().load().source.version == f"models:/{NAME}/3"
    assert of(given=OLD).load().source.version == f"models:/{NAME}/1"
    assert of(alias="champion", given=None).load().source.version == f"models:/{NAME}/2"
    none = of(alias="nobody")
    none.settle()
    assert none.load() is None
    assert "nobody" in str(none)


def test_a_folder_is_a_model_too(tmp_path):
    """What the tests register is what MLflow reads."""
    assert fetched(write_model(tmp_path / "m", small()).as_uri(), tmp_path / "kept", name=NAME).is_file()

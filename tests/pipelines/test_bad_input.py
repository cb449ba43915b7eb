"""What a user can get wrong: a message that says what to do, nothing half-written, and the next good run works."""

import errno
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from kedro.io import DatasetError
from PIL import Image

from flawline.checks import FlawlineError
from flawline.cli import user_error
from flawline.hooks.parameters import check_writable
from flawline.storage.ragged import write_ragged

DATA = "ingestion,registration"


def files_of(project, folder):
    return {path.relative_to(project.path) for path in (project.path / folder).rglob("*") if path.is_file()}


def run_parts(project, folder, pipelines="ingestion", **params):
    project.run(pipelines, category="parts", raw=str(folder), **params)


def make_parts(project, folder, pipelines="ingestion", **params):
    """Do the same by Kedro's runner alone, where its hooks have no part in what goes wrong."""
    project.make(pipelines, category="parts", raw=str(folder), **params)


def assert_nothing_is_made(project):
    """So that the next good run finds what the first would find."""
    assert not [path for path in files_of(project, "data") if not path.name.endswith(".lock")]


def test_missing_raw_folder(project, parts, tmp_path):
    with pytest.raises(FlawlineError, match=r"no folder .*nowhere.*--params raw=FOLDER"):
        run_parts(project, tmp_path / "nowhere")
    assert_nothing_is_made(project)
    run_parts(project, parts, DATA)
    assert len(project.load("images", category="parts")) == 14


def test_missing_raw_folder_below_data(project):
    with pytest.raises(FlawlineError, match=r"no folder .*data/01_raw/bolts.*Wanted a folder of photographs"):
        project.make("ingestion", category="bolts")


def test_empty_raw_folder_or_one_that_is_a_file(project, parts, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(FlawlineError, match=r"empty is empty; wanted a folder of photographs"):
        make_parts(project, tmp_path / "empty")
    with pytest.raises(FlawlineError, match=r"000.png is a file; wanted a folder"):
        make_parts(project, parts / "good" / "000.png")
    assert_nothing_is_made(project)


def test_no_normal_image(project, tmp_path, photographs):
    photographs(tmp_path / "bad" / "train" / "good", 0)
    photographs(tmp_path / "bad" / "test" / "scratch", 3)
    with pytest.raises(FlawlineError, match=r"no normal image to learn from"):
        make_parts(project, tmp_path / "bad")
    assert_nothing_is_made(project)


def test_mask_of_another_size_quarantines_its_image(project, parts):
    Image.new("L", (20, 30), 255).save(parts / "ground_truth" / "scratch" / "000_mask.png")
    make_parts(project, parts)
    quarantine = project.load("quarantine", category="parts")
    assert quarantine["path"].tolist() == ["scratch/000.png"]
    assert "000_mask.png has size 30 x 20, the image 48 x 48" in quarantine["reason"].item()


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"cae.trian.epochs": 5}, r"cae.trian: no such parameter \(did you mean 'train'\?\)"),
        ({"cae.train.epoch": 5}, r"cae.train.epoch: no such parameter \(did you mean 'epochs'\?\)"),
        ({"cae.train.epochs": 0}, r"cae.train.epochs: input should be greater than 0, got 0"),
        ({"cae.train.learning_rate": "fast"}, r"cae.train.learning_rate: .*valid number.*got 'fast'"),
        ({"cae.train.learning_rate": float("nan")}, r"cae.train.learning_rate: .*got nan"),
        ({"cae.patches.size": 40}, r"patches.size must be a multiple of 16.*got 40"),
        ({"cae.patches.stride": 64}, r"stride must not exceed size.*64 > 32"),
        ({"evaluation.target_overkill": 1.5}, r"evaluation.target_overkill: input should be less than 1, got 1.5"),
        ({"ingestion.splits.validation": 0.9}, r"validation \+ calibration \+ test must stay below 1"),
        ({"seed": "abc"}, r"seed: .*valid integer.*got 'abc'"),
        ({"seed": 1.0}, r"seed must be a whole number, got 1.0"),
        ({"seed": -1}, r"seed: input should be greater than or equal to 0, got -1"),
        ({"cae": 5}, r"cae: .*got 5"),
        ({"category": "../x"}, r"category must be 1 to 64 letters, digits.*got '../x'"),
        ({"category": "my parts"}, r"category must be .*got 'my parts'"),
        ({"category": ".."}, r"category must be .*got '..'"),
        ({"category": ""}, r"category must be .*got ''"),
    ],
)
def test_parameter_that_cannot_be_stops_the_run_before_anything_is_read(blank_once, params, message):
    with pytest.raises(FlawlineError, match=message):
        blank_once.run("ingestion", **params)
    assert files_of(blank_once, "data") == set()
    assert not (blank_once.path.parent / "x").exists()


def test_data_that_is_a_file_cannot_be_written_to(project):
    (project.path / "data").rmdir()
    (project.path / "data").write_text("")
    with pytest.raises(FlawlineError, match=r"cannot write to .*data: File exists.*check its permissions"):
        project.run("ingestion")
    (project.path / "data").unlink()
    project.run("ingestion")
    assert len(project.load("manifest")) == 20


def test_data_without_write_permission(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir(mode=0o555)
    assert as_nobody(lambda: check_writable(folder)) == f"cannot write to {folder}: Permission denied"


def as_nobody(action) -> str:
    """Return the first sentence of the error that ``action`` raises in a process without root's rights."""
    read, write = os.pipe()
    if child := os.fork():
        os.waitpid(child, 0)
        os.close(write)
        with os.fdopen(read) as said:
            return said.read().split(". ")[0]
    try:
        if os.getuid() == 0:
            os.setuid(65534)
        action()
    except Exception as error:
        os.write(write, str(error).encode())
    finally:
        os._exit(0)


def full_disk(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "images")


def test_disk_full_in_registration_leaves_the_old_images_whole(registered, monkeypatch):
    project, parts = registered, registered.path / "parts"
    before = project.load("images", category="parts").digest

    def two_then_full(folder: Path, arrays):
        def broken():
            for k, array in enumerate(arrays):
                if k == 2:
                    full_disk()
                yield array

        write_ragged(folder, broken())

    with monkeypatch.context() as patch:
        patch.setattr("flawline.datasets.ragged.write_ragged", two_then_full)
        with pytest.raises(DatasetError) as raised:
            run_parts(project, parts, "registration", **{"registration.color": "rgb"})
    assert "the disk is full (images). Make room" in user_error(raised.value)
    assert not list(project.path.glob("data/**/*.partial"))
    with pytest.raises(
        FlawlineError, match=r"(?s)images .*is not whole.*--nodes=draw_example,choose_alignment,register "
    ):
        run_parts(project, parts, "patching")
    run_parts(project, parts, "registration,patching")
    assert project.load("images", category="parts").digest == before


def test_disk_full_while_the_detector_is_saved_leaves_the_old_one_in_use(finished, monkeypatch, tmp_path):
    old = finished.newest("06_models/chess/seed-0/cae/detector.safetensors/*")

    def half_then_full(tensors, path, metadata=None):
        Path(path).write_bytes(b"half")
        full_disk()

    with monkeypatch.context() as patch:
        patch.setattr("safetensors.torch.save_file", half_then_full)
        with pytest.raises(DatasetError) as raised:
            finished.run("evaluation")
    assert "the disk is full" in user_error(raised.value)
    finished.run("inspection", images=str(finished.path / "data/01_raw/chess/test/good"))
    stored = [path.parent.name for path in old.parent.glob("*/detector.safetensors")]
    assert stored == [old.name]
    finished.run("evaluation")
    assert finished.newest("06_models/chess/seed-0/cae/detector.safetensors/*") != old


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError("I/O error: No space left on device (os error 28)"),
        RuntimeError("(sqlite3.OperationalError) database or disk is full"),
    ],
)
def test_full_disk_is_told_however_a_library_words_it(error):
    assert "Make room and run the same command again" in user_error(error)


def test_error_of_the_program_is_not_taken_for_the_users():
    assert user_error(RuntimeError("boom")) is None


def test_changed_photograph_after_ingestion_is_refused(project, parts, photographs):
    make_parts(project, parts)
    photographs(parts / "good", 1, seed=99)
    with pytest.raises(DatasetError) as raised:
        make_parts(project, parts, "registration")
    assert "has changed since ingestion. Run the ingestion again" in user_error(raised.value)


def test_category_of_the_example_with_own_images_is_not_overwritten(project, photographs):
    photographs(project.path / "data/01_raw/chess/good", 8)
    with pytest.raises(DatasetError) as raised:
        project.make("ingestion")
    assert "images that are not the embedded example" in user_error(raised.value)
    assert len(list((project.path / "data/01_raw/chess/good").iterdir())) == 8


def test_no_room_for_the_images_is_told_before_they_are_written(project, parts, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=1000))
    with pytest.raises(FlawlineError, match=r"too full: \d+ images need .* MB, 0 MB are free"):
        project.run("ingestion,registration", category="parts", raw=str(parts))
    assert not list((project.path / "data/03_primary").rglob("data.bin"))
    monkeypatch.undo()
    project.run("registration", category="parts", raw=str(parts))
    assert len(project.load("images", category="parts")) == 14

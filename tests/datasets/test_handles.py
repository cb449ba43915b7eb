from pathlib import Path

import pytest
import torch
from kedro.io import DatasetError

from flawline.datasets import (
    CheckpointsDataset,
    FolderDataset,
    MachineDataset,
    NewestFileDataset,
    ProgressDataset,
    RunDataset,
)
from flawline.training.checkpoints import TrainingState

STATE = TrainingState(3, {"w": torch.ones(2)}, {"0.step": torch.tensor(5.0)}, {"w": torch.zeros(2)}, [{"epoch": 1.0}])


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (CheckpointsDataset, {"filepath": "x"}),
        (FolderDataset, {"filepath": "x"}),
        (MachineDataset, {"filepath": "x"}),
        (ProgressDataset, {}),
    ],
)
def test_handles_cannot_be_saved_and_describe_themselves(kind, options):
    handle = kind(**options, metadata={"a": 1})
    assert kind.__name__ in str(handle)
    assert handle.metadata == {"a": 1}
    assert handle.stamped is False
    with pytest.raises(DatasetError, match=f"{kind.__name__} is a handle: it cannot be saved"):
        handle.save(1)


def test_folder_is_a_path_or_none(tmp_path):
    assert FolderDataset(filepath=str(tmp_path)).load() == tmp_path
    assert FolderDataset().load() is None


# --- checkpoints -----------------------------------------------------------------------------------------------------
def test_checkpoint_round_trip_under_its_key(tmp_path):
    store = CheckpointsDataset(filepath=str(tmp_path / "deep" / "c.safetensors")).load()
    assert store.load("key") is None
    store.save("key", STATE)
    loaded = store.load("key")
    assert (loaded.epoch, loaded.history) == (3, [{"epoch": 1.0}])
    torch.testing.assert_close(loaded.model, STATE.model)
    torch.testing.assert_close(loaded.optimizer, STATE.optimizer)
    torch.testing.assert_close(loaded.best, STATE.best)
    assert store.load("other") is None
    store.clear()
    store.clear()
    assert store.load("key") is None


def test_broken_checkpoint_is_no_checkpoint_and_the_next_save_works(tmp_path):
    path = tmp_path / "c.safetensors"
    store = CheckpointsDataset(filepath=str(path)).load()
    store.save("key", STATE)
    whole = path.read_bytes()
    for content in (b"", b"garbage", whole[: len(whole) // 2]):
        path.write_bytes(content)
        assert store.load("key") is None
    store.save("key", STATE)
    assert store.load("key").epoch == 3
    assert [path.name for path in tmp_path.iterdir()] == ["c.safetensors"]


# --- the machine -----------------------------------------------------------------------------------------------------
def test_machine_remembers(tmp_path):
    path = tmp_path / "deep" / "machine.json"
    machine = MachineDataset(filepath=str(path)).load()
    assert machine.recall("threads") is None
    machine.remember("threads", 4)
    machine.remember("other", 2)
    again = MachineDataset(filepath=str(path)).load()
    assert (again.recall("threads"), again.recall("other")) == (4, 2)
    assert [path.name for path in path.parent.iterdir()] == ["machine.json"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"7", b"\xff\xfe\x00", b'{"threads": "x"}', b'{"threads": 0}'])
def test_broken_machine_file_is_measured_again(tmp_path, content):
    path = tmp_path / "machine.json"
    path.write_bytes(content)
    machine = MachineDataset(filepath=str(path)).load()
    assert machine.recall("threads") is None
    machine.remember("threads", 2)
    assert machine.recall("threads") == 2


# --- progress --------------------------------------------------------------------------------------------------------
def test_bar_passes_items_on_and_is_silent_without_a_terminal(capsys):
    bar = ProgressDataset().load()
    assert list(bar.track([3, 1, 2], total=3, label="judging")) == [3, 1, 2]
    assert capsys.readouterr().out == ""


def test_bar_asks_for_items_one_at_a_time():
    asked = []
    items = ProgressDataset().load().track((asked.append(i) or i for i in range(5)), total=5, label="x")
    next(items)
    assert asked == [0]


def test_epoch_goes_to_the_sink_and_to_the_error_stream(capsys):
    bar = ProgressDataset().load()
    records = []
    bar.sink = records.append
    record = {"epoch": 2.0, "train_loss": 0.5, "validation_loss": 0.25}
    bar.epoch(record)
    assert records == [record]
    assert "epoch    2: train loss 0.50000, validation loss 0.25000" in capsys.readouterr().err


def test_one_dataset_has_one_bar():
    dataset = ProgressDataset()
    assert dataset.load() is dataset.load()


def test_run_is_nameless_outside_a_run():
    assert RunDataset().load() == {}


def test_a_file_that_is_given_comes_before_the_newest_version(tmp_path):
    newest = NewestFileDataset(filepath=str(tmp_path / "v.csv"))
    with pytest.raises(DatasetError, match=r"there is no v.csv in .*Inspect images first"):
        newest.load()
    for version in ("2026", "2025"):
        (tmp_path / "v.csv" / version).mkdir(parents=True)
        (tmp_path / "v.csv" / version / "v.csv").touch()
    assert newest.load() == tmp_path / "v.csv" / "2026" / "v.csv"
    assert NewestFileDataset(filepath=str(tmp_path / "v.csv"), given="a.csv").load() == Path("a.csv")

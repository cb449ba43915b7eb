"""What unfinished work has made: read by work of the same key alone, and only if it is whole."""

import pytest
import torch

from flawline.storage.unfinished import UnfinishedFile

TENSORS = {"a": torch.arange(6.0).view(2, 3), "b": torch.tensor([1, 2])}


@pytest.fixture
def file(tmp_path):
    made = UnfinishedFile(tmp_path / "deep" / "work.safetensors")
    made.write("key", TENSORS, {"epoch": 3})
    return made


def test_what_was_written_is_read_by_its_key(file):
    tensors, rest = file.read("key")
    assert rest == {"epoch": 3}
    assert {name: each.tolist() for name, each in tensors.items()} == {
        name: each.tolist() for name, each in TENSORS.items()
    }
    file.write("key", {}, {})
    assert file.read("key") == ({}, {})


def test_work_of_another_key_reads_nothing_and_leaves_it(file):
    assert file.read("another") is None
    assert file.read("key") is not None


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-9]),
        lambda path: path.write_bytes(path.read_bytes()[:-1] + b"x"),
        lambda path: path.write_text(""),
        lambda path: path.unlink(),
    ],
    ids=["cut off", "changed", "empty", "gone"],
)
def test_what_is_not_whole_is_not_read(file, spoil):
    spoil(file.path)
    assert file.read("key") is None


def test_what_is_done_with_is_removed_and_that_can_be_done_again(file):
    for _ in range(2):
        file.clear()
        assert not file.path.exists()

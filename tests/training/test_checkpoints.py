from dataclasses import fields

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import nn, tensor

from flawline.storage.tensors import read_tensors, write_tensors
from flawline.training.checkpoints import (
    PARTS,
    FileCheckpoints,
    NoCheckpoints,
    TrainingState,
    pack_optimizers,
    unpack_optimizers,
)

STATE = TrainingState(
    2,
    model={"a.weight": tensor([1.5, -2.0])},
    optimizer={"0.0.step": tensor(2.0), "0.0.exp_avg": tensor([0.25, 0.5]), "2.0.step": tensor(6.0)},
    best={"a.weight": tensor([1.0, 0.1])},
    sample_reconstructions={"patches": torch.rand(3, 1, 2, 2), "epoch_00000": torch.rand(3, 1, 2, 2)},
    history=[{"epoch": 1, "validation_loss": 0.1}, {"epoch": 2, "validation_loss": 1 / 3}],
    own={"mean": tensor([0.1, 1 / 3]), "seen": tensor(7)},
    stage=1,
)


@pytest.fixture
def store(tmp_path):
    return FileCheckpoints(tmp_path / "deep" / "state.safetensors")


def test_a_state_comes_back_as_it_was(store):
    store.save("key", STATE)
    back = store.load("key")
    assert (back.epoch, back.history, back.stage) == (2, STATE.history, 1)
    for part in PARTS:
        saved, loaded = getattr(STATE, part), getattr(back, part)
        assert saved.keys() == loaded.keys()
        assert all(torch.equal(saved[name], loaded[name]) for name in saved)


def test_a_state_of_another_key_is_not_loaded_and_left_alone(store):
    store.save("key", STATE)
    assert store.load("other") is None
    assert store.load("key") is not None


def test_nothing_saved_is_none_and_can_be_cleared(store):
    assert store.load("key") is None
    store.clear()
    store.save("key", STATE)
    store.clear()
    assert store.load("key") is None


def test_no_checkpoints_forgets():
    NoCheckpoints().save("key", STATE)
    assert NoCheckpoints().load("key") is None


@pytest.mark.parametrize("damage", ["empty", "truncated", "flipped", "text", "foreign"])
def test_a_damaged_file_is_ignored(store, damage):
    store.save("key", STATE)
    content = store.path.read_bytes()
    if damage == "foreign":
        save_file({"a": torch.ones(2)}, store.path)
    else:
        flipped = content[:-1] + bytes([content[-1] ^ 1])  # the last byte of a weight
        bad = {"empty": b"", "truncated": content[:-5], "flipped": flipped, "text": b"not a tensor in sight"}
        store.path.write_bytes(bad[damage])
    assert store.load("key") is None


def test_changed_settings_are_noticed(tmp_path):
    path = tmp_path / "file.safetensors"
    write_tensors(path, {"a": torch.ones(2)}, {"threshold": 0.5})
    path.write_bytes(path.read_bytes().replace(b"0.5", b"0.9"))
    with pytest.raises(SafetensorError, match="its checksum does not fit"):
        read_tensors(path)


def test_tensors_of_every_kind_and_meta_come_back(tmp_path):
    path = tmp_path / "file.safetensors"
    weight = torch.randn(4, 3, 2, 2).to(memory_format=torch.channels_last)
    tensors = {"weight": weight, "same": weight, "half": torch.ones(3, dtype=torch.bfloat16), "none": torch.zeros(0, 2),
               "number": tensor(7)}  # fmt: skip
    write_tensors(path, tensors, {"a": [1, None, "ä"], "tenth": 0.1})
    back, meta = read_tensors(path)
    assert meta == {"a": [1, None, "ä"], "tenth": 0.1}
    assert {name: value.dtype for name, value in back.items()} == {name: t.dtype for name, t in tensors.items()}
    assert all(torch.equal(back[name], tensors[name]) for name in tensors)


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_a_failed_write_keeps_the_old_file_and_leaves_nothing(store, monkeypatch, error):
    store.save("key", STATE)

    def failing(tensors, path, metadata):
        path.write_bytes(b"half")
        raise error

    monkeypatch.setattr("safetensors.torch.save_file", failing)
    with pytest.raises(type(error)):
        store.save("key", TrainingState(3, {}, {}, {}))
    assert store.load("key").epoch == 2
    assert [path.name for path in store.path.parent.iterdir()] == ["state.safetensors"]


def test_a_missing_file_is_told_from_a_damaged_one(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_tensors(tmp_path / "none")


def test_a_state_without_samples_comes_back_without(store):
    store.save("key", TrainingState(1, {"a": torch.ones(1)}, {}, {}))
    assert store.load("key").sample_reconstructions == {}


def test_every_part_of_a_state_is_stored():
    plain = {"epoch", "history", "stage"}
    assert {field.name for field in fields(TrainingState)} == {*PARTS, *plain}


# --- parts -----------------------------------------------------------------------------------------------------------
def test_parts_are_stores_of_their_own_beside_the_first(store):
    first, second = store.part("fold_0"), store.part("fold_1")
    first.save("key", STATE)
    assert (store.load("key"), second.load("key")) == (None, None)
    store.save("key", TrainingState(7, {}, {}, {}))
    assert [store.load("key").epoch, first.load("key").epoch] == [7, 2]
    assert {path.parent for path in (store.path, first.path, second.path)} == {store.path.parent}
    assert store.part("fold_0").load("key").epoch == 2


def test_clearing_a_store_clears_its_parts_and_nothing_else(tmp_path):
    mine, other = FileCheckpoints(tmp_path / "[a].safetensors"), FileCheckpoints(tmp_path / "a.safetensors")
    for store in (mine, mine.part("0"), mine.part("1"), other, other.part("0")):
        store.save("key", STATE)
    mine.part("0").clear()
    assert (mine.part("0").load("key"), mine.part("1").load("key").epoch) == (None, 2)
    mine.clear()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([other.path.name, other.part("0").path.name])


def test_parts_of_no_checkpoints_forget():
    part = NoCheckpoints().part("fold_0")
    part.save("key", STATE)
    assert part.load("key") is None


# --- optimizers ------------------------------------------------------------------------------------------------------
class Pair(nn.Module):
    """Two layers, which three Adams share: of all, of the first, of the second."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(3, 3), nn.Linear(3, 2)

    def forward(self, x):
        return self.b(self.a(x))

    def adams(self, *, lr=0.1):
        return [torch.optim.Adam(part.parameters(), lr=lr) for part in (self, self.a, self.b)]


def step(model, optimizer, seed):
    x = torch.randn(4, 3, generator=torch.Generator().manual_seed(seed))
    optimizer.zero_grad()
    model(x).square().mean().backward()
    optimizer.step()


def test_unpacked_optimizers_go_on_to_the_bit():
    first, second = Pair(), Pair()
    adams, others = first.adams(), second.adams()
    for seed, number in enumerate((0, 1, 1, 2)):
        step(first, adams[number], seed)
    second.load_state_dict(first.state_dict())
    unpack_optimizers(others, {name: value.clone() for name, value in pack_optimizers(adams).items()})
    for seed, number in enumerate((0, 1, 2), start=10):
        step(first, adams[number], seed)
        step(second, others[number], seed)
    theirs = second.state_dict()
    assert [name for name, value in first.state_dict().items() if not torch.equal(value, theirs[name])] == []


def test_packed_optimizers_come_back_through_a_file(store):
    model = Pair()
    adams = model.adams()
    for number in (0, 1, 1):
        step(model, adams[number], number)
    packed = pack_optimizers(adams)
    store.save("key", TrainingState(1, model.state_dict(), packed, {}))
    others = Pair().adams()
    unpack_optimizers(others, store.load("key").optimizer)
    back = pack_optimizers(others)
    assert back.keys() == packed.keys()
    assert [name for name in packed if not torch.equal(packed[name], back[name])] == []
    assert [adam.state_dict()["state"].keys() for adam in others] == [{0, 1, 2, 3}, {0, 1}, set()]
    assert back["1.0.step"].item() == 2


def test_packed_names_are_number_index_and_slot_and_the_rate_stays_the_optimizers():
    model = Pair()
    adams = model.adams()
    assert pack_optimizers(adams) == {}
    step(model, adams[2], 0)
    packed = pack_optimizers(adams)
    assert sorted(packed) == [f"2.{i}.{slot}" for i in (0, 1) for slot in ("exp_avg", "exp_avg_sq", "step")]
    others = Pair().adams(lr=0.5)
    unpack_optimizers(others, packed)
    assert [adam.param_groups[0]["lr"] for adam in others] == [0.5, 0.5, 0.5]


def test_optimizers_of_a_state_with_more_of_them_are_refused():
    model = Pair()
    adams = model.adams()
    step(model, adams[2], 0)
    with pytest.raises(IndexError):
        unpack_optimizers(adams[:2], pack_optimizers(adams))

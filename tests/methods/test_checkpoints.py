import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import nn, tensor

from flawline.methods import checkpoints
from flawline.methods.checkpoints import (
    FileCheckpoints,
    NoCheckpoints,
    TrainingState,
    pack_optimizer,
    read_tensors,
    unpack_optimizer,
    write_tensors,
)

STATE = TrainingState(
    2,
    model={"a.weight": tensor([1.5, -2.0])},
    optimizer={"0.step": tensor(2.0), "0.exp_avg": tensor([0.25, 0.5])},
    best={"a.weight": tensor([1.0, 0.1])},
    history=[{"epoch": 1, "validation_loss": 0.1}, {"epoch": 2, "validation_loss": 1 / 3}],
)


@pytest.fixture
def store(tmp_path):
    return FileCheckpoints(tmp_path / "deep" / "state.safetensors")


def step(model, optimizer, seed):
    x = torch.randn(4, 3, generator=torch.Generator().manual_seed(seed))
    optimizer.zero_grad()
    model(x).square().mean().backward()
    optimizer.step()


def test_a_state_comes_back_as_it_was(store):
    store.save("key", STATE)
    back = store.load("key")
    assert (back.epoch, back.history) == (2, STATE.history)
    for part in ("model", "optimizer", "best"):
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
    with pytest.raises(SafetensorError, match="its content is not what was written"):
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

    monkeypatch.setattr(checkpoints, "save_file", failing)
    with pytest.raises(type(error)):
        store.save("key", TrainingState(3, {}, {}, {}))
    assert store.load("key").epoch == 2
    assert [path.name for path in store.path.parent.iterdir()] == ["state.safetensors"]


def test_a_missing_file_is_told_from_a_damaged_one(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_tensors(tmp_path / "none")


def test_an_unpacked_optimizer_goes_on_to_the_bit():
    torch.manual_seed(0)
    models = [nn.Linear(3, 2), nn.Linear(3, 2)]
    first, second = (torch.optim.Adam(model.parameters(), lr=0.1) for model in models)
    step(models[0], first, 1)
    step(models[0], first, 2)
    models[1].load_state_dict(models[0].state_dict())
    unpack_optimizer(second, {name: value.clone() for name, value in pack_optimizer(first).items()})
    step(models[0], first, 3)
    step(models[1], second, 3)
    assert torch.equal(models[0].weight, models[1].weight)
    assert torch.equal(models[0].bias, models[1].bias)


def test_packed_names_are_index_and_slot_and_the_rate_stays_the_optimizers():
    model = nn.Linear(3, 2)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    assert pack_optimizer(optimizer) == {}
    step(model, optimizer, 0)
    packed = pack_optimizer(optimizer)
    assert sorted(packed) == ["0.exp_avg", "0.exp_avg_sq", "0.step", "1.exp_avg", "1.exp_avg_sq", "1.step"]
    other = torch.optim.Adam(model.parameters(), lr=0.5)
    unpack_optimizer(other, packed)
    assert other.param_groups[0]["lr"] == 0.5

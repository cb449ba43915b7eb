import pytest
import torch
from kedro.io import DatasetError

from flawline.datasets import WeightsDataset


@pytest.fixture
def dataset(tmp_path):
    return WeightsDataset(filepath=str(tmp_path / "deep" / "weights.safetensors"))


def test_round_trip_is_exact(dataset):
    weights = {"a.weight": torch.randn(3, 2, generator=torch.Generator().manual_seed(0)), "n": torch.tensor(7)}
    dataset.save(weights)
    loaded = dataset.load()
    assert loaded.keys() == weights.keys()
    assert all(torch.equal(loaded[name], weights[name]) for name in weights)


def test_turned_and_shared_tensors_can_be_saved(dataset):
    weight = torch.arange(6.0).reshape(2, 3)
    dataset.save({"a": weight.T, "b": weight})
    torch.testing.assert_close(dataset.load(), {"a": weight.T, "b": weight})


def test_missing_and_broken(dataset, tmp_path):
    assert not dataset.exists()
    with pytest.raises(DatasetError, match=r"weights\.safetensors"):
        dataset.load()
    dataset.save({"a": torch.zeros(100)})
    path = tmp_path / "deep" / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DatasetError, match="Failed while loading"):
        dataset.load()


def test_interrupted_save_leaves_the_old_weights(dataset, tmp_path):
    dataset.save({"a": torch.ones(2)})
    with pytest.raises(DatasetError):
        dataset.save({"a": "no tensor"})
    torch.testing.assert_close(dataset.load(), {"a": torch.ones(2)})
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["weights.safetensors"]


def test_describe(dataset):
    assert "WeightsDataset(filepath=" in str(dataset)

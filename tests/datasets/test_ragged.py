import numpy as np
import pytest
from kedro.io import DatasetError

from flawline.datasets import RaggedDataset
from flawline.storage.ragged import RaggedArray


@pytest.fixture
def dataset(tmp_path):
    return RaggedDataset(filepath=str(tmp_path / "deep" / "images"), metadata={"kedro-viz": {"layer": "primary"}})


def test_round_trip_of_a_generator(dataset):
    arrays = [np.arange(6, dtype=np.uint16).reshape(1, 2, 3), np.zeros((0, 0), bool)]
    dataset.save(array for array in arrays)
    loaded = dataset.load()
    assert isinstance(loaded, RaggedArray)
    for got, wanted in zip(loaded, arrays, strict=True):
        np.testing.assert_array_equal(got, wanted)


def test_missing(dataset):
    assert not dataset.exists()
    with pytest.raises(DatasetError, match="images is not a whole store of arrays"):
        dataset.load()


def test_half_written_entry_does_not_exist(dataset, tmp_path):
    def cut_off():
        yield np.zeros(9, np.uint8)
        raise RuntimeError("power failure")

    with pytest.raises(DatasetError, match="power failure"):
        dataset.save(cut_off())
    assert not dataset.exists()
    assert list((tmp_path / "deep").iterdir()) == []
    dataset.save([np.zeros(9, np.uint8)])
    assert dataset.exists()


def test_describe(dataset):
    assert "RaggedDataset(filepath=" in str(dataset)
    assert dataset.metadata == {"kedro-viz": {"layer": "primary"}}

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from kedro.io import DatasetError

from flawline.datasets import KnownMeasurementsDataset, MeasurementsDataset
from flawline.datasets.measurements import KEY, TABLE, THUMBNAILS
from flawline.intake.measuring import Measured, Measurements, measure
from flawline.storage.ragged import write_ragged


def noise(seed):
    return np.random.default_rng(seed).integers(0, 256, (1, 9, 8), np.uint8)


MEASURED = [
    measure(noise(0), "a", 0, "PNG"),
    measure(noise(1), "b", 1, "TIFF"),
    Measured("b", 2, reason="has floating-point pixels, ä"),
    Measured("m", format="mask", height=9, width=8, marked=12),
]


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "deep" / "measurements"


@pytest.fixture
def dataset(folder):
    return MeasurementsDataset(filepath=str(folder), metadata={"kedro-viz": {"layer": "intermediate"}})


@pytest.fixture
def known(folder):
    return KnownMeasurementsDataset(filepath=str(folder))


@pytest.fixture
def saved(dataset, folder):
    dataset.save(Measurements.of(MEASURED, "pillow 11"))
    return folder


# --- whole -----------------------------------------------------------------------------------------------------------
def test_round_trip(saved, dataset, known):
    wanted = Measurements.of(MEASURED, "pillow 11")
    for loaded in (dataset.load(), known.load()):
        pd.testing.assert_frame_equal(loaded.table, wanted.table, check_dtype=False)
        assert loaded.key == "pillow 11"
        for got, thumbnail in zip(loaded.thumbnails, wanted.thumbnails, strict=True):
            np.testing.assert_array_equal(got, thumbnail)
        assert loaded.by_content("pillow 11") == wanted.by_content("pillow 11")


def test_thumbnails_are_mapped_and_not_read(saved, dataset):
    thumbnail = dataset.load().thumbnails[1]
    base = thumbnail
    while not isinstance(base, np.memmap):
        base = base.base
    assert base.filename == saved / THUMBNAILS / "data.bin"
    assert not thumbnail.flags.writeable
    np.testing.assert_array_equal(thumbnail, MEASURED[1].thumbnail)


def test_round_trip_of_nothing(dataset, known):
    dataset.save(Measurements.of([], "key"))
    assert len(known.load().table) == len(known.load().thumbnails) == 0
    assert known.load().by_content("key") == {}


def test_what_was_loaded_is_saved_again_in_the_same_place(saved, dataset, known):
    """As an ingestion does that finds most files unchanged: the thumbnails lie in the folder that is replaced."""
    kept = known.load().by_content("pillow 11")
    dataset.save(Measurements.of([*kept["b"], measure(noise(2), "c")], "pillow 11"))
    again = known.load()
    assert again.table["sha256"].tolist() == ["b", "b", "c"]
    np.testing.assert_array_equal(again.thumbnails[0], MEASURED[1].thumbnail)
    assert [path.name for path in saved.parent.iterdir()] == ["measurements"]


# --- missing or damaged ----------------------------------------------------------------------------------------------
def test_missing(dataset, known):
    assert not dataset.exists()
    assert known.load() is None
    with pytest.raises(DatasetError, match=r"No such file or directory: .*measurements"):
        dataset.load()


def test_exists_once_it_is_saved(saved, dataset):
    assert dataset.exists()
    (saved / KEY).unlink()
    assert not dataset.exists()


class CutOff(list):
    def __iter__(self):
        yield MEASURED[0].thumbnail
        raise RuntimeError("power failure")


def save_half(dataset):
    with pytest.raises(DatasetError, match="power failure"):
        dataset.save(Measurements(Measurements.of(MEASURED, "new").table, CutOff(), "new"))


def test_half_written_entry_does_not_exist(dataset, known, folder):
    save_half(dataset)
    assert not dataset.exists()
    assert known.load() is None
    assert list(folder.parent.iterdir()) == []


def test_half_written_entry_leaves_the_one_before(saved, dataset, known):
    save_half(dataset)
    assert known.load().key == "pillow 11"


@pytest.mark.parametrize("name", [TABLE, KEY, f"{THUMBNAILS}/data.bin", f"{THUMBNAILS}/index.json", THUMBNAILS])
def test_part_that_is_gone_makes_all_unknown(saved, known, name):
    assert known.load() is not None
    path = saved / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert known.load() is None


@pytest.mark.parametrize("name", [TABLE, KEY, f"{THUMBNAILS}/data.bin", f"{THUMBNAILS}/index.json"])
@pytest.mark.parametrize("share", [0, 0.5, 0.95])
def test_part_that_is_cut_off_makes_all_unknown(saved, known, name, share):
    content = (saved / name).read_bytes()
    (saved / name).write_bytes(content[: int(share * len(content))])
    assert known.load() is None


@pytest.mark.parametrize("name", [KEY, f"{THUMBNAILS}/index.json"])
@pytest.mark.parametrize("content", ["{}", "[]", "3", "null", '{"key"', '{"size": 32768}'])
def test_part_with_something_else_in_it_makes_all_unknown(saved, known, name, content):
    (saved / name).write_text(content)
    assert known.load() is None


def test_other_number_of_thumbnails_makes_all_unknown(saved, known):
    write_ragged(saved / THUMBNAILS, [each.thumbnail for each in MEASURED[:-1]])
    assert known.load() is None


@pytest.mark.parametrize("change", [lambda table: table.drop(columns="mean"), lambda table: table.assign(more=1)])
def test_table_of_another_version_makes_all_unknown(saved, known, change):
    change(Measurements.of(MEASURED, "key").table).to_parquet(saved / TABLE)
    assert known.load() is None


# --- Kedro's side ----------------------------------------------------------------------------------------------------
def test_known_measurements_are_only_loaded(known):
    with pytest.raises(DatasetError, match="KnownMeasurementsDataset is a handle: it cannot be saved"):
        known.save(Measurements.of([], "key"))


def test_describe(dataset, folder):
    assert str(folder) in str(dataset)
    assert dataset.metadata == {"kedro-viz": {"layer": "intermediate"}}
    assert json.loads(json.dumps(dataset._describe())) == {"filepath": str(folder)}

import errno

import numpy as np
import pytest
from kedro.io import DatasetError, Version
from PIL import Image

from flawline.datasets import PictureFolderDataset

RED = np.zeros((2, 3, 3), np.uint8) + np.array([255, 0, 0], np.uint8)


def full_disk():
    raise OSError(errno.ENOSPC, "No space left on device")


def test_round_trip_with_names_in_folders(tmp_path):
    dataset = PictureFolderDataset(filepath=str(tmp_path / "heat"))
    dataset.save({"b.png": lambda: RED, "a/ä, [1].jpg": lambda: RED + 1})
    paths = dataset.load()
    assert [path.relative_to(tmp_path / "heat").as_posix() for path in paths] == ["a/ä, [1].jpg.png", "b.png.png"]
    np.testing.assert_array_equal(np.asarray(Image.open(paths[1])), RED)


def test_images_that_differ_in_extension_only_do_not_overwrite_each_other(tmp_path):
    dataset = PictureFolderDataset(filepath=str(tmp_path / "heat"))
    dataset.save({"a.png": lambda: RED, "a.jpg": lambda: RED})
    assert len(dataset.load()) == 2


def test_name_that_is_too_long_with_its_extension_gets_another(tmp_path):
    dataset = PictureFolderDataset(filepath=str(tmp_path / "heat"))
    dataset.save({f"a/{letter}{'n' * 246}.png": lambda: RED for letter in "xyé"})  # 251 bytes fit, é has one more
    names = sorted(path.name for path in dataset.load())
    assert len(names) == 3
    assert sorted(map(len, names)) == [68, 255, 255]


def test_missing_and_empty(tmp_path):
    dataset = PictureFolderDataset(filepath=str(tmp_path / "heat"))
    assert not dataset.exists()
    dataset.save({})
    assert dataset.exists()
    assert dataset.load() == []


def test_pictures_of_an_earlier_save_are_gone(tmp_path):
    dataset = PictureFolderDataset(filepath=str(tmp_path / "heat"))
    dataset.save({"a": lambda: RED})
    dataset.save({"b": lambda: RED})
    assert [path.name for path in dataset.load()] == ["b.png"]


def test_full_disk_leaves_the_old_pictures(tmp_path):
    dataset = PictureFolderDataset(filepath=str(tmp_path / "heat"))
    dataset.save({"a": lambda: RED})
    with pytest.raises(DatasetError, match="No space left on device"):
        dataset.save({"b": lambda: RED, "c": full_disk})
    assert [path.name for path in tmp_path.iterdir()] == ["heat"]
    assert [path.name for path in dataset.load()] == ["a.png"]


def test_versions_are_kept_apart(tmp_path):
    path = str(tmp_path / "heat")
    for version, name in (("2024", "old"), ("2025", "new")):
        PictureFolderDataset(filepath=path, version=Version(None, version)).save({name: lambda: RED})
    assert [p.name for p in PictureFolderDataset(filepath=path, version=Version(None, None)).load()] == ["new.png"]
    pinned = PictureFolderDataset(filepath=path, version=Version("2024", None))
    assert pinned.exists()
    assert [p.name for p in pinned.load()] == ["old.png"]
    assert "heat" in str(pinned)


def test_interrupted_version_does_not_exist(tmp_path):
    dataset = PictureFolderDataset(filepath=str(tmp_path / "heat"), version=Version(None, "2025"))
    with pytest.raises(DatasetError, match="No space left on device"):
        dataset.save({"a": full_disk})
    assert not PictureFolderDataset(filepath=str(tmp_path / "heat"), version=Version(None, None)).exists()

import json
import weakref

import numpy as np
import pytest
from base_params import BASE
from kedro.io import DatasetError
from PIL import Image

from flawline.datasets import RawFolderDataset
from flawline.datasets.raw import MARKER
from flawline.intake.decoding import read_photograph
from flawline.intake.examples import ExampleImage
from flawline.intake.layouts import RawFile, list_raw_folder


def example(split, defect, name, level, mask=None):
    return ExampleImage(split, defect, name, np.full((1, 4, 5), level, np.uint8), mask)


MASK = np.eye(4, 5, dtype=bool)
EXAMPLES = [example("train", "good", "000", 10), example("test", "bent", "000", 20, MASK)]


@pytest.fixture
def dataset(tmp_path):
    return RawFolderDataset(filepath=str(tmp_path / "raw" / "chess"))


@pytest.fixture
def folder(dataset):
    return dataset.load()


def test_examples_are_drawn_in_the_layout_that_ingestion_reads(dataset, folder):
    assert not dataset.exists()
    dataset.save(iter(EXAMPLES))
    assert dataset.exists()
    assert list_raw_folder(folder, BASE.ingestion).files == [
        RawFile("test/bent/000.png", 1, "bent", "test", "ground_truth/bent/000_mask.png"),
        RawFile("train/good/000.png", 0, "good", "train"),
    ]
    np.testing.assert_array_equal(
        read_photograph(folder / "train/good/000.png", max_pixels=20).pixels, EXAMPLES[0].image
    )
    np.testing.assert_array_equal(np.asarray(Image.open(folder / "ground_truth/bent/000_mask.png")) > 0, MASK)


def test_saving_nothing_leaves_the_users_folder_alone(dataset, folder):
    dataset.save([])
    assert not folder.exists()
    folder.mkdir(parents=True)
    (folder / "mine.png").write_text("mine")
    dataset.save([])
    assert [path.name for path in folder.iterdir()] == ["mine.png"]


def test_images_of_three_channels_are_drawn_in_colour(dataset, folder):
    image = np.arange(60, dtype=np.uint8).reshape(3, 4, 5)
    dataset.save([ExampleImage("train", "good", "000", image, None)])
    np.testing.assert_array_equal(read_photograph(folder / "train/good/000.png", max_pixels=20).pixels, image)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((4, 5), np.uint8), r"image must have shape \(C, H, W\), got \(4, 5\)"),
        (np.zeros((2, 4, 5), np.uint8), "image must be uint8 with 1 or 3 channels, got uint8 with 2"),
        (np.zeros((1, 4, 5), np.uint16), "image must be uint8 with 1 or 3 channels, got uint16 with 1"),
        (np.zeros((3, 4, 5), np.float32), "image must be uint8 with 1 or 3 channels, got float32 with 3"),
    ],
)
def test_images_of_another_kind_are_refused_and_nothing_is_left(dataset, folder, image, message):
    with pytest.raises(DatasetError, match=message):
        dataset.save([ExampleImage("train", "good", "000", image, None)])
    assert list(folder.parent.iterdir()) == []


def test_images_are_drawn_one_by_one_and_not_kept(dataset, folder):
    drawn = []

    def draw():
        for i in range(4):
            assert [image() for image in drawn] == [None] * i
            yield remember(example("train", "good", f"{i:03d}", i))

    def remember(image):
        drawn.append(weakref.ref(image.image))
        return image

    dataset.save(draw())
    assert len(list_raw_folder(folder, BASE.ingestion).files) == 4


def test_iterator_without_images_leaves_the_users_folder_alone(dataset, folder):
    dataset.save(iter(()))
    assert not folder.exists()


def test_drawn_folder_is_replaced(dataset, folder):
    dataset.save(EXAMPLES)
    dataset.save(EXAMPLES[:1])
    assert [file.path for file in list_raw_folder(folder, BASE.ingestion).files] == ["train/good/000.png"]
    assert sorted(path.name for path in folder.parent.iterdir()) == ["chess"]


def test_users_own_folder_is_never_overwritten(dataset, folder):
    folder.mkdir(parents=True)
    (folder / "mine.png").write_text("mine")
    with pytest.raises(
        DatasetError, match=r"not the embedded example of that name \(for one mine.png\)\. Give your own"
    ):
        dataset.save(EXAMPLES)
    assert (folder / "mine.png").read_text() == "mine"


@pytest.mark.parametrize("path", ["train/good/999.png", "ground_truth/bent/000_mask.png", "train/good/000.png"])
def test_file_that_the_user_added_to_or_changed_in_a_drawn_folder_is_never_lost(dataset, folder, path):
    dataset.save(EXAMPLES)
    (folder / path).write_text("mine")
    with pytest.raises(DatasetError, match=rf"for one {path}\)"):
        dataset.save(EXAMPLES)
    assert (folder / path).read_text() == "mine"


@pytest.mark.parametrize("content", ["", "{", "[]", json.dumps({"train/good/000.png": [1]})])
def test_folder_with_a_broken_marker_counts_as_the_users(dataset, folder, content):
    dataset.save(EXAMPLES)
    (folder / MARKER).write_text(content)
    with pytest.raises(DatasetError, match="move the folder away"):
        dataset.save(EXAMPLES)


def test_empty_folder_is_drawn_into(dataset, folder):
    folder.mkdir(parents=True)
    dataset.save(EXAMPLES)
    assert len(list_raw_folder(folder, BASE.ingestion).files) == 2


def test_interrupted_drawing_leaves_the_old_folder(dataset, folder):
    dataset.save(EXAMPLES)
    broken = example("train", "good", "001", 10)
    object.__setattr__(broken, "image", np.zeros((1, 2, 2, 2, 2), np.uint8))
    with pytest.raises(DatasetError):
        dataset.save([*EXAMPLES, broken])
    assert sorted(path.name for path in folder.parent.iterdir()) == ["chess"]
    assert len(list_raw_folder(folder, BASE.ingestion).files) == 2


def test_describe(dataset, folder):
    assert str(folder) in str(dataset)
    assert dataset.stamped is False

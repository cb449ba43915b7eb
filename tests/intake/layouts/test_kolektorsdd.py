import pytest

from flawline.checks import FlawlineError
from flawline.intake.layouts import RawFile

NO_LABEL = "has no label picture beside it, so nobody says whether it is defective"


# --- KolektorSDD -----------------------------------------------------------------------------------------------------
def test_items_by_hand(raw):
    raw.touch("kos01/Part0.jpg", "kos01/Part0_label.bmp", "kos02/Part0.jpg", "kos02/Part0_label.bmp")
    assert raw.list() == [
        RawFile("kos01/Part0.jpg", None, "defect", mask="kos01/Part0_label.bmp", group="kos01"),
        RawFile("kos02/Part0.jpg", None, "defect", mask="kos02/Part0_label.bmp", group="kos02"),
    ]


def test_picture_without_a_label_picture_is_told(raw):
    raw.touch("kos01/Part0.jpg", "kos01/Part0_label.bmp", "kos01/Part1.jpg", "kos01/Part10_label.bmp")
    assert raw.unusable()["kos01/Part1.jpg"] == NO_LABEL
    assert raw.files()["kos01/Part1.jpg"].mask is None


@pytest.mark.parametrize("label", ["Part0_label.BMP", "Part0_LABEL.bmp", "Part0_Label.png", "Part0_GT.tif"])
def test_label_picture_in_any_case_and_format(raw, label):
    raw.touch("kos01/Part0.JPG", f"kos01/{label}")
    assert raw.list() == [RawFile("kos01/Part0.JPG", None, "defect", mask=f"kos01/{label}", group="kos01")]


def test_what_is_no_picture_is_not_listed_and_what_lies_elsewhere_is_told(raw):
    raw.touch("kos01/Part0.jpg", "kos01/Part0_label.bmp", "kos01/Thumbs.db", "kos01/deep/Part1.jpg", "readme.txt")
    raw.touch(".hidden/Part0.jpg", "kos01/.Part0.jpg")
    assert list(raw.files()) == ["kos01/Part0.jpg", "kos01/deep/Part1.jpg"]
    assert list(raw.unusable()) == ["kos01/deep/Part1.jpg"]


def test_label_picture_of_another_item_is_not_taken(raw):
    raw.touch("kos01/Part0.jpg", "kos01/Part0_label.bmp", "kos02/Part1.jpg", "kos01/Part1_label.bmp")
    assert raw.unusable() == {
        "kos01/Part1_label.bmp": "lies where the layout 'kolektorsdd' looks for no image",
        "kos02/Part1.jpg": NO_LABEL,
    }


@pytest.mark.real_data
def test_real_items(real_data):
    files = real_data("kolektorsdd").list()
    assert (len(files), len({file.group for file in files})) == (144, 18)
    assert {(file.label, file.split, file.unusable) for file in files} == {(None, None, "")}
    assert all(file.mask == file.path.replace(".jpg", "_label.bmp") for file in files)


# --- KolektorSDD2 ----------------------------------------------------------------------------------------------------
def test_train_and_test_by_hand(raw):
    raw.touch("train/10000.png", "train/10000_GT.png", "test/20000.png", "test/20000_GT.png")
    assert raw.list() == [
        RawFile("test/20000.png", None, "defect", split="test", mask="test/20000_GT.png"),
        RawFile("train/10000.png", None, "defect", split="train", mask="train/10000_GT.png"),
    ]


def test_split_folders_in_any_case_and_pictures_without_truth(raw):
    raw.touch("Train/1.png", "Train/1_gt.png", "Train/2.png", "TEST/3.png", "TEST/4.png", "TEST/4_GT.png")
    assert raw.detect() == "kolektorsdd2"
    assert raw.unusable() == {"TEST/3.png": NO_LABEL, "Train/2.png": NO_LABEL}
    assert {path: file.split for path, file in raw.files().items()} == {
        "TEST/3.png": "test", "TEST/4.png": "test", "Train/1.png": "train", "Train/2.png": "train",
    }  # fmt: skip


def test_train_alone_is_enough_and_test_alone_is_not(raw):
    raw.touch("test/1.png", "test/1_GT.png")
    with pytest.raises(FlawlineError, match="no normal image to learn from"):
        raw.list()
    with pytest.raises(FlawlineError, match=r"no normal .*'kolektorsdd2', train/ and test/ .*; got 1 other files\.\n"):
        raw.list(layout="kolektorsdd2")
    raw.touch("train/2.png", "train/2_GT.png")
    assert [file.split for file in raw.list()] == ["test", "train"]

"""Which layout a folder has, what is said where it has none, and how folders are walked."""

import json
import os
from pathlib import Path

import pytest
from base_params import BASE

from flawline.checks import FlawlineError
from flawline.intake.folders import contents_of
from flawline.intake.layouts import LAYOUTS, check_folder, holds_categories

INGESTION = BASE.ingestion

VOC = "<annotation/>"
COCO = json.dumps({"images": [{"id": 1, "file_name": "0.png"}], "annotations": []})
CVAT = '<annotations><image name="0.png" width="9" height="8"/></annotations>'
LABELME = json.dumps({"shapes": [], "imagePath": "0.png"})
TREES = {  # layout -> the smallest folder that has it
    "csv": {"images.csv": "image,label\n0.png,0\n"},
    "aitex": {"NODefect_images/a/0001_000_00.png": ""},
    "mvtec": {"train/good/0.png": ""},
    "coco": {"0.png": "", "m.json": COCO},
    "cvat": {"0.png": "", "annotations.xml": CVAT},
    "labelme": {"0.png": "", "0.json": LABELME},
    "voc": {"0.png": "", "0.xml": VOC},
    "yolo": {"0.png": "", "1.png": "", "1.txt": "0 0.5 0.5 0.1 0.1"},
    "kolektorsdd2": {"train/0.png": "", "train/0_GT.png": ""},
    "kolektorsdd": {"kos01/0.png": "", "kos01/0_label.png": ""},
    "folders": {"x.png": ""},
}


def fill(raw, *layouts):
    for layout in layouts:
        for path, content in TREES[layout].items():
            raw.write(path, content)
    return raw


# --- which layout ----------------------------------------------------------------------------------------------------
def test_there_is_a_tree_for_each_layout_in_the_order_in_which_they_are_tried():
    assert list(TREES) == list(LAYOUTS)


@pytest.mark.parametrize("layout", TREES)
def test_layout_is_detected_and_its_image_listed(raw, layout):
    assert fill(raw, layout).detect() == layout
    assert len(raw.list()) == (2 if layout == "yolo" else 1)


@pytest.mark.parametrize("layout", ["csv", "aitex"])
def test_what_can_be_nothing_else_wins_whatever_lies_beside_it(raw, layout):
    assert fill(raw, *(other for other in TREES if other not in ("csv", "aitex")), layout).detect() == layout


@pytest.mark.parametrize("other", ["coco", "cvat", "labelme", "voc", "kolektorsdd"])
def test_the_layout_that_explains_most_of_the_files_wins(raw, other):
    fill(raw, "folders", other)
    assert raw.detect() == other
    raw.touch("good/1.png", "good/2.png", "good/3.png", "dent/4.png", "masks/dent/4.png")
    (raw.path / "x.png").unlink()
    for path in TREES[other]:
        if path.endswith(".png"):
            (raw.path / path).unlink()
    assert raw.detect() == "folders"


def test_a_tie_is_told_with_the_way_to_read_the_folder_otherwise(raw):
    raw.touch("good/1.png", "dent/4.png", "masks/dent/4.png", "bent/5.png", "masks/bent/5.png")
    raw.write("dent/4.json", json.dumps({"shapes": [], "imagePath": "4.png"}))
    raw.write("bent/5.json", json.dumps({"shapes": [], "imagePath": "5.png"}))
    assert raw.detect() == "labelme"
    said = [note.text for note in raw.notes() if note.caution]
    assert "The folder can be read as 'labelme' and as 'folders': it is read as 'labelme'; " in said[0] + said[1]
    assert any("ingestion.layout=folders reads it the other way" in each for each in said)


def test_loose_pictures_are_folders(raw):
    raw.touch("0.png")
    assert raw.detect() == "folders"


def test_layout_that_is_asked_for_is_taken(raw):
    fill(raw, "folders", "csv")
    assert raw.detect(layout="folders") == "folders"
    assert list(raw.files(layout="folders")) == ["x.png"]


def test_table_of_another_name_is_read_where_it_has_the_columns_and_names_pictures(raw):
    raw.write("list.csv", "image,label\n0.png,0\n1.png,bad\n")
    with pytest.raises(FlawlineError, match="no known layout"):
        raw.detect()
    raw.touch("0.png", "1.png")
    assert raw.detect() == "csv"
    assert [note.text for note in raw.notes()] == ["Read as a table: list.csv."]


def test_words_for_good_decide_too(raw):
    raw.touch("train/prima/0.png", "prima/0.png")
    assert raw.detect(good=("PRIMA",)) == "mvtec"
    with pytest.raises(FlawlineError, match="no known layout"):
        raw.detect()


def test_unknown_layout_says_what_was_wanted_and_what_is_there(raw):
    raw.touch("monday/0.png", "tuesday/1.png", "tuesday/2.png")
    with pytest.raises(
        FlawlineError,
        match=r"no known layout in .*\. None of its folders is called good in a word that is known: tuesday/ "
        r"\(2 images\), monday/ \(1 images\)\. Say which one holds normal images: ingestion\.good=NAME among",
    ) as error:
        raw.list()
    _, wanted, *layouts, found = str(error.value).split("\n")
    assert wanted == "Wanted one of:"
    assert [line.split(":")[0].strip() for line in layouts] == list(reversed(LAYOUTS))
    assert found == "Found: monday/, tuesday/."


def test_wanted_names_the_users_own_words(raw):
    raw.touch("monday/0.png")
    with pytest.raises(FlawlineError, match=r"(?s)io/ with normal images.*train/io/.*l\.csv with the columns Bild and"):
        raw.list(good=("io",), table={"file": "l.csv", "image": "Bild"})


def test_long_listing_is_cut(raw):
    raw.touch(*(f"d{i}/a.png" for i in range(11)))
    with pytest.raises(FlawlineError, match=r"Found: d0/, d1/, .*, d6/ and 3 more\.$"):
        raw.list()


# --- several categories in one folder --------------------------------------------------------------------------------
@pytest.mark.parametrize("layout", TREES)
def test_only_fabrics_share_a_folder(raw, layout):
    assert holds_categories(fill(raw, layout).path) == (layout == "aitex")


def test_missing_folder_holds_no_categories(raw):
    assert not holds_categories(raw.path / "missing")
    raw.touch("file")
    assert not holds_categories(raw.path / "file")


# --- errors ----------------------------------------------------------------------------------------------------------
def test_missing_folder():
    with pytest.raises(
        FlawlineError,
        match=r"no folder missing\. Wanted a folder of photographs; give it as --params raw=FOLDER,category=NAME "
        r"\(or make run RAW=FOLDER CATEGORY=NAME\)\.",
    ):
        check_folder(Path("missing"))
    with pytest.raises(FlawlineError, match=r"as --params new=FOLDER,.*make inspect NEW=FOLDER"):
        check_folder(Path("missing"), param="new")


def test_file_in_place_of_a_folder(raw):
    raw.touch("raw")
    with pytest.raises(FlawlineError, match="raw is a file; wanted a folder of photographs"):
        check_folder(raw.path / "raw")


def test_empty_folder(raw):
    with pytest.raises(FlawlineError, match="is empty; wanted a folder of photographs"):
        raw.list()


def test_folder_of_empty_folders(raw):
    (raw.path / "good").mkdir()
    with pytest.raises(
        FlawlineError, match=r"holds no file in the layout 'folders'\.\nWanted one of:\n(.*\n)+Found: good/\.$"
    ):
        raw.list()


# --- how folders are walked ------------------------------------------------------------------------------------------
def test_files_come_sorted_without_hidden_ones(raw):
    raw.touch("b.png", "a.png", "c/2.png", "c/1.txt", "a/z.png", ".x", ".d/1.png", "c/.y")
    contents = contents_of(raw.path)
    assert contents.files == ("a.png", "a/z.png", "b.png", "c/1.txt", "c/2.png")
    assert contents.folders == ("a", "c")
    assert contents.skipped == (".d", ".x", ".y")


def test_links_in_a_circle_end(raw):
    raw.touch("good/a.png")
    (raw.path / "good" / "again").symlink_to(raw.path / "good")
    (raw.path / "good" / "self.png").symlink_to(raw.path / "good" / "self.png")
    (raw.path / "good" / "gone.png").symlink_to(raw.path / "missing.png")
    assert {path: file.unusable for path, file in raw.files().items()} == {
        "good/a.png": "",
        "good/again": "is a link to a folder that is read anyway",
        "good/gone.png": "is no file (a broken link, or a device)",
        "good/self.png": "is no file (a broken link, or a device)",
    }


def test_nothing_that_looks_like_a_photograph_is_left_out(raw):
    raw.touch("train/good/0.png", "train/loose.png", "val/good/1.png", "extra/2.png", "root.png", "readme.txt")
    raw.touch("ground_truth/dent/9_mask.png", "ground_truth/good/0_mask.png", ".hidden/3.png", "test/dent/1.png")
    assert raw.unusable() == {
        "extra/2.png": "lies in no folder of a split (train, validation, calibration or test) as the others do",
        "ground_truth/dent/9_mask.png": "is a mask of no image",
        "root.png": "lies loose beside folders of classes; move it into one of them",
        "train/loose.png": "lies in no folder of a class, so nobody says whether it is good",
    }
    assert raw.files()["val/good/1.png"].split == "validation"


def test_split_folders_of_mvtec_may_be_in_any_case(raw):
    raw.touch("train/good/0.png", "Test/good/1.png", "TEST/dent/2.png", "Ground_Truth/dent/2_mask.png")
    (raw.path / "TEST" / "dent").rename(raw.path / "Test" / "dent")
    (raw.path / "TEST").rmdir()
    files = raw.files()
    assert {path: file.split for path, file in files.items()} == {
        "Test/dent/2.png": "test", "Test/good/1.png": "test", "train/good/0.png": "train",
    }  # fmt: skip
    assert files["Test/dent/2.png"].mask == "Ground_Truth/dent/2_mask.png"


def test_label_pictures_beside_a_folder_of_good_ones_are_no_kolektorsdd(raw):
    raw.touch("good/a.png", "bad/b.png", "bad/b_label.png")
    assert raw.detect() == "folders"


def test_linked_class_folder_is_read(raw):
    raw.touch("elsewhere/a.png", "raw/readme/x")
    (raw.path / "raw" / "good").symlink_to(raw.path / "elsewhere")
    raw.path /= "raw"
    assert list(raw.files()) == ["good/a.png", "readme/x"]


def test_folder_that_cannot_be_listed_is_named(raw, monkeypatch):
    raw.touch("good/a.png", "good/locked/b.png")
    real = os.scandir

    def scandir(path):
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(FlawlineError, match=r"cannot list .*locked: Permission denied\. Wanted a folder"):
        raw.list()


def test_listing_takes_time_in_proportion_to_the_files(raw):
    raw.touch("good/a.png", *(f"{home}/{i}.png" for home in ("s", "masks/s") for i in range(1500)))
    calls = []
    real = os.scandir
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "scandir", lambda path: (calls.append(path), real(path))[1])
        files = raw.list()
    assert sum(file.mask is not None for file in files) == 1500
    assert len(calls) < 80  # each of the five folders a few times for each layout that is tried, not once an image

import os
from pathlib import Path

import pytest

from flawline.checks import FlawlineError
from flawline.vision.layouts import RawFile, detect_layout, list_raw_files

GOOD = ("good", "ok", "normal")


def touch(folder, *paths):
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).touch()


def listed(folder, **options):
    return {file.path: file for file in list_raw_files(folder, **options)}


# --- mvtec -----------------------------------------------------------------------------------------------------------
def test_mvtec_by_hand(tmp_path):
    touch(tmp_path, "train/good/000.png", "test/good/000.png", "test/crack/000.png", "ground_truth/crack/000_mask.png")
    assert list_raw_files(tmp_path) == [
        RawFile("test/crack/000.png", 1, "crack", "test", "ground_truth/crack/000_mask.png"),
        RawFile("test/good/000.png", 0, "good", "test"),
        RawFile("train/good/000.png", 0, "good", "train"),
    ]


def test_mvtec_validation_and_calibration_folders_are_splits(tmp_path):
    touch(tmp_path, "train/good/0.png", "validation/good/0.png", "calibration/good/0.png")
    assert [file.split for file in list_raw_files(tmp_path)] == ["calibration", "train", "validation"]


@pytest.mark.parametrize("mask", ["0_mask.bmp", "0.tif", "0_mask.PNG", "0.png"])
def test_mask_may_have_another_extension_and_no_suffix(tmp_path, mask):
    touch(tmp_path, "train/good/0.jpg", "test/crack/0.jpg", f"ground_truth/crack/{mask}")
    assert listed(tmp_path)["test/crack/0.jpg"].mask == f"ground_truth/crack/{mask}"


# --- folders ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("masks", ["ground_truth", "masks", "Masks"])
def test_folders_with_masks(tmp_path, masks):
    touch(tmp_path, "good/a.png", "scratch/b.png", "scratch/c.png", f"{masks}/scratch/b.png")
    assert list_raw_files(tmp_path) == [
        RawFile("good/a.png", 0, "good"),
        RawFile("scratch/b.png", 1, "scratch", mask=f"{masks}/scratch/b.png"),
        RawFile("scratch/c.png", 1, "scratch"),
    ]


def test_loose_files_are_normal(tmp_path):
    touch(tmp_path, "b.png", "a.png")
    assert list_raw_files(tmp_path) == [RawFile("a.png", 0, "good"), RawFile("b.png", 0, "good")]


def test_good_is_told_in_any_case_on_either_side(tmp_path):
    touch(tmp_path, "Good/a.png", "scratch/b.png")
    assert listed(tmp_path)["Good/a.png"] == RawFile("Good/a.png", 0, "good")
    assert listed(tmp_path, good=("GOOD",))["Good/a.png"].label == 0


def test_several_good_folders_and_subfolders(tmp_path):
    touch(tmp_path, "ok/a.png", "normal/monday/b.png", "scratch/monday/c.png", "masks/scratch/monday/c.png")
    files = listed(tmp_path, good=GOOD)
    assert [file.label for file in files.values()] == [0, 0, 1]
    assert files["scratch/monday/c.png"].mask == "masks/scratch/monday/c.png"
    assert files["scratch/monday/c.png"].defect == "scratch"


def test_hidden_files_and_folders_are_skipped(tmp_path):
    touch(tmp_path, "good/a.png", "good/.a.png", "good/.thumbnails/a.png", ".git/x.png", "masks/.s/0.png", ".DS_Store")
    assert list(listed(tmp_path)) == ["good/a.png"]


@pytest.mark.parametrize("defect", ["NA", "nan", "[x]", "a*b?", "ä, \"'", "good ", "null"])
def test_odd_defect_names_are_taken_as_they_are(tmp_path, defect):
    touch(tmp_path, "good/a.png", f"{defect}/[1]*.png", f"masks/{defect}/[1]*.png")
    assert listed(tmp_path)[f"{defect}/[1]*.png"] == RawFile(
        f"{defect}/[1]*.png", 1, defect, mask=f"masks/{defect}/[1]*.png"
    )


def test_mask_of_a_longer_name_is_not_taken(tmp_path):
    touch(tmp_path, "good/a.png", "s/1.png", "s/1.2.png", "masks/s/1.2.png")
    files = listed(tmp_path)
    assert files["s/1.png"].mask is None
    assert files["s/1.2.png"].mask == "masks/s/1.2.png"


def test_picture_wins_over_other_annotations(tmp_path):
    touch(tmp_path, "good/a.png", "s/1.png", "masks/s/1.json", "masks/s/1.png")
    assert listed(tmp_path)["s/1.png"].mask == "masks/s/1.png"


def test_mask_of_a_normal_image_is_left_alone(tmp_path):
    touch(tmp_path, "good/a.png", "masks/good/a.png")
    assert list_raw_files(tmp_path) == [RawFile("good/a.png", 0, "good")]


def test_names_that_differ_in_case_only_are_two_images(tmp_path):
    touch(tmp_path, "good/a.png", "good/A.png")
    if len(list((tmp_path / "good").iterdir())) == 1:
        pytest.skip("this file system does not tell case apart")
    assert list(listed(tmp_path)) == ["good/A.png", "good/a.png"]


def test_links_in_a_circle_end(tmp_path):
    touch(tmp_path, "good/a.png")
    (tmp_path / "good" / "again").symlink_to(tmp_path / "good")
    (tmp_path / "good" / "self.png").symlink_to(tmp_path / "good" / "self.png")
    (tmp_path / "good" / "gone.png").symlink_to(tmp_path / "missing.png")
    assert list(listed(tmp_path)) == ["good/a.png"]


def test_folder_called_like_an_image_is_a_folder(tmp_path):
    touch(tmp_path, "good/a.png/b.png", "x.png/c.png")
    assert [file.defect for file in list_raw_files(tmp_path)] == ["good", "x.png"]


def test_linked_class_folder_is_read(tmp_path):
    touch(tmp_path, "elsewhere/a.png")
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "good").symlink_to(tmp_path / "elsewhere")
    assert list(listed(tmp_path / "raw")) == ["good/a.png"]


# --- which layout ----------------------------------------------------------------------------------------------------
def test_detected_layouts(tmp_path):
    touch(tmp_path, "a/train/good/0.png", "b/good/0.png", "c/0.png")
    assert [detect_layout(tmp_path / name, good=GOOD) for name in "abc"] == ["mvtec", "folders", "folders"]


def test_unknown_layout_says_what_was_wanted_and_what_is_there(tmp_path):
    touch(tmp_path, "pictures/0.png")
    with pytest.raises(FlawlineError, match=r"no known layout in .*\nWanted: good/ with normal.*\nFound: pictures/\."):
        list_raw_files(tmp_path)


# --- errors ----------------------------------------------------------------------------------------------------------
def test_missing_folder(tmp_path):
    with pytest.raises(
        FlawlineError, match=r"no folder .*missing\. Wanted a folder of photographs; give it as --param"
    ):
        list_raw_files(tmp_path / "missing")


def test_file_in_place_of_a_folder(tmp_path):
    touch(tmp_path, "raw")
    with pytest.raises(FlawlineError, match="raw is a file; wanted a folder of photographs"):
        list_raw_files(tmp_path / "raw")


def test_empty_folder(tmp_path):
    with pytest.raises(FlawlineError, match="is empty; wanted a folder of photographs"):
        list_raw_files(tmp_path)


def test_folder_of_empty_folders(tmp_path):
    (tmp_path / "good").mkdir()
    with pytest.raises(FlawlineError, match=r"no file in the layout 'folders'.\nWanted: good/.*\nFound: good/"):
        list_raw_files(tmp_path)


def test_no_normal_image(tmp_path):
    touch(tmp_path, "scratch/a.png", "scratch/b.png")
    (tmp_path / "good").mkdir()
    with pytest.raises(
        FlawlineError, match=r"no normal image to learn from: wanted images in good/, got 2 other files"
    ):
        list_raw_files(tmp_path)


def test_mvtec_with_normal_images_in_test_only(tmp_path):
    touch(tmp_path, "test/good/a.png")
    (tmp_path / "train" / "good").mkdir(parents=True)
    with pytest.raises(FlawlineError, match=r"wanted images in train/good/, got 1 other files"):
        list_raw_files(tmp_path)


def test_long_listing_is_cut(tmp_path):
    touch(tmp_path, *(f"d{i}/a.png" for i in range(11)))
    with pytest.raises(FlawlineError, match=r"d6/ and 3 more\."):
        list_raw_files(tmp_path)


def test_folder_that_cannot_be_listed_is_named(tmp_path, monkeypatch):
    touch(tmp_path, "good/a.png", "good/locked/b.png")
    real = os.scandir

    def scandir(path):
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(FlawlineError, match=r"cannot list .*locked: Permission denied\. Wanted a folder"):
        list_raw_files(tmp_path)


def test_listing_takes_time_in_proportion_to_the_files(tmp_path):
    touch(tmp_path, "good/a.png", *(f"{home}/{i}.png" for home in ("s", "masks/s") for i in range(1500)))
    calls = []
    real = os.scandir
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "scandir", lambda path: (calls.append(path), real(path))[1])
        files = list_raw_files(tmp_path)
    assert sum(file.mask is not None for file in files) == 1500
    assert len(calls) < 20  # each folder a few times, not once an image

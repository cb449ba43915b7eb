import pytest

from flawline.checks import FlawlineError
from flawline.intake.layouts import RawFile

GOOD = ("good", "ok", "normal")


# --- mvtec -----------------------------------------------------------------------------------------------------------
def test_mvtec_by_hand(raw):
    raw.touch("train/good/000.png", "test/good/000.png", "test/crack/000.png", "ground_truth/crack/000_mask.png")
    assert raw.list() == [
        RawFile("test/crack/000.png", 1, "crack", "test", "ground_truth/crack/000_mask.png"),
        RawFile("test/good/000.png", 0, "good", "test"),
        RawFile("train/good/000.png", 0, "good", "train"),
    ]


def test_mvtec_validation_and_calibration_folders_are_splits(raw):
    raw.touch("train/good/0.png", "validation/good/0.png", "calibration/good/0.png")
    assert [file.split for file in raw.list()] == ["calibration", "train", "validation"]


@pytest.mark.parametrize("mask", ["0_mask.bmp", "0.tif", "0_mask.PNG", "0.png"])
def test_mask_may_have_another_extension_and_no_suffix(raw, mask):
    raw.touch("train/good/0.jpg", "test/crack/0.jpg", f"ground_truth/crack/{mask}")
    assert raw.files()["test/crack/0.jpg"].mask == f"ground_truth/crack/{mask}"


def test_mvtec_with_normal_images_in_test_only(raw):
    raw.touch("test/good/a.png")
    (raw.path / "train" / "good").mkdir(parents=True)
    with pytest.raises(
        FlawlineError,
        match=r"no normal image to learn from: wanted, in the layout 'mvtec', train/good/, test/DEFECT/ and "
        r"ground_truth/DEFECT/; got 1 other files\.\nFound: test/, train/\.",
    ):
        raw.list()


# --- folders ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("masks", ["ground_truth", "masks", "Masks"])
def test_folders_with_masks(raw, masks):
    raw.touch("good/a.png", "scratch/b.png", "scratch/c.png", f"{masks}/scratch/b.png")
    assert raw.list() == [
        RawFile("good/a.png", 0, "good"),
        RawFile("scratch/b.png", 1, "scratch", mask=f"{masks}/scratch/b.png"),
        RawFile("scratch/c.png", 1, "scratch"),
    ]


def test_loose_files_are_normal(raw):
    raw.touch("b.png", "a.png")
    assert raw.list() == [RawFile("a.png", 0, "good"), RawFile("b.png", 0, "good")]


def test_good_is_told_in_any_case_on_either_side(raw):
    raw.touch("Good/a.png", "scratch/b.png")
    assert raw.files()["Good/a.png"] == RawFile("Good/a.png", 0, "good")
    assert raw.files(good=("GOOD",))["Good/a.png"].label == 0


def test_only_the_given_words_mean_good(raw):
    raw.touch("Intakt/a.png", "good/b.png")
    labels = {path: (file.label, file.defect) for path, file in raw.files(good=("intakt",)).items()}
    assert labels == {"Intakt/a.png": (0, "good"), "good/b.png": (1, "good")}


def test_several_good_folders_and_subfolders(raw):
    raw.touch("ok/a.png", "normal/monday/b.png", "scratch/monday/c.png", "masks/scratch/monday/c.png")
    files = raw.files(good=GOOD)
    assert [file.label for file in files.values()] == [0, 0, 1]
    assert files["scratch/monday/c.png"].mask == "masks/scratch/monday/c.png"
    assert files["scratch/monday/c.png"].defect == "scratch"


def test_hidden_files_and_folders_are_skipped(raw):
    raw.touch("good/a.png", "good/.a.png", "good/.thumbnails/a.png", ".git/x.png", "masks/.s/0.png", ".DS_Store")
    assert list(raw.files()) == ["good/a.png"]


@pytest.mark.parametrize("defect", ["NA", "nan", "[x]", "a*b?", "ä, \"'", "goods", "null"])
def test_odd_defect_names_are_taken_as_they_are(raw, defect):
    raw.touch("good/a.png", f"{defect}/[1]*.png", f"masks/{defect}/[1]*.png")
    assert raw.files()[f"{defect}/[1]*.png"] == RawFile(
        f"{defect}/[1]*.png", 1, defect, mask=f"masks/{defect}/[1]*.png"
    )


def test_mask_of_a_longer_name_is_not_taken(raw):
    raw.touch("good/a.png", "s/1.png", "s/1.2.png", "masks/s/1.2.png")
    files = raw.files()
    assert files["s/1.png"].mask is None
    assert files["s/1.2.png"].mask == "masks/s/1.2.png"


def test_picture_wins_over_other_annotations(raw):
    raw.touch("good/a.png", "s/1.png", "masks/s/1.json", "masks/s/1.png")
    assert raw.files()["s/1.png"].mask == "masks/s/1.png"


def test_mask_of_a_normal_image_is_kept_to_see_whether_it_marks_anything(raw):
    raw.touch("good/a.png", "masks/good/a.png")
    assert raw.list() == [RawFile("good/a.png", 0, "good", mask="masks/good/a.png")]


def test_names_that_differ_in_case_only_are_two_images(raw):
    raw.touch("good/a.png", "good/A.png")
    if len(list((raw.path / "good").iterdir())) == 1:
        pytest.skip("this file system does not tell case apart")
    assert list(raw.files()) == ["good/A.png", "good/a.png"]


def test_folder_called_like_an_image_is_a_folder(raw):
    raw.touch("good/a.png/b.png", "x.png/c.png")
    assert [file.defect for file in raw.list()] == ["good", "x.png"]


def test_no_normal_image(raw):
    raw.touch("scratch/a.png", "scratch/b.png")
    (raw.path / "good").mkdir()
    with pytest.raises(FlawlineError, match=r"in the layout 'folders', good/ with normal .*; got 2 other files\.\n"):
        raw.list()

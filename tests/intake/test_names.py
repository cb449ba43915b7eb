"""What names of files and folders say, and how written paths are found again."""

import pytest

from flawline.intake.names import (
    Names,
    image_stems,
    is_good,
    means_images,
    means_masks,
    says_defective,
    says_good,
    split_of,
)

GOOD = ("good", "i.O.", "no defect")


@pytest.mark.parametrize(("name", "exact", "says"), [
    ("good", True, True), ("GOOD", True, True), ("io", True, True), ("I.O.", True, True), ("No-Defect", True, True),
    ("good_front", False, True), ("2024-05-01 good", False, True), ("front_good_2", False, False),
    ("not_good", False, False), ("good_defect", False, False), ("good_ng", False, False), ("goods", False, False),
    ("nio", False, False), ("n.i.O.", False, False), ("", False, False), ("--", False, False),
])  # fmt: skip
def test_words_for_good(name, exact, says):
    assert is_good(name, GOOD) == exact
    assert says_good(name, GOOD) == says


@pytest.mark.parametrize(
    ("name", "wanted"), [("Val", "validation"), ("test-public", "test"), ("tests", None), ("", None)]
)
def test_splits(name, wanted):
    assert split_of(name) == wanted


@pytest.mark.parametrize(("name", "wanted"), [
    ("Ground Truth", True), ("scratch_mask", True), ("GT", True), ("mask", True), ("gtx", False), ("unmasked", False),
    ("masking tape", False), ("a", False),
])  # fmt: skip
def test_folders_of_masks(name, wanted):
    assert means_masks(name) == wanted


def test_folders_of_images_and_of_defective_parts():
    assert means_images("Images")
    assert not means_images("imaging")
    assert says_defective("N.i.O.")
    assert not says_defective("scratch")


@pytest.mark.parametrize(("stem", "wanted"), [
    ("007_mask", ["007"]), ("007-GT", ["007"]), ("007_mask2", ["007_2", "007"]), ("mask_007", ["007"]), ("007", []),
    ("mask", []), ("a_mask_b_mask", ["a_mask_b"]), ("bitmask", []), ("0.label", ["0"]),
])  # fmt: skip
def test_stems_of_the_image_that_a_mask_is_of(stem, wanted):
    assert image_stems(stem) == wanted


def test_paths_are_found_in_another_form_and_case_and_with_other_folders():
    names = Names(["a/Pr\u00fcf.png", "a/X.PNG", "b/x.png", "b/c/y.png"])
    assert names.exact("a/Pru\u0308f.png") == "a/Pr\u00fcf.png"
    assert names.exact("a/x.png") is None
    assert names.find("A/X.png") == "a/X.PNG"
    assert names.find("x.png") is None  # two
    assert names.find("home/b/x.png") == "b/x.png"
    assert names.find("z/y.png") == "b/c/y.png"
    assert names.within("z/y.png") is None
    assert names.within("z/b/c/y.png") == names.within("c/y.png") == "b/c/y.png"
    assert "b/x.png" in names
    assert "b/X.png" not in names
    assert names.find("") is None

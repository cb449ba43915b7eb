import pytest

from flawline.checks import FlawlineError
from flawline.intake.folders import contents_of
from flawline.intake.layouts import RawFile
from flawline.intake.layouts.aitex import codes_in, fabric_of

NORMAL = ("NODefect_images/2306881-210020u/0004_000_01.png", "NODefect_images/2306881-210020u/0006_000_01.png")
OTHER = ("NODefect_images/2311694-1930c7u/0003_000_02.png", "Defect_images/0010_006_02.png")


@pytest.fixture
def two_fabrics(raw):
    raw.touch(*NORMAL, *OTHER, "Defect_images/0005_002_01.png", "Mask_images/0005_002_01_mask.png")
    return raw


def test_fabric_by_hand(two_fabrics):
    assert two_fabrics.list("fabric01") == [
        RawFile("Defect_images/0005_002_01.png", 1, "002", mask="Mask_images/0005_002_01_mask.png"),
        RawFile(NORMAL[0], 0, "good"),
        RawFile(NORMAL[1], 0, "good"),
    ]


def test_other_fabric_is_another_category(two_fabrics):
    assert list(two_fabrics.files("aitex-02")) == sorted(OTHER)


@pytest.mark.parametrize("category", ["01", "fabric01", "aitex_01", "line2-fabric-01"])
def test_fabric_is_what_the_category_ends_in(category):
    assert fabric_of(category, ["00", "01", "02"]) == "01"


@pytest.mark.parametrize("category", ["", "chess", "fabric1", "fabric001", "fabric101", "01-fabric", "fabric03"])
def test_category_of_no_fabric_lists_the_codes(category):
    with pytest.raises(
        FlawlineError,
        match=rf"fabric codes 00, 01, 02, each .* must end in one of them \(such as fabric00\), got '{category}'",
    ):
        fabric_of(category, ["00", "01", "02"])


def test_folder_without_normal_strips_has_no_codes(raw):
    raw.touch("NODefect_images/a/notes.txt", "Defect_images/0005_002_01.png")
    with pytest.raises(FlawlineError, match=r"fabric codes none, .*such as fabric00\), got 'fabric01'"):
        raw.list("fabric01")


@pytest.mark.parametrize("category", ["", "linen"])
def test_the_only_fabric_needs_no_code(raw, category):
    raw.touch(*NORMAL)
    assert list(raw.files(category)) == sorted(NORMAL)


def test_codes_are_those_of_normal_strips(raw):
    raw.touch(*NORMAL, *OTHER, "Defect_images/0001_002_07.png", "NODefect_images/a/0001_000_10.txt")
    assert codes_in(contents_of(raw.path)) == ["01", "02"]


def test_split_masks_belong_together(raw):
    masks = ("Mask_images/0044_019_01_mask1.png", "Mask_images/0044_019_01_mask2.png")
    raw.touch(*NORMAL, *masks, "Defect_images/0044_019_01.png", "Mask_images/0044_019_010_mask.png")
    assert raw.files()["Defect_images/0044_019_01.png"].mask == "//".join(masks)


def test_defective_strip_without_a_mask(raw):
    raw.touch(*NORMAL, "Defect_images/0100_025_01.png", "Mask_images/0101_025_01_mask.png")
    assert raw.files()["Defect_images/0100_025_01.png"] == RawFile("Defect_images/0100_025_01.png", 1, "025")


def test_without_a_folder_of_masks_or_of_defects(raw):
    raw.touch(*NORMAL, "Defect_images/0100_025_01.png")
    assert raw.files()["Defect_images/0100_025_01.png"].mask is None
    (raw.path / "Defect_images/0100_025_01.png").unlink()
    (raw.path / "Defect_images").rmdir()
    assert list(raw.files()) == sorted(NORMAL)


def test_mask_of_a_normal_strip_is_left_alone(raw):
    raw.touch(*NORMAL, "Mask_images/0004_000_01_mask.png")
    assert {file.mask for file in raw.list()} == {None}


@pytest.mark.parametrize("name", ["strip.png", "0004_01.png", "0004_000_01_copy.png", "x0004_000_01.png"])
@pytest.mark.parametrize("home", ["NODefect_images", "Defect_images"])
def test_names_that_do_not_fit_are_told(two_fabrics, home, name):
    two_fabrics.touch(f"{home}/{name}")
    for category in ("fabric01", "fabric02"):
        assert two_fabrics.unusable(category) == {f"{home}/{name}": "its name is not NUMBER_DEFECT_FABRIC"}


def test_folders_are_named_in_any_case_and_pictures_have_any_extension(raw):
    raw.touch("nodefect_images/a/0004_000_01.PNG", "DEFECT_IMAGES/0005_002_01.bmp", "mask_Images/0005_002_01_MASK.png")
    raw.touch("mask_Images/0005_002_01_mask.tif")
    assert raw.list() == [
        RawFile("DEFECT_IMAGES/0005_002_01.bmp", 1, "002", mask="mask_Images/0005_002_01_mask.tif"),
        RawFile("nodefect_images/a/0004_000_01.PNG", 0, "good"),
    ]


@pytest.mark.real_data
@pytest.mark.parametrize(("category", "defective"), [("fabric00", 7), ("fabric01", 12), ("fabric02", 12)])
def test_real_fabrics(real_data, category, defective):
    files = real_data("aitex").list(category)
    assert sum(file.label == 0 for file in files) == 4
    assert sum(file.mask is not None for file in files) == sum(file.label == 1 for file in files) == defective
    assert not any(file.unusable for file in files)

"""Folders as data sets, tools and people lay them out: what is a photograph, what its mask, what its split and class.

A picture is drawn as a photograph, those of ``masks`` as masks."""

import json
from functools import cache

import numpy as np
import pytest

from flawline.checks import FlawlineError
from flawline.intake.decoding import encode_png
from flawline.intake.layouts import RawFile

SIZE = (24, 32)


@cache
def photograph(seed: int) -> bytes:
    return encode_png(np.random.default_rng(seed).integers(0, 256, (1, *SIZE), np.uint8))


@cache
def mask(marked: bool = True) -> bytes:
    pixels = np.zeros((1, *SIZE), np.uint8)
    pixels[:, 3:9, 4:9] = 255 * marked
    return encode_png(pixels)


def draw(raw, *paths, masks=()):
    for seed, path in enumerate(paths):
        raw.write(path, photograph(seed))
    for path in masks:
        raw.write(path, mask())
    return raw


def told(raw, **params):
    """Return (label, defect, split, mask) of the usable images by path."""
    files = raw.list(**params)
    return {file.path: (file.label, file.defect, file.split, file.mask) for file in files if not file.unusable}


GOOD = (0, "good", None, None)


# --- masks in a folder of their own ----------------------------------------------------------------------------------
@pytest.mark.parametrize("home", [
    "mask", "Masks", "MASK", "gt", "GT", "Ground Truth", "ground_truth", "ground-truth", "groundtruth", "labels",
    "annotations", "segmentation", "Segmentations", "label", "masken", "defect_masks", "mask_images", "Seg-Mask",
])  # fmt: skip
def test_folder_of_masks_is_told_by_its_name_in_any_case(raw, home):
    draw(
        raw,
        "good/0.png",
        "good/1.png",
        "crack/0.jpg",
        "crack/1.jpg",
        masks=[f"{home}/crack/0.png", f"{home}/crack/1.png"],
    )
    assert told(raw) == {
        "good/0.png": GOOD, "good/1.png": GOOD,
        "crack/0.jpg": (1, "crack", None, f"{home}/crack/0.png"),
        "crack/1.jpg": (1, "crack", None, f"{home}/crack/1.png"),
    }  # fmt: skip


@pytest.mark.parametrize("name", ["0", "0_mask", "0-mask", "0 mask", "0.mask", "0_Mask", "0_gt", "0_GT", "0_label",
                                  "0_seg", "0_ground_truth", "mask_0", "gt-0", "0_mask1", "0_mask_01"])  # fmt: skip
def test_mask_is_found_however_its_name_is_made_of_the_images(raw, name):
    draw(raw, "good/0.png", "crack/0.jpg", masks=[f"masks/crack/{name}.bmp"])
    assert told(raw)["crack/0.jpg"] == (1, "crack", None, f"masks/crack/{name}.bmp")


@pytest.mark.parametrize(("images", "masks"), [
    ("scratch", "Scratch"), ("Big Scratch", "big_scratch"), ("Kratzer-groß", "kratzer_groß"),
    ("Pru\u0308fling", "Pr\u00fcfling"),
])  # fmt: skip
def test_class_of_masks_is_found_in_another_case_and_form(raw, images, masks):
    draw(raw, "good/0.png", f"{images}/0.png", masks=[f"masks/{masks}/0.png"])
    assert told(raw)[f"{images}/0.png"] == (1, images, None, f"masks/{masks}/0.png")


def test_names_match_in_either_unicode_form(raw):
    draw(raw, "good/0.png", "dent/Pru\u0308fling.png", masks=["masks/dent/Pr\u00fcfling.png"])
    assert told(raw)["dent/Pru\u0308fling.png"][3] == "masks/dent/Pr\u00fcfling.png"


def test_masks_without_a_class_belong_to_the_one_image_of_their_name(raw):
    draw(raw, "good/0.png", "good/1.png", "crack/5.png", "dent/6.png", "dent/7.png", "crack/7.png")
    draw(raw, masks=["masks/5.png", "masks/6_mask.png", "masks/7.png"])
    assert told(raw)["crack/5.png"][3] == "masks/5.png"
    assert told(raw)["dent/6.png"][3] == "masks/6_mask.png"
    assert raw.unusable() == {"masks/7.png": "is a mask of no image"}  # of crack/7 or of dent/7


def test_folder_of_masks_of_one_class(raw):
    draw(raw, "good/0.png", "scratch/0.png", "dent/0.png", masks=["scratch_mask/0.png", "dent_gt/0.png"])
    assert told(raw)["scratch/0.png"][3] == "scratch_mask/0.png"
    assert told(raw)["dent/0.png"][3] == "dent_gt/0.png"


def test_mask_of_another_class_is_not_taken(raw):
    draw(raw, "good/0.png", "crack/0.png", masks=["masks/dent/0.png"])
    assert told(raw)["crack/0.png"] == (1, "crack", None, None)
    assert raw.unusable() == {"masks/dent/0.png": "is a mask of no image"}


@pytest.mark.parametrize("home", ["mask", "label", "solder mask"])
def test_photographs_in_a_folder_that_is_called_like_masks_are_photographs(raw, home):
    draw(raw, "good/0.png", "good/1.png", f"{home}/0.png", f"{home}/1.png")
    assert told(raw)[f"{home}/1.png"] == (1, home, None, None)
    assert any("have many grey levels: they are read as photographs" in note.text for note in raw.notes())


# --- masks beside their images ---------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "name", ["0_mask.png", "0-mask.png", "0_gt.bmp", "0_GT.png", "mask_0.png", "0.png", "0_label.tif"]
)
def test_mask_beside_its_image(raw, name):
    draw(raw, "OK/0.jpg", "OK/1.jpg", "NG/0.jpg", "NG/1.jpg", masks=[f"NG/{name}"])
    assert told(raw) == {
        "OK/0.jpg": GOOD, "OK/1.jpg": GOOD,
        "NG/0.jpg": (1, "NG", None, f"NG/{name}"), "NG/1.jpg": (1, "NG", None, None),
    }  # fmt: skip


def test_two_photographs_of_one_name_are_two_photographs(raw):
    draw(raw, "good/0.jpg", "good/0.png", "good/1.jpg", "good/1.png")
    assert len(told(raw)) == 4


def test_photograph_that_is_called_like_a_mask_is_a_photograph(raw):
    draw(raw, "good/cap.png", "good/cap_label.png", "good/lid.png", "good/lid_label.png")
    assert len(told(raw)) == 4


def test_masks_beside_loose_images_say_which_are_defective(raw):
    draw(raw, "0.jpg", "1.jpg", "2.jpg", masks=["2_mask.png"])
    assert told(raw) == {"0.jpg": GOOD, "1.jpg": GOOD, "2.jpg": (None, "defect", None, "2_mask.png")}
    assert [note.text for note in raw.notes()] == [
        "2 images have no mask and lie in no folder of a class: they count as good."
    ]


# --- data sets as they are downloaded --------------------------------------------------------------------------------
def test_visa(raw):
    draw(raw, "Data/Images/Normal/0.JPG", "Data/Images/Anomaly/0.JPG", masks=["Data/Masks/Anomaly/0.png"])
    assert told(raw) == {
        "Data/Images/Normal/0.JPG": GOOD,
        "Data/Images/Anomaly/0.JPG": (1, "Anomaly", None, "Data/Masks/Anomaly/0.png"),
    }
    rows = [
        "candle/Data/Images/Normal/0.JPG,normal,",
        "candle/Data/Images/Anomaly/0.JPG,melt,candle/Data/Masks/Anomaly/0.png",
    ]
    raw.write("image_anno.csv", "\n".join(["image,label,mask", *rows]))
    assert raw.detect() == "csv"
    assert told(raw)["Data/Images/Anomaly/0.JPG"] == (1, "melt", None, "Data/Masks/Anomaly/0.png")


def test_mvtec_loco_has_several_pictures_a_mask(raw):
    draw(
        raw, "train/good/0.png", "validation/good/0.png", "test/good/0.png", "test/logical/0.png", "test/logical/1.png"
    )
    draw(raw, masks=["ground_truth/logical/0/0.png", "ground_truth/logical/0/1.png", "ground_truth/logical/1/0.png"])
    assert told(raw) == {
        "train/good/0.png": (0, "good", "train", None),
        "validation/good/0.png": (0, "good", "validation", None),
        "test/good/0.png": (0, "good", "test", None),
        "test/logical/0.png": (1, "logical", "test", "ground_truth/logical/0/0.png//ground_truth/logical/0/1.png"),
        "test/logical/1.png": (1, "logical", "test", "ground_truth/logical/1/0.png"),
    }


def test_mvtec_ad_2_has_masks_within_its_public_test_and_images_that_nobody_labelled(raw):
    draw(raw, "train/good/0_regular.png", "validation/good/0_regular.png", "test_public/good/0_regular.png",
         "test_public/bad/0_regular.png", "test_private/0_regular.png")  # fmt: skip
    draw(raw, masks=["test_public/ground_truth/bad/0_regular_mask.png"])
    assert told(raw)["test_public/bad/0_regular.png"] == (
        1, "bad", "test", "test_public/ground_truth/bad/0_regular_mask.png",
    )  # fmt: skip
    assert told(raw)["validation/good/0_regular.png"][2] == "validation"
    assert list(raw.unusable()) == ["test_private/0_regular.png"]


def test_btad_has_masks_in_another_format_than_images(raw):
    draw(raw, "train/ok/0.bmp", "test/ok/1.bmp", "test/ko/2.bmp", masks=["ground_truth/ko/2.png"])
    assert told(raw)["test/ko/2.bmp"] == (1, "ko", "test", "ground_truth/ko/2.png")


def test_real_iad_has_masks_beside_images_deep_down(raw):
    draw(raw, "OK/S0001/a_OK_C1.jpg", "OK/S0002/a_OK_C1.jpg", "NG/HS/S0003/a_NG_C1.jpg", "NG/HS/S0003/a_NG_C2.jpg")
    draw(raw, masks=["NG/HS/S0003/a_NG_C1.png", "NG/HS/S0003/a_NG_C2.png"])
    assert told(raw)["NG/HS/S0003/a_NG_C2.jpg"] == (1, "NG", None, "NG/HS/S0003/a_NG_C2.png")
    assert len(told(raw)) == 4


def test_mvtec_3d_has_images_and_masks_within_each_class(raw):
    draw(raw, "train/good/rgb/0.png", "test/good/rgb/0.png", "test/hole/rgb/0.png", masks=["test/hole/gt/0.png"])
    assert told(raw)["test/hole/rgb/0.png"] == (1, "hole", "test", "test/hole/gt/0.png")


def test_dagm_has_masks_of_defective_images_only(raw):
    draw(raw, "Train/1.PNG", "Train/2.PNG", "Train/3.PNG", "Test/4.PNG", "Test/5.PNG")
    draw(raw, masks=["Train/Label/3_label.PNG", "Test/Label/5_label.PNG"])
    assert told(raw) == {
        "Train/1.PNG": (0, "good", "train", None), "Train/2.PNG": (0, "good", "train", None),
        "Train/3.PNG": (None, "defect", "train", "Train/Label/3_label.PNG"),
        "Test/4.PNG": (0, "good", "test", None),
        "Test/5.PNG": (None, "defect", "test", "Test/Label/5_label.PNG"),
    }  # fmt: skip


def test_images_and_masks_side_by_side(raw):
    draw(raw, "images/0.jpg", "images/1.jpg", masks=["masks/1.png"])
    raw.write("masks/0.png", mask(marked=False))
    assert told(raw) == {
        "images/0.jpg": (None, "defect", None, "masks/0.png"), "images/1.jpg": (None, "defect", None, "masks/1.png"),
    }  # fmt: skip


def test_classes_of_casting_parts(raw):
    draw(raw, "train/ok_front/0.jpeg", "train/def_front/1.jpeg", "test/ok_front/2.jpeg", "test/def_front/3.jpeg")
    assert told(raw)["train/ok_front/0.jpeg"] == (0, "good", "train", None)
    assert told(raw)["test/def_front/3.jpeg"] == (1, "def_front", "test", None)
    assert [note.text for note in raw.notes()] == ["Taken for good by a word in its name: ok_front."]


def test_archive_that_was_unpacked_into_a_folder_of_its_own(raw):
    draw(raw, "bolts-v2/bolts/train/good/0.png", "bolts-v2/bolts/test/dent/1.png", "bolts-v2/bolts/test/good/2.png")
    draw(raw, masks=["bolts-v2/bolts/ground_truth/dent/1_mask.png"])
    assert raw.detect() == "mvtec"
    assert told(raw)["bolts-v2/bolts/test/dent/1.png"] == (
        1, "dent", "test", "bolts-v2/bolts/ground_truth/dent/1_mask.png",
    )  # fmt: skip


# --- splits ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("name", "split"), [
    ("val", "validation"), ("Valid", "validation"), ("VALIDATION", "validation"), ("calibration", "calibration"),
    ("test_public", "test"), ("Testing", "test"),
])  # fmt: skip
def test_folders_of_splits_are_told_by_name_in_any_case(raw, name, split):
    draw(raw, "Train/good/0.png", f"{name}/good/1.png")
    assert told(raw)[f"{name}/good/1.png"] == (0, "good", split, None)


@pytest.mark.parametrize("others", [(), ("val/good/9.png",), ("train/dent/8.png",)])
def test_without_a_split_for_tests_a_part_is_set_apart(raw, others):
    draw(raw, "train/good/0.png", "train/good/1.png", *others)
    assert told(raw)["train/good/0.png"] == (0, "good", "train", None)
    assert [note.text for note in raw.notes()] == [
        "No image lies in a split for tests: a share of the good ones is set apart for them (ingestion.splits.test)."
    ]


# --- words -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("good", "bad"), [
    ("pass", "fail"), ("OK", "NG"), ("i.O.", "n.i.O."), ("Gut", "Schlecht"), ("in Ordnung", "nicht in Ordnung"),
    ("Normal", "Anomaly"), ("buono", "scarto"), ("bueno", "malo"), ("conforme", "non conforme"), ("good", "not_good"),
    ("良品", "不良品"), ("正常", "异常"),
    ("정상", "불량"), ("defect-free", "defective"), ("OK", "NOK"),
    ("no_defect", "defect"), ("sans défaut", "défaut"), ("2024_good", "good_defect"),
    ("accepted", "rejected"), ("healthy", "faulty"),
])  # fmt: skip
def test_words_of_the_trade(raw, good, bad):
    draw(raw, f"{good}/0.png", f"{bad}/1.png")
    assert {path: values[0] for path, values in told(raw).items()} == {f"{good}/0.png": 0, f"{bad}/1.png": 1}


def test_unknown_words_lead_to_the_parameter(raw):
    draw(raw, "alpha/0.png", "alpha/1.png", "beta/2.png")
    raw.write("readme.txt", "line 3, May")
    with pytest.raises(
        FlawlineError, match=r"None of its folders is called good in a word that is known: alpha/ \(2 im"
    ):
        raw.list()
    assert told(raw, good=("alpha",))["beta/2.png"] == (1, "beta", None, None)
    assert told(raw, good="alpha") == told(raw, good=("alpha",))


def test_folder_of_several_categories_leads_to_one_of_them(raw):
    draw(raw, "bottle/train/good/0.png", "bottle/test/good/1.png", "cable/train/good/2.png")
    with pytest.raises(
        FlawlineError, match=r"looks like a folder of several categories \(bottle, cable\): give one of"
    ):
        raw.list()


# --- labels that lie there -------------------------------------------------------------------------------------------
LABELME = {"shapes": [{"label": "dent", "points": [[1, 1], [9, 1], [9, 9]], "shape_type": "polygon"}], "imagePath": "x"}


def test_good_image_in_which_an_annotation_marks_a_defect_is_no_good_image(raw):
    draw(raw, *(f"train/good/{i}.png" for i in range(9)), "test/good/0.png", "test/dent/1.png", "test/dent/2.png")
    draw(raw, masks=["ground_truth/dent/1_mask.png", "ground_truth/dent/2_mask.png"])
    raw.write("train/good/3.json", json.dumps(LABELME))
    assert raw.detect() == "mvtec"
    assert raw.unusable() == {
        "train/good/3.png": "counts as good, but train/good/3.json marks a 'dent' in it; correct one of the two"
    }
    assert "Annotations (labelme) were found and not read: train/good/3.json." in raw.notes()[0].text


def test_annotation_of_another_class_than_its_folder_is_told(raw):
    draw(raw, "good/0.png", "good/1.png", "dent/2.png", "dent/3.png")
    for name, shapes in (("good/0", []), ("good/1", LABELME["shapes"]), ("dent/2", []), ("dent/3", LABELME["shapes"])):
        raw.write(f"{name}.json", json.dumps(LABELME | {"shapes": shapes}))
    assert raw.detect() == "labelme"
    assert raw.unusable() == {
        "good/1.png": "lies in good/, but good/1.json marks a 'dent' in it",
        "dent/2.png": "lies in dent/, but dent/2.json marks no defect in it",
    }


@pytest.mark.parametrize("name", ["0.json", "0.xml", "0.txt", "0.png.json"])
def test_files_that_may_be_labels_in_a_format_that_is_not_read_stop_the_run(raw, name):
    draw(raw, "0.png", "1.png", "2.png")
    raw.write(name, '{"objects": [], "size": {}}')
    with pytest.raises(
        FlawlineError,
        match=rf"(?s)in no format that is read, or damaged: {name}\. Wanted COCO, .*ingestion.layout=folders",
    ):
        raw.list()
    assert len(told(raw, layout="folders")) == 3
    assert "may say where their defects are" in raw.notes(layout="folders")[0].text


@pytest.mark.parametrize(("name", "text"), [
    ("annotations.json", '{"images": [{"file_name": "0.png"'),  # COCO, cut off
    ("marks.xml", '<annotation'),
    ("half.json", "{"),
    ("labels.txt", "0.png 0\n1.png 1\n"),
    ("labels.csv", '"0.png,0\n1.png,1\n'),
])  # fmt: skip
def test_files_that_name_images_and_are_damaged_or_not_read_stop_the_run(raw, name, text):
    draw(raw, "0.png", "1.png", "2.png")
    raw.write(name, text)
    with pytest.raises(FlawlineError, match=rf"(?s)may say where their defects are.*{name}.*ingestion.layout=folders"):
        raw.list()


def test_notes_that_name_no_image_are_no_matter(raw):
    draw(raw, "0.png", "1.png", "2.png")
    raw.write("readme.txt", "line 3, May")
    raw.write("camera.json", '{"exposure": 3}')
    assert len(told(raw)) == 3
    assert raw.notes() == ()


def test_table_with_other_columns_stops_the_run_where_nothing_else_says_what_is_good(raw):
    draw(raw, "0.png", "1.png", "2.png")
    raw.write("labels.csv", "filename;verdict\n0.png;A\n1.png;B\n2.png;A\n")
    with pytest.raises(
        FlawlineError,
        match=r"The table labels\.csv names the images \(in its column 'filename'\) and is not read\..*"
        r"ingestion\.table\.file=labels\.csv,ingestion\.table\.image=filename,ingestion\.table\.label=COLUMN\.",
    ):
        raw.list()
    assert raw.detect(table={"file": "labels.csv", "image": "filename", "label": "verdict"}, good="A") == "csv"


def test_table_beside_folders_of_classes_is_told(raw):
    draw(raw, "good/0.png", "bad/1.png")
    raw.write("exposure.csv", "file,ms\ngood/0.png,3\nbad/1.png,4\n")
    assert raw.detect() == "folders"
    assert "The table exposure.csv names the images" in raw.notes()[0].text


def test_table_of_other_things_is_no_matter(raw):
    draw(raw, "0.png", "1.png")
    raw.write("shifts.csv", "day,foreman\nmonday,x\n")
    assert told(raw) == {"0.png": GOOD, "1.png": GOOD}
    assert raw.notes() == ()


def test_yolo_in_trees_of_images_and_labels(raw):
    for split in ("train", "val"):
        draw(raw, f"images/{split}/0.png", f"images/{split}/1.png")
        raw.write(f"labels/{split}/0.txt", "")
        raw.write(f"labels/{split}/1.txt", "1 0.5 0.5 0.2 0.2")
    raw.write("data.yaml", "names: [dent, scratch]")
    raw.write("train.txt", "images/train/0.png")
    assert told(raw) == {
        "images/train/0.png": (0, "good", "train", None), "images/val/0.png": (0, "good", "validation", None),
        "images/train/1.png": (1, "scratch", "train", "labels/train/1.txt"),
        "images/val/1.png": (1, "scratch", "validation", "labels/val/1.txt"),
    }  # fmt: skip


def test_cvat_with_subsets_and_classes_of_whole_images(raw):
    draw(raw, "images/Train/0.png", "images/Train/1.png", "images/Test/0.png", "images/Train/9.png")
    marks = {"0": '<tag label="ok"/>', "1": '<tag label="dented"/>'}
    images = [
        f'<image name="{n}.png" subset="Train" width="32" height="24">{mark}</image>' for n, mark in marks.items()
    ]
    box = '<box label="dent" xtl="1" ytl="1" xbr="4" ybr="4"/>'
    images.append(f'<image name="0.png" subset="Test" width="32" height="24">{box}</image>')
    raw.write("annotations.xml", f"<annotations>{''.join(images)}</annotations>")
    assert told(raw) == {
        "images/Train/0.png": (0, "good", "train", None),
        "images/Train/1.png": (1, "dented", "train", None),
        "images/Test/0.png": (1, "dent", "test", "annotations.xml"),
    }
    assert raw.unusable() == {"images/Train/9.png": "is not named in the annotations"}


def test_captions_of_coco_are_no_annotations(raw):
    draw(raw, "good/0.png", "good/1.png")
    caption = {"id": 1, "image_id": 1, "caption": "a part"}
    raw.write("captions.json", json.dumps({"images": [{"id": 1, "file_name": "0.png"}], "annotations": [caption]}))
    assert raw.detect() == "folders"


# --- what systems leave in folders -----------------------------------------------------------------------------------
@pytest.mark.parametrize("path", [
    "@eaDir/0.png/SYNOPHOTO_THUMB_M.jpg", "#recycle/0.png", "$RECYCLE.BIN/0.png", "System Volume Information/0.png",
    ".Trash-1000/files/0.png", "lost+found/0.png", "__MACOSX/good/0.png", ".ipynb_checkpoints/0-checkpoint.png",
    "Thumbs.db", "._0.png", "~$0.png", "desktop.ini", "@Recycle/0.png", "#snapshot/0.png", "0.png.crdownload",
])  # fmt: skip
@pytest.mark.parametrize("home", ["", "good/", "test/"])
def test_what_systems_keep_is_counted_and_not_looked_into(raw, path, home):
    draw(raw, "train/good/0.png", "test/good/1.png")
    raw.write(f"{home}{path}", photograph(7))
    assert list(told(raw)) == ["test/good/1.png", "train/good/0.png"]
    assert raw.unusable() == {}
    name = path.split("/")[0]
    name = f"{name[:2]}*" if name.startswith(("._", "~$")) else name
    assert [note.text for note in raw.notes()] == [f"1 hidden or system entry was not looked into ({name})."]


def test_mask_of_a_good_image_is_listed_with_it(raw):
    draw(raw, "train/good/0.png", "test/good/0.png", masks=["ground_truth/good/0_mask.png"])
    assert raw.files()["test/good/0.png"] == RawFile(
        "test/good/0.png", 0, "good", "test", "ground_truth/good/0_mask.png"
    )
    assert raw.files()["train/good/0.png"].mask is None


# --- words that only hold one ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", [
    "pas bon", "niet goed", "ikke ok", "cam1_n_ok", "almost good", "scratch_on_good", "good_with_scratch", "OK_dented",
    "hole_normal", "ok_rework",
])  # fmt: skip
def test_beside_a_folder_called_good_no_other_is_good_that_only_holds_the_word(raw, name):
    draw(raw, "good/0.png", "good/1.png", f"{name}/2.png")
    file = raw.files()[f"{name}/2.png"]
    assert file.unusable.startswith(f"lies in {name}/, whose name holds a word for good") or file.label == 1


@pytest.mark.parametrize("name", ["good_with_scratch", "OK_dented", "surface_ok"])
def test_folder_that_only_holds_the_word_is_not_good_beside_classes_of_other_words(raw, name):
    draw(raw, f"{name}/0.png", "dent/2.png")
    with pytest.raises(FlawlineError, match="None of its folders is called good"):
        raw.list()


# --- classes deeper down ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("around", ["Good Parts Dataset", "clean bottles", "normal_light", "a/b", "bolts"])
def test_classes_are_found_below_whatever_lies_around_them(raw, around):
    draw(raw, f"{around}/good/0.png", f"{around}/bad/1.png", masks=[f"{around}/masks/bad/1.png"])
    assert told(raw) == {
        f"{around}/good/0.png": GOOD, f"{around}/bad/1.png": (1, "bad", None, f"{around}/masks/bad/1.png"),
    }  # fmt: skip


@pytest.mark.parametrize("path", ["good/bad/1.png", "good/2024/NG/1.png", "lot7/good/1.png", "lot7/bad/1.png"])
def test_folders_that_contradict_each_other_are_told(raw, path):
    draw(raw, "good/0.png", path)
    file = raw.files()[path]
    assert "is called good and defective" in file.unusable or file.label == 1


def test_cameras_and_lots_are_not_taken_for_classes(raw):
    draw(raw, "cam1/OK/0.png", "cam1/NG/1.png", "cam2/OK/2.png")
    with pytest.raises(FlawlineError, match="looks like a folder of several categories"):
        raw.list()


@pytest.mark.parametrize(("path", "split"), [
    ("good/train/0.png", "train"), ("train_good/0.png", "train"), ("good_train/0.png", "train"),
    ("obj_Train_data/good/0.png", "train"), ("trainset/good/0.png", "train"), ("Evaluation/good/0.png", "test"),
])  # fmt: skip
def test_splits_are_found_wherever_they_are_named(raw, path, split):
    draw(raw, path, "train/good/9.png", "test/good/8.png")
    assert told(raw)[path] == (0, "good", split, None)


def test_unlabelled_test_images_are_not_good(raw):
    draw(raw, "train/0.png", "train/1.png", "test/2.png")
    assert list(raw.unusable()) == ["test/2.png"]


# --- what is no photograph -------------------------------------------------------------------------------------------
@pytest.mark.parametrize("path", [
    "good/thumbs/0.png", "thumbnails/good/0.png", "good/0_small.png", "good/0-150x150.png", "bad/1_overlay.png",
    "heatmaps/1.png", "good/0_depth.png", "normal_maps/0.png",
])  # fmt: skip
def test_pictures_made_from_photographs_are_told(raw, path):
    draw(raw, "good/0.png", "good/2.png", "bad/1.png", path)
    assert len(told(raw)) == 3
    assert "made from" in raw.unusable()[path] or "holds a word for good" in raw.unusable()[path]


def test_class_that_is_called_like_derived_pictures_is_a_class(raw):
    draw(raw, "good/0.png", "good/1.png", "depth/7.png", "depth/8.png")
    assert told(raw)["depth/7.png"] == (1, "depth", None, None)


@pytest.mark.parametrize("name", ["NG_0001.png", "20240501_0020_NG.png", "defect (3).png", "0001_bad.png"])
@pytest.mark.parametrize("home", ["", "good/"])
def test_images_that_are_called_defective_are_not_good(raw, name, home):
    draw(raw, f"{home}OK_0002.png", f"{home}no_defect_3.png", f"{home}{name}")
    assert list(raw.unusable()) == [f"{home}{name}"]


# --- masks and images that are numbered alike ------------------------------------------------------------------------
def test_images_and_masks_that_differ_in_a_word(raw):
    draw(raw, "images/image_020.png", "images/image_021.png", masks=["masks/mask_020.png"])
    assert told(raw)["images/image_020.png"] == (None, "defect", None, "masks/mask_020.png")
    draw(raw, "more/image_1.png", "more/image_2.png", masks=["more/mask_1.png"])


def test_numbered_masks_go_to_the_images_of_their_numbers(raw):
    draw(raw, "good/0.png", "bad/part_0.png", "bad/part_1.png",
         masks=["masks/bad/part_mask_0.png", "masks/bad/part_mask_1.png"])  # fmt: skip
    assert told(raw)["bad/part_1.png"][3] == "masks/bad/part_mask_1.png"


def test_masks_of_no_image_beside_loose_images_stop_the_run(raw):
    draw(raw, "images/0.png", "images/1.png", masks=["masks/task-7.png"])
    with pytest.raises(FlawlineError, match=r"1 masks belong to no image, the first: masks/task-7\.png"):
        raw.list()


def test_labels_go_to_the_image_that_is_not_good(raw):
    draw(raw, "OK/1.png", "NG/1.png", masks=["masks/1.png"])
    assert told(raw) == {"OK/1.png": GOOD, "NG/1.png": (1, "NG", None, "masks/1.png")}


# --- files that may say where defects are ----------------------------------------------------------------------------
@pytest.mark.parametrize(("path", "text"), [
    ("labels/0001.txt", "scratch 0.5 0.5 0.1 0.1"), ("ann/0001.png.json", "{}"), ("meta/0001.xml", "<x/>"),
    ("labels/ab12cd34-0001.txt", "scratch"), ("ng_list.txt", "0001.png"), ("bad.txt", "0001\n"), ("0001.hobj", "x"),
    ("via.json", '{"0001.png123": {"filename": "0001.png"}}'), ("data.yaml", "names: [scratch]"),
    ("train.csv", "id,target\n0001,1\n"), ("set.hdict", "x"), ("labels.xlsx", "x"), ("annotations.zip", "x"),
    ("tasks.json", '[{"image": "/data/upload/1/ab12cd34-07.png", "annotations": []}]'), ("images/0001.svg", "<svg/>"),
    ("rle.csv", "ImageId_ClassId,Pixels\n0001.png_1,1 3\n"),
])  # fmt: skip
def test_whatever_names_an_image_beside_loose_ones_stops_the_run(raw, path, text):
    draw(raw, *(f"images/{i:04d}.png" for i in range(60)))
    raw.write(path, text)
    with pytest.raises(FlawlineError, match=r"may say where their defects are|The table train\.csv names the images"):
        raw.list()


def test_lists_in_other_encodings_are_read_too(raw):
    draw(raw, "Pr\u00fcfling_1.png", "Pr\u00fcfling_2.png")
    raw.write("liste.txt", "Pr\u00fcfling_2.png NG".encode("cp1252"))
    with pytest.raises(FlawlineError, match="may say where their defects are"):
        raw.list()
    raw.write("liste.txt", "Pr\u00fcfling_2.png NG".encode("utf-16"))
    with pytest.raises(FlawlineError, match="may say where their defects are"):
        raw.list()


def test_beside_folders_of_classes_they_are_a_caution(raw):
    draw(raw, "good/0001.png", "bad/0002.png")
    raw.write("bad/0002.isat", "{}")
    raw.write("LICENSE.txt", "of 0001.png")
    assert ["0002.isat" in note.text for note in raw.notes() if note.caution] == [True]


def test_flags_and_tags_are_classes_of_the_image(raw):
    draw(raw, "0.png", "1.png", "2.png")
    for name, flags in (
        ("0", {"OK": True, "NG": False}),
        ("1", {"OK": False, "NG": True}),
        ("2", {"OK": True, "NG": True}),
    ):
        raw.write(f"{name}.json", json.dumps({"shapes": [], "flags": flags, "imagePath": f"{name}.png"}))
    assert told(raw) == {"0.png": GOOD, "1.png": (1, "NG", None, None)}
    assert raw.unusable() == {"2.png": "its annotation 2.json calls the image 'OK' and 'NG'; correct one of the two"}


def test_kolektorsdd_below_a_folder_keeps_its_items(raw):
    raw.touch("KolektorSDD/kos01/Part0.jpg", "KolektorSDD/kos01/Part0_label.bmp", "KolektorSDD/kos02/Part0.jpg")
    raw.touch("KolektorSDD/kos02/Part0_label.bmp")
    assert raw.detect() == "kolektorsdd"
    assert {file.group for file in raw.list()} == {"KolektorSDD/kos01", "KolektorSDD/kos02"}


def test_where_names_call_some_loose_images_good_the_others_are_not(raw):
    draw(raw, "good_001.png", "good_002.png", "crack_001.png")
    assert raw.unusable() == {
        "crack_001.png": "is not called good by its name, as others are; put images into a folder of their class"
    }


def test_classes_that_hold_a_word_for_good_and_count_as_defects_are_told(raw):
    draw(raw, "0.png", "1.png", "2.png")
    raw.write("images.csv", "image,label\n0.png,good\n1.png,Good Weld\n2.png,dent\n")
    assert [note.text for note in raw.notes()] == [
        "These classes hold a word for good and count as defects: Good Weld. If not: ingestion.good."
    ]

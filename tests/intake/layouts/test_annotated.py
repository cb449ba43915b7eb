import json
import re

import pytest

from flawline.checks import FlawlineError
from flawline.intake.layouts import RawFile

UNNAMED = "is not named in the annotations"


def coco(images, annotations=(), classes=("scratch", "dent")):
    """Return a COCO file's text: ``images`` are names, numbered from 10; ``annotations`` (image's number, class)."""
    return json.dumps({
        "images": [{"id": 10 + i, "file_name": name, "height": 8, "width": 9} for i, name in enumerate(images)],
        "annotations": [{"id": k, "image_id": image, "category_id": 1 + classes.index(name), "bbox": [1, 1, 2, 2]}
                        for k, (image, name) in enumerate(annotations)],
        "categories": [{"id": 1 + i, "name": name} for i, name in enumerate(classes)],
    })  # fmt: skip


def voc(*names):
    """Return a VOC file's text with an object for each name."""
    box = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox>"
    objects = "".join(f"<object><name>{name}</name>{box}</object>" for name in names)
    return f"<annotation><size><width>9</width><height>8</height></size>{objects}</annotation>"


# --- COCO ------------------------------------------------------------------------------------------------------------
def test_coco_file_beside_the_pictures(raw):
    raw.touch("a.jpg", "b.jpg", "c.jpg")
    raw.write("marks.json", coco(["a.jpg", "b.jpg", "c.jpg"], [(11, "scratch")]))
    assert raw.list() == [
        RawFile("a.jpg", 0, "good"),
        RawFile("b.jpg", 1, "scratch", mask="marks.json"),
        RawFile("c.jpg", 0, "good"),
    ]


def test_class_names_are_joined_once_each_and_sorted(raw):
    raw.write("m.json", coco(["a.jpg", "b.jpg"], [(11, "scratch"), (11, "dent"), (11, "scratch")]))
    assert raw.files()["b.jpg"].defect == "dent+scratch"


def test_class_called_good_is_no_defect(raw):
    marks = [(10, "OK"), (11, "OK"), (11, "dent")]
    raw.write("m.json", coco(["a.jpg", "b.jpg"], marks, classes=("OK", "dent")))
    assert raw.list() == [RawFile("a.jpg", 0, "good"), RawFile("b.jpg", 1, "dent", mask="m.json")]


def test_file_in_a_folder_of_annotations(raw):
    raw.touch("images/a.jpg", "images/b.jpg")
    raw.write("annotations/instances_default.json", coco(["a.jpg", "b.jpg"], [(11, "dent")]))
    assert raw.list() == [
        RawFile("images/a.jpg", 0, "good"),
        RawFile("images/b.jpg", 1, "dent", mask="annotations/instances_default.json"),
    ]


def test_pictures_in_a_folder_called_as_the_end_of_the_file(raw):
    raw.touch("train2017/a.jpg", "val2017/b.jpg")
    raw.write("annotations/instances_train2017.json", coco(["a.jpg"]))
    raw.write("annotations/instances_val2017.json", coco(["b.jpg"], [(10, "dent")]))
    assert [(file.path, file.label) for file in raw.list()] == [("train2017/a.jpg", 0), ("val2017/b.jpg", 1)]


def test_folder_of_a_file_names_the_split(raw):
    names = {"train": "train", "valid": "validation", "test": "test"}
    for name in names:
        raw.touch(f"{name}/a.jpg")
        raw.write(f"{name}/_annotations.coco.json", coco(["a.jpg"], [(10, "dent")] if name == "test" else []))
    assert raw.list() == [
        RawFile("test/a.jpg", 1, "dent", "test", "test/_annotations.coco.json"),
        RawFile("train/a.jpg", 0, "good", "train"),
        RawFile("valid/a.jpg", 0, "good", "validation"),
    ]


def test_pictures_that_no_file_names_are_told(raw):
    raw.touch("a.jpg", "b.jpg", "deep/er/c.PNG", "readme.txt")
    raw.write("m.json", coco(["a.jpg"]))
    assert raw.unusable() == {"b.jpg": UNNAMED, "deep/er/c.PNG": UNNAMED}


def test_named_picture_that_is_not_there_is_left_to_reading(raw):
    raw.write("m.json", coco(["a.jpg", "sub/b.jpg"]))
    assert raw.list() == [RawFile("a.jpg", 0, "good"), RawFile("sub/b.jpg", 0, "good")]


def test_files_that_name_the_same_image_count_together(raw):
    raw.touch("a.jpg", "b.jpg")
    raw.write("all.json", coco(["a.jpg", "b.jpg"], [(11, "scratch")]))
    raw.write("more.json", coco(["b.jpg"], [(10, "dent")]))
    assert raw.files()["b.jpg"] == RawFile("b.jpg", 1, "dent+scratch", mask="all.json//more.json")
    assert [note.text for note in raw.notes()] == [
        "1 images are named in several files, which count together; the first: b.jpg in all.json and more.json."
    ]


def test_changed_file_is_read_again(raw):
    raw.write("m.json", coco(["a.jpg", "b.jpg"]))
    assert {file.label for file in raw.list()} == {0}
    raw.write("m.json", coco(["a.jpg", "b.jpg"], [(10, "dent")]))
    assert [file.label for file in raw.list()] == [1, 0]


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        ("[1, 1, 2]", "not enough values to unpack (expected 4, got 3)"),
        ("[1, 1, 0, 2]", "the box [1, 1, 0, 2] has no area; wanted x, y, width, height"),
        ("[1, 1, NaN, 2]", "wanted a list of numbers, got [1, 1, nan, 2]"),
    ],
)
def test_bad_annotation_costs_its_image_and_is_named_by_its_id(raw, box, reason):
    raw.touch("a.jpg", "b.jpg", "c.jpg")
    text = coco(["a.jpg", "b.jpg", "c.jpg"], [(11, "dent"), (11, "dent"), (12, "dent")])
    raw.write("m.json", text.replace("[1, 1, 2, 2]", box, 1))
    assert raw.unusable() == {"b.jpg": f"its annotation m.json cannot be used (annotation 0: {reason})"}
    assert raw.files()["c.jpg"].label == 1


def test_however_many_annotations_are_bad_the_folder_is_read_by_them(raw):
    names = [f"{i}.jpg" for i in range(9)]
    raw.touch(*names)
    raw.write("m.json", coco(names, [(10 + i, "dent") for i in range(8)]).replace("[1, 1, 2, 2]", "[1, 1, 0, 2]"))
    assert raw.detect() == "coco"
    assert len(raw.unusable()) == 8


def test_annotation_of_no_image_is_told(raw):
    raw.touch("a.jpg")
    raw.write("m.json", coco(["a.jpg"], [(17, "dent")]))
    assert [note.text for note in raw.notes()] == [
        "1 annotations of m.json are for images that it does not list, the first: annotation 0."
    ]


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"images": []}', "\udcff".encode("utf-8", "surrogateescape")])
def test_other_json_files_are_no_coco(raw, text):
    raw.touch("a.png")
    raw.write("notes.json", text)
    assert raw.detect() == "folders"


# --- VOC -------------------------------------------------------------------------------------------------------------
def test_voc_folders(raw):
    raw.touch("JPEGImages/1.jpg", "JPEGImages/2.jpg")
    raw.write("Annotations/1.xml", voc())
    raw.write("Annotations/2.xml", voc("scratch", "dent", "scratch"))
    assert raw.list() == [
        RawFile("JPEGImages/1.jpg", 0, "good"),
        RawFile("JPEGImages/2.jpg", 1, "dent+scratch", mask="Annotations/2.xml"),
    ]


def test_xml_beside_the_picture(raw):
    raw.touch("1.png", "2.png")
    raw.write("1.xml", voc())
    raw.write("2.xml", voc("dent"))
    assert raw.list() == [RawFile("1.png", 0, "good"), RawFile("2.png", 1, "dent", mask="2.xml")]


def test_picture_without_xml_is_what_its_folder_says_and_unusable_where_that_says_nothing(raw):
    raw.touch("Good/1.png", "bad/2.png", "bad/3.png", "monday/4.png")
    raw.write("bad/2.xml", voc("dent"))
    files = raw.files()
    assert files["Good/1.png"] == RawFile("Good/1.png", 0, "good")
    assert files["bad/2.png"] == RawFile("bad/2.png", 1, "dent", mask="bad/2.xml")
    assert files["bad/3.png"] == RawFile("bad/3.png", 1, "bad")
    assert raw.unusable() == {
        "monday/4.png": "has no annotation file of its own; if it is good, put it into a folder called good, or give "
        "one without objects"
    }


@pytest.mark.parametrize("homes", [("good", "dent"), ("a", "dent")])
def test_xml_of_a_picture_of_the_same_name_in_another_folder_is_not_taken(raw, homes):
    raw.touch(*(f"{home}/1.png" for home in homes), "good/2.png")
    raw.write("dent/1.xml", voc("dent"))
    files = raw.files()
    assert files["dent/1.png"].mask == "dent/1.xml"
    assert (files[f"{homes[0]}/1.png"].label, files[f"{homes[0]}/1.png"].mask) == (0, None)
    assert list(raw.unusable()) == [f"{home}/1.png" for home in homes if home == "a"]


def test_folders_of_annotations_may_be_those_of_the_pictures(raw):
    for home, name in (("a", "dent"), ("b", "scratch")):
        raw.touch(f"images/{home}/1.png")
        raw.write(f"labels/{home}/1.xml", voc(name))
    raw.touch("good/9.png")
    assert [(file.path, file.defect, file.mask) for file in raw.list()] == [
        ("good/9.png", "good", None),
        ("images/a/1.png", "dent", "labels/a/1.xml"),
        ("images/b/1.png", "scratch", "labels/b/1.xml"),
    ]


def test_one_xml_for_two_pictures_says_nothing_of_either(raw):
    raw.touch("a/1.png", "b/1.png", "good/2.png")
    raw.write("Annotations/1.xml", voc("dent"))
    assert list(raw.unusable(layout="voc")) == ["a/1.png", "b/1.png"]


def test_object_called_good_is_no_defect(raw):
    raw.touch("1.png", "2.png")
    raw.write("1.xml", voc("good"))
    raw.write("2.xml", voc("OK", "dent"))
    assert [file.defect for file in raw.list()] == ["good", "dent"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (voc("dent")[:-5], r"cannot be read \(unclosed token"),
        (voc("dent").replace("<xmin>1</xmin>", ""), r"cannot be read \(an object has no element bndbox/xmin\)"),
        (voc("dent").replace("<xmin>1<", "<xmin>one<"), r"cannot be read \(could not convert string to float: 'one'\)"),
        (voc("dent").replace("<xmin>1<", "<xmin>7<"), r"cannot be read \(a box from \(7, 1\) to \(2, 2\)\)"),
        (voc("dent").replace("<width>9<", "<width>inf<"), r"cannot be read \(size/width is inf\)"),
    ],
)
def test_broken_xml_is_told(raw, text, reason):
    raw.touch("1.png", "good/2.png")
    raw.write("1.xml", text)
    unusable = raw.unusable()
    assert list(unusable) == ["1.png"]
    assert re.match(rf"its annotation 1\.xml {reason}", unusable["1.png"])


def test_other_xml_files_are_no_annotations(raw):
    raw.touch("1.png")
    raw.write("1.xml", "<project/>")
    assert raw.detect() == "folders"


def test_no_annotation_says_anything_is_good(raw):
    raw.touch("1.png", "2.png")
    raw.write("1.xml", voc("dent"))
    with pytest.raises(
        FlawlineError,
        match=r"'voc', an XML file an image, .* got 2 other files \(1 unusable; 2\.png: has no",
    ):
        raw.list()

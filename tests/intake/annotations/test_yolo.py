import pytest
from marking import marked, rectangle

from flawline.intake.annotations.yolo import class_names, is_empty, is_yolo, read_yolo
from flawline.intake.decoding import UnreadableImageError


def read(folder, text, name="a.txt"):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    return read_yolo(folder, name)


@pytest.mark.parametrize(("line", "wanted"), [
    ("0 .5 .5 .2 .5", rectangle(2, 1, 2, 2)),
    ("0 0.2 0.25 0.6 0.25 0.6 0.75 0.2 0.75", rectangle(1, 1, 2, 2)),
    ("0 0.2 0.25 0.6 0.25 0.6 0.75", None),
    ("0 0.5 0.5 1.0 1.0", rectangle(0, 0, 4, 3)),
    ("0 0.5 0.5 1.005 1.0", rectangle(0, 0, 4, 3)),  # a corner may lie a little beyond the image
])  # fmt: skip
def test_boxes_and_outlines_are_shares_of_the_image(tmp_path, line, wanted):
    mask = marked(read(tmp_path, line).mask((4, 5)))
    assert mask == wanted if wanted else mask


def test_lines_are_united_and_empty_ones_say_nothing(tmp_path):
    found = read(tmp_path, "\ufeff0 .1 .125 .2 .25\n\n1 .9 .875 .2 .25\r\n")
    assert marked(found.mask((4, 5))) == {(0, 0), (4, 3)}
    assert [each.name for each in found.shapes] == ["class 0", "class 1"]
    assert read(tmp_path, "\n").shapes == ()


@pytest.mark.parametrize(("line", "reason"), [
    ("0 .5 .5 .2", "has a line of 4 numbers"),
    ("0 .5 .5 .2 .2 .9", "has a line of 6 numbers"),  # a box with its confidence, as a prediction has it
    ("0 .1 .1 .2 .2 .3 .3 2", "wanted shares of the image from 0 to 1"),  # keypoints
    ("0 .1 .1 .2 .2 .3 .3 1", "has a line of 8 numbers"),
    ("0 12 30 40 50", "wanted shares of the image from 0 to 1"),
    ("0 nan .5 .2 .2", "wanted shares of the image from 0 to 1"),
    ("-1 .5 .5 .2 .2", "wanted shares of the image from 0 to 1"),
    ("dent .5 .5 .2 .2", "wanted a class number and shares"),
    ("0.5 .5 .5 .2 .2", "wanted a class number and shares"),
    ("0 .5 .5 0 .2", r"a box from \(0.5, 0.4\) to \(0.5, 0.6\)"),
    ("a note, no label", "wanted a class number and shares"),
])  # fmt: skip
def test_line_that_could_mean_something_else_is_refused(tmp_path, line, reason):
    with pytest.raises(UnreadableImageError, match=reason):
        read(tmp_path, line)


@pytest.mark.parametrize(("file", "text", "wanted"), [
    ("data.yaml", "names: [scratch, dent]", {0: "scratch", 1: "dent"}),
    ("data.yaml", "names: {0: scratch, 3: dent}", {0: "scratch", 3: "dent"}),
    ("classes.txt", "scratch\ndent\n", {0: "scratch", 1: "dent"}),
    ("data.yaml", "names: 5", {}),
    ("data.yaml", "[", {}),
    ("data.yaml", "7", {}),
    ("other.yaml", "names: [scratch]", {}),
])  # fmt: skip
def test_names_of_classes_stand_above(tmp_path, file, text, wanted):
    (tmp_path / file).write_text(text)
    (tmp_path / "train" / "labels").mkdir(parents=True)
    assert class_names(tmp_path, tmp_path / "train" / "labels") == (wanted, False)


def test_names_are_not_looked_for_above_the_raw_folder(tmp_path):
    (tmp_path / "data.yaml").write_text("names: [scratch]")
    (tmp_path / "raw").mkdir()
    assert class_names(tmp_path / "raw", tmp_path / "raw") == ({}, False)


def test_keypoints_are_refused(tmp_path):
    (tmp_path / "data.yaml").write_text("names: [part]\nkpt_shape: [1, 2]")
    with pytest.raises(UnreadableImageError, match="holds keypoints, which mark no area"):
        read(tmp_path, "0 .5 .5 .2 .2 .5 .5")


def test_yolo_is_told_by_its_lines(tmp_path):
    for name, text in (("a", "0 .5 .5 .2 .2"), ("b", ""), ("c", "a note"), ("d", "0 .5 .5 .2 .2\na note")):
        (tmp_path / f"{name}.txt").write_text(text)
    (tmp_path / "e.txt").write_bytes(b"\xff\xfe")
    assert [is_yolo(tmp_path / f"{name}.txt") for name in "abcdef"] == [True, False, False, False, False, False]
    assert [is_empty(tmp_path / f"{name}.txt") for name in "abcdef"] == [False, True, False, False, False, False]

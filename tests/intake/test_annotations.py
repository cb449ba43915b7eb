import json
import os
import time
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flawline.checks import FlawlineError
from flawline.intake.annotations import Annotated, Shape
from flawline.intake.annotations.coco import read_coco
from flawline.intake.annotations.voc import is_voc, read_voc
from flawline.intake.decoding import UnreadableImageError

BOX = "<xmin>2</xmin><ymin>1</ymin><xmax>3</xmax><ymax>2</ymax>"


def voc(box=BOX, name="<name>hole</name>", size="<size><width>4</width><height>3</height></size>"):
    return f"<annotation>{size}<object>{name}<bndbox>{box}</bndbox></object></annotation>".encode()


def marked(mask):
    """Return the marked pixels as a set of (x, y)."""
    return {(int(x), int(y)) for y, x in np.argwhere(mask)}


def rectangle(x1, y1, x2, y2):
    """Return the pixels from (x1, y1) to (x2, y2), both included."""
    return {(x, y) for x in range(x1, x2 + 1) for y in range(y1, y2 + 1)}


# --- shapes ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("corners", "wanted"), [
    (((1, 1), (3, 2)), rectangle(1, 1, 2, 1)),
    (((1.5, 0), (2.5, 1)), rectangle(1, 0, 2, 0)),  # every pixel that it touches
    (((0.2, 0.2), (0.4, 0.4)), {(0, 0)}),
    (((-5, -5), (2, 1)), rectangle(0, 0, 1, 0)),  # cut at the image's edge
    (((3, 2), (99, 99)), rectangle(3, 2, 4, 3)),
    (((-1e9, -1e9), (1e9, 1e9)), rectangle(0, 0, 4, 3)),
])  # fmt: skip
def test_box(corners, wanted):
    assert marked(Annotated(None, (Shape("a", corners),)).mask((4, 5))) == wanted


@pytest.mark.parametrize(("corners", "wanted"), [
    (((1, 1), (3, 1), (3, 3), (1, 3)), rectangle(1, 1, 2, 2)),  # along pixel edges
    (((1, 1), (1, 3), (3, 3), (3, 1)), rectangle(1, 1, 2, 2)),  # the other way round
    (((0, 0), (4.1, 0), (0, 4.1)), {(x, y) for x in range(4) for y in range(4 - x)}),  # a triangle, centres inside
    (((-9, -9), (9, -9), (9, 9), (-9, 9)), rectangle(0, 0, 4, 3)),
])  # fmt: skip
def test_polygon_marks_the_pixels_whose_centres_it_holds(corners, wanted):
    assert marked(Annotated(None, (Shape("a", corners, kind="polygon"),)).mask((4, 5))) == wanted


def test_shapes_are_united():
    shapes = (Shape("a", ((0, 0), (1, 1))), Shape("b", ((2, 2), (4, 4))))
    assert marked(Annotated((4, 5), shapes).mask((4, 5))) == {(0, 0)} | rectangle(2, 2, 3, 3)


def test_nothing_marked():
    assert not Annotated(None, ()).mask((2, 3)).any()


@pytest.mark.parametrize("corners", [((5, 0), (6, 1)), ((-3, 0), (0, 2)), ((0, 4), (2, 9)), ((1e8, 0), (1e9, 1))])
@pytest.mark.parametrize("is_box", [True, False])
def test_shape_outside_the_image_is_refused(corners, is_box):
    (x1, y1), (x2, y2) = corners
    points = corners if is_box else ((x1, y1), (x2, y1), (x2, y2))
    with pytest.raises(UnreadableImageError, match="marks a 'hole' outside the image, at"):
        Annotated(None, (Shape("hole", points, is_box),)).mask((4, 5))


def test_annotation_for_another_size_is_refused():
    with pytest.raises(UnreadableImageError, match="is for an image of 3 x 4 pixels; this one has 4 x 3"):
        read_voc(voc()).mask((4, 3))


# --- Pascal VOC ------------------------------------------------------------------------------------------------------
def test_voc_counts_from_1_and_includes_its_maxima():
    annotated = read_voc(voc())
    assert annotated.size == (3, 4)
    assert annotated.shapes[0].name == "hole"
    assert marked(annotated.mask((3, 4))) == rectangle(1, 0, 2, 1)  # x 2 to 3 and y 1 to 2, from 1


def test_voc_box_of_one_pixel():
    one = read_voc(voc("<xmin>1</xmin><ymin>3</ymin><xmax>1</xmax><ymax>3</ymax>"))
    assert marked(one.mask((3, 4))) == {(0, 2)}


def test_voc_without_size_name_or_objects():
    assert read_voc(b"<annotation/>") == Annotated(None, ())
    assert read_voc(voc(size="")).size is None
    assert read_voc(voc(name="<name>  </name>")).shapes[0].name == "defect"
    assert read_voc(voc(name="")).shapes[0].name == "defect"


@pytest.mark.parametrize(("content", "reason"), [
    (b"", "cannot be read"),
    (b"<annotation>", "cannot be read"),
    (b"<html/>", "wanted an <annotation>, got a <html>"),
    (voc("<xmin>1</xmin>"), "an object has no element bndbox/ymin"),
    (voc(BOX.replace("3", "nan")), "bndbox/xmax is nan"),
    (voc(BOX.replace("3", "1e999")), "bndbox/xmax is 1e999"),
    (voc(BOX.replace("3", "1e99")), "bndbox/xmax is 1e99"),
    (voc(BOX.replace("3", "wide")), "could not convert"),
    (voc(BOX.replace("3", "1")), r"a box from \(2, 1\) to \(1, 2\)"),
    (voc(size="<size><width>nan</width><height>3</height></size>"), "size/width is nan"),
    (b'<?xml version="1.0" encoding="none"?><annotation/>', "unknown encoding: none"),
    (b'<?xml version="1.0" encoding="utf-32"?><annotation/>', "cannot be read"),
    (b"<annotation>&x;</annotation>", "undefined entity"),
    (b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]><annotation>&x;</annotation>', "undefined entity"),
])  # fmt: skip
def test_malformed_voc_is_refused_with_the_reason(content, reason):
    with pytest.raises(UnreadableImageError, match=reason):
        read_voc(content)


def test_voc_with_entities_that_multiply_is_refused_at_once():
    entities = '<!ENTITY x0 "ha">' + "".join(f'<!ENTITY x{k} "{f"&x{k - 1};" * 10}">' for k in range(1, 10))
    start = time.perf_counter()
    with pytest.raises(UnreadableImageError, match="amplification"):
        read_voc(f"<!DOCTYPE a [{entities}]><annotation>&x9;</annotation>".encode())
    assert time.perf_counter() - start < 2


def test_voc_is_told_by_its_beginning(tmp_path):
    (tmp_path / "a.xml").write_bytes(voc())
    (tmp_path / "b.xml").write_text("<html/>")
    assert [is_voc(tmp_path / name) for name in ("a.xml", "b.xml", "gone.xml")] == [True, False, False]


@given(st.binary(max_size=60), st.integers(0, 200))
def test_any_bytes_are_voc_or_refused(garbage, kept):
    content = voc()[:kept] + garbage + voc()[kept:]
    with suppress(UnreadableImageError):
        assert isinstance(read_voc(content), Annotated)


# --- COCO ------------------------------------------------------------------------------------------------------------
def coco(*marks, images=None, **more):
    images = images or [{"id": 1, "file_name": "a.png", "height": 4, "width": 5}]
    categories = [{"id": 7, "name": "hole"}]
    annotations = [{"id": k, "image_id": 1, "category_id": 7, **mark} for k, mark in enumerate(marks)]
    return {"images": images, "annotations": annotations, "categories": categories, **more}


def read(folder, tree, file="marks.json"):
    (folder / file).parent.mkdir(parents=True, exist_ok=True)
    (folder / file).write_text(tree if isinstance(tree, str) else json.dumps(tree))
    return read_coco(folder, file)


def test_coco_box_counts_from_0(tmp_path):
    found = read(tmp_path, coco({"bbox": [1, 0, 2, 3]}))
    assert list(found) == ["a.png"]
    assert found["a.png"].size == (4, 5)
    assert found["a.png"].shapes[0].name == "hole"
    assert marked(found["a.png"].mask((4, 5))) == rectangle(1, 0, 2, 2)


def test_coco_polygons_come_before_the_box(tmp_path):
    outlines = [[1, 1, 3, 1, 3, 3, 1, 3], [0, 0, 1, 0, 1, 1, 0, 1]]
    found = read(tmp_path, coco({"bbox": [0, 0, 5, 4], "segmentation": outlines}))
    assert marked(found["a.png"].mask((4, 5))) == rectangle(1, 1, 2, 2) | {(0, 0)}


def test_coco_without_an_outline_counts_by_its_box(tmp_path):
    found = read(tmp_path, coco({"bbox": [0, 0, 2, 1], "segmentation": []}))
    assert marked(found["a.png"].mask((4, 5))) == {(0, 0), (1, 0)}


@pytest.mark.parametrize("counts", [[5, 2, 2, 1, 10], "522O8"])
def test_coco_run_lengths_mark_their_pixels_column_by_column(tmp_path, counts):
    found = read(tmp_path, coco({"bbox": [0, 0, 5, 4], "segmentation": {"counts": counts, "size": [4, 5]}}))
    assert marked(found["a.png"].mask((4, 5))) == {(1, 1), (1, 2), (2, 1)}


def test_coco_run_lengths_for_another_size_or_without_a_pixel_are_refused(tmp_path):
    images = [{"id": 1, "file_name": "a.png"}]
    found = read(tmp_path, coco({"segmentation": {"counts": [5, 2, 2, 1, 10], "size": [4, 5]}}, images=images))
    with pytest.raises(UnreadableImageError, match="is for an image of 4 x 5 pixels; this one has 5 x 4"):
        found["a.png"].mask((5, 4))
    found = read(tmp_path, coco({"segmentation": {"counts": [20], "size": [4, 5]}}), "empty.json")
    with pytest.raises(UnreadableImageError, match="marks a 'hole' without a pixel"):
        found["a.png"].mask((4, 5))


def test_coco_image_without_marks_or_size_and_class_without_name(tmp_path):
    images = [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}]
    found = read(tmp_path, coco({"bbox": [0, 0, 1, 1], "category_id": 99}, images=images))
    assert found["b.png"] == Annotated(None, ())
    assert found["a.png"].size is None
    assert found["a.png"].shapes[0].name == "defect"


@pytest.mark.parametrize(("place", "name", "wanted"), [
    ("a.png", "a.png", "a.png"),
    ("images/a.png", "a.png", "images/a.png"),
    ("images/a.png", "images/a.png", "images/a.png"),
    ("images/a.png", "../images/a.png", "images/a.png"),
    ("annotations/a.png", "./a.png", "annotations/a.png"),
])  # fmt: skip
def test_coco_image_is_found_where_exports_put_it(tmp_path, place, name, wanted):
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).touch()
    images = [{"id": 1, "file_name": name}]
    assert list(read(tmp_path, coco(images=images), "annotations/marks.json")) == [wanted]


@pytest.mark.parametrize("name", ["../a.png", "/etc/hostname", "x/../../a.png", ".."])
def test_coco_image_outside_the_folder_is_refused(tmp_path, name):
    folder = tmp_path / "raw"
    with pytest.raises(FlawlineError, match="lies outside"):
        read(folder, coco(images=[{"id": 1, "file_name": name}]))


def test_coco_that_names_an_image_twice_is_refused_since_one_would_hide_the_others_marks(tmp_path):
    images = [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "./a.png"}]
    with pytest.raises(FlawlineError, match=r"names the image a\.png more than once"):
        read(tmp_path, coco({"bbox": [0, 0, 1, 1]}, images=images))
    images = [{"id": 1, "file_name": "a.png"}, {"id": 1, "file_name": "b.png"}]
    with pytest.raises(FlawlineError, match="gives several images the same id"):
        read(tmp_path, coco(images=images))


@pytest.mark.parametrize(("mark", "reason"), [
    ({"bbox": [0, 0, 1]}, "not enough values"),
    ({"bbox": [0, 0, 0, 1]}, "has the box"),
    ({"bbox": [0, 0, -2, 1]}, "has the box"),
    ({"bbox": "1234"}, "wanted a list of numbers, got 1234"),
    ({"bbox": None}, "wanted a list of numbers"),
    ({"bbox": [0, 0, "1", 1]}, "wanted a list of numbers"),
    ({"bbox": [0, 0, True, 1]}, "wanted a list of numbers"),
    ({"bbox": [0, 0, float("nan"), 1]}, "wanted a list of numbers"),
    ({"bbox": [0, 0, float("inf"), 1]}, "wanted a list of numbers"),
    ({"bbox": [0, 0, 10**400, 1]}, "OverflowError"),
    ({"segmentation": [[0, 0, 1e300, 0, 1e300, 1e300]]}, "wanted a list of numbers"),
    ({}, "KeyError: 'bbox'"),
    ({"segmentation": [[1, 2, 3, 4]]}, "a polygon of 4 numbers"),
    ({"segmentation": [[1, 2, 3, 4, 5, 6, 7]]}, "a polygon of 7 numbers"),
    ({"segmentation": ["123456"]}, "wanted a list of numbers"),
    ({"segmentation": [[1, 2, 3, 4, 5, float("nan")]]}, "wanted a list of numbers"),
    ({"segmentation": {"counts": [3, 4], "size": [4, 5]}}, "a run-length mask of 7 pixels for an image of 4 x 5"),
    ({"segmentation": {"counts": [-1, 21], "size": [4, 5]}}, "wanted the lengths of runs"),
    ({"segmentation": {"counts": "0", "size": [4, 5]}}, "a run-length mask of 0 pixels"),
    ({"segmentation": {"counts": None, "size": [4, 5]}}, "wanted the lengths of runs"),
    ({"segmentation": {"counts": [20], "size": [4]}}, "not enough values"),
    ({"segmentation": {"counts": [20]}}, "KeyError: 'size'"),
    ({"bbox": [0, 0, 1, 1], "image_id": 5}, "annotation 0 is for image 5, which is none"),
    ({"bbox": [0, 0, 1, 1], "image_id": []}, "TypeError"),
])  # fmt: skip
def test_malformed_coco_marks_are_refused_with_the_reason(tmp_path, mark, reason):
    with pytest.raises(FlawlineError, match=reason):
        read(tmp_path, coco(mark))


@pytest.mark.parametrize("tree", [
    "", "[]", "{}", "3", '{"images": 1, "annotations": []}', '{"images": [{}], "annotations": []}',
    '{"images": [{"id": 1}], "annotations": []}', '{"images": [1], "annotations": []}',
    '{"images": [{"id": 1, "file_name": "a", "height": Infinity, "width": 1}], "annotations": []}',
    '{"images": [{"id": 1, "file_name": "a", "height": "x", "width": 1}], "annotations": []}',
    '{"images": [], "annotations": [], "categories": 5}', "[" * 100_000, '{"images": ' + "9" * 5000 + "}", "\xff",
])  # fmt: skip
def test_malformed_coco_files_are_refused(tmp_path, tree):
    with pytest.raises(FlawlineError, match="is not a COCO file"):
        read(tmp_path, tree)


def test_huge_polygon_is_cut_at_the_images_edge_in_no_time(tmp_path):
    found = read(tmp_path, coco({"segmentation": [[-1e9, -1e9, 1e9, -1e9, 1e9, 1e9, -1e9, 1e9]]}))
    start = time.perf_counter()
    assert found["a.png"].mask((4, 5)).all()
    assert time.perf_counter() - start < 1


def test_only_files_with_images_and_annotations_are_coco(tmp_path):
    (tmp_path / "sub" / "deeper").mkdir(parents=True)
    for name, text in (("a.json", json.dumps(coco())), ("b.json", "[]"), ("c.json", "[" * 100_000), ("d.json", "{"),
                       ("sub/e.json", json.dumps(coco())), ("sub/deeper/f.json", json.dumps(coco()))):  # fmt: skip
        (tmp_path / name).write_text(text)
    assert [path.name for path in find_coco_files(tmp_path)] == ["a.json", "e.json"]


def test_changed_file_is_read_again(tmp_path):
    assert list(read(tmp_path, coco())) == ["a.png"]
    (tmp_path / "marks.json").write_text(json.dumps(coco(images=[{"id": 1, "file_name": "b.png"}])))
    os.utime(tmp_path / "marks.json", ns=(1, 1))
    assert list(read_coco(tmp_path, "marks.json")) == ["b.png"]

import json
import os
import time

import pytest
from marking import marked, rectangle

from flawline.checks import FlawlineError
from flawline.intake.annotations.base import Annotated
from flawline.intake.annotations.coco import is_coco, read_coco
from flawline.intake.decoding import UnreadableImageError


def coco(*marks, images=None, **more):
    images = images or [{"id": 1, "file_name": "a.png", "height": 4, "width": 5}]
    categories = [{"id": 7, "name": "hole"}]
    annotations = [{"id": k, "image_id": 1, "category_id": 7, **mark} for k, mark in enumerate(marks)]
    return {"images": images, "annotations": annotations, "categories": categories, **more}


def read(folder, tree, file="marks.json"):
    (folder / file).parent.mkdir(parents=True, exist_ok=True)
    (folder / file).write_text(tree if isinstance(tree, str) else json.dumps(tree))
    return read_coco(folder, file, changed(folder, file)).images


def changed(folder, file="marks.json"):
    return (folder / file).stat().st_mtime_ns


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


@pytest.mark.parametrize(("place", "name"), [
    ("images/a.png", r"images\a.png"),
    ("images/a.png", r"..\images\a.png"),
    ("images/ä b.png", "images/%C3%A4%20b.png"),
    ("images/100%.png", "100%.png"),
    ("images/default/a.png", "a.png"),
    ("images/default/a.png", "default/a.png"),
    ("shots/line 1/a.png", "/home/somebody/export/line 1/a.png"),
    ("shots/line 1/a.png", r"C:\export\line 1\a.png"),
    ("images/a.png", "/data/local-files/?d=images/a.png"),
    ("images/a.png", "http://host:8080/data/upload/1/a.png"),
    ("images/A.PNG", "a.png"),
    ("Pru\u0308fling.png", "Pr\u00fcfling.png"),
])  # fmt: skip
def test_coco_image_is_found_however_its_name_is_written(tmp_path, place, name):
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / place).touch()
    assert list(read(tmp_path, coco(images=[{"id": 1, "file_name": name}]), "annotations/instances_default.json")) == [
        place
    ]


def test_coco_image_of_a_name_that_several_have_is_the_one_with_more_folders_in_common(tmp_path):
    for place in ("a/1.png", "b/1.png"):
        (tmp_path / place).parent.mkdir()
        (tmp_path / place).touch()
    assert list(read(tmp_path, coco(images=[{"id": 1, "file_name": "/x/b/1.png"}]))) == ["b/1.png"]
    assert list(read(tmp_path, coco(images=[{"id": 1, "file_name": "/x/c/1.png"}]), "other.json")) == ["x/c/1.png"]


@pytest.mark.parametrize("name", ["../a.png", "/etc/hostname", "x/../../a.png", "..", "../..", r"..\..\x.png"])
def test_coco_image_outside_the_folder_is_not_reached(tmp_path, name):
    folder = tmp_path / "raw"
    (found,) = read(folder, coco(images=[{"id": 1, "file_name": name}]))
    assert (folder / found).resolve().is_relative_to(folder)


def test_coco_that_names_an_image_twice_counts_all_that_is_marked(tmp_path):
    images = [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "./a.png"}]
    found = read(tmp_path, coco({"bbox": [0, 0, 1, 1]}, {"bbox": [1, 1, 1, 1], "image_id": 2}, images=images))
    assert marked(found["a.png"].mask((4, 5))) == {(0, 0), (1, 1)}


def test_coco_images_of_the_same_id_cannot_be_told_apart(tmp_path):
    images = [{"id": 1, "file_name": "a.png"}, {"id": 1, "file_name": "b.png"}, {"id": 2, "file_name": "c.png"}]
    found = read(tmp_path, coco({"bbox": [0, 0, 1, 1]}, images=images))
    assert [each.problem for each in found.values()] == ["gives several images the id 1"] * 2 + [""]


@pytest.mark.parametrize(("image", "mark"), [(-3, -3), (3, "3"), ("x", "x"), (0, 0), (8, 8.0), (8, "0008")])
def test_coco_ids_may_be_negative_or_text(tmp_path, image, mark):
    images = [{"id": image, "file_name": "a.png"}]
    assert read(tmp_path, coco({"bbox": [0, 0, 1, 1], "image_id": mark}, images=images))["a.png"].shapes


@pytest.mark.parametrize(("mark", "reason"), [
    ({"bbox": [0, 0, 1]}, "not enough values"),
    ({"bbox": [0, 0, 0, 1]}, "has no area"),
    ({"bbox": [0, 0, -2, 1]}, "has no area"),
    ({"bbox": "1234"}, "wanted a list of numbers, got 1234"),
    ({"bbox": None}, "it has neither an outline nor a box"),
    ({"bbox": [0, 0, "1", 1]}, "wanted a list of numbers"),
    ({"bbox": [0, 0, True, 1]}, "wanted a list of numbers"),
    ({"bbox": [0, 0, float("nan"), 1]}, "wanted a list of numbers"),
    ({"bbox": [0, 0, float("inf"), 1]}, "wanted a list of numbers"),
    ({"bbox": [0, 0, 10**400, 1]}, "too large"),
    ({"segmentation": [[0, 0, 1e300, 0, 1e300, 1e300]]}, "wanted a list of numbers"),
    ({}, "it has neither an outline nor a box"),
    ({"segmentation": [[1, 2, 3, 4]]}, "a polygon of 4 numbers"),
    ({"segmentation": [[1, 2, 3, 4, 5, 6, 7]]}, "a polygon of 7 numbers"),
    ({"segmentation": ["123456"]}, "wanted a list of numbers"),
    ({"segmentation": [[1, 2, 3, 4, 5, float("nan")]]}, "wanted a list of numbers"),
    ({"segmentation": {"counts": [3, 4], "size": [4, 5]}}, "a run-length mask of 7 pixels for an image of 4 x 5"),
    ({"segmentation": {"counts": [-1, 21], "size": [4, 5]}}, "wanted the lengths of runs"),
    ({"segmentation": {"counts": "0", "size": [4, 5]}}, "a run-length mask of 0 pixels"),
    ({"segmentation": {"counts": None, "size": [4, 5]}}, "wanted the lengths of runs"),
    ({"segmentation": {"counts": [20], "size": [4]}}, "not enough values"),
    ({"segmentation": {"counts": [20]}}, "it has no 'size'"),
])  # fmt: skip
def test_malformed_coco_mark_is_its_images_problem_and_named_by_its_id(tmp_path, mark, reason):
    found = read(tmp_path, coco({"bbox": [0, 0, 1, 1], "image_id": 2}, mark, images=[
        {"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"},
    ]))  # fmt: skip
    assert found["a.png"].problem.startswith("cannot be used (annotation 1: ")
    assert reason in found["a.png"].problem
    assert not found["b.png"].problem


@pytest.mark.parametrize("mark", [{"bbox": [0, 0, 1, 1], "image_id": 5}, {"bbox": [0, 0, 1, 1], "image_id": []}])
def test_coco_mark_of_no_image_is_told(tmp_path, mark):
    read(tmp_path, coco(mark))
    (note,) = read_coco(tmp_path, "marks.json", changed(tmp_path)).notes
    assert note.text == "1 annotations of marks.json are for images that it does not list, the first: annotation 0."
    assert note.caution


def test_coco_entries_without_a_name_are_told(tmp_path):
    assert list(read(tmp_path, coco(images=[{"id": 1}, 7, {"id": 2, "file_name": "b.png"}]))) == ["b.png"]
    (note,) = read_coco(tmp_path, "marks.json", changed(tmp_path)).notes
    assert note.text == "2 images of marks.json have no id or no file name and are left out."


@pytest.mark.parametrize("tree", [
    "", "[]", "{}", "3", '{"images": 1, "annotations": []}', '{"images": [], "annotations": 7}',
    '{"images": [], "annotations": [], "categories": 5}', "[" * 100_000, '{"images": ' + "9" * 5000 + "}", "\xff",
])  # fmt: skip
def test_malformed_coco_files_are_refused(tmp_path, tree):
    with pytest.raises(FlawlineError, match="is not a COCO file"):
        read(tmp_path, tree)


@pytest.mark.parametrize("size", [{"height": float("inf"), "width": 1}, {"height": "x", "width": 1}, {"height": 0}])
def test_coco_size_that_is_none_is_not_known(tmp_path, size):
    assert read(tmp_path, coco(images=[{"id": 1, "file_name": "a.png", **size}]))["a.png"].size is None


@pytest.mark.parametrize(("mark", "reason"), [
    ({"bbox": [60, 50, 80, 70]}, "it reaches to (140, 120) in an image of 100 x 100 pixels"),  # two corners
    ({"bbox": [0.6, 0.5, 0.2, 0.2]}, "it lies within the first pixel; wanted pixels, not shares of the image"),
    ({"segmentation": [[0.1, 0.1, 0.9, 0.1, 0.9, 0.9]]}, "it lies within the first pixel"),
    ({"bbox": [60, 50, 45, 54]}, ""),  # a little beyond the image
])  # fmt: skip
def test_coco_numbers_that_are_no_pixels_of_the_image_are_its_problem(tmp_path, mark, reason):
    images = [{"id": 1, "file_name": "a.png", "height": 100, "width": 100}]
    found = read(tmp_path, coco(mark, images=images))["a.png"]
    assert reason in found.problem
    assert bool(found.problem) == bool(reason)


def test_huge_polygon_is_cut_at_the_images_edge_in_no_time(tmp_path):
    images = [{"id": 1, "file_name": "a.png"}]  # that says no size
    found = read(tmp_path, coco({"segmentation": [[-1e9, -1e9, 1e9, -1e9, 1e9, 1e9, -1e9, 1e9]]}, images=images))
    start = time.perf_counter()
    assert found["a.png"].mask((4, 5)).all()
    assert time.perf_counter() - start < 1


@pytest.mark.parametrize(("text", "wanted"), [
    (json.dumps(coco()), True),
    (json.dumps(coco({"bbox": [0, 0, 1, 1]})), True),
    (json.dumps(coco({"caption": "a grey part"})), False),
    ('{"images": [{"id": 1}], "annotations": []}', False),
    ('{"images": {}, "annotations": {}}', False),
    ("[]", False), ("[" * 100_000, False), ("{", False), ("", False),
])  # fmt: skip
def test_a_file_is_coco_if_it_lists_images_by_name_and_marks_them(tmp_path, text, wanted):
    (tmp_path / "a.json").write_text(text)
    assert is_coco(tmp_path / "a.json") == wanted


def test_changed_file_is_read_again(tmp_path):
    assert list(read(tmp_path, coco())) == ["a.png"]
    (tmp_path / "marks.json").write_text(json.dumps(coco(images=[{"id": 1, "file_name": "b.png"}])))
    os.utime(tmp_path / "marks.json", ns=(1, 1))
    assert list(read_coco(tmp_path, "marks.json", changed(tmp_path)).images) == ["b.png"]

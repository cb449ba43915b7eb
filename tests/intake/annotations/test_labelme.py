import base64
import json

import numpy as np
import pytest
from marking import marked, rectangle

from flawline.intake.annotations.labelme import is_labelme, read_labelme
from flawline.intake.decoding import UnreadableImageError, encode_png


def shape(points, kind="polygon", **more):
    return {"label": "dent", "points": points, "shape_type": kind, **more}


def read(folder, *shapes, **more):
    tree = {"version": "5.4.1", "shapes": list(shapes), "imagePath": "a.png", "imageHeight": 4, "imageWidth": 5} | more
    (folder / "a.json").write_text(json.dumps(tree))
    return read_labelme(folder / "a.json")


def png(pixels):
    return base64.b64encode(encode_png(np.array(pixels, np.uint8)[None])).decode()


@pytest.mark.parametrize(("drawn", "wanted"), [
    (shape([[1, 1], [3, 1], [3, 3], [1, 3]]), rectangle(1, 1, 2, 2)),
    (shape([[3, 3], [1, 1]], "rectangle"), rectangle(1, 1, 2, 2)),
    (shape([[2.5, 2], [2.5, 1]], "circle"), {(2, 1), (2, 2)}),
    (shape([[0.5, 0.5], [3.5, 0.5]], "line"), rectangle(0, 0, 3, 0)),
    (shape([[0.5, 0.5], [3.5, 0.5], [3.5, 1.5]], "linestrip"), rectangle(0, 0, 3, 0) | {(3, 1)}),
    (shape([[1, 1], [2, 2]], "mask", mask=png([[0, 255], [255, 255]])), {(2, 1), (1, 2), (2, 2)}),
    (shape([[1, 1], [2, 2]], "mask", mask=png([[0, 1], [1, 1]])), {(2, 1), (1, 2), (2, 2)}),
])  # fmt: skip
def test_each_kind_of_shape(tmp_path, drawn, wanted):
    found = read(tmp_path, drawn)
    assert found.shapes[0].name == "dent"
    assert marked(found.mask((4, 5))) == wanted


def test_without_shapes_nothing_is_marked(tmp_path):
    assert read(tmp_path).shapes == ()
    assert read(tmp_path, imageHeight=None).size is None


@pytest.mark.parametrize(("drawn", "reason"), [
    (shape([[1, 1]], "point"), "marks a 'dent' by a point, which marks no area"),
    (shape([[1, 1], [2, 2]]), "a polygon of 2 corners"),
    (shape([[1, 1], [1, 2]], "rectangle"), r"a box from \(1, 1\) to \(1, 2\)"),
    (shape([[1, 1], [1, 1]], "circle"), "an ellipse with the half axes 0 and 0"),
    (shape([[1, 1]], "line"), "a line of 1 points"),
    (shape([[1, 1, 1]]), "unpack"),
    (shape([[1, "x"], [2, 2], [3, 3]]), "could not convert"),
    (shape([[1, 1], [2, 2]], "mask"), "'mask'"),
    (shape([[4, 3], [5, 4]], "mask", mask=png([[0, 255], [255, 255]])), r"a mask of 2 x 2 pixels at \(4, 3\)"),
    (shape([[-1, 0], [0, 1]], "mask", mask=png([[0, 255], [255, 255]])), r"a mask of 2 x 2 pixels at \(-1, 0\)"),
    (shape([[1, 1], [2, 2]], "mask", mask="!"), "cannot be read"),
    (7, "cannot be read"),
])  # fmt: skip
def test_bad_shape_is_refused_with_the_reason(tmp_path, drawn, reason):
    with pytest.raises(UnreadableImageError, match=reason):
        read(tmp_path, drawn)


def test_mask_without_the_images_size_is_refused(tmp_path):
    with pytest.raises(UnreadableImageError, match="a mask, but no imageHeight and imageWidth"):
        read(tmp_path, shape([[1, 1], [2, 2]], "mask", mask=png([[0, 255], [255, 255]])), imageHeight=0)


@pytest.mark.parametrize(("text", "wanted"), [
    ('{"shapes": [], "imagePath": "a.png"}', True),
    ('{"shapes": {}, "imagePath": "a.png"}', False),
    ('{"shapes": []}', False), ("[]", False), ("{", False), ("[" * 100_000, False),
])  # fmt: skip
def test_labelme_is_told_by_what_it_holds(tmp_path, text, wanted):
    (tmp_path / "a.json").write_text(text)
    assert is_labelme(tmp_path / "a.json") == wanted

import numpy as np
import pytest
from marking import marked, rectangle

from flawline.intake.annotations.base import Annotated, Runs, Shape, box, ellipse, polygon, turned, united
from flawline.intake.decoding import UnreadableImageError


def mask_of(*shapes, size=(4, 5), **options):
    return marked(Annotated(None, shapes, **options).mask(size))


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


@pytest.mark.parametrize(
    "corners", [((5.1, 0), (6, 1)), ((-3, 0), (-0.1, 2)), ((0, 4.1), (2, 9)), ((1e8, 0), (1e9, 1))]
)
@pytest.mark.parametrize("kind", ["box", "polygon"])
def test_shape_outside_the_image_is_refused(corners, kind):
    (x1, y1), (x2, y2) = corners
    points = corners if kind == "box" else ((x1, y1), (x2, y1), (x2, y2))
    with pytest.raises(UnreadableImageError, match="marks a 'hole' outside the image, at"):
        Annotated(None, (Shape("hole", points, kind),)).mask((4, 5))


def test_annotation_for_another_size_is_refused():
    with pytest.raises(UnreadableImageError, match="is for an image of 3 x 4 pixels; this one has 4 x 3"):
        Annotated((3, 4), ()).mask((4, 3))


# --- lines -----------------------------------------------------------------------------------------------------------
def line(*points, kind="polygon"):
    return Shape("scratch", points, kind)


@pytest.mark.parametrize(("points", "wanted"), [
    (((0.2, 1.3), (4.6, 1.3), (4.6, 1.5), (0.2, 1.5)), rectangle(0, 1, 4, 1)),  # a fifth of a pixel wide
    (((1.2, 0.1), (1.2, 3.9), (1.2, 0.1)), rectangle(1, 0, 1, 3)),  # no width at all
    (((2.5, 2.5), (2.5, 2.5), (2.5, 2.5)), {(2, 2)}),  # a point
    (((0.5, 0.5), (3.5, 3.5), (0.5, 0.5)), {(i, i) for i in range(4)}),
])  # fmt: skip
def test_outline_thinner_than_a_pixel_marks_the_pixels_it_crosses(points, wanted):
    assert mask_of(line(*points)) == wanted


def test_thin_outline_has_no_gaps_where_it_holds_some_centres():
    assert mask_of(line((0, 0.3), (5, 1.2), (5, 1.7), (0, 0.8))) >= {(0, 0), (1, 0), (2, 0), (2, 1), (3, 1), (4, 1)}


def test_outline_between_the_centres_marks_the_pixels_it_crosses():
    assert mask_of(line((0, 0.6), (5, 0.6), (5, 1.4), (0, 1.4))) == rectangle(0, 0, 4, 1)


def test_outline_of_a_pixel_and_more_marks_centres_only():
    assert mask_of(line((1, 1), (4, 1), (4, 3), (1, 3))) == rectangle(1, 1, 3, 2)


def test_path_is_not_closed():
    corner = line((0.5, 0.5), (3.5, 0.5), (3.5, 3.5), kind="path")
    assert mask_of(corner) == rectangle(0, 0, 3, 0) | rectangle(3, 0, 3, 3)


def test_line_that_leaves_the_image_marks_what_is_inside_in_no_time():
    assert mask_of(line((-1e9, 1.5), (1e9, 1.5), kind="path")) == rectangle(0, 1, 4, 1)


@pytest.mark.parametrize("points", [((-9, -9), (-1, -9)), ((7, 0), (9, 3)), ((0, 5.2), (5, 5.2))])
def test_line_outside_the_image_is_refused(points):
    with pytest.raises(UnreadableImageError, match="marks a 'scratch' outside the image"):
        mask_of(line(*points, kind="path"))


# --- other shapes ----------------------------------------------------------------------------------------------------
def test_ellipse_and_circle():
    mask = Annotated(None, (ellipse("hole", 10, 10, 6, 3),)).mask((20, 20))
    ys, xs = np.mgrid[:20, :20] + 0.5
    wanted = ((xs - 10) / 6) ** 2 + ((ys - 10) / 3) ** 2 <= 1
    assert (mask != wanted).sum() <= 4  # it is drawn as a polygon of 64 corners
    with pytest.raises(ValueError, match="half axes 0 and 3"):
        ellipse("hole", 1, 1, 0, 3)


def test_turned_ellipse():
    upright = Annotated(None, (ellipse("hole", 10, 10, 2, 6),)).mask((20, 20))
    turned_one = Annotated(None, (ellipse("hole", 10, 10, 6, 2, degrees=90),)).mask((20, 20))
    assert (upright != turned_one).sum() <= 4


def test_box_turned_by_a_quarter_and_by_an_eighth():
    assert mask_of(turned(box("a", 0, 1, 4, 3), 90)) == rectangle(1, 0, 2, 3)
    assert mask_of(turned(box("a", 1, 1, 3, 3), 45)) == rectangle(1, 1, 2, 2)


def test_shares_of_the_image():
    assert mask_of(box("a", 0.2, 0.25, 0.6, 0.5), relative=True) == rectangle(1, 1, 2, 1)


def test_what_is_wrong_with_an_annotation_is_the_reason():
    with pytest.raises(UnreadableImageError, match="is a riddle"):
        Annotated(None, (), problem="is a riddle").mask((4, 5))


@pytest.mark.parametrize("corners", [(2, 1, 2, 3), (2, 1, 1, 3), (0, 3, 4, 3)])
def test_box_without_area_is_refused(corners):
    with pytest.raises(ValueError, match="a box from"):
        box("a", *corners)


def test_polygon_of_two_corners_is_refused():
    with pytest.raises(ValueError, match="a polygon of 2 corners; wanted three or more"):
        polygon("a", ((0, 0), (1, 1)))


# --- two annotations of one image ------------------------------------------------------------------------------------
def test_two_annotations_mark_together_each_shape_once():
    first, second = box("a", 0, 0, 1, 1), box("b", 2, 2, 3, 3)
    both = united(Annotated((4, 5), (first,)), Annotated(None, (first, second)))
    assert both == Annotated((4, 5), (first, second))


def test_two_annotations_for_different_sizes_cannot_be_used():
    both = united(Annotated((4, 5), ()), Annotated((5, 4), ()))
    assert both.problem == "is named twice, with different sizes"
    assert united(Annotated(None, (), problem="bad"), Annotated(None, ())).problem == "bad"


def test_runs_for_another_size_are_refused():
    with pytest.raises(UnreadableImageError, match="is for an image of 1 x 2 pixels; this one has 4 x 5"):
        mask_of(Runs("a", (1, 1), (1, 2)))

import pytest
from marking import marked, rectangle

from flawline.checks import FlawlineError
from flawline.intake.annotations.cvat import is_cvat, read_cvat


def read(folder, *marks, image='name="a.png" width="5" height="4"', before=""):
    text = f"<annotations><version>1.1</version>{before}<image id='0' {image}>{''.join(marks)}</image></annotations>"
    (folder / "annotations.xml").write_text(text)
    return read_cvat(folder, "annotations.xml", (folder / "annotations.xml").stat().st_mtime_ns)


def mask_of(folder, mark):
    return marked(read(folder, mark).images["a.png"].mask((4, 5)))


@pytest.mark.parametrize(("mark", "wanted"), [
    ('<box label="dent" xtl="1" ytl="1" xbr="3" ybr="3"/>', rectangle(1, 1, 2, 2)),
    ('<box label="dent" xtl="0" ytl="1" xbr="4" ybr="3" rotation="90"/>', rectangle(1, 0, 2, 3)),
    ('<polygon label="dent" points="1,1;3,1;3,3;1,3"/>', rectangle(1, 1, 2, 2)),
    ('<polyline label="dent" points="0.5,0.5;3.5,0.5"/>', rectangle(0, 0, 3, 0)),
    ('<ellipse label="dent" cx="2.5" cy="2" rx="1.1" ry="1.1"/>', rectangle(2, 1, 2, 2)),
    ('<mask label="dent" rle="1, 2, 1" left="1" top="2" width="2" height="2"/>', {(2, 2), (1, 3)}),
    ('<mask label="dent" rle="0, 6" left="0" top="0" width="3" height="2"/>', rectangle(0, 0, 2, 1)),
])  # fmt: skip
def test_each_kind_of_mark(tmp_path, mark, wanted):
    found = read(tmp_path, mark).images["a.png"]
    assert not found.problem
    assert found.shapes[0].name == "dent"
    assert mask_of(tmp_path, mark) == wanted


@pytest.mark.parametrize(("mark", "reason"), [
    ('<box label="dent" xtl="1" ytl="1" xbr="1" ybr="3"/>', r"a box from \(1, 1\) to \(1, 3\)"),
    ('<box label="dent" xtl="1" ytl="1" xbr="3"/>', "float"),
    ('<box label="dent" xtl="nan" ytl="1" xbr="3" ybr="3"/>', "xtl is nan"),
    ('<points label="dent" points="1,1"/>', "marks a 'dent' by points, which mark no area"),
    ('<polygon label="dent" points="1,1;3,1"/>', "a polygon of 2 corners"),
    ('<polygon label="dent" points="1;3"/>', "the points 1;3"),
    ('<polygon label="dent"/>', "the points None"),
    ('<polyline label="dent" points="1,1"/>', "a line of 1 points"),
    ('<mask label="dent" rle="1, 2" left="1" top="2" width="2" height="2"/>', "a mask of 3 pixels for a box of 2 x 2"),
    ('<mask label="dent" rle="1, 3" left="4" top="2" width="2" height="2"/>', "a mask of 4 pixels"),
    ('<mask label="dent" rle="5, -1" left="0" top="0" width="2" height="2"/>', "a mask of 4 pixels"),
    ('<mask label="dent" rle="" left="0" top="0" width="2" height="2"/>', "invalid literal"),
])  # fmt: skip
def test_bad_mark_is_its_images_problem(tmp_path, mark, reason):
    found = read(tmp_path, mark, before="<image name='b.png' width='5' height='4'/>").images
    assert found["a.png"].problem.startswith("cannot be used (")
    with pytest.raises(FlawlineError, match=reason):
        found["a.png"].mask((4, 5))
    assert not found["b.png"].problem


def test_a_class_of_the_whole_image_is_its_label(tmp_path):
    found = read(tmp_path, '<tag label="ok"/>').images["a.png"]
    assert (found.labels, found.shapes) == (("ok",), ())


def test_subset_of_an_image_is_told(tmp_path):
    assert read(tmp_path, image='name="a.png" subset="Train"').splits == {"a.png": "Train"}
    assert read(tmp_path, image='name="a.png"').images["a.png"].size is None


def test_pictures_are_found_by_their_subset(tmp_path):
    (tmp_path / "images" / "Train").mkdir(parents=True)
    (tmp_path / "images" / "Train" / "a.png").touch()
    assert list(read(tmp_path, image='name="a.png" subset="Train"').images) == ["images/Train/a.png"]


def test_image_named_twice_counts_all_that_is_marked(tmp_path):
    box = '<box label="dent" xtl="0" ytl="0" xbr="1" ybr="1"/>'
    found = read(tmp_path, box, before=f"<image name='a.png' width='5' height='4'>{box.replace('1', '2')}</image>")
    assert len(found.images["a.png"].shapes) == 2


def test_tasks_of_videos_are_refused_with_what_to_do(tmp_path):
    (tmp_path / "v.xml").write_text("<annotations><track id='0' label='dent'><box frame='0'/></track></annotations>")
    with pytest.raises(FlawlineError, match=r"is of CVAT for video; wanted CVAT for images 1\.1"):
        read_cvat(tmp_path, "v.xml", 0)


@pytest.mark.parametrize("text", ["", "<annotations>", "<annotations>&x;</annotations>"])
def test_broken_file_is_refused(tmp_path, text):
    (tmp_path / "b.xml").write_text(text)
    with pytest.raises(FlawlineError, match=r"b\.xml cannot be read as CVAT's annotations"):
        read_cvat(tmp_path, "b.xml", 0)


def test_cvat_is_told_by_its_root(tmp_path):
    for name, text in (("a.xml", "<annotations/>"), ("b.xml", "<annotation/>"), ("c.xml", "annotations")):
        (tmp_path / name).write_text(text)
    assert [is_cvat(tmp_path / name) for name in ("a.xml", "b.xml", "c.xml", "d.xml")] == [True, False, False, False]

import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from marking import marked, rectangle

from flawline.intake.annotations.base import Annotated
from flawline.intake.annotations.voc import is_voc, read_voc
from flawline.intake.decoding import UnreadableImageError

BOX = "<xmin>2</xmin><ymin>1</ymin><xmax>3</xmax><ymax>2</ymax>"


def voc(box=BOX, name="<name>hole</name>", size="<size><width>4</width><height>3</height></size>"):
    return f"<annotation>{size}<object>{name}<bndbox>{box}</bndbox></object></annotation>".encode()


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
    (tmp_path / "c.xml").write_text("<annotations><annotation/></annotations>")
    (tmp_path / "d.xml").write_text('<?xml version="1.0"?><!-- <html/> --><annotation verified="yes"/>')
    names = ("a.xml", "b.xml", "c.xml", "d.xml", "gone.xml")
    assert [is_voc(tmp_path / name) for name in names] == [True, False, False, True, False]


@given(st.binary(max_size=60), st.integers(0, 200))
def test_any_bytes_are_voc_or_refused(garbage, kept):
    content = voc()[:kept] + garbage + voc()[kept:]
    with suppress(UnreadableImageError):
        assert isinstance(read_voc(content), Annotated)

"""Texts in the encodings that people's tools write."""

import pytest

from flawline.intake.texts import read_text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252", "latin-1"])
def test_texts_of_all_encodings_are_read(tmp_path, encoding):
    (tmp_path / "a.csv").write_bytes("Prüfling;gut\n".encode(encoding))
    assert read_text(tmp_path / "a.csv") == "Prüfling;gut\n"


@pytest.mark.parametrize("content", [b"a\0b", b"\x81\xff", b"\xff\xfea"])
def test_what_is_no_text_is_refused(tmp_path, content):
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(ValueError, match=r"no text|can't decode|codec"):
        read_text(tmp_path / "a.csv")


def test_only_the_beginning_is_read(tmp_path):
    (tmp_path / "a.txt").write_text("abcdef")
    assert read_text(tmp_path / "a.txt", 3) == "abc"

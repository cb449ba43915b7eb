import pytest

from flawline.storage.whole import write_whole


def test_texts_are_utf_8_and_bytes_are_as_they_are(tmp_path):
    write_whole(tmp_path / "a" / "b.txt", "ü\n")
    write_whole(tmp_path / "a" / "c.bin", b"\xff")
    assert (tmp_path / "a" / "b.txt").read_bytes() == b"\xc3\xbc\n"
    assert (tmp_path / "a" / "c.bin").read_bytes() == b"\xff"


def test_what_was_there_stays_whole_if_the_new_cannot_be_written(tmp_path):
    (tmp_path / "a").write_text("old")
    with pytest.raises(UnicodeEncodeError):
        write_whole(tmp_path / "a", "\ud800")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_text() == "old"

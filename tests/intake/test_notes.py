"""Notes on a raw folder: each once, the cautions first."""

from flawline.intake.notes import Note, notes_table, texts


def test_a_note_stands_once_and_cautions_come_first():
    table = notes_table([Note("plain"), Note("dark", caution=True), Note("plain")])
    assert table["text"].tolist() == ["dark", "plain"]
    assert texts(table, caution=True) == ["dark"]
    assert texts(table, caution=False) == ["plain"]


def test_without_notes_the_table_has_its_columns():
    table = notes_table([])
    assert list(table) == ["text", "caution"]
    assert texts(table, caution=True) == texts(table, caution=False) == []

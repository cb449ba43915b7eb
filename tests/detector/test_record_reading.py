"""Tables of verdicts as texts, whoever saved them last."""

import pytest
from written_verdicts import COLUMNS, record_of, write

from flawline.checks import FlawlineError
from flawline.detector.record_reading import Row, as_written, in_columns, read_table, recorded_columns
from flawline.storage.chain import csv_text


def test_fields_are_the_texts_that_were_written(tmp_path):
    record = write(tmp_path / "v.csv", 3)
    table = read_table(tmp_path / "v.csv")
    assert (table.header, table.rewritten) == (COLUMNS, ())
    assert [row.fields for row in table.rows] == list(record.rows)
    assert [(row.line, row.number) for row in table.rows] == [(2, 1), (3, 2), (4, 3)]


def test_a_line_is_the_files_own_where_fields_hold_several(tmp_path):
    (tmp_path / "v.csv").write_text('image,row,previous\n"a\nb",1,x\n\nc,2,y\n')
    assert [row.line for row in read_table(tmp_path / "v.csv").rows] == [2, 5]


@pytest.mark.parametrize(("said", "number"), [
    ("7", 7), ("0", None), ("07", None), ("7.0", None), ("", None), ("-1", None), ("٣", None), ("9" * 5000, None),
])  # fmt: skip
def test_number_of_a_row(said, number):
    assert Row(2, ("a", said, "x")).number == number


@pytest.mark.parametrize(("save", "said"), [
    (lambda text: text.replace("\n", "\r\n").encode(), "its lines do not end in a line feed alone"),
    (lambda text: text.replace(",", ";").encode(), "its fields are parted by ';'"),
    (lambda text: text.replace(",", "\t").encode(), "its fields are parted by"),
    (lambda text: text.encode("utf-8-sig"), "it is not in UTF-8, or begins with a byte order mark"),
    (lambda text: text.encode("utf-16"), "it is not in UTF-8"),
    (lambda text: text.encode("cp1252"), "it is not in UTF-8"),
    (lambda text: text.replace("pass", '"pass"').encode(), "its quotes or blank lines are others"),
    (lambda text: f"{text}\n\n".encode(), "its quotes or blank lines are others"),
])  # fmt: skip
def test_a_file_that_was_saved_again_has_the_same_fields_and_says_how(tmp_path, save, said):
    text = csv_text(("image", "verdict", "row"), [("ü 1.png", "pass", "1"), ("b", "reject", "2")])
    (tmp_path / "v.csv").write_bytes(save(text))
    table = read_table(tmp_path / "v.csv")
    assert [row.fields for row in table.rows] == [("ü 1.png", "pass", "1"), ("b", "reject", "2")]
    assert said in "; ".join(table.rewritten)


@pytest.mark.parametrize(("content", "said"), [
    (b"", "v.csv is empty; wanted the verdicts of an inspection"), (b"\xef\xbb\xbf \n", "is empty"),
    (b"PK\x03\x04\0\0\0", "is no text; wanted the verdicts of an inspection as CSV, not as a spreadsheet's own file"),
    (b"a,b\n1,2\n", "is no table of verdicts: wanted the column image in its first line, got 'a,b'"),
    (b"image,x\n" + b"x" * 200_000 + b"\n", "is no whole table: behind line 2 it cannot be read"),
])  # fmt: skip
def test_a_file_that_is_no_table_is_told(tmp_path, content, said):
    (tmp_path / "v.csv").write_bytes(content)
    with pytest.raises(FlawlineError, match=said):
        read_table(tmp_path / "v.csv")


def test_no_file_and_a_folder_are_told(tmp_path):
    with pytest.raises(FlawlineError, match=r"cannot read .*v\.csv: No such file"):
        read_table(tmp_path / "v.csv")
    with pytest.raises(FlawlineError, match=r"is a folder; wanted a file: verdicts\.csv of one of the versions in it"):
        read_table(tmp_path)


def test_columns_that_were_moved_or_added_are_put_in_order_and_told(tmp_path):
    record = write(tmp_path / "v.csv", 2)
    header = ("note", *reversed(COLUMNS))
    (tmp_path / "v.csv").write_text(csv_text(header, [("seen", *reversed(row)) for row in record.rows]))
    rows, said = in_columns(read_table(tmp_path / "v.csv"), COLUMNS)
    assert [row.fields for row in rows] == list(record.rows)
    assert said == [f"line 1: the header was changed: wanted {','.join(COLUMNS)}, got {','.join(header)}"]


def test_a_column_that_was_renamed_keeps_its_place_and_one_that_is_gone_is_named(tmp_path):
    record = write(tmp_path / "v.csv", 2)
    text = (tmp_path / "v.csv").read_text()
    (tmp_path / "v.csv").write_text(text.replace("score", "grade", 1))
    rows, said = in_columns(read_table(tmp_path / "v.csv"), COLUMNS)
    assert ([row.fields for row in rows], len(said)) == (list(record.rows), 1)
    (tmp_path / "v.csv").write_text(csv_text(COLUMNS[:-1], [row[:-1] for row in record.rows]))
    with pytest.raises(
        FlawlineError, match=r"lack columns that were recorded: previous\. line 1: the header was changed"
    ):
        in_columns(read_table(tmp_path / "v.csv"), COLUMNS)


def test_verdicts_without_hashes_are_of_an_older_version(tmp_path):
    (tmp_path / "v.csv").write_text("image,score,verdict\na,1,pass\n")
    table = read_table(tmp_path / "v.csv")
    with pytest.raises(FlawlineError, match=r"do not end in the columns row and previous.*Inspect the images again"):
        recorded_columns(table, None)
    assert recorded_columns(table, record_of(1).seal) == list(COLUMNS)


@pytest.mark.parametrize(
    ("score", "area", "row"), [("0,25", "30.0", "1.0"), (" 0.25 ", "30", "1"), ("2.5E-1", "3e1", "1")]
)
def test_numbers_of_a_spreadsheet_are_written_as_flawline_writes_them(score, area, row):
    columns = ("image", "score", "area", "row", "previous")
    assert as_written(Row(2, ("1,5", score, area, row, "x")), columns).fields == ("1,5", "0.25", "30", "1", "x")
    assert as_written(Row(2, ("a", "", "12.5", "inf", "x")), columns).fields == ("a", "", "12.5", "inf", "x")
    assert as_written(Row(2, ("a",)), columns).fields == ("a",)


@pytest.mark.parametrize("name", ["score", "threshold", "p_value", "area_mm2"])
def test_every_column_of_fractions_is_known_as_one(name):
    assert as_written(Row(2, ("a", "0,05", "1", "x")), ("image", name, "row", "previous")).fields[1] == "0.05"

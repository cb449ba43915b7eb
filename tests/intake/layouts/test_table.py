import pytest

from flawline.checks import FlawlineError
from flawline.intake.layouts import RawFile

UNLISTED = "is not named in images.csv"


@pytest.fixture
def table(raw):
    """A function that writes a table to the raw folder and returns the folder."""

    def write(*lines, file="images.csv", encoding="utf-8"):
        raw.write(file, "".join(f"{line}\n" for line in lines).encode(encoding))
        return raw

    return write


def test_table_by_hand(table):
    raw = table(
        "image,label,defect,mask,split,group",
        "b/2.png,1,scratch,m/2.png,test,lot 7",
        "a/1.png,0,,,train,lot 7",
        "a/3.png,dent,,,,",
    )
    assert raw.list() == [
        RawFile("a/1.png", 0, "good", "train", group="lot 7"),
        RawFile("a/3.png", 1, "dent"),
        RawFile("b/2.png", 1, "scratch", "test", "m/2.png", "lot 7"),
    ]


# --- columns ---------------------------------------------------------------------------------------------------------
def test_columns_are_named_by_parameters(table):
    raw = table("Datei,Urteil,Fehler,Maske,Satz,Los", "1.png,io,,,train,A", "2.png,nio,Riss,m.png,test,B", file="t.csv")
    columns = {"file": "t.csv", "image": "Datei", "label": "Urteil", "defect": "Fehler", "mask": "Maske",
               "split": "Satz", "group": "Los"}  # fmt: skip
    assert raw.list(good=("io",), table=columns) == [
        RawFile("1.png", 0, "good", "train", group="A"),
        RawFile("2.png", 1, "Riss", "test", "m.png", "B"),
    ]


@pytest.mark.parametrize("role", ["image", "label"])
def test_missing_column_is_named_with_the_nearest_one(table, role):
    raw = table({"image": "imag,label", "label": "image,lable"}[role], "1.png,0")
    near = {"image": "imag", "label": "lable"}[role]
    with pytest.raises(
        FlawlineError,
        match=rf"images.csv has no column '{role}' \(did you mean '{near}'\?\); it has: .*{near}.*\. "
        rf"Name the column with ingestion.table.{role}\.",
    ):
        raw.list()


def test_optional_column_is_wanted_once_a_parameter_names_it(table):
    raw = table("image,label,lots", "1.png,0,A")
    assert raw.files()["1.png"].group is None
    with pytest.raises(FlawlineError, match=r"no column 'lot' \(did you mean 'lots'\?\); it has: image, label, lots"):
        raw.list(table={"group": "lot"})


# --- labels and defects ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("told", ["0", "0.0", "good", "OK", "Normal", "false", "FALSE", "No Defect", " good "])
def test_words_for_normal(table, told):
    assert table("image,label", f"1.png,{told}").files()["1.png"] == RawFile("1.png", 0, "good")


@pytest.mark.parametrize("told", ["1", "1.0", "true", "Defect", "defective", "BAD", "ng"])
def test_words_for_defective_name_no_defect(table, told):
    assert table("image,label", "0.png,0", f"1.png,{told}").files()["1.png"] == RawFile("1.png", 1, "defect")


@pytest.mark.parametrize(
    ("told", "named", "defect"),
    [("1", "scratch", "scratch"), ("dent", "", "dent"), ("dent", "scratch", "scratch"), ("NA", "", "NA")],
)
def test_name_of_a_defect_is_its_column_s_else_the_label_s(table, told, named, defect):
    raw = table("image,label,defect", "0.png,0,none", f"1.png,{told},{named}")
    assert {file.defect for file in raw.list()} == {"good", defect}


def test_words_for_normal_are_the_parameter_s(table):
    raw = table("image,label", "1.png,pass", "2.png,good")
    assert [(file.label, file.defect) for file in raw.list(good=("Pass",))] == [(0, "good"), (1, "good")]


def test_empty_label_is_told(table):
    raw = table("image,label", "1.png,0", "2.png,", '3.png,"  "', "4.png")
    assert raw.unusable() == dict.fromkeys(["2.png", "3.png", "4.png"], "has no label in images.csv")


# --- how tables are written ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("separator", [",", ";", "\t", "|", ", ", "; "])
def test_separators(table, separator):
    raw = table(*(separator.join(row) for row in [("image", "label", "group"), ("a 1.png", "0", "x:y")]))
    assert raw.list() == [RawFile("a 1.png", 0, "good", group="x:y")]


def test_semicolons_and_a_comma_in_a_name(table):
    assert list(table("image;label", "a, b, c, d.png;0").files()) == ["a, b, c, d.png"]


def test_quoted_fields(table):
    raw = table('"image","label"', '"a, ""b"".png","0"', '"two\nlines.png",dent')
    assert list(raw.files()) == ['a, "b".png', "two\nlines.png"]


def test_spaces_around_fields_and_names_of_columns(table):
    raw = table('label , image, "defect"', '0, "a, b.png",', '1, c.png , "dent, deep"')
    assert raw.list() == [RawFile("a, b.png", 0, "good"), RawFile("c.png", 1, "dent, deep")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_tables_of_all_encodings_are_read(table, encoding):
    assert list(table("image,label", "ä.png,0", encoding=encoding).files()) == ["ä.png"]


def test_names_without_their_endings_are_found(table):
    raw = table("image,label", "part_0001,0", "b/part_0002,1")
    raw.touch("a/part_0001.png", "b/part_0002.jpg", "c/part_0002.jpg")
    assert [file.path for file in raw.list() if not file.unusable] == ["a/part_0001.png", "b/part_0002.jpg"]


@pytest.mark.parametrize(("path", "label", "told"), [
    ("bad/1.png", "good", "is called good in images.csv and lies in bad/; correct one of the two"),
    ("OK/1.png", "dent", "is called defective in images.csv and lies in OK/; correct one of the two"),
    ("dent/1.png", "good", ""), ("good/1.png", "good", ""), ("monday/1.png", "dent", ""),
])  # fmt: skip
def test_label_that_contradicts_the_folder_is_told(table, path, label, told):
    raw = table("image,label", "0.png,0", f"{path},{label}")
    assert raw.files()[path].unusable == told


def test_byte_order_mark_is_no_part_of_a_name(table):
    assert list(table("image,label", "ä.png,0", encoding="utf-8-sig").files()) == ["ä.png"]


def test_lines_of_windows_and_empty_lines(raw):
    raw.write("images.csv", "image,label\r\n\r\n1.png,0\r\n\r\n")
    assert raw.list() == [RawFile("1.png", 0, "good")]


def test_words_that_tables_take_for_missing_are_names(table):
    raw = table("image,label,defect,group", "NA,0,,null", "nan,1,NaN,None")
    assert raw.list() == [RawFile("NA", 0, "good", group="null"), RawFile("nan", 1, "NaN", group="None")]


def test_numbers_stay_as_they_are_written(table):
    raw = table("image,label,group", "007,0,0012", "008,0,1e3")
    assert [(file.path, file.group) for file in raw.list()] == [("007", "0012"), ("008", "1e3")]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "No columns to parse from file"),
        (b"\n\n", "No columns to parse from file"),
        (b"image,label\n\x81.png,0\n", "'charmap' codec can't decode byte 0x81"),
        (b"image,label\n\0.png,0\n", "it is no text: it holds bytes of 0"),
        (b"image,label\n1.png,0\na, b.png,0\n", "Expected 2 fields in line 3, saw 3"),
        (b"image,label\na, b.png,0\n", "Expected no more fields in line 2 than in line 1"),
        (b'image,label\n"1.png,0\n', "unexpected end of data"),
    ],
)
def test_what_is_no_table_is_refused(raw, content, reason):
    raw.write("images.csv", content)
    with pytest.raises(
        FlawlineError, match=rf"images.csv cannot be read as a table \({reason}.*\); wanted a text, a row an image"
    ):
        raw.list()


def test_table_that_is_not_there(raw):
    raw.touch("good/1.png")
    with pytest.raises(FlawlineError, match=r"images.csv cannot be read as a table \(.*No such file"):
        raw.list(layout="csv")


def test_table_without_rows(table):
    raw = table("image,label")
    with pytest.raises(FlawlineError, match="holds no file in the layout 'csv'"):
        raw.list()


# --- paths -----------------------------------------------------------------------------------------------------------
def test_backslashes_of_windows_are_folders(table):
    raw = table("image,label,mask", r"a\1.png,0,", r".\b\2.png,1,m\2.png")
    raw.touch("a/1.png", "b/2.png", "m/2.png")
    assert raw.list() == [RawFile("a/1.png", 0, "good"), RawFile("b/2.png", 1, "defect", mask="m/2.png")]


@pytest.mark.parametrize("path", ["/etc/1.png", "../1.png", "a/../../1.png", r"..\1.png", r"C:\1.png", r"\\h\x\1.png"])
@pytest.mark.parametrize("role", ["image", "mask"])
def test_paths_outside_the_folder_are_refused(table, role, path):
    row = {"image": f"{path},1,", "mask": f"1.png,1,{path}"}[role]
    raw = table("image,label,mask", "0.png,0,", row)
    assert list(raw.unusable().values()) == [f"lies outside the folder ({path}); wanted a path below it"]


def test_name_with_two_dots_or_a_colon_in_it_is_inside(table):
    assert table("image,label", "a..b.png,0", "c:d.png,0").unusable() == {}


@pytest.mark.parametrize("again", ["a/1.png", " a/1.png ", r"a\1.png", "./a//1.png"])
def test_image_named_twice_is_refused(table, again):
    raw = table("image,label", "a/1.png,0", f"{again},1")
    with pytest.raises(FlawlineError, match=r"images\.csv names 'a/1.png' more than once; wanted one row an image"):
        raw.list()


def test_pictures_that_no_row_names_are_told_and_masks_are_not(table):
    raw = table("image,label,mask", "1.png,0,m/1.png", "2.png,1,m/2.png")
    raw.touch("1.png", "2.png", "3.png", "m/1.png", "m/2.png", "deep/er/4.JPG", "notes.txt", ".hidden/5.png")
    assert raw.unusable() == {"3.png": UNLISTED, "deep/er/4.JPG": UNLISTED}
    assert raw.files()["1.png"].mask == "m/1.png"  # marks nothing, or is told to contradict the label


# --- splits ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("told", "split"),
    [("train", "train"), ("Training", "train"), ("val", "validation"), ("VALID", "validation"), ("testing", "test"),
     ("calibration", "calibration"), ("", None), ("  ", None)],
)  # fmt: skip
def test_names_of_splits(table, told, split):
    files = table("image,label,split", "0.png,0,train", "2.png,0,test", f"1.png,0,{told}").files()
    assert (files["1.png"].split, files["1.png"].unusable) == (split, "")


def test_unknown_split_is_told(table):
    raw = table("image,label,split", "0.png,0,train", "1.png,0,monday")
    assert raw.unusable() == {
        "1.png": "has the split 'monday' in images.csv; wanted train, validation, calibration or test"
    }


def test_nothing_normal_to_learn_from(table):
    raw = table("image,label,split", "0.png,0,test", "1.png,dent,train", "2.png,,train")
    with pytest.raises(
        FlawlineError,
        match=r"wanted, in the layout 'csv', images.csv with the columns image and label; got 3 other files "
        r"\(1 unusable; 2.png: has no label in images.csv\)\.\nFound: images.csv\.",
    ):
        raw.list()

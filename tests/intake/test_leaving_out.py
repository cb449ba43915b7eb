import pandas as pd
import pytest

from flawline.checks import FlawlineError
from flawline.intake.leaving_out import keep_apart, leave_out

ROWS = pd.DataFrame({"image": ["good/a.png", "good/b.png", "good/c.tif#1", "good/c.tif#2"], "page": [0, 0, 1, 2]})


def table(tmp_path, text):
    path = tmp_path / "odd.csv"
    path.write_text(text)
    return str(path)


def test_without_a_table_all_stay():
    rows, quarantine = leave_out(ROWS, None)
    assert rows is ROWS
    assert quarantine.empty


@pytest.mark.parametrize(
    ("named", "left"),
    [("good/b.png", ["good/b.png"]), ("good/c.tif", ["good/c.tif#1", "good/c.tif#2"]),
     ("good/c.tif#2", ["good/c.tif#2"]), ("", [])],
)  # fmt: skip
def test_images_that_are_named_are_in_quarantine_and_a_file_stands_for_its_pages(tmp_path, named, left):
    path = table(tmp_path, f"score,image\n0.5,{named}\n")
    rows, quarantine = leave_out(ROWS, path)
    assert quarantine["path"].tolist() == left
    assert [*rows["image"], *left] == [*rows["image"], *(name for name in ROWS["image"] if name in left)]
    assert len(rows) + len(left) == len(ROWS)
    assert (quarantine["reason"] == f"is left out, as {path} says").all()


def test_names_that_are_not_there_are_told_with_the_near_one(tmp_path):
    path = table(tmp_path, "image\ngood/d.png\nx\n")
    with pytest.raises(FlawlineError, match=r"odd.csv names 'good/d.png', which is no image of the raw folder.*1 more"):
        leave_out(ROWS, path)


@pytest.mark.parametrize(
    ("text", "reason"),
    [("name\na\n", "has no column image; it has name"), ("", "cannot be read"), ("\0\0", "cannot be read")],
)
def test_a_table_that_is_none_is_refused(tmp_path, text, reason):
    with pytest.raises(FlawlineError, match=reason):
        leave_out(ROWS, table(tmp_path, text))


def test_a_table_that_is_missing_is_refused(tmp_path):
    with pytest.raises(FlawlineError, match=r"nowhere.csv cannot be read .*Wanted a csv file with the column image"):
        leave_out(ROWS, str(tmp_path / "nowhere.csv"))


def test_images_of_the_challenge_set_are_kept_from_training_and_stay_where_they_are_only_tested():
    rows = pd.DataFrame(
        {
            "image": list("abcde"),
            "sha256": list("12311"),
            "label": [0, 0, 0, 1, 0],
            "split": [None, None, "train", None, "test"],
        }
    )
    left, quarantine, notes = keep_apart(rows, {"1", "3"})
    assert left["image"].tolist() == ["b", "d", "e"]
    assert quarantine["path"].tolist() == ["a", "c"]
    assert set(quarantine["reason"]) == {"is in the challenge set, from which no detector may learn"}
    assert [note.text for note in notes] == ["2 of the images are in the challenge set and are not learned from."]


def test_without_a_challenge_set_nothing_is_kept_from_training():
    rows = pd.DataFrame({"image": ["a"], "sha256": ["1"], "label": [0], "split": [None]})
    left, quarantine, notes = keep_apart(rows, ())
    pd.testing.assert_frame_equal(left, rows)
    assert (len(quarantine), notes) == (0, [])

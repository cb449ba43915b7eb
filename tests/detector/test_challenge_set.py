"""What is kept of a challenge set, and what is refused."""

import pytest

from flawline.checks import FlawlineError
from flawline.detector.challenge_set import (
    TABLE,
    Addition,
    Challenge,
    ChallengeSet,
    add_challenges,
    is_file_of,
    read_challenge_set,
)
from flawline.intake.decoding import UnreadableImageError
from flawline.storage.digests import content_digest

DIGESTS = [content_digest(str(k)) for k in range(3)]


def write(folder, *rows, header="image,sha256,wanted"):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / TABLE).write_text("\n".join([header, *rows]) + "\n")
    return folder


def addition(tmp_path, name="000.png", content=b"photograph", wanted="not_pass", verdict="reject", page=""):
    path = tmp_path / "monday" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return Addition(path, Challenge(f"{name}{page}", content_digest(content), wanted, verdict, "said so"))


def test_without_a_folder_there_is_no_challenge_set(tmp_path):
    assert read_challenge_set(tmp_path / "nowhere") == ChallengeSet(tmp_path / "nowhere")


def test_a_table_written_by_hand_or_by_a_spreadsheet_needs_three_columns(tmp_path):
    folder = write(tmp_path / "set", f"a.png;{DIGESTS[0]};not_reject", header="image;sha256;wanted")
    assert read_challenge_set(folder).challenges == (Challenge("a.png", DIGESTS[0], "not_reject"),)


@pytest.mark.parametrize(
    ("rows", "header", "said"),
    [
        ([], "image,sha256,wanted", "names no image, so no detector is held to anything"),
        (["a.png,pass"], "image,wanted", "lacks the columns sha256; it has image, wanted"),
        ([f"a.png,{DIGESTS[0]},passes"], "image,sha256,wanted", r"line 2: wanted must be one of pass, .*got 'passes'"),
        (["a.png,12,pass"], "image,sha256,wanted", "line 2: sha256 must be 64 digits from 0 to f.*got '12'"),
        ([f"../a.png,{DIGESTS[0]},pass"], "image,sha256,wanted", r"image must be a path below the folder, got '\.\./a"),
        ([f"a.png,{DIGESTS[0]}"], "image,sha256,wanted", "line 2: wanted 3 fields, got 2"),
        ([f"{name},{DIGESTS[0]},pass" for name in "ab"], "image,sha256,wanted", "same image twice: a and b. Remove"),
    ],
)
def test_a_table_that_is_not_as_wanted_is_refused_by_its_line(tmp_path, rows, header, said):
    with pytest.raises(FlawlineError, match=said):
        read_challenge_set(write(tmp_path / "set", *rows, header=header))


def test_a_folder_without_its_table_is_refused(tmp_path):
    (tmp_path / "set").mkdir()
    with pytest.raises(FlawlineError, match=r"has no table challenge.csv; wanted one with the columns image, sha256"):
        read_challenge_set(tmp_path / "set")


def test_what_is_taken_in_outlives_where_it_came_from_and_two_of_one_name_have_place(tmp_path):
    one, other = addition(tmp_path), addition(tmp_path / "b", content=b"another")
    add_challenges(tmp_path / "set", [one])
    one.source.unlink()
    add_challenges(tmp_path / "set", [other])
    found = read_challenge_set(tmp_path / "set")
    assert [each.image for each in found.challenges] == [
        f"{each.challenge.sha256[:12]}-000.png" for each in (one, other)
    ]
    assert [found.read(each) for each in found.challenges] == [(b"photograph", None), (b"another", None)]
    assert found.digests == {one.challenge.sha256, other.challenge.sha256}
    assert sorted(path.suffix for path in (tmp_path / "set").iterdir()) == [".csv", ".png", ".png"]


def test_an_image_that_is_there_already_keeps_its_file_and_takes_the_newer_row(tmp_path):
    add_challenges(tmp_path / "set", [addition(tmp_path, verdict="pass")])
    found = add_challenges(tmp_path / "set", [addition(tmp_path, name="other.png", verdict="reject")])
    assert [each.verdict for each in found.challenges] == ["reject"]
    assert found.challenges[0].image.endswith("-000.png")
    assert found == read_challenge_set(tmp_path / "set")


def test_pages_of_a_file_are_images_of_their_own_and_share_the_file(tmp_path):
    pages = [addition(tmp_path, "stack.tif", b"pages", page=f"#{k}") for k in (1, 2)]
    found = add_challenges(tmp_path / "set", pages)
    assert [found.read(each) for each in found.challenges] == [(b"pages", 1), (b"pages", 2)]


def test_a_file_that_was_changed_since_it_was_judged_is_not_taken_in(tmp_path):
    each = addition(tmp_path)
    each.source.write_bytes(b"another")
    with pytest.raises(FlawlineError, match=r"000.png was changed: wanted the SHA-256"):
        add_challenges(tmp_path / "set", [each])
    assert not (tmp_path / "set").exists()


def test_a_file_of_the_set_that_is_gone_or_was_changed_is_told(tmp_path):
    found = add_challenges(tmp_path / "set", [addition(tmp_path)])
    (image,) = found.challenges
    (found.folder / image.image).write_bytes(b"photograph, retouched")
    with pytest.raises(UnreadableImageError, match=f"was changed: wanted the SHA-256 {image.sha256}, got"):
        found.read(image)
    (found.folder / image.image).unlink()
    with pytest.raises(UnreadableImageError, match="is gone: wanted the file"):
        found.read(image)
    assert not is_file_of(found.folder / image.image, image.sha256)


@pytest.mark.parametrize(
    ("wanted", "verdict", "held"),
    [("pass", "", True), ("pass", "pass", True), ("pass", "review", False), ("not_reject", "review", True),
     ("not_pass", "review", True), ("not_pass", "pass", False), ("reject", "review", False)],
)  # fmt: skip
def test_a_detector_is_held_to_what_one_before_it_got_right(wanted, verdict, held):
    assert Challenge("a.png", DIGESTS[0], wanted, verdict).held is held

import errno

import numpy as np
import pytest
from kedro.io import DatasetError, Version
from PIL import Image

from flawline.datasets import InspectedDataset
from flawline.datasets.inspected import picture_file
from flawline.detector.inspecting import Inspected
from flawline.figures.encoding import quick_png
from flawline.methods.one_class import NO_MAP

RED = np.zeros((2, 3, 3), np.uint8) + np.array([255, 0, 0], np.uint8)


def said(name, picture=RED, score=0.5):
    """Return an image that was judged, or one that was not."""
    judged = picture is not None
    encoded = quick_png(picture) if judged else None
    row = {"image": name, "score": score if judged else None, "verdict": "pass" if judged else "not_judged"}
    small = f"thumbnail of {name}".encode() if judged else b""
    return Inspected(row, np.full((2, 3), score, np.float16) if judged else NO_MAP, encoded, small)


class Plan:
    """An inspection that is to be made: images, of which some may be done, and whether these are still as they were."""

    def __init__(self, images, key="key", still_true=lambda row: True):
        self.images, self.key, self.check, self.known = images, key, still_true, None

    def still_true(self, rows):
        return [self.check(row) for row in rows]

    def rest(self, rows):
        self.known = [row["image"] for row in rows]
        return (each for each in self.images if each.name not in self.known)


def broken(*before):
    yield from before
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture
def dataset(tmp_path):
    return InspectedDataset(filepath=str(tmp_path / "new"))


def test_round_trip_of_maps_rows_pictures_and_thumbnails(dataset, tmp_path):
    dataset.save(Plan(iter([said("b.png", score=1 / 3), said("broken.png", None), said("a/ä, [1].jpg", RED // 2)])))
    loaded = dataset.load()
    table = loaded.verdicts()
    assert table["image"].tolist() == ["b.png", "broken.png", "a/ä, [1].jpg"]
    assert table["score"][0] == 1 / 3
    assert table["verdict"].tolist() == ["pass", "not_judged", "pass"]
    assert [one.shape for one in loaded.maps] == [(2, 3), (0, 0), (2, 3)]
    assert loaded.maps[0].dtype == np.float16
    assert [one.tobytes().decode() for one in loaded.thumbnails] == [
        "thumbnail of b.png", "", "thumbnail of a/ä, [1].jpg",
    ]  # fmt: skip
    files = {name: path.relative_to(tmp_path / "new" / "pictures").as_posix() for name, path in loaded.pictures.items()}
    assert files == {"b.png": "b.png", "a/ä, [1].jpg": "a/ä, [1].jpg.png"}
    np.testing.assert_array_equal(np.asarray(Image.open(loaded.pictures["b.png"])), RED)
    np.testing.assert_array_equal(np.asarray(Image.open(loaded.pictures["a/ä, [1].jpg"])), RED // 2)


def test_images_are_written_as_they_come(dataset):
    """A folder of photographs does not fit into memory, so none waits for the next."""
    alive = []

    def stream():
        for k in range(3):
            alive.append(k)
            yield said(f"{k}.png")
            alive.remove(k)

    dataset.save(Plan(stream()))
    assert alive == []
    assert len(dataset.load().maps) == 3


@pytest.mark.parametrize(
    "names",
    [
        ["a.png", "a.jpg", "a"],
        ["a.jpg", "a.jpg.png", "a.jpg.png.png"],
        ["a.jpg.png.png", "a.jpg.png", "a.jpg"],
        ["a.png", "a", "a.png-2.png", "a.png-2"],
    ],
    ids=" ".join,
)
def test_names_that_would_make_one_file_make_one_each(dataset, names):
    dataset.save(Plan([said(name, np.full((2, 3, 3), 10 * k, np.uint8)) for k, name in enumerate(names)]))
    pictures = dataset.load().pictures
    assert list(pictures) == names
    assert len(set(pictures.values())) == len(names)
    assert [int(np.asarray(Image.open(pictures[name])).max()) for name in names] == [10 * k for k in range(len(names))]


def test_names_that_are_too_long_with_their_extension_get_another(dataset):
    long = [f"a/{letter}{'n' * 246}.jpg" for letter in "xyé"]  # 251 bytes fit, é has one more
    dataset.save(Plan([said(name) for name in long]))
    names = sorted(path.name for path in dataset.load().pictures.values())
    assert len(names) == 3
    assert sorted(map(len, names)) == [68, 255, 255]


def test_long_names_that_would_have_one_digest_have_two():
    name = "n" * 300
    first = picture_file(name, set())
    second = picture_file(f"{name}.png", {first})
    assert first != second
    assert max(len(first), len(second)) == 68


def test_missing_and_empty(dataset):
    assert not dataset.exists()
    with pytest.raises(DatasetError):
        dataset.load()
    dataset.save(Plan([]))
    assert dataset.exists()
    loaded = dataset.load()
    assert (len(loaded.maps), loaded.pictures, len(loaded.verdicts())) == (0, {}, 0)


def test_what_an_earlier_save_left_is_gone(dataset, tmp_path):
    dataset.save(Plan([said("a.png"), said("c.png")]))
    dataset.save(Plan([said("b.png")]))
    assert [path.name for path in (tmp_path / "new" / "pictures").iterdir()] == ["b.png"]
    assert dataset.load().verdicts()["image"].tolist() == ["b.png"]


def test_full_disk_leaves_the_old_inspection(dataset, tmp_path):
    dataset.save(Plan([said("a.png")]))
    with pytest.raises(DatasetError, match="No space left on device"):
        dataset.save(Plan(broken(said("b.png"))))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "new.unfinished"]
    assert list(dataset.load().pictures) == ["a.png"]


IMAGES = [said("a.png", score=1 / 3), said("b.png", None), said("c.png", RED // 2), said("d.png", score=0.25)]


def contents(dataset):
    """Return all that a stored inspection says."""
    found = dataset.load()
    pictures = {name: path.read_bytes() for name, path in found.pictures.items()}
    return found.maps.digest, found.maps.notes, pictures


def test_an_inspection_that_was_cut_off_goes_on_and_comes_to_the_same(dataset, tmp_path):
    dataset.save(Plan(IMAGES))
    wanted = contents(dataset)
    with pytest.raises(DatasetError):
        dataset.save(Plan(broken(*IMAGES[:3])))
    again = Plan(IMAGES)
    dataset.save(again)
    assert again.known == ["a.png", "b.png", "c.png"]
    assert contents(dataset) == wanted
    assert dataset.load().maps.is_intact()
    assert [path.name for path in tmp_path.iterdir()] == ["new"]
    assert not (tmp_path / "new" / "journal.jsonl").exists()
    fresh = Plan(IMAGES)
    dataset.save(fresh)
    assert fresh.known == []


def test_what_was_judged_of_files_that_changed_is_judged_again(dataset):
    with pytest.raises(DatasetError):
        dataset.save(Plan(broken(*IMAGES[:3])))
    again = Plan([said("a.png", score=0.75), *IMAGES[1:]], still_true=lambda row: row["image"] != "a.png")
    dataset.save(again)
    assert again.known == ["b.png", "c.png"]
    table = dataset.load().verdicts().set_index("image")["score"]
    assert table["a.png"] == 0.75
    assert table["c.png"] == 0.5
    assert dataset.load().maps.is_intact()


def test_another_inspection_takes_up_nothing(dataset, tmp_path):
    with pytest.raises(DatasetError):
        dataset.save(Plan(broken(*IMAGES[:3])))
    other = Plan([said("z.png")], key="another")
    dataset.save(other)
    assert other.known == []
    assert [path.name for path in (tmp_path / "new" / "pictures").iterdir()] == ["z.png"]


@pytest.mark.parametrize(
    ("spoil", "known"),
    [
        (lambda folder: cut(folder / "journal.jsonl", 5), ["a.png", "b.png"]),
        (lambda folder: cut(folder / "maps" / "data.bin", 2), ["a.png", "b.png"]),
        (lambda folder: cut(folder / "thumbnails" / "data.bin", 1), ["a.png", "b.png"]),
        (lambda folder: (folder / "pictures" / "a.png").unlink(), ["b.png", "c.png"]),
        (lambda folder: (folder / "journal.jsonl").write_text("no journal"), []),
        (lambda folder: (folder / "maps" / "data.bin").unlink(), []),
    ],
    ids=["line", "map", "thumbnail", "picture", "journal", "maps"],
)
def test_what_is_not_whole_is_judged_again(dataset, tmp_path, spoil, known):
    with pytest.raises(DatasetError):
        dataset.save(Plan(broken(*IMAGES[:3])))
    spoil(tmp_path / "new.unfinished")
    again = Plan(IMAGES)
    dataset.save(again)
    assert again.known == known
    assert dataset.load().verdicts()["image"].tolist() == sorted(known) + [
        each.name for each in IMAGES if each.name not in known
    ]
    assert dataset.load().maps.is_intact()
    assert [one.tobytes().decode().removeprefix("thumbnail of ") for one in dataset.load().thumbnails] == (
        dataset.load().verdicts()["image"].where(dataset.load().verdicts()["score"].notna(), "").tolist()
    )


def cut(path, count):
    path.write_bytes(path.read_bytes()[:-count])


def test_versions_are_kept_apart(tmp_path):
    path = str(tmp_path / "new")
    for version, name in (("2024", "old"), ("2025", "later")):
        InspectedDataset(filepath=path, version=Version(None, version)).save(Plan([said(name)]))
    assert list(InspectedDataset(filepath=path, version=Version(None, None)).load().pictures) == ["later"]
    pinned = InspectedDataset(filepath=path, version=Version("2024", None))
    assert pinned.exists()
    assert list(pinned.load().pictures) == ["old"]
    assert "new" in str(pinned)


def test_interrupted_version_does_not_exist(tmp_path):
    dataset = InspectedDataset(filepath=str(tmp_path / "new"), version=Version(None, "2025"))
    with pytest.raises(DatasetError, match="No space left on device"):
        dataset.save(Plan(broken()))
    assert not InspectedDataset(filepath=str(tmp_path / "new"), version=Version(None, None)).exists()

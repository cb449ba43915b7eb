"""What the page of an ingestion is made of, from the manifest, what was measured, and the few files that it shows."""

import hashlib

import numpy as np
import pandas as pd
import pytest
from base_params import BASE
from PIL import Image

from flawline.intake.decoding import encode_png
from flawline.intake.measuring import Measurements, measure
from flawline.intake.notes import Note, notes_table
from flawline.report.data_contents import (
    Photographs,
    count_defects,
    count_sizes,
    gather_data_page,
    groups_of,
    in_proportion,
    on_scale,
    with_splits,
)

NO_PAIRS = pd.DataFrame(columns=["image", "duplicate", "kind", "likeness"])
NO_SHORTCUT = pd.DataFrame(columns=["question", "feature", "auroc", "direction", "first", "second", "p", "flagged"])
COLOURS = {"red.png": (200, 10, 10), "grey.png": (90,), "green.png": (10, 200, 10)}


@pytest.fixture
def folder(tmp_path):
    """Three even photographs of 300 x 600 pixels: red, grey and green."""
    for name, colour in COLOURS.items():
        pixels = np.broadcast_to(np.array(colour, np.uint8)[:, None, None], (len(colour), 300, 600))
        (tmp_path / name).write_bytes(encode_png(np.ascontiguousarray(pixels)))
    return tmp_path


@pytest.fixture
def read(folder):
    """The manifest of the folder and what was measured of it."""
    digests = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in COLOURS}
    pixels = {name: np.atleast_3d(np.asarray(Image.open(folder / name))).transpose(2, 0, 1) for name in COLOURS}
    measured = Measurements.of([measure(pixels[name], digest, kind="PNG") for name, digest in digests.items()], "key")
    columns = {"image": list(COLOURS), "page": 0, "split": ["train", "train", "test"], "label": [0, 0, 1]}
    table = pd.DataFrame(columns | {"defect": ["good", "good", "dent"], "group": list(COLOURS), "mask": None})
    sizes = {"channels": [3, 1, 3], "height": 300, "width": 600, "depth": 8, "bits": 8, "bytes": 99, "layout": "mvtec"}
    return table.assign(**sizes, sha256=list(digests.values())), measured


NOTES = notes_table([Note("3 files of the system were not looked into."), Note("Dark.", caution=True)])


def page_of(read, folder, pairs=NO_PAIRS):
    manifest, measured = read
    return gather_data_page(
        manifest, pd.DataFrame(columns=["path", "reason"]), measured, pairs, shortcuts=NO_SHORTCUT, notes=NOTES,
        folder=folder, category="screw", ingestion=BASE.ingestion, run={"run": "7"},
    )  # fmt: skip


def test_what_ingestion_says_of_the_folder_stands_with_what_was_found_and_its_cautions_first(read, folder):
    page = page_of(read, folder)
    assert page.found[-1] == "3 files of the system were not looked into."
    assert page.notes[0] == "Dark."


def test_pairs_get_splits_and_labels_and_lose_what_is_in_quarantine(manifest):
    pairs = pd.DataFrame([("k1/0", "k2/1", "near", 0.97), ("k1/0", "gone", "near", 0.97)], columns=NO_PAIRS.columns)
    (pair,) = with_splits(pairs, manifest).to_dict("records")
    assert (pair["split"], pair["duplicate_split"], pair["label"], pair["duplicate_label"]) == ("train", "test", 0, 1)


def test_counts_by_hand(manifest):
    assert count_defects(manifest).to_numpy().tolist() == [["dent", 1, 1], ["hole", 1, 0]]
    assert count_sizes(manifest).to_numpy().tolist() == [[4, 5, 1, 8, 8, 4], [6, 5, 1, 8, 8, 1]]


@pytest.mark.parametrize(
    ("size", "shape"),
    [((300, 300), (128, 128)), ((100, 200), (64, 128)), ((256, 1024), (64, 256)), ((10, 4000), (32, 256))],
)
def test_small_pictures_have_their_images_proportions(size, shape):
    assert in_proportion(np.zeros((128, 128), np.uint8), *size).shape == shape


def test_groups_come_in_the_order_of_the_splits(manifest):
    assert groups_of(manifest) == {
        "train good": ["k1/0"],
        "calibration good": ["k3/0"],
        "test dent": ["k1/1"],
        "test good": ["k2/0"],
        "test hole": ["k2/1"],
    }


def test_many_images_are_shown_by_a_few_spread_over_all():
    rows = {"image": [f"{i:03}" for i in range(100)], "split": "train", "defect": "good"}
    (names,) = groups_of(pd.DataFrame(rows)).values()
    assert len(names) == 6
    assert (names[0], names[-1]) == ("000", "099")


def test_photographs_in_colour_are_shown_in_colour_and_grey_ones_as_measured(read, folder):
    page = page_of(read, folder)
    shown = {each.name: each.pixels for each in page.thumbnails}
    assert shown["red.png"].shape == (96, 192, 3)
    assert (shown["red.png"] == (200, 10, 10)).all()
    assert (shown["green.png"] == (10, 200, 10)).all()
    assert shown["grey.png"].shape == (64, 128)
    assert (shown["grey.png"] == 90).all()
    assert [each.group for each in page.thumbnails] == ["train good", "train good", "test dent"]
    assert page.more_groups == 0


def test_pairs_are_shown_in_colour_too(read, folder):
    pairs = pd.DataFrame([("red.png", "green.png", "near", 0.97)], columns=NO_PAIRS.columns)
    shown = page_of(read, folder, pairs).duplicate_thumbnails
    assert {name: tuple(pixels[0, 0]) for name, pixels in shown.items()} == {
        name: COLOURS[name] for name in ("red.png", "green.png")
    }


def test_a_file_that_has_gone_is_shown_grey(read, folder):
    (folder / "red.png").unlink()
    small = Photographs(folder, *read, max_pixels=10**6).small(["red.png", "green.png", "red.png"])
    assert list(small) == ["red.png", "green.png"]
    assert small["red.png"].shape == (64, 128)
    assert (small["red.png"] == round(0.299 * 200 + 0.587 * 10 + 0.114 * 10)).all()
    assert small["green.png"].shape == (96, 192, 3)


def test_only_images_that_are_shown_are_decoded(read, folder, monkeypatch):
    manifest, measured = read
    many = pd.concat([manifest[manifest["image"] == "red.png"]] * 40, ignore_index=True)
    many = many.assign(image=[f"{i:02}.png" for i in range(40)], defect=[f"d{i // 2:02}" for i in range(40)])
    opened = []
    monkeypatch.setattr(Photographs, "_colour", lambda self, name, page: opened.append(name) or np.zeros((2, 2, 3)))
    page = page_of((many, measured), folder)
    assert sorted(opened) == [f"{i:02}.png" for i in range(24)]  # two of each of the first twelve groups
    assert page.more_groups == 8


def test_origin_says_what_the_page_was_made_from(read, folder):
    ids = page_of(read, folder).ids
    assert list(ids) == ["category", "folder", "run", "flawline", "machine", "made"]
    assert (ids["category"], ids["folder"], ids["run"]) == ("screw", str(folder), "7")


# --- fewer bits than 16 ----------------------------------------------------------------------------------------------
@pytest.fixture
def deep(tmp_path):
    """A manifest of images of 12 bits in 16, half as bright as can be and an eighth, and what was measured of them."""
    levels = {"half.png": (2048, 1024, 0), "eighth.png": (512, 512, 512), "grey half.png": (2048,), "grey.png": (512,)}
    rows, measured = [], []
    for name, colour in levels.items():
        pixels = np.broadcast_to(np.array(colour, np.uint16)[:, None, None], (len(colour), 30, 60))
        (tmp_path / name).write_bytes(encode_png(np.ascontiguousarray(pixels)))
        measured.append(measure(pixels, name))
        rows.append({"image": name, "sha256": name, "channels": len(colour)})
    table = pd.DataFrame(rows).assign(page=0, height=30, width=60, depth=16, bits=12)
    return table, Measurements.of(measured, "key")


def test_photographs_of_twelve_bits_are_shown_on_their_scale_in_colour_and_in_grey(tmp_path, deep):
    small = Photographs(tmp_path, *deep, max_pixels=10**4).small(deep[0]["image"])
    assert (small["half.png"] == (128, 64, 0)).all()
    assert (small["eighth.png"] == 32).all()
    assert (np.abs(small["grey half.png"].astype(int) - 128) <= 1).all()
    assert (np.abs(small["grey.png"].astype(int) - 32) <= 1).all()  # its thumbnail is on the scale of 10 bits


def test_a_colour_file_that_has_changed_beyond_its_scale_is_shown_as_it_was_measured(tmp_path, deep):
    (tmp_path / "half.png").write_bytes(encode_png(np.full((3, 30, 60), 60000, np.uint16)))
    shown = Photographs(tmp_path, *deep, max_pixels=10**4).small(["half.png"])["half.png"]
    assert shown.ndim == 2
    assert shown.max() < 90


def test_thumbnails_of_8_bits_are_left_alone():
    thumbnail = np.full((128, 128), 60, np.uint8)
    assert on_scale(thumbnail, 60, depth=8, bits=8) is thumbnail


def test_sizes_say_how_many_bits_are_used(deep):
    table = count_sizes(deep[0])
    assert table[["depth", "bits"]].to_numpy().tolist() == [[16, 12]] * len(table)

"""What holds of every raw folder, whatever lies in it: small random ones in five layouts, with duplicates, copies saved
again, broken files, odd names and masks."""

import io
import os
import random
import tempfile
from collections import Counter
from contextlib import contextmanager, suppress
from functools import cache
from itertools import pairwise
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest
import tifffile
from base_params import BASE
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from flawline.checks import FlawlineError
from flawline.intake import masks, measuring
from flawline.intake.layouts import list_raw_folder
from flawline.intake.manifest import build_manifest, in_table, near_duplicates_of, read_raw_files

MAX_PIXELS = 5000
CATEGORY = "fabric00"
SIZES = ((24, 24), (24, 24), (24, 31), (80, 80))  # the last has too many pixels
FORMS = ("PNG", "PNG", "PNG 16", "RGB", "JPEG", "BMP", "TIFF", "WEBP", "pages", "cut", "empty", "text")
SUFFIX = {"JPEG": ".jpg", "BMP": ".bmp", "TIFF": ".tif", "WEBP": ".webp", "pages": ".tif", "text": ".txt"}
STEMS = ("a", "b", "c", "d", "A b", "ä,ö", "x#1", "x.tif", "'q\"", "-", "no\nline", "1_mask", "good", "2.5", "~")


# --- folders ---------------------------------------------------------------------------------------------------------
@cache
def content_of(texture: int, size: int, form: str) -> bytes:
    """Return a file's content: ``texture`` of SIZES[size] as ``form``: near-duplicates of each other."""
    grey = np.random.default_rng(texture).integers(0, 256, SIZES[size], np.uint8)  # (H, W)
    if form in ("empty", "text"):
        return b"" if form == "empty" else b"a note, no picture"
    if form == "pages":
        return _pages(grey)
    pixels = {"PNG 16": grey.astype(np.uint16) * 257, "RGB": np.stack([grey] * 3, -1)}.get(form, grey)
    options = {"JPEG": {"quality": 95}, "WEBP": {"lossless": True}}.get(form, {})
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format=form if form in ("JPEG", "BMP", "TIFF", "WEBP") else "PNG", **options)
    return buffer.getvalue()[: -20 if form == "cut" else None]


def _pages(grey: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as file:
        for page in (grey, grey[::-1], 255 - grey):
            file.write(page, metadata=None, contiguous=False)
    return buffer.getvalue()


def mask_of(size: int, marked: bool) -> bytes:
    pixels = np.zeros(SIZES[size], np.uint8)
    pixels[2:5, 3:6] = 255 * marked
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


PICTURES = st.tuples(
    st.sampled_from(STEMS),
    st.integers(0, 9),  # texture
    st.sampled_from((0, 0, 0, 0, 1, 2, 3)),  # size
    st.sampled_from(FORMS),
    st.integers(0, 3),  # where it goes, with or without a mask: each layout's own use
)


@st.composite
def folders(draw, layouts=("folders", "mvtec", "kolektorsdd", "aitex", "csv")):
    """Return (layout, {path: content}) of a raw folder."""
    layout = draw(st.sampled_from(layouts))
    pictures = draw(st.lists(PICTURES, min_size=1, max_size=9))
    sound = draw(st.integers(0, 8))  # as many more normal images, so that most folders can be split
    pictures += [(f"ok{k}", 20 + k, 0, "PNG", 0) for k in range(sound)]
    files = {}
    for place, picture in enumerate(pictures):
        files |= LAYOUTS[layout](place, *picture)
    if layout == "csv":
        files["images.csv"] = _table(files)
    return layout, files


def _in_folders(place, stem, texture, size, form, where):
    name = f"{stem}{SUFFIX.get(form, '.png')}"
    path = ("good", "", "good/deeper", "scratch")[where] + f"/{name}"
    mask = {f"ground_truth/scratch/{stem}_mask.png": mask_of(size, texture > 1)} if where == 3 and texture % 2 else {}
    return {path.lstrip("/"): content_of(texture, size, form), **mask}


def _in_mvtec(place, stem, texture, size, form, where):
    name = f"{stem}{SUFFIX.get(form, '.png')}"
    path = ("train/good", "test/good", "calibration/good", "test/scratch")[where] + f"/{name}"
    mask = {f"ground_truth/scratch/{stem}_mask.png": mask_of(size, texture > 1)} if where == 3 and texture % 2 else {}
    return {path: content_of(texture, size, form), **mask}


def _in_kolektorsdd(place, stem, texture, size, form, where):
    item = f"kos{place if where < 2 else where}/Part_{stem}"
    label = (
        {f"{item}_label.bmp": mask_of(size, marked=where == 3)} if where or texture % 4 or stem.startswith("ok") else {}
    )
    return {f"{item}{SUFFIX.get(form, '.png')}": content_of(texture, size, form), **label}


def _in_aitex(place, stem, texture, size, form, where):
    number = f"{place:04d}"
    suffix = SUFFIX.get(form, ".png")
    if where < 3:
        name = f"{number}_000_{('00', '00', '01')[where]}" if len(stem) != 2 or stem.startswith("ok") else stem
        return {f"NODefect_images/2306881-210020u/{name}{suffix}": content_of(texture, size, form)}
    marks = {f"Mask_images/{number}_019_00_mask{k}.png": mask_of(size, marked=True) for k in range(1, texture % 3 + 1)}
    return {f"Defect_images/{number}_019_00{suffix}": content_of(texture, size, form), **marks}


def _in_csv(place, stem, texture, size, form, where):
    return {f"shots/{where}/{stem}{SUFFIX.get(form, '.png')}": content_of(texture, size, form)}


def _table(files):
    """Return a table of most of the pictures: shots/3 are defective, shots/1 test, shots/2 of one group each two."""
    rows = ["image\tlabel\tsplit\tgroup"]
    for k, path in enumerate(sorted(files)):
        where = path.split("/")[1]
        group = f"lot {k // 2}" if where == "2" else ""
        if "\n" not in path and '"' not in path and k % 7 != 6:
            rows.append(f"{path}\t{int(where == '3')}\t{'test' if where == '1' else ''}\t{group}")
    return "\n".join(rows).encode()


LAYOUTS = {
    "folders": _in_folders, "mvtec": _in_mvtec, "kolektorsdd": _in_kolektorsdd, "aitex": _in_aitex, "csv": _in_csv,
}  # fmt: skip


@contextmanager
def on_disk(files):
    with tempfile.TemporaryDirectory() as name:
        for path, content in files.items():
            target = Path(name, path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        yield Path(name)


def ingested(folder, layout, known=None):
    """Return (files, rows as read, manifest, quarantine, measurements, near_duplicates), as the pipeline makes them."""
    params = BASE.ingestion.but(layout=layout, identical="move", max_pixels=MAX_PIXELS)
    files = list_raw_folder(folder, params, category=CATEGORY).files
    rows, quarantine, measurements = read_raw_files(folder, files, max_pixels=MAX_PIXELS, layout=layout, known=known)
    near_duplicates = near_duplicates_of(rows, measurements)
    manifest, quarantine = build_manifest(
        rows, quarantine, params.splits, identical="move", near_duplicates=near_duplicates
    )
    return files, rows, manifest, quarantine, measurements, near_duplicates


def outcome(folder, layout):
    """Return what ``ingested`` returns, or None where it says that the folder cannot be used."""
    with suppress(FlawlineError):
        return ingested(folder, layout)
    return None


def few(examples):
    return settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))


# --- properties ------------------------------------------------------------------------------------------------------
@few(80)
@given(folders())
def test_what_is_made_of_a_folder(folder):
    """One folder serves several properties: to make and read it takes most of the time."""
    layout, files = folder
    with on_disk(files) as path:
        found = outcome(path, layout)
    if found is not None:
        check_every_listed_file_is_once_in_the_manifest_or_in_quarantine_with_its_reason(*found)
        check_nothing_that_belongs_together_lies_in_two_splits(*found)
        check_there_is_something_to_learn_from(*found)


def check_every_listed_file_is_once_in_the_manifest_or_in_quarantine_with_its_reason(
    listed, _rows, manifest, quarantine, _measurements, _near_duplicates
):
    names = Counter([*manifest["image"], *quarantine["path"]])
    assert set(names.values()) <= {1}
    for file in listed:
        name = in_table(file.path)
        assert names[name] == 1 or {names[f"{name}#{page}"] for page in (1, 2, 3)} == {1}
    pages = Counter(name for name in names if "#" in name and name not in {in_table(file.path) for file in listed})
    assert len(names) == len(listed) + len(pages) * 2 // 3  # three pages stand for one file
    assert quarantine["reason"].str.len().min() > 0 or quarantine.empty
    assert len(listed) == len({file.path for file in listed})


def check_nothing_that_belongs_together_lies_in_two_splits(
    _listed, rows, manifest, _quarantine, _measurements, near_duplicates
):
    normal = manifest[manifest["label"] == 0].assign(content=manifest["sha256"] + manifest["page"].astype(str))
    assert set(normal.groupby("content")["split"].nunique()) <= {1}
    own = rows.set_index("image")["split"]
    split = normal.set_index("image")["split"]
    grouped = [(a, b) for _, some in normal.groupby("group")["image"] for a, b in pairwise(some)]
    for a, b in [*grouped, *near_duplicates[["image", "duplicate"]].itertuples(index=False)]:
        separated_already = own[a] != own[b] and pd.notna(own[a]) and pd.notna(own[b])
        if a in split and b in split and not separated_already:
            assert split[a] == split[b], (a, b)


def check_there_is_something_to_learn_from(_listed, _rows, manifest, *_others):
    """Where there is not, an error said what is missing."""
    counts = manifest[manifest["label"] == 0].groupby("split").size()
    assert {"train", "validation", "calibration"} <= set(counts.index)
    assert set(manifest.loc[manifest["label"] == 1, "split"]) <= {"test"}
    assert len(set(manifest["depth"])) == 1
    assert set(manifest["label"]) <= {0, 1}
    assert manifest.loc[manifest["label"] == 0, "mask"].isna().all()


@few(40)
@given(folders(), st.randoms(use_true_random=False))
def test_manifest_is_the_same_in_whatever_order_the_file_system_lists(folder, order):
    layout, files = folder
    with on_disk(files) as path:
        first = outcome(path, layout)
        with shuffled_listings(order):
            second = outcome(path, layout)
    assert (first is None) == (second is None)
    if first is not None:
        pd.testing.assert_frame_equal(first[2], second[2])
        pd.testing.assert_frame_equal(first[3], second[3])


@contextmanager
def shuffled_listings(order: random.Random):
    scandir, listdir = os.scandir, os.listdir

    class Shuffled:
        def __init__(self, path="."):
            with scandir(path) as entries:
                self.entries = list(entries)
            order.shuffle(self.entries)

        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

        close = __exit__

        def __iter__(self):
            return self

        def __next__(self):
            if not self.entries:
                raise StopIteration
            return self.entries.pop()

    def shuffled_list(path="."):
        names = listdir(path)
        order.shuffle(names)
        return names

    with patch.object(os, "scandir", Shuffled), patch.object(os, "listdir", shuffled_list):
        yield


@few(40)
@given(folders())
def test_what_is_known_is_not_decoded_again(folder):
    layout, files = folder
    with on_disk(files) as path:
        first = outcome(path, layout)
        if first is None:
            return
        with (
            patch.object(measuring, "decode", side_effect=AssertionError("decoded again")),
            patch.object(masks, "decode", wraps=masks.decode) as decode_mask,
        ):
            second = ingested(path, layout, known=first[4])
    pd.testing.assert_frame_equal(first[2], second[2])
    pd.testing.assert_frame_equal(first[3], second[3])
    pd.testing.assert_frame_equal(first[4].table, second[4].table)
    assert decode_mask.call_count <= first[3]["reason"].str.startswith("its mask").sum()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_most_folders_of_every_layout_can_be_used(layout):
    """Else the properties above would hold of nothing."""
    used = []

    @settings(max_examples=15, deadline=None, database=None, derandomize=True)
    @given(folders(layouts=(layout,)))
    def try_one(folder):
        with on_disk(folder[1]) as path:
            used.append(outcome(path, layout) is not None)

    try_one()
    assert sum(used) > 3

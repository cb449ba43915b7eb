from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
import yaml
from base_params import BASE
from kedro_datasets.pandas import CSVDataset
from PIL import Image

from flawline.checks import FlawlineError
from flawline.intake.decoding import decode
from flawline.intake.layouts import RawFile, list_raw_folder
from flawline.intake.manifest import (
    COLUMNS,
    build_manifest,
    count_images,
    file_of,
    ingest_folder,
    locate,
    page_name,
    read_raw_files,
    rows_of,
    split_page,
)
from flawline.intake.splits import assign_splits

SPLITS = BASE.ingestion.splits

NOTHING = pd.DataFrame(columns=["path", "reason"])
CATALOG = Path(__file__).parents[2] / "conf" / "base" / "catalog" / "intermediate.yml"


def make_rows(*images):
    """Return rows of (image, split, label, digest)."""
    names = ("image", "split", "label", "sha256")
    rows = [dict(zip(names, image, strict=True)) | {"depth": 8, "page": 0} for image in images]
    return pd.DataFrame(rows, columns=COLUMNS)


def normals(count, *, split=None, start=0):
    return [(f"good/{i:04}.png", split, 0, f"d{i}") for i in range(start, start + count)]


def draw(path, *, size=(6, 8), seed=0, mask=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, size, np.uint8) if mask is None else mask
    Image.fromarray(pixels).save(path)


def read(folder, **options):
    """Return (rows, quarantine)."""
    return read_all(folder, **options)[:2]


def read_all(folder, params=BASE.ingestion, **options):
    return read_raw_files(folder, list_raw_folder(folder, params).files, max_pixels=10_000, **options)


# --- the manifest ----------------------------------------------------------------------------------------------------
def test_no_normal_image_left_names_the_first_reason():
    quarantine = pd.DataFrame({"path": ["good/b.png", "good/a.png"], "reason": ["is damaged", "is empty (0 bytes)"]})
    with pytest.raises(FlawlineError, match=r"got 0\..* quarantine: 2 files: good/a.png: is empty \(0 bytes\); g"):
        build_manifest(make_rows(("s/0.png", None, 1, "x")), quarantine, SPLITS)
    with pytest.raises(FlawlineError, match=r"got 0\..* No file is in quarantine\."):
        build_manifest(make_rows(), NOTHING, SPLITS)


# --- leaks -----------------------------------------------------------------------------------------------------------
def test_near_duplicates_within_a_split_are_no_leak():
    rows = make_rows(*normals(4), ("good/duplicate.png", None, 0, "d0"))
    manifest, quarantine = build_manifest(rows, NOTHING, SPLITS)
    assert quarantine.empty
    assert len(manifest) == 5


def test_images_of_another_depth_than_most_normal_ones_are_quarantined():
    rows = make_rows(*normals(6), ("s/0.png", None, 1, "x"))
    rows.loc[[2, 6], "depth"] = 16
    manifest, quarantine = build_manifest(rows, NOTHING, SPLITS)
    reason = "has 16 bits a channel; most normal images have 8"
    assert dict(quarantine.itertuples(index=False)) == {"good/0002.png": reason, "s/0.png": reason}
    assert set(manifest["depth"]) == {8}


# --- reading ---------------------------------------------------------------------------------------------------------
def test_row_of_an_image_by_hand(tmp_path):
    draw(tmp_path / "good" / "a.png", size=(6, 8))
    rows, quarantine = read(tmp_path)
    row = rows.to_dict("records")[0]
    assert quarantine.empty
    assert list(rows.columns) == COLUMNS
    assert {name: row[name] for name in ("channels", "height", "width", "depth", "label", "defect")} == {
        "channels": 1, "height": 6, "width": 8, "depth": 8, "label": 0, "defect": "good",
    }  # fmt: skip
    assert row["bytes"] == (tmp_path / "good" / "a.png").stat().st_size


def test_unreadable_images_among_good_ones_are_quarantined(tmp_path):
    for i in range(4):
        draw(tmp_path / "good" / f"{i}.png", seed=i)
    content = (tmp_path / "good" / "0.png").read_bytes()
    (tmp_path / "good" / "cut.png").write_bytes(content[: len(content) // 2])
    (tmp_path / "good" / "empty.png").touch()
    (tmp_path / "good" / "notes.txt").write_text("hello")  # lies beside photographs and is none
    (tmp_path / "good" / "photo").write_text("hello")
    (tmp_path / "good" / "text.png").write_text("hello")
    manifest, quarantine = build_manifest(*read(tmp_path), SPLITS)
    reasons = dict(quarantine.itertuples(index=False))
    assert list(reasons) == ["good/cut.png", "good/empty.png", "good/photo", "good/text.png"]
    assert reasons["good/cut.png"].startswith("is damaged (")
    assert reasons["good/empty.png"] == "is empty (0 bytes)"
    assert reasons["good/photo"] == "is not an image"
    assert reasons["good/text.png"].startswith("is not an image in one of the formats")
    assert len(manifest) == 4


@pytest.mark.parametrize(
    ("mask", "reason"),
    [
        (np.ones((5, 8), np.uint8), "its mask 0_mask.png has size 5 x 8, the image 6 x 8"),
        (np.zeros((6, 8), np.uint8), "its mask 0_mask.png marks no pixel, though the image counts as defective"),
    ],
)
def test_useless_mask_quarantines_its_image(tmp_path, mask, reason):
    draw(tmp_path / "good" / "0.png")
    draw(tmp_path / "scratch" / "0.png", seed=1)
    draw(tmp_path / "masks" / "scratch" / "0_mask.png", mask=mask)
    rows, quarantine = read(tmp_path)
    assert rows["image"].tolist() == ["good/0.png"]
    assert quarantine.to_dict("records") == [{"path": "scratch/0.png", "reason": reason}]


def test_unreadable_mask_quarantines_its_image(tmp_path):
    draw(tmp_path / "good" / "0.png")
    draw(tmp_path / "scratch" / "0.png", seed=1)
    (tmp_path / "masks" / "scratch").mkdir(parents=True)
    (tmp_path / "masks" / "scratch" / "0.png").touch()
    assert read(tmp_path)[1]["reason"].tolist() == ["its mask 0.png is empty (0 bytes)"]


def test_smallest_image_and_forbidden_one(tmp_path, monkeypatch):
    draw(tmp_path / "good" / "a.png", size=(1, 1))
    draw(tmp_path / "good" / "b.png")
    real = Path.read_bytes

    def read_bytes(path):
        if path.name == "b.png":
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    rows, quarantine = read(tmp_path)
    assert rows[["height", "width"]].to_numpy().tolist() == [[1, 1]]
    assert quarantine["reason"].tolist() == ["cannot be opened: Permission denied"]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a\nb.png", "a\\nb.png"),
        ("a\rb.png", "a\\rb.png"),
        ("k\udce4se.png", "k\\udce4se.png"),
        ("\x7f.png", "\\x7f.png"),
    ],
)
def test_names_that_no_table_can_hold_are_quarantined(tmp_path, name, shown):
    draw(tmp_path / "good" / "a.png")
    draw(tmp_path / "good" / "b.png")
    (tmp_path / "good" / "b.png").rename(tmp_path / "good" / name)
    rows, quarantine = read(tmp_path)
    assert rows["image"].tolist() == ["good/a.png"]
    reason = "its name holds characters that a table cannot; rename it"
    assert quarantine.to_dict("records") == [{"path": f"good/{shown}", "reason": reason}]


# --- the manifest as a file ------------------------------------------------------------------------------------------
def test_csv_round_trip_with_the_catalogs_own_options(tmp_path):
    entry = yaml.safe_load(CATALOG.read_text())["manifest"]
    names = ['a "b", c;.png', " ä 検査\u202f.png", "NA.png", "0012.png", "'=1+1.png"]
    for i, name in enumerate(names):
        draw(tmp_path / "raw" / "good" / name, seed=i)
    for i, defect in enumerate(["NA", "nan", "null", "007"]):
        draw(tmp_path / "raw" / defect / "1.png", seed=100 + i)
    draw(tmp_path / "raw" / "masks" / "NA" / "1.png", mask=np.full((6, 8), 255, np.uint8))
    manifest, _ = build_manifest(*read(tmp_path / "raw"), SPLITS)
    dataset = CSVDataset(filepath=str(tmp_path / "manifest.csv"), load_args=entry["load_args"])
    dataset.save(manifest)
    loaded = dataset.load()
    pd.testing.assert_frame_equal(loaded.drop(columns="mask"), manifest.drop(columns="mask"), check_dtype=False)
    masks = loaded.set_index("defect")["mask"]
    assert masks["NA"] == "masks/NA/1.png"
    assert masks.drop("NA").isna().all()
    assert loaded["image"].tolist() == manifest["image"].tolist()


def test_manifest_without_any_mask_loads_as_missing(tmp_path):
    entry = yaml.safe_load(CATALOG.read_text())["manifest"]
    for i in range(4):
        draw(tmp_path / "raw" / "good" / f"{i}.png", seed=i)
    manifest, _ = build_manifest(*read(tmp_path / "raw"), SPLITS)
    dataset = CSVDataset(filepath=str(tmp_path / "manifest.csv"), load_args=entry["load_args"])
    dataset.save(manifest)
    assert dataset.load()["mask"].isna().all()


# --- small helpers ---------------------------------------------------------------------------------------------------
def test_no_defective_image_at_all_is_normal():
    counts = count_images(assign_splits(make_rows(*normals(10)), SPLITS))
    assert counts["split"].tolist() == ["train", "validation", "calibration", "test"]
    assert counts["defective"].tolist() == [0, 0, 0, 0]
    assert counts["normal"].tolist() == [5, 1, 2, 2]


def test_rows_of_splits_by_hand():
    manifest = pd.DataFrame({"split": ["test", "train", "validation", "train"]})
    assert rows_of(manifest, ["train"]) == [1, 3]
    assert rows_of(manifest, ["validation", "test"]) == [0, 2]
    assert rows_of(manifest, []) == []


# --- files, pages, masks that tell the label -------------------------------------------------------------------------
def pages(path, *levels, size=(6, 8)):
    path.parent.mkdir(parents=True, exist_ok=True)
    stack = np.stack([np.full(size, level, np.uint8) for level in levels])
    tifffile.imwrite(path, stack, photometric="minisblack")


def test_every_page_is_an_image_of_one_group(tmp_path):
    pages(tmp_path / "good" / "stack.tif", 10, 90, 200)
    draw(tmp_path / "good" / "a.png")
    rows = read(tmp_path)[0].set_index("image")
    assert rows.index.tolist() == ["good/a.png", *(f"good/stack.tif#{page}" for page in (1, 2, 3))]
    assert rows["page"].tolist() == [0, 1, 2, 3]
    assert rows["group"].tolist() == ["good/a.png", *["good/stack.tif"] * 3]
    assert [file_of(image, page) for image, page in rows["page"].items()][1:] == ["good/stack.tif"] * 3


def test_file_called_like_a_page_of_another_is_quarantined(tmp_path):
    pages(tmp_path / "good" / "stack.tif", 10, 90)
    draw(tmp_path / "good" / "x.png")
    (tmp_path / "good" / "x.png").rename(tmp_path / "good" / "stack.tif#2")
    rows, quarantine = read(tmp_path)
    assert rows["image"].tolist() == ["good/stack.tif#1", "good/stack.tif#2"]
    assert rows["page"].tolist() == [1, 2]
    reason = "is called like a page of another file; rename it"
    assert quarantine.to_dict("records") == [{"path": "good/stack.tif#2", "reason": reason}]


def test_names_of_pages_lead_back_to_files(tmp_path):
    (tmp_path / "a#2").touch()
    assert locate(tmp_path, "a#2") == (tmp_path / "a#2", None)  # a file may be called so
    assert locate(tmp_path, "stack.tif#2") == (tmp_path / "stack.tif", 2)
    assert split_page("stack.tif#2") == ("stack.tif", 2)
    assert split_page("stack#x.tif") == ("stack#x.tif", None)
    assert locate(tmp_path, "missing.png") == (tmp_path / "missing.png", None)
    assert page_name("stack.tif", 0) == "stack.tif"


def test_pages_have_the_pages_of_their_mask(tmp_path):
    draw(tmp_path / "good" / "a.png")
    pages(tmp_path / "dent" / "stack.tif", 10, 90)
    pages(tmp_path / "masks" / "dent" / "stack.tif", 255, 0)
    rows, quarantine = read(tmp_path)
    assert rows["image"].tolist() == ["dent/stack.tif#1", "good/a.png"]
    assert quarantine["path"].tolist() == ["dent/stack.tif#2"]
    assert "marks no pixel" in quarantine["reason"][0]


def test_label_is_what_the_mask_says_where_the_layout_leaves_it_open(tmp_path):
    for item, marked in (("kos01", 1), ("kos02", 0)):
        draw(tmp_path / item / "Part0.png", seed=marked)
        draw(tmp_path / item / "Part0_label.bmp", mask=np.full((6, 8), marked, np.uint8))
    rows = read(tmp_path)[0].set_index("image")
    assert rows["label"].to_dict() == {"kos01/Part0.png": 1, "kos02/Part0.png": 0}
    assert rows["defect"].tolist() == ["defect", "good"]
    assert rows["mask"].dropna().tolist() == ["kos01/Part0_label.bmp"]
    assert rows["mask_sha256"].notna().tolist() == [True, False]


def test_defective_image_that_a_data_set_trains_on_is_left_out(tmp_path):
    for split, marked in (("train", 1), ("test", 1), ("train", 0)):
        name = f"{split}/{marked}"
        draw(tmp_path / f"{name}.png", seed=marked)
        draw(tmp_path / f"{name}_GT.png", mask=np.full((6, 8), marked, np.uint8))
    rows, quarantine = read(tmp_path)
    assert rows["image"].tolist() == ["test/1.png", "train/0.png"]
    assert quarantine["reason"].tolist() == [
        "is defective, but the data set trains on it: neither learned from nor tested on"
    ]


def test_what_the_layout_knows_to_be_unusable_is_not_read(tmp_path):
    files = [RawFile("good/gone.png", 0, "good", unusable="is not named in images.csv")]
    rows, quarantine, measured = read_raw_files(tmp_path, files, max_pixels=100)
    assert rows.empty
    assert quarantine.to_dict("records") == [{"path": "good/gone.png", "reason": "is not named in images.csv"}]
    assert measured.table.empty


# --- an unchanged folder ---------------------------------------------------------------------------------------------
@pytest.fixture
def decoded(monkeypatch):
    """The contents that are decoded from now on."""
    seen = []
    for module in ("flawline.intake.measuring", "flawline.intake.masks"):
        monkeypatch.setattr(f"{module}.decode", lambda content, **k: seen.append(content) or decode(content, **k))
    return seen


def a_folder(folder):
    for i in range(4):
        draw(folder / "good" / f"{i}.png", seed=i)
    draw(folder / "dent" / "0.png", seed=9)
    draw(folder / "masks" / "dent" / "0.png", mask=np.full((6, 8), 255, np.uint8))
    (folder / "good" / "cut.png").write_bytes((folder / "good" / "0.png").read_bytes()[:60])


def test_unchanged_files_are_not_decoded_again(tmp_path, decoded):
    a_folder(tmp_path)
    rows, quarantine, known = read_all(tmp_path)
    assert len(decoded) == 7
    decoded.clear()
    again = read_all(tmp_path, known=known)
    assert decoded == []
    pd.testing.assert_frame_equal(again[0], rows)
    pd.testing.assert_frame_equal(again[1], quarantine)
    pd.testing.assert_frame_equal(again[2].table, known.table)
    assert all((a == b).all() for a, b in zip(again[2].thumbnails, known.thumbnails, strict=True))


def test_only_changed_files_are_decoded_and_renamed_ones_are_not(tmp_path, decoded):
    a_folder(tmp_path)
    known = read_all(tmp_path)[2]
    decoded.clear()
    draw(tmp_path / "good" / "1.png", seed=77)
    (tmp_path / "good" / "2.png").rename(tmp_path / "good" / "moved.png")
    read_all(tmp_path, known=known)
    assert decoded == [(tmp_path / "good" / "1.png").read_bytes()]


def test_another_limit_decodes_again(tmp_path, decoded):
    a_folder(tmp_path)
    known = read_all(tmp_path)[2]
    decoded.clear()
    read_raw_files(tmp_path, list_raw_folder(tmp_path, BASE.ingestion).files, max_pixels=9_999, known=known)
    assert len(decoded) == 7


def test_changed_mask_is_another_manifest(tmp_path):
    a_folder(tmp_path)
    before = read(tmp_path)[0]
    draw(tmp_path / "masks" / "dent" / "0.png", mask=np.eye(6, 8, dtype=np.uint8))
    after = read(tmp_path)[0]
    assert (before["mask_sha256"].dropna() != after["mask_sha256"].dropna()).all()
    pd.testing.assert_frame_equal(before.drop(columns="mask_sha256"), after.drop(columns="mask_sha256"))


def test_mask_that_marks_something_in_a_good_image_contradicts_it(tmp_path):
    for i in range(3):
        draw(tmp_path / "good" / f"{i}.png", seed=i)
    for name, value in (("1", 0), ("2", 255)):
        draw(tmp_path / "masks" / "good" / f"{name}.png", mask=np.full((6, 8), value, np.uint8))
    rows, quarantine = read(tmp_path)
    assert rows["image"].tolist() == ["good/0.png", "good/1.png"]
    assert rows["mask"].tolist() == [None, None]
    assert quarantine.to_numpy().tolist() == [
        [
            "good/2.png",
            "its mask masks/good/2.png marks 48 pixels, though the image counts as good; correct one of the two",
        ]
    ]


# --- sizes and reasons ----------------------------------------------------------------------------------------------
def test_ingestion_drops_odd_sizes(tmp_path):
    for number in range(5):
        draw(tmp_path / "good" / f"{number}.png", seed=number, size=(6, 8 + (number == 4)))
    manifest, quarantine, *_ = ingest_folder(tmp_path, BASE.ingestion.but(sizes="usual"), category="c")
    assert (len(manifest), quarantine["path"].tolist()) == (4, ["good/4.png"])
    with pytest.raises(
        FlawlineError,
        match=r"In quarantine: 5 files: good/0.png: has 6 x 8 pixels; .*\(and 4 like it\)",
    ):
        ingest_folder(tmp_path, BASE.ingestion.but(least_side=7), category="c")


def test_too_few_images_tell_the_reasons_of_the_quarantine_the_most_frequent_first():
    reasons = [("a", "is empty (0 bytes)"), ("b.heic", "is a picture (HEIC)"), ("c", "its mask c.png has size 3 x 4"),
               ("d.heic", "is a picture (HEIC)"), ("e", "its mask e.png has size 5 x 4"),
               ("f", "its mask f.png has size 9 x 9"), ("g", "is odd"), ("h", "is odder")]  # fmt: skip
    quarantine = pd.DataFrame(reasons, columns=["path", "reason"])
    with pytest.raises(FlawlineError) as error:
        build_manifest(make_rows(*normals(1)), quarantine, SPLITS)
    assert str(error.value).endswith(
        "In quarantine: 8 files: c: its mask c.png has size 3 x 4 (and 2 like it); b.heic: is a picture (HEIC) (and 1 "
        "like it); a: is empty (0 bytes); g: is odd; 1 for other reasons."
    )

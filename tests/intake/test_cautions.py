"""Photographs that EXIF turns, and images of which the decoder warns: what is refused, and what is a caution."""

import json

import numpy as np
import pytest
from base_params import BASE
from PIL import Image

from flawline.intake.cautions import doubtful_images, turned_photographs
from flawline.intake.layouts import list_raw_folder
from flawline.intake.manifest import ingest_folder, read_raw_files


def draw(path, *, size=(6, 8), seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, size, np.uint8)).save(path)


def read(folder, **options):
    """Return (rows, quarantine)."""
    return read_all(folder, **options)[:2]


def read_all(folder, **options):
    return read_raw_files(folder, list_raw_folder(folder, BASE.ingestion).files, max_pixels=10_000, **options)


# --- photographs that EXIF turns -------------------------------------------------------------------------------------
def photograph(path, *, size=(6, 8), orientation=1, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif[274] = orientation
    pixels = np.random.default_rng(seed).integers(0, 256, size, np.uint8)
    Image.fromarray(pixels).save(path, exif=exif)


def scratch(folder, *, mask_orientation=1, size=(6, 8), mask_size=None, orientation=1):
    """Write a good image and a scratched one, 6 x 8 pixels before EXIF turns it, with its mask."""
    draw(folder / "good" / "0.png", size=size)
    photograph(folder / "scratch" / "1.jpg", size=size, orientation=orientation)
    mask, exif = np.zeros(mask_size or size, np.uint8), Image.Exif()
    mask[0, 0], exif[274] = 255, mask_orientation
    (folder / "masks" / "scratch").mkdir(parents=True)
    Image.fromarray(mask).save(folder / "masks" / "scratch" / "1.png", exif=exif)


def test_mask_drawn_before_exif_turned_the_photograph_says_so(tmp_path):
    scratch(tmp_path, orientation=6)
    rows, quarantine = read(tmp_path)
    assert rows["image"].tolist() == ["good/0.png"]
    assert quarantine["reason"].tolist() == [
        "its mask 1.png has size 6 x 8, the image 8 x 6 after its EXIF orientation (6) is applied: the mask was drawn "
        "on the photograph as it was before; turn the mask too, or save the photograph without the orientation"
    ]


def annotated(folder, **size):
    """Write an upright image without a box and one that EXIF turns, 6 x 8 pixels before, with a box."""
    photograph(folder / "0.jpg")
    photograph(folder / "1.jpg", orientation=8, seed=1)
    images = [{"id": k, "file_name": f"{k}.jpg", **size} for k in range(2)]
    boxes = [{"id": 0, "image_id": 1, "bbox": [0, 0, 2, 2]}]
    (folder / "marks.json").write_text(json.dumps({"images": images, "annotations": boxes}))


def test_annotation_drawn_before_exif_turned_the_photograph_says_so(tmp_path):
    annotated(tmp_path, height=6, width=8)
    (reason,) = read(tmp_path)[1]["reason"]
    assert "is for an image of 6 x 8 pixels; this one has 8 x 6 after its EXIF orientation (8) is applied" in reason


def test_mask_of_quite_another_size_says_nothing_of_exif(tmp_path):
    scratch(tmp_path, orientation=6, mask_size=(5, 5))
    assert read(tmp_path)[1]["reason"].tolist() == ["its mask 1.png has size 5 x 5, the image 8 x 6"]


@pytest.mark.parametrize(("options", "doubtful"), [
    ({"orientation": 3}, True), ({"orientation": 6, "size": (8, 8)}, True), ({"orientation": 1}, False),
    ({"orientation": 6, "mask_size": (8, 6)}, False), ({"orientation": 3, "mask_orientation": 3}, False),
    ({"orientation": 6, "mask_orientation": 6}, False),
])  # fmt: skip
def test_photograph_that_exif_turns_and_whose_mask_may_not_be_is_a_caution(tmp_path, options, doubtful):
    scratch(tmp_path, **options)
    rows, quarantine, measurements = read_all(tmp_path)
    assert len(rows) == 2, quarantine
    notes = turned_photographs(rows, measurements)
    assert [note.caution for note in notes] == [True] * doubtful
    assert all("photographs that have masks (1, the first: scratch/1.jpg)" in note.text for note in notes)


def test_annotation_without_a_size_on_a_turned_photograph_is_a_caution(tmp_path):
    annotated(tmp_path)
    rows, _, measurements = read_all(tmp_path)
    assert len(turned_photographs(rows, measurements)) == 1


def test_caution_on_turned_photographs_is_among_the_notes(tmp_path):
    scratch(tmp_path, orientation=3)
    for seed in range(1, 6):
        draw(tmp_path / "good" / f"{seed}.png", seed=seed)
    notes = ingest_folder(tmp_path, BASE.ingestion, category="c")[4]
    assert notes["caution"].tolist() == [True]


# --- images of which the decoder warns -------------------------------------------------------------------------------
def stray(path, *, seed=0):
    """Write a JPEG with bytes before its end that belong to nothing."""
    photograph(path, seed=seed)
    content = path.read_bytes()
    path.write_bytes(content[:-2] + bytes(40) + content[-2:])


def test_jpeg_with_stray_bytes_is_in_quarantine_with_the_way_out(tmp_path):
    draw(tmp_path / "good" / "0.png")
    stray(tmp_path / "good" / "1.jpg")
    rows, quarantine, measurements = read_all(tmp_path)
    (reason,) = quarantine["reason"]
    assert reason.startswith("is damaged (Corrupt JPEG data: ")
    assert reason.endswith(" extraneous bytes before marker 0xd9); if it is whole all the same, use it: "
                           "ingestion.strict=false")  # fmt: skip
    assert doubtful_images(rows, measurements) == []
    assert len(read(tmp_path, strict=False, known=measurements)[0]) == 2  # what was refused is not taken over


def test_jpeg_with_stray_bytes_is_used_where_asked_and_the_notes_say_so(tmp_path):
    for number in range(4):
        draw(tmp_path / "good" / f"{number}.png", seed=number)
    for number in (7, 8):
        stray(tmp_path / "good" / f"{number}.jpg", seed=number)
    manifest, quarantine, measurements, _, notes = ingest_folder(
        tmp_path, BASE.ingestion.but(strict=False), category="c"
    )
    assert (len(manifest), len(quarantine)) == (6, 0)
    (text,) = notes["text"]
    assert text.startswith(
        "Images are used though their decoder warns of them, since ingestion.strict is false (2, the "
    )
    assert "first: good/7.jpg is damaged (Corrupt JPEG data: " in text
    again = ingest_folder(tmp_path, BASE.ingestion.but(strict=False), category="c", known=measurements)
    assert again[4].equals(notes)

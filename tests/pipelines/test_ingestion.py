"""Ingestion as a pipeline: the page about the images, what it warns of, and folders of every layout to the end."""

import json

import numpy as np
import pytest
import tifffile
from PIL import Image

from flawline.checks import FlawlineError
from flawline.intake.annotations.voc import read_voc

SIDE = 48


def ingested(project, raw, **params):
    project.make("ingestion", category="parts", raw=str(raw), **params)
    return project.load("manifest", category="parts")


def page_of(project):
    return project.newest("08_reporting/parts/data.html").read_text()


# --- the page and what it says ---------------------------------------------------------------------------------------
def test_ingestion_ends_with_what_it_found_and_a_page(project, parts, capsys):
    project.run("ingestion", category="parts", raw=str(parts))
    said = capsys.readouterr().out
    assert "14 images: " in said
    assert "12 are normal, 2 defective; layout folders." in said
    assert "page: data/08_reporting/parts/data.html" in said
    assert "good/000.png" in page_of(project)


def test_whole_line_names_the_page_of_the_images_too(finished_once):
    assert "chess" in finished_once.newest("08_reporting/chess/data.html").read_text()


@pytest.fixture
def bright(tmp_path, photographs):
    """Photographs of which the defective ones are brighter as a whole, MVTec layout."""
    for split, count in (("train", 20), ("test", 12)):
        photographs(tmp_path / "parts" / split / "good", count, seed=len(split))
    for path in photographs(tmp_path / "parts" / "test" / "scratch", 12, seed=9):
        Image.fromarray(np.asarray(Image.open(path)) + np.uint8(40)).save(path)
    return tmp_path / "parts"


def test_a_shortcut_is_shown_wherever_a_figure_is(project, bright, capsys):
    project.run("nearest_neighbour", category="parts", raw=str(bright))
    sentence = "Shortcut: mean alone tells defective test images from good ones (AUROC 1.000)"
    assert sentence in capsys.readouterr().out
    assert sentence in page_of(project)
    assert sentence in project.newest("08_reporting/parts/seed-0/report.html/*/report.html").read_text()
    comparison = project.load("comparison", category="parts")
    assert comparison["shortcut"].tolist() == ["label by mean 1.000"]
    tags = [run.data.tags.get("shortcut") for run in project.mlflow_runs()]
    assert tags == ["label by mean 1.000"] * 2


def test_no_shortcut_no_word_of_it(finished_once):
    assert finished_once.load("comparison")["shortcut"].isna().all()
    assert not any("shortcut" in run.data.tags for run in finished_once.mlflow_runs())


def test_a_photograph_saved_again_stays_with_itself(project, parts):
    Image.open(parts / "good" / "003.png").save(
        parts / "good" / "again.jpg", quality=98
    )  # the texture is pure noise, which a JPEG keeps worst
    manifest = ingested(project, parts).set_index("image")  # with any seed: tests/intake/test_splits.py
    assert manifest.loc["good/again.jpg", "split"] == manifest.loc["good/003.png", "split"]
    (pair,) = project.load("near_duplicates", category="parts").to_dict("records")
    assert (pair["image"], pair["duplicate"], pair["kind"]) == ("good/003.png", "good/again.jpg", "near")
    told = project.load("data_summary", category="parts")
    assert "1 pair of the same photograph: 0 identical, 1 near-identical." in told


def test_identical_files_across_own_splits_stop_the_run_or_are_moved(project, bright):
    copy = bright / "test" / "good" / "copy.png"
    copy.write_bytes((bright / "train" / "good" / "005.png").read_bytes())
    with pytest.raises(FlawlineError, match=r"separate identical files: train/good/005.png = test/good/copy.png\."):
        ingested(project, bright)
    manifest = ingested(project, bright, **{"ingestion.identical": "move"}).set_index("image")
    assert manifest.loc["train/good/005.png", "split"] == "test"


# --- an unchanged folder ---------------------------------------------------------------------------------------------
def test_second_ingestion_decodes_nothing_and_finds_the_same(registered, monkeypatch):
    first = registered.load("manifest", category="parts")
    monkeypatch.setattr("flawline.intake.measuring.decode", None)
    assert ingested(registered, registered.path / "parts").equals(first)


def test_damaged_measurements_are_made_again(registered):
    first = registered.load("manifest", category="parts")
    folder = registered.path / "data/02_intermediate/parts/measurements"
    whole = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for damage in ("key.json", "table.parquet", "thumbnails/index.json"):
        (folder / damage).write_text("{")
        assert ingested(registered, registered.path / "parts").equals(first)
        assert {path: path.read_bytes() for path in whole} == whole


# --- every layout to the end -----------------------------------------------------------------------------------------
@pytest.fixture
def strips(tmp_path):
    """Grey strips in front of a white background at the left, layout 'aitex', one of two fabrics."""
    generator = np.random.default_rng(0)
    for fabric in ("00", "01"):
        for number in range(1, 6):
            save(
                tmp_path / "aitex" / "NODefect_images" / fabric / f"{number:04}_000_{fabric}.png", strip(generator, 400)
            )
    defective = strip(generator, 200)
    defective[10:20, 120:130] = 0
    mask = np.zeros(defective.shape, np.uint8)
    for part, rows in ((1, slice(10, 15)), (2, slice(15, 20))):
        mask[:] = 0
        mask[rows, 120:130] = 255
        save(tmp_path / "aitex" / "Mask_images" / f"0007_002_00_mask{part}.png", mask)
    save(tmp_path / "aitex" / "Defect_images" / "0007_002_00.png", defective)
    return tmp_path / "aitex"


def strip(generator, width):
    pixels = generator.normal(90, 8, (SIDE, width)).clip(0, 255).astype(np.uint8)
    pixels[:, :60] = 255
    return pixels


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def test_strips_lose_their_background_and_the_detector_does_the_same(project, strips, tmp_path):
    project.make("cae,defect_injection", "cae.detector", category="fabric00", raw=str(strips))
    images, masks = (project.load(name, category="fabric00") for name in ("images", "masks"))
    assert sorted({shape[2] for shape in images.shapes}) == [140, 340]
    assert max(int(image.max()) for image in images) < 200
    (mask,) = (mask for mask in masks if mask.size)
    assert np.argwhere(mask).min(axis=0).tolist() == [10, 60]  # 120 less the 60 that are cut off; both masks united
    assert mask.sum() == 100
    detector = project.load("cae.detector", category="fabric00")
    assert detector.trim_ends
    folder = tmp_path / "monday"
    save(folder / "new.png", strip(np.random.default_rng(5), 400))
    project.make("cae_inspection", "inspected", category="fabric00", images=str(folder))
    anomaly = project.load("inspected", category="fabric00", images=str(folder)).maps[0]
    assert anomaly.shape == (SIDE, 400)
    assert not anomaly[:, :60].any()
    assert anomaly[:, 61:].all()


def test_coco_boxes_become_masks_all_the_way(project, parts):
    (parts / "ground_truth" / "scratch" / "000_mask.png").unlink()
    images = [{"id": k, "file_name": f"scratch/{k:03}.png", "height": SIDE, "width": SIDE} for k in range(2)]
    images += [{"id": 10 + k, "file_name": f"good/{k:03}.png"} for k in range(12)]
    marks = [{"id": k, "image_id": k, "category_id": 1, "bbox": [10, 10, 8, 8]} for k in range(2)]
    tree = {"images": images, "annotations": marks, "categories": [{"id": 1, "name": "dent"}]}
    (parts / "marks.json").write_text(json.dumps(tree))
    (parts / "ground_truth" / "scratch" / "001_mask.png").unlink()
    project.make("ingestion,registration", "masks", category="parts", raw=str(parts))
    manifest = project.load("manifest", category="parts")
    assert manifest["layout"].unique().tolist() == ["coco"]
    assert manifest["defect"].value_counts().to_dict() == {"good": 12, "dent": 2}
    masks = [mask for mask in project.load("masks", category="parts") if mask.size]
    assert [np.argwhere(mask).tolist()[0] for mask in masks] == [[10, 10]] * 2
    assert [mask.sum() for mask in masks] == [64, 64]


def test_voc_box_is_what_it_says():
    box = "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>3</xmax><ymax>2</ymax></bndbox>"
    mask = read_voc(f"<annotation><object><name>dent</name>{box}</object></annotation>".encode()).mask((3, 4))
    assert np.argwhere(mask).tolist() == [[1, 0], [1, 1], [1, 2]]


def test_sixteen_bit_colour_goes_through_the_line(project, tmp_path):
    generator = np.random.default_rng(0)
    (tmp_path / "deep" / "good").mkdir(parents=True)
    for number in range(6):
        pixels = generator.integers(20_000, 40_000, (SIDE, SIDE, 3), dtype=np.uint16)
        tifffile.imwrite(tmp_path / "deep" / "good" / f"{number}.tif", pixels, photometric="rgb")
    project.make("cae,defect_injection", "cae.detector", category="deep", raw=str(tmp_path / "deep"))
    images = project.load("images", category="deep")
    assert images[0].dtype == np.uint16
    assert set(images.shapes) == {(3, SIDE, SIDE)}
    assert project.load("cae.detector", category="deep").depth == 16


# --- several categories in one folder --------------------------------------------------------------------------------
def test_study_takes_each_fabric_from_the_one_folder(project, strips):
    from flawline.study import raw_folder

    assert raw_folder(strips, "fabric00") == strips
    assert raw_folder(strips.parent, "aitex") == strips.parent / "aitex"
    assert raw_folder(strips.parent, "missing") == strips.parent / "missing"  # named in the error


def test_fabric_must_be_named(project, strips):
    with pytest.raises(FlawlineError, match=r"fabric codes 00, 01, .* must end in one of them .*got 'parts'"):
        ingested(project, strips)


# --- registered images that are stored already -----------------------------------------------------------------------
DIGESTED = ("images", "masks")


def digests(project):
    return [stored.digest for stored in project.load_all(*DIGESTED, category="parts")]


def registered_again(project, **params):
    outputs = (*DIGESTED, "alignment", "aligner")
    project.make("ingestion,registration", *outputs, category="parts", raw=str(project.path / "parts"), **params)
    return digests(project)


def test_second_registration_decodes_nothing_and_keeps_what_is_there(registered, monkeypatch):
    first = digests(registered)
    before = registered.newest("03_primary/parts/images/data.bin").stat().st_mtime_ns
    raw = {"category": "parts", "raw": str(registered.path / "parts")}
    with monkeypatch.context() as patch:
        patch.setattr("flawline.intake.registration.decode", None)
        registered.run("ingestion,registration", **raw)
    assert digests(registered) == first
    assert registered.newest("03_primary/parts/images/data.bin").stat().st_mtime_ns == before
    registered.run("patching", **raw)  # and its stamps are whole


def test_what_changed_is_registered_again(registered):
    images, masks = digests(registered)
    Image.fromarray(np.eye(SIDE, dtype=np.uint8)).save(
        registered.path / "parts" / "ground_truth" / "scratch" / "000_mask.png"
    )
    assert registered_again(registered)[1] != masks
    assert registered_again(registered, **{"registration.color": "rgb"})[0] != images


def test_stored_images_that_are_not_as_written_are_made_again(registered):
    first = digests(registered)
    for damage in ("images/data.bin", "masks/data.bin", "alignment.csv", "images/index.json"):
        path = registered.path / "data/03_primary/parts" / damage
        whole = path.read_bytes()
        content = bytearray(whole)
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        assert registered_again(registered) == first
        assert path.read_bytes() == whole
        assert all(stored.is_intact() for stored in registered.load_all(*DIGESTED, category="parts"))

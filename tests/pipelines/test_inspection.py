"""Tomorrow's images judged: every file gets its row, and what could not be judged is never a pass."""

import csv
import hashlib
import json
import os
import re
import shutil
import signal
import sys
from contextlib import redirect_stdout
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from time import monotonic, sleep
from typing import Any, NamedTuple
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image

from flawline.checks import FlawlineError
from flawline.detector import inspecting, judging
from flawline.detector.inspecting import PlannedInspection
from flawline.detector.record import Record, read_seal, record_path, save_record
from flawline.intake.decoding import decode
from flawline.metrics.decisions import Costs
from flawline.pipelines.inspection import nodes
from flawline.storage.chain import chained
from flawline.verification import Replay, run_verify
from flawline.vision.appearance import FIGURES, appearance_of

COLUMNS = ["image", "sha256", "score", "threshold", "p_value", "verdict", "reason", "regions", "y", "x", "height",
           "width", "area", "engine", "detector", "run", "row", "previous"]  # fmt: skip
# The command `kedro`, but an inspection is held once it has kept three images, for a signal to find it.
HELD = """
import sys, time
from flawline.datasets.inspected import Journal

append, kept = Journal.append, []

def held(journal, each):
    append(journal, each)
    kept.append(each)
    if len(kept) == 3:
        time.sleep(240)
        sys.exit("no signal came")

Journal.append = held
from kedro.framework.cli import main
main()
"""
WHOLE = [{"y": 0, "x": 0, "height": 96, "width": 96}]


class Inspected(NamedTuple):
    """An inspection that is over: the project, the folder, what was printed, the exit code and the verdicts."""

    project: Any
    folder: Path
    said: str
    code: int
    verdicts: pd.DataFrame


@pytest.fixture(scope="module")
def inspected(finished_path, tmp_path_factory, copy_project):
    """Good and defective boards in nested folders, a TIFF of two pages, and one of everything that cannot be judged."""
    project = copy_project(finished_path, tmp_path_factory.mktemp("inspected") / "project")
    folder = write_monday(tmp_path_factory.mktemp("monday"), project.path / "data/01_raw/chess/test")
    with redirect_stdout(StringIO()) as said, pytest.raises(SystemExit) as ended:
        project.run("inspection", images=str(folder), **ALL_PICTURES)
    verdicts = project.load("verdicts", images=str(folder), **ALL_PICTURES).set_index("image", drop=False)
    return Inspected(project, folder, said.getvalue(), ended.value.code, verdicts)


def write_monday(folder, raw):
    shutil.copytree(raw / "good", folder / "line 1" / "shift a")
    shutil.copytree(raw / "deformed", folder / "line 2")
    board = raw / "good" / "000.png"
    (folder / "corrupt.png").write_bytes(board.read_bytes()[: board.stat().st_size // 2])
    Image.new("L", (40, 50)).save(folder / "small.png")
    (folder / "notes.txt").write_text("shift a was late")
    (folder / "part.heic").write_bytes(b"\0\0\0\x18ftypheic")
    boards = [np.asarray(Image.open(path)) for path in sorted(raw.rglob("*.png"))[:2]]
    tifffile.imwrite(folder / "stack.tif", np.stack(boards), photometric="minisblack")
    shutil.copy(board, folder / "stack.tif#2")
    (folder / "gone.png").symlink_to(folder / "nowhere.png")
    (folder / "linked").symlink_to(folder / "line 1")
    return folder


ALL_PICTURES = {"inspection.pictures": "all"}
JUDGED = [f"line 1/shift a/{i:03d}.png" for i in range(2)] + [f"line 2/{i:03d}.png" for i in range(4)]


def inspect(project, folder, **params):
    project.make("inspection", "inspected", "verdicts", images=str(folder), **params)
    return project.load("verdicts", images=str(folder))


def newest_verdicts(project):
    return project.newest("08_reporting/chess/seed-0/inspection/verdicts.csv/*/verdicts.csv")


def is_whole(path, **options):
    asked = {"record": None, "head": None, "run": None, "env": None, "replay": Replay(None, None, "", None)} | options
    return run_verify(path, **asked)


def unchained(verdicts):
    """Return verdicts without what hangs on the time at which they were made."""
    return verdicts.drop(columns="previous")


def load_figures(project, folder):
    return project.load("inspected", images=str(folder)).figures()


def test_every_image_gets_its_row_and_the_exit_code_tells_of_the_unjudged(inspected):
    verdicts = inspected.verdicts
    assert inspected.code == 3
    assert verdicts.columns.tolist() == COLUMNS
    assert "notes.txt" not in verdicts.index
    for name, wanted in (
        ("corrupt.png", "damaged"),
        ("small.png", "has 50 x 40 pixels; the detector learned from 96 x 96"),
    ):
        assert verdicts.loc[name, "verdict"] == "not_judged"
        assert wanted in verdicts.loc[name, "reason"]
        assert np.isnan(verdicts.loc[name, "score"])
    for name in JUDGED:
        assert verdicts.loc[name, "verdict"] in ("pass", "review", "reject")
        assert verdicts.loc[name, "sha256"] == hashlib.sha256((inspected.folder / name).read_bytes()).hexdigest()
    unjudged = (verdicts["verdict"] == "not_judged").sum()
    assert f"{len(verdicts)} images: " in inspected.said
    assert f"{unjudged} not_judged" in inspected.said
    assert "verdicts: data/08_reporting/chess/seed-0/inspection/verdicts.csv/" in inspected.said


def test_the_record_of_an_inspection_is_beside_it_printed_and_in_its_tracked_run(inspected, monkeypatch):
    path = newest_verdicts(inspected.project)
    seal, (run, *_) = read_seal(record_path(path)), inspected.project.mlflow_runs()
    detector = inspected.project.newest("06_models/chess/seed-0/cae/detector.safetensors/*/detector.safetensors")
    assert seal.rows == len(inspected.verdicts)
    assert f"record: {seal.rows} rows, the last has the hash {seal.head}" in inspected.said
    assert {name: run.data.params[name] for name in seal.told()} == seal.told()
    artifacts = {each.path for each in inspected.project.client.list_artifacts(run.info.run_id)}
    assert {"verdicts.csv", "verdicts.csv.record.json"} <= artifacts
    digest = hashlib.sha256(detector.read_bytes()).hexdigest()
    assert seal.facts["detector"] == {"file": str(detector), "sha256": digest, "version": detector.parent.name}
    assert set(inspected.verdicts["detector"]) == {f"{detector.parent.name} {digest[:16]}"}
    assert set(inspected.verdicts["run"]) == {run.info.run_id}
    assert inspected.verdicts["row"].tolist() == list(range(1, seal.rows + 1))
    monkeypatch.chdir(inspected.project.path)
    assert is_whole(path, head=seal.head, run=run.info.run_id)


def test_verdicts_of_an_inspection_are_replayed_and_one_that_the_detector_did_not_give_is_found(
    inspected, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(inspected.project.path)
    path = newest_verdicts(inspected.project)
    asked = Replay(inspected.folder, None, "", None)
    assert is_whole(path, replay=asked)
    said = capsys.readouterr().out
    unread = inspected.verdicts["sha256"].eq("").sum()
    count = len(inspected.verdicts)
    assert f"replayed {count - unread} of {count} rows: {count - unread} are the same, 0 are not" in said
    assert f"not replayed: {unread} rows; each could not be read when it was inspected" in said
    forged = tmp_path / "verdicts.csv"  # made anew from the first row to the last, record and all
    seal = read_seal(record_path(path))
    rows = [row[:-2] for row in csv.reader(path.read_text().splitlines()[1:])]
    verdict = COLUMNS.index("verdict")
    place = next(k for k, row in enumerate(rows) if row[verdict] == "pass")
    rows[place][verdict] = "reject"
    save_record(forged, Record(tuple(seal.facts["columns"]), tuple(chained(rows, seal.first)), seal.facts))
    assert is_whole(forged)
    assert not is_whole(forged, head=seal.head)
    assert not is_whole(forged, replay=asked)
    assert f"line {place + 2}: {rows[place][0]}: the verdict was reject, is pass" in capsys.readouterr().out


def test_whether_the_images_drift_is_told_of_all_that_could_be_judged(inspected):
    asked = {"images": str(inspected.folder), **ALL_PICTURES}
    drift = inspected.project.load("drift", **asked).set_index("figure", drop=False)
    assert drift["figure"].tolist() == [*FIGURES, "score"]
    assert set(drift["images"]) == {len(JUDGED) + 1}
    assert "drift" in inspected.said
    figures = inspected.project.load("inspected", **asked).figures()
    name = JUDGED[0]
    pixels = decode((inspected.folder / name).read_bytes(), max_pixels=None)
    assert figures.loc[name, list(FIGURES)].to_dict() == appearance_of(pixels, 8)
    assert figures.loc["corrupt.png"].isna().all()


def test_pictures_and_page_are_made_of_what_was_judged(inspected):
    folder = inspected.project.newest("08_reporting/chess/seed-0/inspection/images/*/images/pictures")
    pictures = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    assert pictures == [*JUDGED, "stack.tif#1.png"]
    with Image.open(folder / pictures[0]) as picture:
        assert (picture.format, picture.mode) == ("PNG", "RGB")
    report = inspected.project.newest("08_reporting/chess/seed-0/inspection/report.html/*/report.html")
    page = report.read_text()
    assert "corrupt.png" in page
    assert "small.png" in page
    (data,) = re.findall(r'id="grid-data">(.*?)</script>', page)
    grid = json.loads(data)
    images = {image["name"]: image for image in grid["methods"][0]["images"]}
    assert set(images) == set(inspected.verdicts["image"])
    assert set(grid["thumbnails"]) == {*JUDGED, "stack.tif#1"}
    files = {name: report.parent / unquote(image["file"]) for name, image in images.items() if "file" in image}
    assert sorted(path.resolve() for path in files.values()) == sorted((folder / each).resolve() for each in pictures)
    assert set(files) == set(grid["thumbnails"])


def test_of_an_image_that_passes_a_picture_is_drawn_if_it_is_asked_for(finished, tmp_path):
    shutil.copytree(finished.path / "data/01_raw/chess/train/good", tmp_path / "good")
    drawn = {}
    for pictures in ("flagged", "all"):
        asked = {"inspection.pictures": pictures}
        verdicts = inspect(finished, tmp_path / "good", **asked)
        drawn[pictures] = set(finished.load("inspected", images=str(tmp_path / "good"), **asked).pictures)
    passed = set(verdicts.loc[verdicts["verdict"] == "pass", "image"])
    assert passed
    assert drawn["all"] - drawn["flagged"] == passed
    assert drawn["all"] == set(verdicts["image"])


def test_broken_links_and_files_of_unknown_kinds_or_called_like_pages_are_not_judged(inspected):
    verdicts = inspected.verdicts
    unjudged = verdicts[verdicts["verdict"] == "not_judged"].groupby(level=0)["reason"].first()
    assert unjudged.drop(["corrupt.png", "small.png", "part.heic"]).to_dict() == {
        "gone.png": "is no file (a broken link, or a device)",
        "linked": "is a link to a folder that is read anyway",
        "stack.tif#2": "is called like a page of another file; rename it",
    }
    judged = verdicts.loc[verdicts["verdict"] != "not_judged", "image"]
    assert sorted(judged) == [*JUDGED, "stack.tif#1"]


def test_images_judged_again_score_as_in_the_evaluation(finished):
    verdicts = inspect(finished, finished.path / "data/01_raw/chess/test")
    known = finished.load("cae.verdicts")
    assert verdicts["image"].tolist() == [name.removeprefix("test/") for name in known["image"]]
    np.testing.assert_allclose(verdicts["score"], known["score"], rtol=1e-3)  # maps are float16
    assert verdicts["verdict"].tolist() == known["verdict"].tolist()


def test_target_overkill_moves_the_threshold_without_training(finished):
    weights = finished.newest("06_models/chess/seed-0/cae/weights.safetensors")
    before = weights.stat().st_mtime_ns
    scores = finished.load("cae.scores")
    calibration = np.sort(scores.loc[scores["split"] == "calibration", "score"])
    folder = finished.path / "data/01_raw/chess/test/good"
    finished.run("inspection", images=str(folder), **{"inspection.target_overkill": 0.5})
    verdicts = finished.load("verdicts", images=str(folder))
    limits = verdicts.loc[verdicts["verdict"] != "review", "threshold"]
    np.testing.assert_allclose(limits, calibration[5 - 1])  # of 9 the k-th, k = ceil((9 + 1)(1 - 0.5))
    assert weights.stat().st_mtime_ns == before


def test_costs_choose_the_thresholds_without_training(finished):
    weights = finished.newest("06_models/chess/seed-0/cae/weights.safetensors")
    before = weights.stat().st_mtime_ns
    costs = {"escape": 100.0, "overkill": 5.0, "review": 1.0, "defect_rate": 0.1}
    folder = finished.path / "data/01_raw/chess/test/good"
    given = {f"inspection.costs.{name}": value for name, value in costs.items()}
    finished.run("inspection", images=str(folder), **given)
    verdicts, detector = (finished.load(name, images=str(folder), **given) for name in ("verdicts", "cae.detector"))
    limits = detector.at_costs(Costs(**costs)).thresholds
    assert set(verdicts["threshold"]) <= {limits.reject.value, limits.review.value}
    assert limits.by_cost.pseudo_defects == len(finished.load("cae.pseudo_scores"))
    assert weights.stat().st_mtime_ns == before


def test_regions_that_are_ignored_or_too_small_are_no_defects(finished):
    folder, strict = finished.path / "data/01_raw/chess/test", {"inspection.target_overkill": 0.9}
    large = inspect(finished, folder, **strict, **{"inspection.min_area": 96 * 96 + 1})
    assert (large["verdict"] == "pass").all()
    assert large["reason"].str.contains("no region of at least 9217 pixels").any()
    corner = [{"y": 0, "x": 0, "height": 48, "width": 96}]
    lower_half = inspect(finished, folder, **strict, **{"inspection.ignore": corner})
    assert (lower_half["y"].dropna() >= 48).all()


def test_areas_are_also_told_in_millimetres(finished):
    folder = finished.path / "data/01_raw/chess/test"
    strict = {"inspection.target_overkill": 0.9, "inspection.mm_per_pixel": 0.1}
    verdicts = inspect(finished, folder, **strict, **{"inspection.min_area": 0.05})
    found = verdicts.dropna(subset="area")
    assert (verdicts["verdict"] == "reject").any()
    assert len(found)
    np.testing.assert_allclose(found["area_mm2"], found["area"] / 100)
    assert (found["area"] >= 5).all()  # 0.05 mm^2 are five pixels of 0.1 mm


def test_ignored_region_outside_the_image_is_refused(finished):
    with pytest.raises(FlawlineError, match=r"inspection.ignore: the region .* does not fit an image of 96 x 96"):
        inspect(finished, finished.path / "data/01_raw/chess/test/good",
                **{"inspection.ignore": [{"y": 90, "x": 0, "height": 10, "width": 10}]})  # fmt: skip


def test_folder_of_one_image(finished, tmp_path):
    (tmp_path / "one").mkdir()
    shutil.copy(finished.path / "data/01_raw/chess/test/good/000.png", tmp_path / "one")
    assert len(inspect(finished, tmp_path / "one")) == 1


def test_missing_folder(finished, tmp_path):
    with pytest.raises(FlawlineError, match=r"no folder .*tuesday"):
        inspect(finished, tmp_path / "tuesday")


def test_folder_without_images(finished, tmp_path):
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("no image")
    with pytest.raises(FlawlineError, match=r"texts holds no image among its 1 files"):
        inspect(finished, tmp_path / "texts")


def test_images_not_given(finished):
    with pytest.raises(FlawlineError, match=r"give it as --params images=FOLDER,category=NAME"):
        finished.make("inspection")


def test_detector_not_made_yet(project, tmp_path):
    with pytest.raises(
        FlawlineError, match=r"cae.detector is not there yet\.\nMake it with: kedro run --pipelines=cae --nodes="
    ):
        project.run("inspection", images=str(tmp_path))


def test_every_page_of_a_tiff_is_judged(finished, tmp_path):
    boards = sorted((finished.path / "data/01_raw/chess/test").rglob("*.png"))[:2]
    folder = tmp_path / "monday"
    folder.mkdir()
    tifffile.imwrite(
        folder / "stack.tif", np.stack([np.asarray(Image.open(b)) for b in boards]), photometric="minisblack"
    )
    verdicts = inspect(finished, folder, **ALL_PICTURES)
    assert verdicts["image"].tolist() == ["stack.tif#1", "stack.tif#2"]
    assert set(verdicts["verdict"]) <= {"pass", "review", "reject"}
    pictures = {path.name for path in finished.load("inspected", images=str(folder), **ALL_PICTURES).pictures.values()}
    assert pictures == {"stack.tif#1.png", "stack.tif#2.png"}


def test_an_inspection_that_was_cut_off_judges_nothing_twice_and_loses_no_verdict(finished, tmp_path, monkeypatch):
    folder = write_monday(tmp_path / "monday", finished.path / "data/01_raw/chess/test")
    whole, figures = inspect(finished, folder), load_figures(finished, folder)
    decoded, decode = [], judging.decode

    def counted(content, **options):
        decoded.append(hashlib.sha256(content).hexdigest())
        if len(decoded) == 5:
            raise KeyboardInterrupt
        return decode(content, **options)

    monkeypatch.setattr(judging, "decode", counted)
    with pytest.raises(KeyboardInterrupt):
        finished.make("inspection", "inspected", images=str(folder))
    (unfinished,) = (finished.path / "data/08_reporting/chess/seed-0/inspection").glob("*.unfinished")
    kept = len((unfinished / "journal.jsonl").read_text().splitlines()) - 1
    assert kept >= 2
    again = inspect(finished, folder)
    pd.testing.assert_frame_equal(unchained(again), unchained(whole), check_exact=True)
    assert is_whole(newest_verdicts(finished))
    assert not unfinished.exists()
    pd.testing.assert_frame_equal(load_figures(finished, folder), figures, check_exact=True)
    boards = [path for path in folder.rglob("*.png") if path.name[:3].isdecimal()]
    times = [decoded.count(hashlib.sha256(board.read_bytes()).hexdigest()) for board in boards]
    assert times.count(1) >= 1
    assert max(times) <= 2  # what was begun as it was cut off is begun again


@pytest.mark.slow
def test_beside_an_inspection_another_of_its_category_is_refused_and_killed_and_run_again_it_is_whole(finished):
    command = ("run", "--env=smoke", "--pipelines=cae_inspection", "--params=images=data/01_raw/chess/test")
    below = finished.path / "data/08_reporting/chess/seed-0/inspection"
    with finished.start(*command, program=(sys.executable, "-c", HELD)) as first:
        try:
            wait_for(
                lambda: any(len(path.read_text().splitlines()) == 4 for path in below.glob("*/journal.jsonl")), first
            )
            code, said = finished.kedro(*command)
            assert (code, "another run is working on the category chess. Wait until it has ended" in said) == (1, True)
            os.kill(first.pid, signal.SIGKILL)
            assert first.wait(timeout=60) == -signal.SIGKILL
        finally:
            first.kill()
    assert not list(below.glob("verdicts.csv/*/*"))
    code, said = finished.kedro(*command)
    assert code == 0, said
    run, *_ = finished.mlflow_runs()
    code, said = finished.kedro("verify", str(newest_verdicts(finished)), f"--run={run.info.run_id}")
    assert (code, said.splitlines()[-1]) == (
        0,
        "whole: 6 rows are as they were written, none is missing, doubled or moved",
    )


def wait_for(happened, process):
    start = monotonic()
    while not happened():
        assert process.poll() is None, process.stdout.read()
        assert monotonic() - start < 120
        sleep(0.1)


@pytest.mark.slow
@pytest.mark.skipif(find_spec("distributed") is None, reason="Dask's distributed is not installed")
def test_a_cluster_judges_as_this_process_does(finished, tmp_path, monkeypatch):
    folder = write_monday(tmp_path / "monday", finished.path / "data/01_raw/chess/test")
    here = inspect(finished, folder)
    judged, inspect_file = [], nodes.inspect_file

    def noted(folder, file, judge):
        judged.append(file)
        return inspect_file(folder, file, judge)

    monkeypatch.setattr(nodes, "inspect_file", noted)
    figures = load_figures(finished, folder)
    there = inspect(finished, folder, **{"compute.cluster": "local"})
    pd.testing.assert_frame_equal(unchained(there), unchained(here), check_exact=True)
    assert is_whole(newest_verdicts(finished))
    pd.testing.assert_frame_equal(load_figures(finished, folder), figures, check_exact=True)
    assert judged == ["stack.tif"]  # all others the workers judged


def test_files_are_sent_in_their_order_a_few_at_once_and_large_ones_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(inspecting, "CHUNK", 3)
    monkeypatch.setattr(inspecting, "CHUNK_BYTES", 10)
    for name, size in (("a", 4), ("b", 4), ("c", 4), ("d", 20), ("e", 1), ("f", 1), ("g", 1), ("h", 1)):
        (tmp_path / name).write_bytes(b"x" * size)
    assert inspecting.chunks_of(tmp_path, list("abcdefgh")) == [["a", "b"], ["c"], ["d"], ["e", "f", "g"], ["h"]]
    assert inspecting.chunks_of(tmp_path, ["gone", "a"]) == [["gone", "a"]]
    assert inspecting.chunks_of(tmp_path, []) == []


def test_rows_are_put_in_the_order_of_the_files_and_pages_in_that_of_their_numbers():
    files = ["a.png", "b\n.png", "odd#1", "s.tif", "t.tif", "t.tif#2"]
    wanted = [
        "a.png",
        "b\\n.png",
        "odd#1",
        *(f"s.tif#{page}" for page in range(1, 12)),
        "t.tif#1",
        "t.tif#2",
        "t.tif#2",
    ]
    for rows in (wanted[::-1], sorted(wanted), wanted):
        found = inspecting.in_file_order([{"image": name} for name in rows], files)
        assert [row["image"] for row in found] == wanted


def test_rows_are_true_of_files_that_hold_what_they_did_and_not_of_a_stack_that_was_cut_off(tmp_path):
    for name in ("a.png", "b.png", "s.tif", "odd#1"):
        (tmp_path / name).write_bytes(name.encode())
    plan = PlannedInspection(tmp_path, ["a.png", "b.png", "gone.png", "odd#1", "s.tif", "t.tif"], "key", list)

    def row(image, content=None):
        return {"image": image, "sha256": hashlib.sha256((content or image).encode()).hexdigest()}

    rows = [row("a.png"), row("b.png", "other"), row("gone.png"), row("odd#1"), {"image": "u.png", "sha256": ""}]
    assert plan.still_true(rows) == [True, False, False, True, False]
    pages = [row("s.tif#1", "s.tif"), row("s.tif#2", "s.tif")]
    assert plan.still_true(pages) == [False, False]  # the third may be missing
    assert plan.still_true([*pages, row("a.png")]) == [True, True, True]
    assert plan.still_true([]) == []
    assert plan.rest([*pages, row("a.png"), row("odd#1")]) == ["b.png", "gone.png", "t.tif"]

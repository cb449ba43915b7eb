"""What the grid of a page holds."""

import json
import re
import weakref
from base64 import b64decode
from dataclasses import replace
from io import BytesIO
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from flawline.datasets import InspectedDataset
from flawline.detector.inspecting import Inspected
from flawline.figures import thumbnail, webp
from flawline.methods.one_class import NO_MAP
from flawline.report import GridImage, JudgedImage, grid, render_inspection, render_run
from flawline.report.grid import grid_of_inspection, grid_of_tests, inspection_grid, run_grid, small_heat

AWFUL = "</script><script>alert('x')</script>&\u2028.png"


def pixels(address):
    return np.asarray(Image.open(BytesIO(b64decode(address.partition(",")[2]))).convert("RGB"))


class Read:
    """Photographs (1, 64, 64), each of its own grey, made when they are asked for; ``most`` is how many were alive."""

    def __init__(self, count):
        self.count, self.alive, self.most = count, 0, 0

    def __getitem__(self, k):
        photograph = np.full((1, 64, 64), 10 * k % 256, np.uint8)
        self.alive += 1
        self.most = max(self.most, self.alive)
        weakref.finalize(photograph, self.gone)
        return photograph

    def gone(self):
        self.alive -= 1


VERDICTS = pd.DataFrame(
    {
        "image": ["a", "lost", "b", "c"],
        "sha256": ["1", "2", "3", "4"],
        "score": [0.2, np.nan, 0.9, 0.4],
        "verdict": ["pass", "not_judged", "reject", "review"],
        "reason": ["", "cannot be aligned", "above", "above"],
        "label": [0, 1, 1, 0],
        "defect": ["", "hole", "hole", ""],
    }
)


def judged(rows):
    region = SimpleNamespace(y=16, x=32, height=8, width=4)
    return [JudgedImage("b", np.full((1, 64, 64), 90, np.uint8), np.ones((64, 64)), 0.9, "reject", regions=[region])]


def make_tested(photographs):
    maps = [np.full((64, 64), value, np.float16) for value in (9, 0.2, 0.9, 0.4)]  # the first was learned from
    scores = pd.DataFrame({"image": ["t", "a", "b", "c"], "split": ["train", "test", "test", "test"]})
    return grid_of_tests(VERDICTS, scores, images=photographs, kept=[5, 6, 7, 8], maps=maps, limit=0.5, judged=judged,
                         shown={"c"})  # fmt: skip


def test_the_grid_of_a_run_has_every_verdict_the_highest_score_first():
    made = make_tested(Read(9))
    assert [(each.name, each.score, each.verdict, each.label, each.defect) for each in made] == [
        ("b", 0.9, "reject", 1, "hole"), ("c", 0.4, "review", 0, ""), ("a", 0.2, "pass", 0, ""),
        ("lost", None, "not_judged", 1, "hole"),
    ]  # fmt: skip
    np.testing.assert_allclose([pixels(each.thumbnail).mean() for each in made[:3]], [70, 80, 60], atol=2)
    assert (made[3].thumbnail, made[3].heat, made[3].reason) == ("", "", "cannot be aligned")


def test_maps_of_one_grid_have_one_scale_with_the_threshold_in_its_middle():
    made = make_tested(Read(9))
    assert [pixels(each.heat).mean() > 100 for each in made[:3]] == [True, False, False]
    assert made[0].heat == small_heat(np.full((64, 64), 0.9, np.float16), (64, 64), 1.0)
    assert small_heat(NO_MAP, (64, 64), 1.0) == ""


def test_the_first_have_larger_pictures_with_their_regions_unless_the_page_shows_them_anyway(monkeypatch):
    made = {each.name: each for each in make_tested(Read(9))}
    assert list(made["b"].pictures) == ["photograph", "anomaly map"]
    assert made["b"].regions == [(0.25, 0.5, 0.125, 0.0625)]
    assert not made["c"].pictures  # stands as a strip
    assert made["a"].pictures
    monkeypatch.setattr(grid, "LARGE", 1)
    assert [bool(each.pictures) for each in make_tested(Read(9))] == [True, False, False, False]


def test_photographs_are_read_one_by_one():
    photographs = Read(300)
    many = pd.concat([VERDICTS.iloc[[0]]] * 200, ignore_index=True).assign(image=[f"{i}" for i in range(200)])
    grid_of_tests(many, many.assign(split="test"), images=photographs, kept=range(200),
                maps=[np.ones((64, 64), np.float16)] * 200, limit=0.5, judged=judged)  # fmt: skip
    assert photographs.most <= 2


def test_what_the_script_reads_cannot_end_it_and_comes_back_as_it_was(page, method):
    images = [GridImage(AWFUL, "reject", 0.9, "data:a", "data:b", label=1, defect=AWFUL)]
    html = render_run(replace(page, methods=[replace(method, grid=images)]))
    (data,) = re.findall(r'<script type="application/json" id="grid-data">(.*?)</script>', html)
    assert json.loads(data)["methods"][0]["images"][0]["name"] == AWFUL
    assert "<" not in data
    assert "alert('x')" not in html


def test_photographs_that_methods_share_stand_once_and_the_larger_ones_are_shared_out(page, method, monkeypatch):
    monkeypatch.setattr(grid, "LARGE", 4)
    pictures = {"photograph": "data:p", "anomaly map": "data:m"}
    images = [GridImage(f"{k}", "pass", 0.5 - k / 10, f"data:{k}", pictures=pictures) for k in range(4)]
    data = run_grid(replace(page, methods=[replace(method, grid=images)] * 2))
    assert data["thumbnails"] == {f"{k}": f"data:{k}" for k in range(4)}
    assert list(data["photographs"]) == ["0", "1"]
    assert [["map" in image for image in each["images"]] for each in data["methods"]] == [
        [True, True, False, False]
    ] * 2
    assert [each["section"] for each in data["methods"]] == ["#method-1", "#method-2"]
    assert run_grid(page) is None


def test_thresholds_that_nothing_is_above_and_costs_that_nobody_gave_are_null(page, method):
    limits = {"reject": SimpleNamespace(value=np.inf, promise="none")}
    images = [GridImage("a", "pass", 0.5)]
    data = run_grid(replace(page, methods=[replace(method, grid=images, thresholds=limits)],
                            settings={"evaluation.costs.overkill": 3}))  # fmt: skip
    assert (data["methods"][0]["reject"], data["methods"][0]["review"]) == (None, None)
    assert data["costs"] == {"escape": None, "overkill": 3, "review": None}


@pytest.fixture
def inspected(tmp_path):
    """A pass and a reject with a picture whose name means something in an address, and one that was not judged."""

    def said(name, score, verdict, picture=None):
        row = {"image": name, "sha256": "00", "score": score, "verdict": verdict, "reason": ""}
        small = b"" if score is None else webp(thumbnail(np.full((3, 40, 60), 120, np.uint8)))
        return Inspected(row, NO_MAP if score is None else np.full((40, 60), score, np.float16), picture, small)

    images = [said("a.png", 0.1, "pass"), said("lost", None, "not_judged"), said("b #1?.png", 0.9, "reject", b"png")]
    dataset = InspectedDataset(filepath=str(tmp_path / "inspection" / "images" / "2026" / "images"))
    dataset.save(SimpleNamespace(key="key", still_true=lambda rows: [], rest=lambda rows: iter(images)))
    return dataset.load()


def test_the_grid_of_an_inspection_has_its_thumbnails_maps_and_where_pictures_lie_seen_from_the_page(inspected):
    made = grid_of_inspection(inspected, limit=0.5)
    assert [each.name for each in made] == ["b #1?.png", "a.png", "lost"]
    assert [pixels(each.thumbnail).shape for each in made[:2]] == [(40, 60, 3)] * 2
    assert [pixels(each.heat).shape for each in made[:2]] == [(40, 60, 3)] * 2
    assert made[2] == GridImage("lost", "not_judged", None, sha256="00")
    assert [each.file for each in made] == ["../../images/2026/images/pictures/b%20%231%3F.png", "", ""]
    report = inspected.maps.folder.parents[3] / "report.html" / "2026"
    assert (report / "../../images/2026/images/pictures/b #1?.png").resolve() == inspected.pictures["b #1?.png"]


def test_beyond_a_number_an_inspection_has_images_without_thumbnails_and_says_so(inspected, inspection, monkeypatch):
    monkeypatch.setattr(grid, "PICTURED", 1)
    made = grid_of_inspection(inspected, limit=0.5)
    assert [(each.name, bool(each.thumbnail), bool(each.heat)) for each in made] == [
        ("b #1?.png", True, True),
        ("a.png", False, False),
        ("lost", False, False),
    ]
    told = "The first 1 have thumbnails."
    assert told in render_inspection(replace(inspection, grid=made))
    assert told not in render_inspection(replace(inspection, grid=made[:1]))


def test_what_is_decided_of_other_images_is_kept_apart(inspection):
    def key(**changed):
        image = GridImage(**({"name": "a", "verdict": "review", "score": 0.5, "sha256": "00"} | changed))
        return inspection_grid(replace(inspection, grid=[image]))["key"]

    assert key() == key(score=0.6)
    assert len({key(), key(name="b"), key(sha256="01"), key(verdict="reject")}) == 4

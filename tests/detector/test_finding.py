"""What a detector finds: in which images it is tried, how a hit is told, and real defects beside."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from base_params import BASE

from flawline.detector.finding import fresh_rows, judge_sized, real_rates
from flawline.detector.judging import Judge
from flawline.methods.sized_defects import put_back, sized_defects
from flawline.metrics.detectability import CURVES, FOUND, equivalent_diameter
from flawline.params import ComputeParams
from flawline.storage.ragged import Noted, RaggedArray, write_ragged

COMPUTE = ComputeParams(device="cpu", threads=1, engine="torch")
ASKED = BASE.detectability.but(defects=6, kinds=("stain",), sizes=(0.2, 0.3), contrasts=(0.1, 0.3))


def manifest_of(*rows):
    return pd.DataFrame(rows, columns=["image", "split", "label"])


@pytest.fixture
def stored(tmp_path):
    """A function that stores arrays, or noted ones, and returns the store."""
    made = []

    def store(arrays):
        made.append(tmp_path / str(len(made)))
        write_ragged(made[-1], arrays)
        return RaggedArray(made[-1])

    return store


def test_good_test_images_come_first_then_those_held_out_to_calibrate_and_none_that_was_learned():
    every = [("a", "train", 0), ("b", "calibration", 0), ("c", "test", 1), ("d", "test", 0)]
    assert fresh_rows(manifest_of(*every)) == [3]
    assert fresh_rows(manifest_of(*every[:3])) == [1]
    assert fresh_rows(manifest_of(*every[:1])) == []


def test_a_hit_is_an_image_that_the_one_scorer_rejects(detector, photographs, stored):
    names = [f"{k}.png" for k in range(3)]
    manifest = manifest_of(*((name, "test", 0) for name in names))
    made = list(sized_defects(photographs, BASE.defect_injection, ASKED, seed=0))
    defects = stored([Noted(each.pixels, {"image": names[each.source], **each.note()}) for each in made])
    judge = Judge(detector, compute=COMPUTE)
    damaged = [put_back(photographs[each.source], each.pixels, each.note()) for each in made]
    said = [judge.judge(image).judgement for image in damaged]
    middle = sorted(each.score for each in said)[3]
    strict = replace(detector, calibration_scores=(middle,) * 99).at_overkill(0.05)
    judge = Judge(strict, compute=COMPUTE)
    table = judge_sized(judge, stored(photographs), manifest, defects, lambda _: None, learned=["0.png"],
                        rejected=["1.png"], workers=2)  # fmt: skip
    assert list(table) == list(FOUND)
    assert table["score"].tolist() == pytest.approx([each.score for each in said])
    assert table["hit"].tolist() == [each.score > middle for each in said]
    assert 0 < table["hit"].sum() < 6
    assert (table["learned"] == (table["image"] == "0.png")).all()
    assert (table["rejected"] == (table["image"] == "1.png")).all()


def test_without_defects_the_table_is_empty_and_nothing_is_scored(detector, photographs, stored):
    table = judge_sized(
        Judge(detector, compute=COMPUTE), stored(photographs), manifest_of(), stored([]), lambda _: None,
        learned=[], rejected=[], workers=1,
    )  # fmt: skip
    assert table.empty
    assert list(table) == list(FOUND)


def test_real_defects_count_with_a_mask_and_a_verdict_by_all_of_their_pixels(stored):
    masks = [np.zeros((40, 40), bool) for _ in range(4)] + [np.zeros((0, 0), bool)]
    masks[0][:4, :4] = masks[0][20:24, 20:24] = True  # 32 pixels: 6.4 across
    masks[1][:20, :20] = True  # 400: 22.6 across
    masks[2][:4, :4] = True
    manifest = manifest_of(*((name, "test", int(name != "good")) for name in ("a", "b", "lost", "good", "unmarked")))
    verdicts = pd.DataFrame({"image": manifest["image"], "verdict": ["review", "reject", "not_judged", "reject",
                                                                     "reject"]})  # fmt: skip
    rates = real_rates(verdicts, stored(masks), manifest, pd.DataFrame(columns=list(CURVES)))
    assert rates[["smallest", "largest", "defects", "hits"]].to_numpy().tolist() == [[4, 8, 1, 0], [16, 32, 1, 1]]
    assert equivalent_diameter(32) == pytest.approx(6.38, abs=0.01)
    assert rates["predicted_low"].isna().all()
    none = real_rates(verdicts.head(0), stored(masks), manifest, pd.DataFrame(columns=list(CURVES)))
    assert none.empty

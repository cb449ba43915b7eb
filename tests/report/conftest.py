from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from flawline.metrics.detectability import RATES, TABLE
from flawline.report import Detectability, InspectionPage, JudgedImage, MethodResult, RunPage


def limit(value, promise):
    return SimpleNamespace(value=value, promise=promise)


def region(y, x, height, width):
    return SimpleNamespace(y=y, x=x, height=height, width=width)


@pytest.fixture
def example():
    anomaly_map = np.zeros((40, 60), np.float16)
    anomaly_map[10:14, 20:26] = 0.9
    return JudgedImage(
        name="test/scratch/000.png",
        image=np.full((3, 40, 60), 120, np.uint8),
        anomaly_map=anomaly_map,
        score=0.9,
        verdict="pass",
        reconstruction=np.full((3, 40, 60), 0.5, np.float32),
        mask=anomaly_map > 0,
        label=1,
        defect="scratch",
        regions=[region(10, 20, 4, 6)],
        map_threshold=0.5,
    )


@pytest.fixture
def scores():
    return pd.DataFrame(
        {
            "image": list("abcdef"),
            "split": ["calibration", "calibration", "test", "test", "test", "test"],
            "label": [0, 0, 0, 0, 1, 1],
            "defect": ["", "", "", "", "scratch", "scratch"],
            "score": [0.1, 0.2, 0.1, 0.7, 0.3, 0.9],
        }
    )


@pytest.fixture
def verdicts():
    return pd.DataFrame(
        {
            "image": list("cdef"),
            "verdict": ["pass", "reject", "pass", "reject"],
            "score": [0.1, 0.7, 0.3, 0.9],
            "reason": [""] * 4,
        }
    )


@pytest.fixture
def method(example, scores, verdicts):
    curve = pd.DataFrame({"fpr": [0, 0.5, 1], "tpr": [0, 0.5, 1], "recall": [0, 0.5, 1], "precision": [1, 1, 0.5]})
    return MethodResult(
        method="cae",
        metrics={"image_auroc": 0.75, "f1": 0.5, "oracle_f1": 0.8},
        scores=scores,
        absent={"pixel_auroc": "no masks", "aupro": "no masks"},
        curves={"roc": curve, "pr": curve, "pixel_roc": curve.assign(tpr=[0, 0.9, 1])},
        history=pd.DataFrame({"epoch": [0, 1], "train_loss": [1.0, 0.01], "validation_loss": [1.0, 0.02]}),
        thresholds={"image": limit(0.5, "at most 1 good part in 20 goes beyond it"), "pixel": limit(0.6, "few pixels")},
        verdicts=verdicts,
        worst=[example],
        best=[example],
    )


@pytest.fixture
def found():
    """Stains of two contrasts in three images: of one the sizes are told, of the other they lie outside what was
    tried."""
    table = pd.DataFrame(
        [("stain", 0.1, 20, 5, 3, 4.0, 40.0, 20.0, 30.0, np.inf, ""),
         ("stain", 0.2, 20, 15, 3, 4.0, 40.0, 0.0, 8.0, 12.0, "a remark")], columns=list(TABLE),
    )  # fmt: skip
    curve = {"size": [4.0, 40.0], "pod": [0.1, 0.95], "low": [0.0, 0.9], "high": [0.3, 1.0]}
    curves = pd.concat([pd.DataFrame({"kind": "stain", "contrast": each, **curve}) for each in (0.1, 0.2)])
    counted = pd.DataFrame({"kind": "stain", "contrast": [0.1, 0.2], "size": 20.0, "share": [0.25, 0.75],
                            "defects": 20})  # fmt: skip
    rates = pd.DataFrame([(16.0, 32.0, 4, 3, 0.75, 0.19, 0.99, 0.4, 0.8)], columns=list(RATES))
    return Detectability(table, curves, counted, rates, images=5)


@pytest.fixture
def page(method):
    return RunPage(
        title="Report of a run",
        category="bottle",
        found=["cae finds 1 of 2 defective bottles.", "The other is a scratch."],
        methods=[method],
        counts=pd.DataFrame({"split": ["train", "test"], "normal": [20, 2], "defective": [0, 2]}),
        quarantine=pd.DataFrame({"path": ["x.png"], "reason": ["cannot be decoded"]}),
        settings={"seed": 0, "cae.train.epochs": 2, "cae.patch.size": [8, 8], "cae.note": None},
        ids={"date": "2026-01-02", "git": "abc123"},
        notes=["Two images are few."],
        published=pd.DataFrame({"method": ["CAE"], "source": ["a paper, Table 1"], "image_auroc": [0.91]}),
    )


@pytest.fixture
def inspection(example):
    verdicts = pd.DataFrame(
        {
            "image": ["a.png", "b.png", "c.png", "d.png"],
            "sha256": ["00"] * 4,
            "score": [0.1, 0.9, 0.95, np.nan],
            "threshold": [0.5] * 4,
            "p_value": [0.9, 0.01, 0.0004, np.nan],
            "verdict": ["pass", "reject", "reject", "not_judged"],
            "reason": ["", "", None, "cannot be decoded"],
            "y": [np.nan, 10, 3, np.nan],
            "x": [np.nan, 20, 4, np.nan],
            "height": [np.nan, 4, 5, np.nan],
            "width": [np.nan, 6, 6, np.nan],
            "area": [np.nan, 24, 30, np.nan],
        }
    )
    return InspectionPage(
        "Inspection", "bottle", ["2 of 4 are rejected."], verdicts, {"seed": 0}, {"date": "2026-01-02"}
    )


@pytest.fixture
def manifest():
    """Two items: of the first a good part is learned from, of the second only tested on."""
    rows = [
        ("k1/0", "train", 0, "good", "k1", None),
        ("k1/1", "test", 1, "dent", "k1", "m"),
        ("k2/0", "test", 0, "good", "k2", None),
        ("k2/1", "test", 1, "hole", "k2", None),
        ("k3/0", "calibration", 0, "good", "k3", None),
    ]
    table = pd.DataFrame(rows, columns=["image", "split", "label", "defect", "group", "mask"])
    return table.assign(height=[4, 4, 4, 6, 4], width=5, channels=1, depth=8, bits=8)

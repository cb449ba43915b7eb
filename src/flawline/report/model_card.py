"""The card of a detector: what it was made of, what it promises, what was measured and what nobody tried."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from flawline.metrics.intervals import HIGH, LOW
from flawline.report.contents import MethodResult
from flawline.report.run_sentences import run_found
from flawline.report.words import METRICS, interval

SHOWN = ("image_auroc", "image_ap", "overkill_rate", "escape_rate", "pixel_auroc", "aupro", "iou")
NOT_SIGNED = "Not signed off."
LIMITS = (
    "A promise on good parts holds for parts that vary as the good ones did that calibrate: of another lot, light or "
    "camera it says nothing.",
    "It says nothing of defects: how many are missed only defects can tell.",
    "Photographs of another size or depth than the detector learned from are not judged.",
)
PSEUDO = "Pseudo-defects stand for real ones only as far as these look like them."


@dataclass(frozen=True)
class CardFacts:
    """What a card tells beside the results of the method."""

    category: str
    counts: pd.DataFrame  # split, normal, defective
    images: str  # digest of the stored images
    data: str  # digest of the photographs' own digests
    settings: Mapping[str, Any]  # of method and inspection, flat name -> value
    engine: str  # what ran the network when it was calibrated; empty: there is none
    weights: str  # whose weights it looks through, and on what terms; empty: none but its own
    ids: Mapping[str, str]  # run, commit, version, machine, time
    detectability: pd.DataFrame  # kind, contrast, defects, hits, a90, a90_95, note, ...
    signed_off_by: str | None = None  # who and when


def model_card(result: MethodResult, facts: CardFacts) -> str:
    """Return the card as Markdown, the sections a reader decides by first."""
    sections = {
        "Signed off": [f"Signed off by {facts.signed_off_by}." if facts.signed_off_by else NOT_SIGNED],
        "What it promises": _promises(result),
        "What it did on test images": _measured(result),
        "What it finds": detectable(facts.detectability),
        "What is not known": _limits(result, facts.detectability),
        "What it was made of": _made_of(facts),
        "Versions": [f"- {name}: {value}" for name, value in facts.ids.items()],
        "Settings": [f"- `{name}`: {_plain(value)}" for name, value in facts.settings.items()],
    }
    told = (f"## {title}\n\n" + "\n".join(lines) for title, lines in sections.items() if lines)
    return "\n\n".join([f"# Detector of {facts.category}, method {result.method}", *told]) + "\n"


def _promises(result: MethodResult) -> list[str]:
    return [f"- {name}, above {limit.value:.6g}: {limit.promise}" for name, limit in result.thresholds.items()]


def _measured(result: MethodResult) -> list[str]:
    """Return what came of the test images, in sentences, and the main metrics with the exact intervals of rates."""
    values, absent = result.metrics, result.absent
    rows = [(name, _with_interval(name, values)) for name in SHOWN if name in values]
    rows += [(name, f"not measured: {absent[name]}") for name in SHOWN if name in absent]
    table = [f"| {METRICS[name].label if name in METRICS else name} | {value} |" for name, value in rows]
    promised = {limit.promise for limit in result.thresholds.values()}
    sentences = [f"- {said}" for said in run_found([result]) if said not in promised]
    return [*sentences, *(["", "| metric | value |", "|---|---|", *table] if table else [])]


def _with_interval(name: str, values: Mapping[str, float]) -> str:
    low, high = values.get(f"{name}{LOW}"), values.get(f"{name}{HIGH}")
    told = "" if low is None or high is None else f" (exact 95 % interval {interval(low, high)})"
    return f"{values[name]:.4f}{told}"


def detectable(table: pd.DataFrame) -> list[str]:
    """Return the sizes of pseudo-defects that are found, a line a kind and contrast; nothing where none were drawn."""
    if table.empty:
        return []
    rows = [f"- {_detected(row)}" for row in table.to_dict("records")]
    return ["Diameters of pseudo-defects of known size and contrast, in pixels:", "", *rows]


def _detected(row: Mapping[str, Any]) -> str:
    said = f"{row['kind']}, contrast {row['contrast']:.2g}: {row['hits']} of {row['defects']} found"
    if not pd.isna(row["a90"]):
        said += f", a90 {_size(row['a90'], row)}, a90/95 {_size(row['a90_95'], row)}"
    return said + (f"; {row['note']}" if row["note"] else "")


def _size(value: float, row: Mapping[str, Any]) -> str:
    if value == 0:
        return f"below {row['smallest']:.3g}, the smallest that was tried"
    return f"beyond {row['largest']:.3g}, the largest that was tried" if math.isinf(value) else f"{value:.3g}"


def _limits(result: MethodResult, detectability: pd.DataFrame) -> list[str]:
    tests = result.scores[result.scores["split"] == "test"]
    untried = ["No defective image was tested, so nothing here says which real defects it misses."]
    missing = [] if (tests["label"] == 1).any() else untried
    kinds = sorted(set(tests.loc[tests["label"] == 1, "defect"]))
    tried = [f"Real defects were tried of these kinds alone: {', '.join(map(str, kinds))}."] if kinds else []
    return _listed([*LIMITS, *missing, *tried, *([] if detectability.empty else [PSEUDO])])


def _made_of(facts: CardFacts) -> list[str]:
    splits = [f"{row['split']}: {row['normal']} good, {row['defective']} defective" for row in _rows(facts.counts)]
    told = [*splits, f"digest of the photographs: {facts.data}", f"digest of the stored images: {facts.images}"]
    told += [f"engine: {facts.engine}"] if facts.engine else []
    return _listed([*told, *([facts.weights] if facts.weights else [])])


def _rows(table: pd.DataFrame) -> Sequence[Mapping[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def _listed(sentences: Iterable[str]) -> list[str]:
    return [f"- {sentence}" for sentence in sentences]


def _plain(value: Any) -> str:
    return "null" if value is None else str(value)

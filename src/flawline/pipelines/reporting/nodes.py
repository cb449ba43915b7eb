"""What was found, in one page and a few lines."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from platform import platform
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from flawline import __version__
from flawline.detector.file import Detector
from flawline.detector.judging import VERDICTS, judge
from flawline.intake.manifest import count_images, rows_of
from flawline.intake.registration import usable
from flawline.methods.one_class import Scored
from flawline.methods.published import published_for, published_notes
from flawline.methods.registry import SCORED
from flawline.metrics.projection import LEAST_POINTS, tsne
from flawline.metrics.shortcuts import brief
from flawline.metrics.shortcuts import sentences as shortcut_sentences
from flawline.params import InspectionParams, ReportingParams, flatten
from flawline.report import AlignmentShown, Example, MethodResult, Page, SampleReconstructions, Suitability, render_page
from flawline.storage.ragged import RaggedArray
from flawline.training.compute import keep_memory
from flawline.vision.alignment import Aligner


def gather_result(
    manifest: pd.DataFrame,
    images: RaggedArray,
    masks: RaggedArray,
    scores: pd.DataFrame,
    maps: RaggedArray,
    metrics: dict[str, Any],
    curves: pd.DataFrame,
    verdicts: pd.DataFrame,
    detector: Detector,
    inspection: InspectionParams,
    reporting: ReportingParams,
) -> MethodResult:
    """Return all that one method made of the category, with its worst and best test images drawn."""
    keep_memory()
    tests = scores[scores["split"] == "test"].sort_values("score", ascending=False)
    rows = rows_of(manifest, SCORED)

    def example(k: int) -> Example:
        return _example(scores.loc[k], images[rows[k]], masks[rows[k]], maps[k], detector, inspection)

    worst, best = split_ends(tests.index.tolist(), reporting.examples)
    thresholds = {"reject": detector.thresholds.reject, "review": detector.thresholds.review}
    if detector.thresholds.pixel is not None:
        thresholds["pixel"] = detector.thresholds.pixel
    return MethodResult(
        method=detector.method,
        metrics=metrics["values"],
        absent=metrics["absent"],
        scores=scores,
        curves={name: wide_form(name, table) for name, table in curves.groupby("curve")},
        thresholds=thresholds,
        verdicts=verdicts,
        worst=[example(k) for k in worst],
        best=[example(k) for k in best],
    )


def add_training(
    result: MethodResult, *, history: pd.DataFrame | None = None,
    sample_reconstructions: dict[str, Tensor] | None = None, patch_losses: pd.DataFrame | None = None,
    suitability: dict[str, Any] | None = None, projections: pd.DataFrame | None = None,
) -> MethodResult:  # fmt: skip
    """Return a method's result with what its reconstructor adds: how it learned, what it makes of patches, whether the
    material suits it, and what its spaces look like in two dimensions."""
    spaces = None if projections is None else projections.groupby("space", sort=False)
    samples = sample_reconstructions or {}
    return replace(
        result,
        history=history,
        patch_losses=None if patch_losses is None else patch_losses[["mask_share", "loss"]],
        sample_reconstructions=read_sample_reconstructions(samples) if samples else None,
        suitability=None if suitability is None else read_suitability(suitability),
        projections=None if spaces is None else {name: table.reset_index(drop=True) for name, table in spaces},
    )


def project_spaces(codes: RaggedArray, embeddings: RaggedArray, manifest: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Return the test images in two dimensions (t-SNE), as Saeedi & Giusti 2022, Fig. 6 has them: a row an image and
    space with space, x, y, label. ``codes`` are of the scored images, ``embeddings`` of all."""
    tests = rows_of(manifest, ["test"])
    labels = manifest["label"].iloc[tests].to_numpy()
    kept = {row: k for k, row in enumerate(rows_of(manifest, SCORED))}
    spaces = {
        "autoencoder's latent codes": [codes[kept[row]] for row in tests],
        "network's view of the anomaly map": [embeddings[row] for row in tests],
    }
    tables = [pd.DataFrame(columns=["space", "x", "y", "label"])]
    for name, vectors in spaces.items():
        places = tsne(np.stack([np.ravel(v) for v in vectors]), seed) if len(vectors) >= LEAST_POINTS else None
        if places is not None:
            tables.append(pd.DataFrame({"space": name, "x": places[:, 0], "y": places[:, 1], "label": labels}))
    return pd.concat(tables, ignore_index=True)


def read_sample_reconstructions(tensors: dict[str, Tensor]) -> SampleReconstructions:
    """Return what training kept of its reconstructions, by the epochs done."""
    redrawn = {int(name.removeprefix("epoch_")): tensors[name].numpy() for name in sorted(tensors) if name != "patches"}
    return SampleReconstructions(tensors["patches"].numpy(), redrawn)


def read_suitability(judged: dict[str, Any]) -> Suitability:
    """Return the verdicts on the material, before and after training."""
    before = judged["before"]
    return Suitability(judged["verdict"], judged["reason"], before["verdict"], before["reason"])


def split_ends(ordered: Sequence[int], count: int) -> tuple[list[int], list[int]]:
    """Return the first ``count`` and the last ``count``, reversed; no item is in both."""
    worst = list(ordered[:count])
    return worst, list(ordered[len(worst) :][-count:][::-1])


AXES = {
    "roc": ("fpr", "tpr"),
    "pixel_roc": ("fpr", "tpr"),
    "pr": ("recall", "precision"),
    "pixel_pr": ("recall", "precision"),
    "pro": ("fpr", "pro"),
}


def wide_form(name: str, table: pd.DataFrame) -> pd.DataFrame:
    """Return one curve of the long table (curve, x, y) under its own axes' names."""
    return table[["x", "y"]].set_axis(list(AXES[name]), axis=1).reset_index(drop=True)


def _example(
    row: pd.Series, image: Any, mask: Any, anomaly: Any, detector: Detector, inspection: InspectionParams
) -> Example:
    judgement = judge(Scored(row["score"], anomaly), detector.thresholds, inspection, by_map=detector.by_map)
    return Example(
        name=row["image"],
        image=image,
        anomaly_map=anomaly,
        score=row["score"],
        verdict=judgement.verdict,
        reconstruction=detector.reconstruct(image),
        mask=mask if mask.size else None,
        label=int(row["label"]),
        defect=row["defect"],
        regions=judgement.regions,
        map_threshold=judgement.map_threshold,
    )


def make_compare(names: Sequence[str], suited: Sequence[str]) -> Callable:
    """Return the node that puts the metrics of the methods ``names`` in one table, beside those of ``suited`` whether
    the material suits them, and beside all what makes them doubtful: a shortcut in the data."""

    def compare(shortcuts: pd.DataFrame, *found: dict[str, Any]) -> pd.DataFrame:
        metrics = found[: len(names)]
        judged = dict(zip(suited, found[len(names) :], strict=True))
        rows = [
            {"method": name, **one["values"], **(suitability_row(judged[name]) if name in judged else {})}
            for name, one in zip(names, metrics, strict=True)
        ]
        return pd.DataFrame(rows).assign(shortcut=brief(shortcuts))

    return compare


def suitability_row(judged: dict[str, Any]) -> dict[str, Any]:
    """Return the columns of `compare` on the material: the verdicts before and after, and the figures behind them."""
    before = judged["before"]
    return {
        "before": before["verdict"],
        "suitability": judged["verdict"],
        "regularity": before["regularity"],
        "linear": before["linear"],
        "explained": judged["explained"],
    }


def make_report(
    category: str,
    seed: int,
    manifest: pd.DataFrame,
    quarantine: pd.DataFrame,
    alignment: pd.DataFrame,
    aligner: dict[str, Tensor],
    shortcuts: pd.DataFrame,
    comparison: pd.DataFrame,
    run: Mapping[str, str],
    parameters: Mapping[str, Any],
    *results: MethodResult,
) -> tuple[str, str]:
    """Return (the page as HTML, what was found as a few lines of text)."""
    found = found_by_all(results)
    layout = manifest["layout"].iloc[0] if len(manifest) else None
    published = published_for(category, raw=parameters.get("raw"), layout=layout)
    published = published[published["method"].isin([result.method for result in results])]
    aligned = show_alignment(manifest, alignment, aligner)
    page = Page(
        title=f"{category}: what flawline found",
        category=category,
        found=found,
        methods=results,
        counts=count_images(manifest),
        quarantine=quarantine,
        settings=flatten(parameters),
        ids={
            "category": category,
            "seed": str(seed),
            **run,
            "flawline": __version__,
            "machine": platform(),
            "made": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        },
        notes=[
            *shortcut_sentences(shortcuts),
            *cautions(manifest, quarantine, aligned, results),
            *published_notes(published),
        ],
        published=published,
        alignment=aligned,
    )
    told = [*found, *shortcut_sentences(shortcuts), *lost(aligned)]
    return render_page(page), summary(category, told, comparison, quarantine)


def show_alignment(
    manifest: pd.DataFrame, alignment: pd.DataFrame, aligner: dict[str, Tensor]
) -> AlignmentShown | None:
    """Return how the photographs lie against the reference, None where there is none."""
    if not aligner:
        return None
    table = alignment.assign(split=manifest["split"].to_numpy())
    return AlignmentShown(
        Aligner.from_tensors(aligner).orientation(),
        len(table),
        table.loc[~usable(table), ["image", "split", "reason"]],
        table.loc[table["outside"] > 0, ["image", "split", "outside"]],
    )


def lost(aligned: AlignmentShown | None) -> list[str]:
    """Return how many photographs could not be aligned, if any."""
    count = 0 if aligned is None else len(aligned.misaligned)
    photographs = "1 photograph" if count == 1 else f"{count} photographs"
    return [f"{photographs} could not be aligned: neither learned from nor judged."] if count else []


def found_by(result: MethodResult) -> list[str]:
    """Return what a method found, in sentences."""
    promise = result.thresholds["reject"].promise
    if result.verdicts is None or result.verdicts.empty:
        return [f"{result.method} had no test image to judge.", promise]
    judged = f"{result.method} judged {len(result.verdicts)} test images: {count_verdicts(result.verdicts)}."
    return [judged, *caught(result.verdicts), promise, *suits(result)]


def found_by_all(results: Sequence[MethodResult]) -> list[str]:
    """Return what several methods found: a sentence each, and what holds for all of them once."""
    if len(results) == 1:
        return found_by(results[0])
    judged = {r.method: r.verdicts for r in results if r.verdicts is not None and not r.verdicts.empty}
    told = [f"{method}: {' '.join(caught(verdicts))}" for method, verdicts in judged.items()]
    count = f"{max(map(len, judged.values()))} test images" if judged else "no test image"
    promises = dict.fromkeys(r.thresholds["reject"].promise for r in results)
    headline = f"{len(results)} methods judged {count}."
    return [headline, *told, *promises, *(sentence for r in results for sentence in suits(r))]


def caught(verdicts: pd.DataFrame) -> list[str]:
    """Return how many defective parts were caught and how many good ones rejected, of those that were tested."""
    good, defective = verdicts[verdicts["label"] == 0]["verdict"], verdicts[verdicts["label"] == 1]["verdict"]
    lines = [f"{(defective != 'pass').sum()} of {len(defective)} defective parts were caught."] * bool(len(defective))
    return lines + [f"{(good == 'reject').sum()} of {len(good)} good parts were rejected."] * bool(len(good))


def suits(result: MethodResult) -> list[str]:
    """Return whether the material suits the method, where that was judged and it does not wholly."""
    judged = result.suitability
    if judged is None or judged.verdict == "suited":
        return []
    return [f"By what {result.method} learned, this material is {judged.verdict} for it: {judged.reason}"]


def count_verdicts(verdicts: pd.DataFrame) -> str:
    """Return how many images got each verdict, in words."""
    counts = verdicts["verdict"].value_counts()
    return ", ".join(f"{counts.get(name, 0)} {name}" for name in VERDICTS)


def cautions(
    manifest: pd.DataFrame, quarantine: pd.DataFrame, aligned: AlignmentShown | None, results: Sequence[MethodResult]
) -> list[str]:
    """Return what a reader must know before trusting the figures."""
    notes = [f"{sentence} They are listed with the reason under Data." for sentence in lost(aligned)]
    if len(quarantine):
        notes.append(f"{len(quarantine)} files could not be used; they are listed with the reason under Data.")
    if not (manifest["label"] == 1).any():
        notes.append("There is no defective image, so nothing here says which defects the detector would miss.")
    if any(not result.thresholds["reject"].kept for result in results):
        notes.append("Too few calibration images for the wanted overkill rate: the threshold's promise is weaker.")
    return notes


SHOWN = ("image_auroc", "image_ap", "pixel_auroc", "aupro", "A", "iou", "oracle_A", "oracle_iou")


def summary(category: str, found: Sequence[str], comparison: pd.DataFrame, quarantine: pd.DataFrame) -> str:
    """Return the text that ends a run: a table a method and the sentences of the page."""
    table = comparison.set_index("method").reindex(columns=list(SHOWN)).T.map(_number)
    unused = [f"{len(quarantine)} file{'s' * (len(quarantine) > 1)} in quarantine."] if len(quarantine) else []
    return "\n".join([f"category {category}", table.to_string(), "", *found, *unused]) + "\n"


def _number(value: float) -> str:
    return "-" if pd.isna(value) else f"{value:.4f}"

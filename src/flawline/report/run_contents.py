"""What the page of a run is made of: the results of each method, its worst and best images, the comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from flawline.intake.manifest import count_images
from flawline.metrics.shortcuts import brief
from flawline.params import InspectionParams, flatten
from flawline.report.contents import (
    AlignmentShown,
    Detectability,
    GridImage,
    JudgedImage,
    MethodResult,
    RunPage,
    SampleReconstructions,
    Split,
    Suitability,
)
from flawline.report.model_card import CardFacts
from flawline.report.origin import origin
from flawline.report.run_sentences import run_cautions, run_found
from flawline.storage.digests import settings_digest

if TYPE_CHECKING:
    from torch import Tensor

    from flawline.detector.file import Detector
    from flawline.methods.reconstruction import TrainedReconstructor
    from flawline.storage.ragged import RaggedArray

AXES = {  # curve -> the names of its columns
    "roc": ("fpr", "tpr"),
    "pixel_roc": ("fpr", "tpr"),
    "pr": ("recall", "precision"),
    "pixel_pr": ("recall", "precision"),
    "pro": ("fpr", "pro"),
}


def method_result(
    detector: Detector,
    *,
    metrics: Mapping[str, Any],
    scores: pd.DataFrame,
    curves: pd.DataFrame,
    verdicts: pd.DataFrame,
    worst: Sequence[JudgedImage],
    best: Sequence[JudgedImage],
    suspicious: pd.DataFrame | None = None,
    odd: Sequence[JudgedImage] = (),
    operating_points: pd.DataFrame | None = None,
    grid: Sequence[GridImage] = (),
) -> MethodResult:
    """Return all that one method made of a category; ``metrics`` has values and absent, ``curves`` curve, x and y."""
    limits = {name: getattr(detector.thresholds, name) for name in ("reject", "review", "pixel", "outlier")}
    return MethodResult(
        method=detector.method,
        metrics=metrics["values"],
        absent=metrics["absent"],
        scores=scores,
        curves={str(name): curve_table(str(name), table) for name, table in curves.groupby("curve")},
        thresholds={name: limit for name, limit in limits.items() if limit is not None},
        verdicts=verdicts,
        worst=worst,
        best=best,
        suspicious=suspicious,
        odd=odd,
        operating_points=operating_points,
        by_cost=detector.thresholds.by_cost,
        grid=grid,
    )


def curve_table(name: str, table: pd.DataFrame) -> pd.DataFrame:
    """Return one curve of the long table (curve, x, y) with its columns named after its own axes."""
    return table[["x", "y"]].set_axis(list(AXES[name]), axis=1).reset_index(drop=True)


def worst_and_best(scores: pd.DataFrame, count: int) -> tuple[list[int], list[int]]:
    """Return the rows of the ``count`` test images with the highest scores, and those of the lowest, lowest first."""
    tests = scores[scores["split"] == "test"].sort_values("score", ascending=False)
    return split_ends(tests.index.tolist(), count)


def split_ends(ordered: Sequence[int], count: int) -> tuple[list[int], list[int]]:
    """Return the first ``count`` and the last ``count``, reversed; no item is in both."""
    worst = list(ordered[:count])
    return worst, list(ordered[len(worst) :][-count:][::-1])


def judged_images(
    rows: Sequence[int],
    *,
    scores: pd.DataFrame,
    images: RaggedArray,
    masks: RaggedArray,
    maps: RaggedArray,
    kept: Sequence[int],
    detector: Detector,
    inspection: InspectionParams,
    reconstructor: TrainedReconstructor | None,
) -> list[JudgedImage]:
    """Return the images in ``rows`` of the scores with what the detector makes of them. ``maps`` has the scores' rows,
    ``kept`` says where they stand in ``images`` and ``masks``."""
    return [
        _judged(scores.loc[k], images[kept[k]], masks[kept[k]], maps[k], detector=detector, reconstructor=reconstructor,
                inspection=inspection)
        for k in rows
    ]  # fmt: skip


def _judged(
    row: pd.Series, image: Any, mask: Any, anomaly: Any, *, detector: Detector, inspection: InspectionParams,
    reconstructor: TrainedReconstructor | None,
) -> JudgedImage:  # fmt: skip
    from flawline.detector.judging import judge, with_p_value
    from flawline.methods.one_class import Scored

    said = judge(Scored(row["score"], anomaly), detector.thresholds, inspection, detector.reduction)
    judgement = with_p_value(said, detector.calibration_scores)
    return JudgedImage(
        name=row["image"],
        image=image,
        anomaly_map=anomaly,
        score=row["score"],
        verdict=judgement.verdict,
        p_value=judgement.p_value,
        reconstruction=detector.reconstruct(image, reconstructor),
        mask=mask if mask.size else None,
        label=int(row["label"]),
        defect=row["defect"],
        regions=judgement.regions,
        map_threshold=judgement.map_threshold,
    )


def with_more(
    result: MethodResult,
    *,
    history: pd.DataFrame | None = None,
    sample_reconstructions: Mapping[str, Tensor] | None = None,
    patch_losses: pd.DataFrame | None = None,
    suitability: Mapping[str, Any] | None = None,
    projections: pd.DataFrame | None = None,
    pseudo_gallery: Any = None,
    similarity: pd.DataFrame | None = None,
    choice: pd.DataFrame | None = None,
    found_by_kind: pd.DataFrame | None = None,
    detectability: pd.DataFrame | None = None,
    pod_curves: pd.DataFrame | None = None,
    sized_verdicts: pd.DataFrame | None = None,
    real_rates: pd.DataFrame | None = None,
    mm_per_pixel: float | None = None,
) -> MethodResult:
    """Return the result of a method with what is known beside its scores: of one that trains a network how it learned,
    the losses of patches, whether the material suits, the images projected from its spaces, a picture of the
    pseudo-defects it learned with, and how similar images and their reconstructions are; of one that was chosen what
    each candidate was worth, and which pseudo-defects the chosen one finds; and which sizes and contrasts it finds."""
    return replace(
        result,
        history=history,
        sample_reconstructions=read_sample_reconstructions(sample_reconstructions) if sample_reconstructions else None,
        split=read_split(sample_reconstructions) if sample_reconstructions else None,
        similarity=similarity,
        choice=choice,
        found_by_kind=found_by_kind,
        detectability=read_detectability(detectability, pod_curves, sized_verdicts, real_rates, mm_per_pixel),
        patch_losses=None if patch_losses is None else patch_losses[["mask_share", "loss"]],
        suitability=None if suitability is None else read_suitability(suitability),
        projections=None if projections is None else read_projections(projections),
        pseudo_gallery=None if pseudo_gallery is None else np.asarray(pseudo_gallery),
    )


def read_sample_reconstructions(tensors: Mapping[str, Tensor]) -> SampleReconstructions:
    """Return what training kept of its reconstructions, by the epochs done."""
    epochs = {int(name.removeprefix("epoch_")): tensors[name].numpy() for name in tensors if name.startswith("epoch_")}
    return SampleReconstructions(tensors["patches"].numpy(), dict(sorted(epochs.items())))


def read_split(tensors: Mapping[str, Tensor]) -> Split | None:
    """Return how patches were split into what the network makes of them and what is left; None of a method without."""
    if "split_x" not in tensors:
        return None
    return Split(*(tensors[f"split_{name}"].numpy() for name in ("x", "l", "s")))


def read_suitability(judged: Mapping[str, Any]) -> Suitability:
    """Return the verdicts on the material, before and after training."""
    before = judged["before"]
    return Suitability(judged["verdict"], judged["reason"], before["verdict"], before["reason"])


def read_detectability(
    table: pd.DataFrame | None, curves: pd.DataFrame | None, verdicts: pd.DataFrame | None, rates: pd.DataFrame | None,
    mm_per_pixel: float | None,
) -> Detectability | None:  # fmt: skip
    """Return what a detector finds, with the hits that were counted beside the curves; None where that is not known."""
    if table is None or curves is None or verdicts is None or rates is None:
        return None
    from flawline.metrics.detectability import counted_by_size

    images = verdicts.loc[~verdicts["rejected"].astype(bool), "image"].nunique()
    return Detectability(table, curves, counted_by_size(verdicts), rates, images, mm_per_pixel)


def read_projections(projections: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the points of each space."""
    return {str(name): table.reset_index(drop=True) for name, table in projections.groupby("space", sort=False)}


def project(spaces: Mapping[str, Sequence[Any]], labels: Sequence[int], seed: int) -> pd.DataFrame:
    """Return images in two dimensions (t-SNE), as Saeedi & Giusti 2022, Fig. 6 has them: a row an image and space with
    space, x, y, label. A space of too few vectors has no row."""
    from flawline.metrics.projection import LEAST_POINTS, tsne

    tables = [pd.DataFrame(columns=["space", "x", "y", "label"])]
    for name, vectors in spaces.items():
        if len(vectors) >= LEAST_POINTS:
            places = tsne(np.stack([np.ravel(v) for v in vectors]), seed)  # (n, 2)
            tables.append(pd.DataFrame({"space": name, "x": places[:, 0], "y": places[:, 1], "label": labels}))
    return pd.concat(tables, ignore_index=True)


def comparison_table(
    metrics: Mapping[str, Mapping[str, Any]], suitability: Mapping[str, Mapping[str, Any]], shortcuts: pd.DataFrame
) -> pd.DataFrame:
    """Return a row a method: its metrics, whether the material suits it where that was judged, and beside all what
    makes them doubtful, a shortcut in the data."""
    rows = [
        {"method": name, **one["values"], **(suitability_columns(suitability[name]) if name in suitability else {})}
        for name, one in metrics.items()
    ]
    return pd.DataFrame(rows).assign(shortcut=brief(shortcuts))


def suitability_columns(judged: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns of the comparison on the material: the verdicts before and after, and the figures behind."""
    before = judged["before"]
    return {
        "before": before["verdict"],
        "suitability": judged["verdict"],
        "regularity": before["regularity"],
        "linear": before["linear"],
        "explained": judged["explained"],
    }


def gather_run_page(
    results: Sequence[MethodResult],
    *,
    category: str,
    seed: int,
    manifest: pd.DataFrame,
    quarantine: pd.DataFrame,
    aligned: AlignmentShown | None,
    doubts: Sequence[str],
    parameters: Mapping[str, Any],
    run: Mapping[str, str],
) -> RunPage:
    """Gather all that the page shows. ``doubts`` are sentences on the images, from ingestion."""
    from flawline.methods.published import published_notes

    published = _published(results, category, manifest, parameters)
    cautions = run_cautions(manifest, quarantine, aligned, results)
    return RunPage(
        title=f"{category}: what flawline found",
        category=category,
        found=run_found(results),
        methods=results,
        counts=count_images(manifest),
        quarantine=quarantine,
        settings=flatten(parameters),
        ids=origin(run, category=category, seed=str(seed)),
        notes=[*doubts, *cautions, *published_notes(published)],
        published=published,
        alignment=aligned,
    )


def card_facts(
    detector: Detector, manifest: pd.DataFrame, detectability: pd.DataFrame, *, run: Mapping[str, str],
    signed_off_by: str | None,
) -> CardFacts:  # fmt: skip
    """Gather what the card of a detector tells beside the results of its method."""
    from flawline.detector.engine_check import ENGINE

    settings = {**detector.params, "inspection": detector.inspection.model_dump(mode="json")}
    version = {} if detector.source is None else {"detector": str(detector.source)}
    return CardFacts(
        category=detector.category,
        counts=count_images(manifest),
        images=detector.about.get("images", ""),
        data=settings_digest(manifest["sha256"].tolist()),
        settings=flatten(settings),
        engine=detector.about.get(ENGINE, ""),
        weights=detector.weights_note,
        ids=origin(run, **version, seed=detector.about.get("seed", "")),
        detectability=detectability,
        signed_off_by=signed_off_by,
    )


def _published(
    results: Sequence[MethodResult], category: str, manifest: pd.DataFrame, parameters: Mapping[str, Any]
) -> pd.DataFrame:
    """Return what was published on these images of the methods that ran."""
    from flawline.methods.published import published_for

    layout = manifest["layout"].iloc[0] if len(manifest) else None
    published = published_for(category, raw=parameters.get("raw"), layout=layout)
    return published[published["method"].isin([result.method for result in results])]


def show_alignment(
    manifest: pd.DataFrame, alignment: pd.DataFrame, aligner: Mapping[str, Tensor], choice: pd.DataFrame
) -> AlignmentShown | None:
    """Return how the photographs lie against the reference, and the ``choice`` of their alignment; None where there is
    neither."""
    from flawline.intake.registration import usable
    from flawline.vision.fitting import aligner_of

    made = aligner_of(aligner)
    if made is None and choice.empty:
        return None
    table = alignment.assign(split=manifest["split"].to_numpy())
    return AlignmentShown(
        made.orientation() if made else "",
        len(table),
        table.loc[~usable(table), ["image", "split", "reason"]],
        table.loc[table["outside"] > 0, ["image", "split", "outside"]],
        table.loc[usable(table) & (table["reason"] != ""), ["image", "split", "reason"]],
        choice,
    )

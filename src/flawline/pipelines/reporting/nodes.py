"""What was found, in one page and a few lines."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import pandas as pd

from flawline.detector.file import Detector
from flawline.intake.manifest import rows_of
from flawline.intake.notes import texts
from flawline.metrics.shortcuts import sentences
from flawline.params import ComputeParams, InspectionParams, ReportingParams
from flawline.report import MethodResult, render_run
from flawline.report.grid import grid_of_tests
from flawline.report.model_card import model_card
from flawline.report.run_contents import (
    card_facts,
    comparison_table,
    gather_run_page,
    judged_images,
    method_result,
    project,
    show_alignment,
    with_more,
    worst_and_best,
)
from flawline.report.run_sentences import run_summary
from flawline.storage.ragged import RaggedArray
from flawline.training.compute import keep_memory

Tensors = Mapping[str, Any]  # name -> torch.Tensor; torch takes long to import, and a hint alone does not need it


def gather_result(
    manifest: pd.DataFrame,
    images: RaggedArray,
    masks: RaggedArray,
    scores: pd.DataFrame,
    maps: RaggedArray,
    *,
    metrics: dict[str, Any],
    curves: pd.DataFrame,
    verdicts: pd.DataFrame,
    suspicious: pd.DataFrame,
    operating_points: pd.DataFrame,
    detector: Detector,
    inspection: InspectionParams,
    reporting: ReportingParams,
    compute: ComputeParams,
) -> MethodResult:
    """Return all that one method made of the category, with its worst and best test images drawn, all of them small,
    and the good images that stand out."""
    keep_memory()
    row_of = {image: row for row, image in enumerate(manifest["image"])}
    kept = [row_of[image] for image in scores["image"]]
    show = partial(judged_images, scores=scores, images=images, masks=masks, maps=maps, kept=kept, detector=detector,
                   inspection=inspection)  # fmt: skip
    rows_of_images = pd.Series(scores.index, scores["image"])
    doubtful = rows_of_images[suspicious["image"].head(reporting.examples)].tolist()
    at_length = partial(show, reconstructor=detector.make_reconstructor(compute))
    worst, best, odd = map(at_length, (*worst_and_best(scores, reporting.examples), doubtful))
    grid = grid_of_tests(
        verdicts, scores, images=images, kept=kept, maps=maps, limit=detector.thresholds.on_map.value,
        judged=partial(show, reconstructor=None), shown={each.name for each in (*worst, *best)},
    )  # fmt: skip
    return method_result(
        detector, metrics=metrics, scores=scores, curves=curves, verdicts=verdicts, worst=worst, best=best,
        suspicious=suspicious, odd=odd, operating_points=operating_points, grid=grid,
    )  # fmt: skip


def add_beside(result: MethodResult, **known: Any) -> MethodResult:
    """Return a method's result with what is known beside its scores: how its reconstructor learned, what that makes of
    patches, whether the material suits it, what its spaces look like in two dimensions, why it was chosen, and which
    defects it finds."""
    return with_more(result, **known)


def project_spaces(codes: RaggedArray, embeddings: RaggedArray, manifest: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Return the test images in two dimensions, from two spaces: a row an image and space with space, x, y, label.
    ``codes`` and ``embeddings`` are of all images."""
    tests = rows_of(manifest, ["test"])
    spaces = {
        "autoencoder's latent codes": [codes[row] for row in tests],
        "network's view of the anomaly map": [embeddings[row] for row in tests],
    }
    return project(spaces, manifest["label"].iloc[tests].to_numpy(), seed)


def make_card(
    result: MethodResult, manifest: pd.DataFrame, detectability: pd.DataFrame, detector: Detector, *,
    reporting: ReportingParams, run: Mapping[str, str],
) -> str:  # fmt: skip
    """Return the detector's card as Markdown."""
    facts = card_facts(detector, manifest, detectability, run=run, signed_off_by=reporting.signed_off_by)
    return model_card(result, facts)


def make_compare(names: Sequence[str], suited: Sequence[str]) -> Callable:
    """Return the node that puts the metrics of the methods ``names`` in one table, beside those of ``suited`` whether
    the material suits them."""

    def compare(shortcuts: pd.DataFrame, *found: dict[str, Any]) -> pd.DataFrame:
        metrics = dict(zip(names, found[: len(names)], strict=True))
        return comparison_table(metrics, dict(zip(suited, found[len(names) :], strict=True)), shortcuts)

    return compare


def make_report(
    category: str,
    seed: int,
    manifest: pd.DataFrame,
    quarantine: pd.DataFrame,
    *,
    alignment: pd.DataFrame,
    aligner: Tensors,
    alignment_choice: pd.DataFrame,
    shortcuts: pd.DataFrame,
    data_notes: pd.DataFrame,
    comparison: pd.DataFrame,
    run: Mapping[str, str],
    parameters: Mapping[str, Any],
    **results: MethodResult,
) -> tuple[str, str]:
    """Return (the page as HTML, what was found as a few lines of text) of the methods' results, in their order."""
    doubts = [*texts(data_notes, caution=True), *sentences(shortcuts)]
    page = gather_run_page(
        tuple(results.values()), category=category, seed=seed, manifest=manifest, quarantine=quarantine,
        aligned=show_alignment(manifest, alignment, aligner, alignment_choice), doubts=doubts, parameters=parameters,
        run=run,
    )  # fmt: skip
    return render_run(page), run_summary(page, doubts, comparison)

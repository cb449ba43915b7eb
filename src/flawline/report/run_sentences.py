"""What a run found, and what a reader must know before trusting its figures, in sentences."""

import math
from collections.abc import Sequence

import pandas as pd

from flawline.report.contents import AlignmentShown, Detectability, MethodResult, RunPage
from flawline.report.cost_sentences import costs_in_words
from flawline.report.tables import length
from flawline.report.words import VERDICTS, interval_of

NAMED = 5  # images in a sentence
NONE_FOUND, ALL_FOUND = 0.6, 0.999  # AUROC of the best candidate below, above which pseudo-defects decide little
WORTH_A_WORD = 64.0  # pixels across, two times what is seen well of a photograph that is looked at as it is
TOLD = ("image_auroc", "image_ap", "pixel_auroc", "aupro", "A", "iou", "oracle_A", "oracle_iou")  # of the comparison


def run_found(results: Sequence[MethodResult]) -> list[str]:
    """Return what the methods found: one alone is told at length; of several each gets a sentence, and what holds for
    all of them is said once."""
    if len(results) == 1:
        return _found_by_one(results[0])
    judged = {r.method: r.verdicts for r in results if r.verdicts is not None and not r.verdicts.empty}
    told = [f"{method}: {' '.join(_caught(verdicts))}" for method, verdicts in judged.items()]
    count = f"{max(map(len, judged.values()))} test images" if judged else "no test image"
    promises: dict[str, list[str]] = {}
    for result in results:
        promises.setdefault(result.thresholds["reject"].promise, []).append(result.method)
    promised = [f"{', '.join(methods)}: {promise}" for promise, methods in promises.items()]
    promised = promised if len(promises) > 1 else list(promises)
    finds = [f"{r.method}: {sentence}" for r in results for sentence in finds_in_words(r.detectability)]
    headline = f"{len(results)} methods judged {count}."
    return [headline, *told, *promised, *finds, *(sentence for r in results for sentence in _unsuited(r))]


def verdicts_in_words(verdicts: pd.DataFrame) -> str:
    """Return how many images got each verdict."""
    counts = verdicts["verdict"].value_counts()
    return ", ".join(f"{counts.get(name, 0)} {name}" for name in VERDICTS)


def run_cautions(
    manifest: pd.DataFrame, quarantine: pd.DataFrame, aligned: AlignmentShown | None, results: Sequence[MethodResult]
) -> list[str]:
    """Return what a reader must know before trusting the figures."""
    notes = [f"{sentence} They are listed with the reason under Data." for sentence in not_aligned(aligned)]
    if len(quarantine):
        notes.append(f"{len(quarantine)} files could not be used; they are listed with the reason under Data.")
    if not (manifest["label"] == 1).any():
        notes.append("There is no defective image, so nothing here says which defects the detector would miss.")
    folded = [each.method for each in results if each.thresholds["reject"].basis != "split"]
    if folded:
        notes.append(
            f"To {', '.join(folded)} the splits train, validation and calibration are one: all of their good images "
            f"are learned from, and all calibrate, each by a model that did not learn it."
        )
    if any(not result.thresholds["reject"].kept for result in results):
        notes.append(
            "Too few calibration images for the wanted overkill rate: the threshold's promise is weaker. Photograph "
            "more good parts, of as many lots, days and operators as there are: what varies among good parts tomorrow "
            "must be among these."
        )
    return notes


def not_aligned(aligned: AlignmentShown | None) -> list[str]:
    """Return how many photographs could not be aligned, if any."""
    count = 0 if aligned is None else len(aligned.misaligned)
    photographs = "1 photograph" if count == 1 else f"{count} photographs"
    return [f"{photographs} could not be aligned: neither learned from nor judged."] if count else []


def run_summary(page: RunPage, doubts: Sequence[str], comparison: pd.DataFrame) -> str:
    """Return the text that ends a run: a table with a column a method, and the sentences of the page."""
    table = comparison.set_index("method").reindex(columns=list(TOLD)).T.map(_number)
    files = len(page.quarantine)
    unused = [f"{files} file{'s' * (files > 1)} in quarantine."] if files else []
    told = [*page.found, *doubts, *not_aligned(page.alignment), *unused]
    return "\n".join([f"category {page.category}", table.to_string(), "", *told]) + "\n"


def _found_by_one(result: MethodResult) -> list[str]:
    """Return what a method found."""
    promise = result.thresholds["reject"].promise
    if result.verdicts is None or result.verdicts.empty:
        return [f"{result.method} had no test image to judge.", promise, *finds_in_words(result.detectability)]
    judged = f"{result.method} judged {len(result.verdicts)} test images: {verdicts_in_words(result.verdicts)}."
    told = [
        *finds_in_words(result.detectability),
        *choice_in_words(result),
        *standing_out_in_words(result),
        *_unsuited(result),
    ]
    return [judged, *_caught(result.verdicts), promise, *costs_in_words(result.by_cost), *told]


def choice_in_words(result: MethodResult) -> list[str]:
    """Return which method was chosen, why, and how sure that is; nothing of a method that was not chosen."""
    if result.choice is None:
        return []
    table = result.choice
    chosen = table[table["chosen"]].iloc[0]
    name = f"{result.method} chose {chosen['candidate']} with the image score '{chosen['image_score']}'"
    if pd.isna(chosen["auroc"]):
        return [f"{name}: {chosen['reason']}.", *too_small_in_words(chosen["least_seen"])]
    small = too_small_in_words(chosen["least_seen"])
    told = (
        f"{name}, of {len(table)} candidates {chosen['reason']}. It tells pseudo-defects from good images that it did "
        f"not learn from with an AUROC of {chosen['auroc']:.3f}, and finds {chosen['detected']:.0%} of them at the "
        f"review threshold."
    )
    if table["auroc"].max() < NONE_FOUND:
        return [told, "No candidate tells them well, so the choice says little: look at what it misses.", *small]
    if (table["auroc"] > ALL_FOUND).sum() > 1:
        more = "Several find them all: of these the simplest was taken, and harder defects may tell them apart."
        return [told, more, *small]
    return [told, *small]


def finds_in_words(found: Detectability | None) -> list[str]:
    """Return in a sentence which sizes of pseudo-defects are surely found, by kind and contrast; nothing where none was
    judged."""
    if found is None or found.table.empty:
        return []
    kinds = [_kind_in_words(str(kind), rows, found) for kind, rows in found.table.groupby("kind", sort=False)]
    where = f"in {found.images} good image{'s' * (found.images > 1)}"
    return [f"Nine in ten pseudo-defects {where} are found, with 95 % confidence: {'; '.join(kinds)}."]


def _kind_in_words(kind: str, rows: pd.DataFrame, found: Detectability) -> str:
    """Return the sizes of one kind that are surely found."""
    unit = "px" if found.mm_per_pixel is None else "mm"
    if rows["a90_95"].isna().all():
        return f"of {kind} no size can be told ({rows['hits'].sum()} of {rows['defects'].sum()} were found)"
    sure = rows[rows["a90_95"] < math.inf]
    if sure.empty:
        return f"{kind} of no size up to {length(rows['largest'].max(), found.mm_per_pixel)} {unit}"
    sizes = [
        f"from {length(row['a90_95'] or row['smallest'], found.mm_per_pixel)} {unit} at contrast {row['contrast']:.2g}"
        for row in sure.to_dict("records")
    ]
    return f"{kind} {', '.join(sizes)}"


def too_small_in_words(least_seen: float) -> list[str]:
    """Return what is too small to be seen well, where photographs are looked at so much smaller than they are that it
    is worth a word."""
    if pd.isna(least_seen) or least_seen < WORTH_A_WORD:
        return []
    return [
        f"It looks at the photographs smaller than they are: what is less than {least_seen:.0f} pixels across may be "
        f"missed. How small a defect has to be found, inspection.min_area says."
    ]


def standing_out_in_words(result: MethodResult) -> list[str]:
    """Return which good images stand out, and what to do; nothing where none does."""
    if result.suspicious is None or result.suspicious.empty:
        return []
    names, good = result.suspicious["image"].tolist(), (result.scores["split"] == "calibration").sum()
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    one = len(names) == 1
    return [
        f"{len(names)} of {good} good images {'stands' if one else 'stand'} out among the others: "
        f"{', '.join(names[:NAMED])}{more}. If {'it is' if one else 'one is'} not good after all, leave it out and run "
        f"again, since it raises the threshold: ingestion.leave_out=TABLE takes a table that names it, such as a copy "
        f"of suspicious.csv, which lies beside the scores."
    ]


def _caught(verdicts: pd.DataFrame) -> list[str]:
    """Return how many defective parts were caught, that is rejected or sent to review, and how many good ones were
    rejected, of those that were tested. What could not be judged is neither, and is told."""
    good, defective = verdicts[verdicts["label"] == 0]["verdict"], verdicts[verdicts["label"] == 1]["verdict"]
    return [*_caught_defective(defective.value_counts()), *_rejected_good(good.value_counts())]


def _caught_defective(count: pd.Series) -> list[str]:
    if count.empty:
        return []
    rejected, reviewed, unjudged = (int(count.get(name, 0)) for name in ("reject", "review", "not_judged"))
    review = f", {reviewed} of them sent to review" if reviewed else ""
    lost = f"; {unjudged} could not be judged" if unjudged else ""
    told = f"{rejected + reviewed} of {count.sum()} defective parts were caught{review}{lost}"
    return [f"{told} ({interval_of(rejected + reviewed, count.sum())})."]


def _rejected_good(count: pd.Series) -> list[str]:
    if count.empty:
        return []
    rejected, good = int(count.get("reject", 0)), int(count.sum())
    return [f"{rejected} of {good} good parts were rejected ({interval_of(rejected, good)})."]


def _unsuited(result: MethodResult) -> list[str]:
    """Return that the material does not wholly suit the method, where that was judged and is so."""
    judged = result.suitability
    if judged is None or judged.verdict == "suited":
        return []
    return [f"By what {result.method} learned, this material is {judged.verdict} for it: {judged.reason}"]


def _number(value: float) -> str:
    return "-" if pd.isna(value) else f"{value:.4f}"

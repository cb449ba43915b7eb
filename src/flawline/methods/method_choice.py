"""Which method suits a product, decided from its normal images alone.

Normal images are held out in folds, and pseudo-defects of many kinds and strengths are put into copies of them, on the
part where one is told from the background. A candidate learns the other folds, and is worth as much as it tells the two
apart (AUROC). After each fold those that are clearly behind are dropped. In the end the best is taken, or what comes
earlier in the list of candidates, which begins with the simplest, and is no worse within the scatter. No test image
and no label of a defect takes part. That pseudo-defects may decide is Alpdemir's idea (2022, section 3.3), there for
the end of a training."""

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from flawline.checks import FlawlineError
from flawline.methods.auto import Auto
from flawline.methods.fold_scores import FoldScores, FoldStore, NoFolds, Timed
from flawline.methods.maps import within
from flawline.methods.trial import DEFECTS, MOVED, NORMAL, Seeing, Trial, side_looked_at, way_of_looking
from flawline.metrics.conformal import calibrate_threshold
from flawline.metrics.delong import Placed, behind, is_as_good, placements
from flawline.metrics.reductions import Reduction
from flawline.params import AutoMethodParams, AutoScorerParams, MethodChoiceParams, merged
from flawline.training.compute import side_by_side
from flawline.training.runtime import TORCH_ON_CPU, Runtime
from flawline.vision.fitting import Track, untracked

COLUMNS = ("candidate", "method", "image_score", "least_seen", "chosen", "auroc", "behind", "error", "detected",
           "stable", "folds", "seconds", "reason")  # fmt: skip
KINDS = ("kind", "strength", "defects", "found")
DROPPED = 2.0  # standard errors behind the best from which a candidate is tried no further


class Choice(NamedTuple):
    """A row for each candidate with what it is worth (COLUMNS), the scorer of the chosen one, and a row for each kind
    and strength of pseudo-defects with the share that it found (KINDS)."""

    candidates: pd.DataFrame
    scorer: AutoScorerParams
    kinds: pd.DataFrame


@dataclass
class Tried:
    """What is known of a candidate: its AUROC's parts, for every image score and fold, or why it cannot serve."""

    name: str
    auto: Auto | None
    noise: float  # standard errors within which an image score is as good as the best
    of_defects: list[NDArray] = field(default_factory=list)  # a fold: (image scores, defects), share of normals below
    of_normals: list[NDArray] = field(default_factory=list)  # a fold: (image scores, normals), share of defects above
    scores: list[FoldScores] = field(default_factory=list)
    seconds: float = 0.0
    reason: str = ""
    least_seen: float = math.nan  # pixels that span ``choice.least_span`` as an image is looked at, if that is smaller

    @property
    def folds(self) -> int:
        return len(self.of_defects)

    def add(self, made: Timed) -> None:
        """Add how it tells the normal images of another fold from the defects in them."""
        below, above = zip(*(placements(*each) for each in zip(made.scores.normal, made.scores.defective, strict=True)),
                           strict=True)  # fmt: skip
        self.of_defects.append(np.stack(below))
        self.of_normals.append(np.stack(above))
        self.scores.append(made.scores)
        self.seconds += made.seconds

    def placed(self, score: int, folds: int) -> Placed:
        """Return the shares of the first ``folds``, of defects and of normals, by one image score."""
        defects, normals = (np.concatenate([each[score] for each in some[:folds]])
                            for some in (self.of_defects, self.of_normals))  # fmt: skip
        return defects, normals

    def auroc(self, score: int, folds: int | None = None) -> float:
        return float(self.placed(score, folds or self.folds)[0].mean())

    @property
    def image_score(self) -> int:
        """Which image score to take: the first that is as good as the best within the scatter."""
        scores = range(len(self.of_defects[0]))
        best = self.placed(max(scores, key=self.auroc), self.folds)
        return next(score for score in scores if is_as_good(self.placed(score, self.folds), best, errors=self.noise))


def fold_scores(
    auto: Auto, trial: Trial, fold: int, seeing: Seeing, reductions: Sequence[Reduction]
) -> FoldScores:  # fmt: skip
    """Let a candidate learn all folds but one; return its scores of the images of this."""
    held = np.flatnonzero(trial.folds == fold)
    state = auto.ready(seeing.learned(auto, fold))

    def scores(rows: NDArray, of: str) -> NDArray:
        sources = trial.sources[rows] if of == DEFECTS else rows
        inputs = seeing.inputs(auto, rows.tolist(), of)

        def one(k: int) -> list[float]:
            found = within(auto.anomaly_map(state, inputs[k]), trial.seen[sources[k]])
            return [reduce(found) for reduce in reductions]

        made = list(side_by_side(one, range(len(rows)), workers=seeing.workers))
        return np.array(made).T.reshape(len(reductions), -1)

    damaged = np.flatnonzero(np.isin(trial.sources, held))
    return FoldScores(scores(held, NORMAL), scores(damaged, DEFECTS), scores(held, MOVED), damaged)


def choose_method(
    trial: Trial, params: AutoMethodParams, *, review_overkill: float, shapes: Sequence[tuple[int, ...]] | None = None,
    least_area: float = 0, runtime: Runtime = TORCH_ON_CPU, workers: int = 1, store: FoldStore | None = None,
    track: Track = untracked, clock: Callable[[], float] = time.perf_counter,
) -> Choice:  # fmt: skip
    """Return what each candidate is worth, and the scorer of the chosen one, which has to suit images of all ``shapes``
    (C, H, W); None: those of the trial. The smallest wanted defect has ``least_area`` pixels; 0: that is not known.
    What the ``store`` has of it from before is not tried again; so many ``workers`` look at images at once.

    ``auroc`` is that of its best image score, ``behind`` how far it is behind the best candidate, and ``error`` the
    standard error of that, on the folds that both were tried on; ``least_seen`` how many pixels span
    ``choice.least_span`` pixels as it looks at images, where it does so smaller than they are; ``detected`` the share
    of the pseudo-defects above the conformal threshold of the held-out normal images at ``review_overkill``, ``stable``
    that of good images below it when they are moved a little and in another light. Raise FlawlineError if no candidate
    can serve the images."""
    ends = None if params.choice.seconds is None else clock() + params.choice.seconds
    shapes = [image.shape for image in trial.images] if shapes is None else shapes
    scorers = candidate_scorers(params, shapes, least_area)
    found = [_begin(name, each, params, shapes, runtime) for name, each in scorers.items()]
    leave_out_twins(found, shapes)
    reductions = [Reduction(each) for each in params.choice.image_scores]
    seeing, late, store = Seeing(trial, workers=workers), False, store or NoFolds()
    steps = [(fold, each) for fold in np.unique(trial.folds).tolist() for each in found]
    for fold, each in track(steps, total=len(steps), label="trying methods"):
        if each is found[0] and fold:
            _drop(found)
        late = late or (ends is not None and clock() > ends and any(other.folds for other in found))
        if each.reason or late:
            continue
        score = partial(fold_scores, trial=trial, fold=fold, seeing=seeing, reductions=reductions)
        _try_fold(each, fold, score, store, clock)
    return _decided(found, trial, params, review_overkill=review_overkill, late=late)


def candidate_scorers(
    params: AutoMethodParams, shapes: Sequence[tuple[int, ...]], least_area: float = 0
) -> dict[str, AutoScorerParams]:
    """Return the candidates by name as scorers, with the first image score. One that looks at images (C, H, W) as they
    are looks at them with a shorter side of `side_to_look_at` where all are larger."""
    score, side = params.choice.image_scores[0], side_to_look_at(params.choice, shapes, least_area)
    found = {}
    for name, each in params.candidates.items():
        change = each.change or {}
        if side is not None and _looks_at_all(merged(each.settings, change)):
            change = merged(change, {"features": {"side": side}})
        found[name] = AutoScorerParams(**{**dict(each), "change": change or None}, image_score=score)
    return found


def side_to_look_at(params: MethodChoiceParams, shapes: Sequence[tuple[int, ...]], least_area: float) -> int | None:
    """Return the shorter side with which images (C, H, W) are looked at: ``choice.side``, or more where a defect of
    ``least_area`` pixels needs it to span ``choice.least_span`` pixels; None: as they are, since one is no larger."""
    smallest, largest = (pick(min(shape[1:]) for shape in shapes) for pick in (min, max))
    wanted = math.ceil(params.least_span * largest / math.sqrt(least_area)) if least_area else 0
    side = max(params.side, wanted)
    return side if side < smallest else None


def _looks_at_all(settings: Mapping[str, Any]) -> bool:
    """Return True if a scorer with these settings looks at images as large as they are."""
    return isinstance(settings.get("features"), Mapping) and settings["features"].get("side") is None


def leave_out_twins(found: Sequence[Tried], shapes: Sequence[tuple[int, ...]]) -> None:
    """Give a reason to those candidates that see images of these ``shapes`` (C, H, W) as an earlier one does, which
    else is as they are."""
    known: dict[str, str] = {}
    for each in found:
        if each.auto is None:
            continue
        params = each.auto.params
        settings = merged(params.own(), {"features": {"side": None}})
        ways = sorted({str(way_of_looking(each.auto, shape)) for shape in shapes})
        key = json.dumps([params.method, settings, params.reconstructor, ways], sort_keys=True, default=str)
        if known.setdefault(key, each.name) != each.name:
            each.reason = f"on these images the same as {known[key]}"


def _begin(
    name: str, scorer: AutoScorerParams, params: AutoMethodParams, shapes: Sequence[tuple[int, ...]], runtime: Runtime
) -> Tried:
    noise = params.choice.image_score_noise
    try:
        auto = Auto(scorer, runtime=runtime)
        auto.scorer.check_sizes(shapes, scorer.method)
    except FlawlineError as error:
        return Tried(name, None, noise, reason=str(error))
    return Tried(name, auto, noise, least_seen=least_seen(auto, params.choice, shapes))


def least_seen(auto: Auto, params: MethodChoiceParams, shapes: Sequence[tuple[int, ...]]) -> float:
    """Return how many pixels of the largest of images (C, H, W) span ``choice.least_span`` pixels as a candidate looks
    at them; NaN if it looks at none smaller than it is."""
    smaller = max(min(shape[1:]) / side_looked_at(auto, shape) for shape in shapes)
    return params.least_span * smaller if smaller > 1 else math.nan


def _try_fold(tried: Tried, fold: int, score: Callable[[Auto], FoldScores], store: FoldStore, clock: Any) -> None:
    """Add what a candidate scores in a fold, from the store if it was tried there before; or the reason why it cannot
    serve."""
    made, begun = store.recall(tried.name, fold), clock()
    if made is None:
        assert tried.auto is not None  # else it has a reason
        try:
            scores = score(tried.auto)
        except FlawlineError as error:
            tried.reason, tried.seconds = str(error), tried.seconds + clock() - begun
            return
        made = Timed(scores, clock() - begun)
        store.remember(tried.name, fold, made)
    tried.add(made)


def _drop(found: Sequence[Tried]) -> None:
    """Give a reason to those candidates that are clearly behind the best so far."""
    if not _standing(found):
        return
    best = _best(found)
    for each in found:
        if not each.reason and each.folds and not is_as_good(*_both(each, best), errors=DROPPED):
            each.reason = f"clearly behind after {each.folds} of the folds"


def _standing(found: Sequence[Tried]) -> list[Tried]:
    """Return the candidates that can serve the images and were not dropped, as far as they were tried."""
    return [each for each in found if each.folds and not each.reason]


def _best(found: Sequence[Tried]) -> Tried:
    """Return the candidate with the highest AUROC on the folds that all were tried on that stand."""
    standing = _standing(found)
    common = min(each.folds for each in standing)
    return max(standing, key=lambda each: each.auroc(each.image_score, common))


def _both(one: Tried, best: Tried) -> tuple[Placed, Placed]:
    """Return how a candidate and the best one place the images of the folds of both."""
    folds = min(one.folds, best.folds)
    ours, theirs = (each.placed(each.image_score, folds) for each in (one, best))
    return ours, theirs


def _decided(
    found: Sequence[Tried], trial: Trial, params: AutoMethodParams, *, review_overkill: float, late: bool
) -> Choice:
    if not _standing(found):
        told = "; ".join(f"{each.name}: {each.reason}" for each in found)
        raise FlawlineError(f"auto found no candidate that can serve these images. {told}")
    noise = params.choice.noise
    best = _best(found)
    chosen = next(each for each in _standing(found) if is_as_good(*_both(each, best), errors=noise))
    rows = [_row(each, best, params, review_overkill) for each in found]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    table["chosen"] = table["candidate"] == chosen.name
    table.loc[table["chosen"], "reason"] = _why(chosen, best) + ("; the time was up" if late else "")
    assert chosen.auto is not None  # it was tried
    scorer = chosen.auto.params.but(image_score=params.choice.image_scores[chosen.image_score])
    return Choice(table, scorer, _by_kind(chosen, trial, chosen.image_score, review_overkill))


def _row(tried: Tried, best: Tried, params: AutoMethodParams, review_overkill: float) -> list[Any]:
    """Return what the table says of a candidate, as if it were not chosen."""
    told = [tried.name, params.candidates[tried.name].method]
    if not tried.folds:
        reason = tried.reason or "not tried: the time was up"
        return [*told, "", tried.least_seen, False, *[np.nan] * 5, 0, tried.seconds, reason]
    score = tried.image_score
    gap = behind(*_both(tried, best))
    figures = [
        tried.auroc(score),
        *gap,
        float(_found(tried, score, review_overkill).mean()),
        _stable(tried, score, review_overkill),
    ]
    fewer = f"tried on {tried.folds} of the folds" if tried.folds < best.folds else ""
    name = score_name(params.choice.image_scores[score])
    return [*told, name, tried.least_seen, False, *figures, tried.folds, tried.seconds, tried.reason or fewer]


def _why(chosen: Tried, best: Tried) -> str:
    return "the best" if chosen is best else f"as good as {best.name} within the scatter, and simpler"


def _found(tried: Tried, score: int, overkill: float) -> NDArray[np.bool_]:
    """Return which pseudo-defects are above the threshold of the normal images that were held out."""
    threshold = _threshold(tried, score, overkill)
    return np.concatenate([each.defective[score] for each in tried.scores]) > threshold


def _stable(tried: Tried, score: int, overkill: float) -> float:
    """Return the share of good images that pass the same threshold when they were moved a little, in another light."""
    moved = np.concatenate([each.moved[score] for each in tried.scores])
    return float((moved <= _threshold(tried, score, overkill)).mean())


def _threshold(tried: Tried, score: int, overkill: float) -> float:
    normal = np.concatenate([each.normal[score] for each in tried.scores])
    return calibrate_threshold(normal, target_overkill=overkill).value


def _by_kind(tried: Tried, trial: Trial, score: int, overkill: float) -> pd.DataFrame:
    """Return how many pseudo-defects of each kind and strength there were, and the share that was found."""
    defects = [trial.defects[k] for each in tried.scores for k in each.damaged]
    table = pd.DataFrame(
        {
            "kind": [each.kind for each in defects],
            "strength": [each.strength for each in defects],
            "found": _found(tried, score, overkill),
        }
    )
    return table.groupby(["kind", "strength"])["found"].agg(["size", "mean"]).reset_index().set_axis(
        list(KINDS), axis=1
    )  # fmt: skip


def score_name(params: Any) -> str:
    """Return an image score in words: "maximum", "highest 1 %"."""
    if params.reduction == "top_share":
        return f"highest {100 * params.share:g} %"
    return str(params.reduction).replace("_", " ")


def untried(params: AutoMethodParams, shapes: Sequence[tuple[int, ...]], why: str, least_area: float = 0) -> Choice:
    """Return the choice where nothing can be tried, which its table says: the scorer is ``params.scorer``, or where
    images (C, H, W) of several sizes do not suit it the first candidate that they suit."""
    fallback = {"": params.scorer}
    others = candidate_scorers(params, shapes, least_area)
    for name, each in (fallback | others).items():
        try:
            auto = Auto(each)
            auto.scorer.check_sizes(shapes, each.method)
        except FlawlineError:
            continue
        told = [name or _name_of(each, others), each.method, score_name(each.image_score)]
        row = [*told, least_seen(auto, params.choice, shapes), True, *[np.nan] * 5, 0, 0.0, why]
        table = pd.DataFrame([row], columns=list(COLUMNS))
        return Choice(table, each, pd.DataFrame(columns=list(KINDS)))
    raise FlawlineError(f"auto found no candidate that can serve images of several sizes, and {why}")


def _name_of(scorer: AutoScorerParams, others: Mapping[str, AutoScorerParams]) -> str:
    return next((name for name, each in others.items() if each.own() == scorer.own()), scorer.method)

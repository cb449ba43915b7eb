"""Which method suits a product, decided from its normal images alone.

Normal images are held out in folds, and pseudo-defects of many kinds and strengths are put into copies of them, on the
part where one is told from the background. A candidate learns the other folds, and is worth as much as it tells the two
apart (AUROC). After each fold those that are clearly behind are dropped. In the end the best is taken, or what comes
earlier in the list of candidates, which begins with the simplest, and is no worse within the scatter. No test image
and no label of a defect takes part. That pseudo-defects may decide is Alpdemir's idea (2022, section 3.3), there for
the end of a training."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from flawline.checks import FlawlineError
from flawline.methods.auto import Auto
from flawline.methods.free_patches import FreePatchScorer, times_enlarged
from flawline.methods.graded_defects import GradedDefect, disturbed, graded_defects, with_defects
from flawline.methods.inputs import InputSequence, embed_all
from flawline.methods.maps import within
from flawline.methods.one_class import IMAGE, Inputs
from flawline.methods.patch_scorer import PatchScorer
from flawline.metrics.conformal import calibrate_threshold
from flawline.metrics.delong import Placed, behind, is_as_good, placements
from flawline.metrics.reductions import Reduction
from flawline.params import AutoMethodParams, AutoScorerParams, DefectInjectionParams
from flawline.storage.ragged import Lazy
from flawline.vision.fitting import Track, untracked

COLUMNS = ("candidate", "method", "image_score", "chosen", "auroc", "behind", "error", "detected", "stable", "folds",
           "seconds", "reason")  # fmt: skip
NORMAL, DEFECTS, MOVED = "normal", "defects", "moved"  # images of a trial
KINDS = ("kind", "strength", "defects", "found")
DROPPED = 2.0  # standard errors behind the best from which a candidate is tried no further

Seen = NDArray[np.bool_] | None  # the pixels of a frame that show a photograph; None: all


class Choice(NamedTuple):
    """A row for each candidate with what it is worth (COLUMNS), the scorer of the chosen one, and a row for each kind
    and strength of pseudo-defects with the share that it found (KINDS)."""

    candidates: pd.DataFrame
    scorer: AutoScorerParams
    kinds: pd.DataFrame


@dataclass(frozen=True)
class Trial:
    """What candidates are tried on: normal ``images`` (C, H, W) in their frames, each ``seen`` where it shows a
    photograph and held out in its fold, and pseudo-defects in them."""

    images: Sequence[NDArray]
    seen: Sequence[Seen]
    folds: NDArray[np.int64]  # (n,), from 0
    defects: Sequence[GradedDefect]
    moved: Sequence[NDArray] = ()  # each normal image, moved a little and in another light

    @cached_property
    def sources(self) -> NDArray[np.int64]:
        return np.array([defect.source for defect in self.defects])

    def of(self, which: str) -> Sequence[NDArray]:
        """Return its images that are NORMAL, with DEFECTS, or MOVED."""
        if which == DEFECTS:
            return with_defects(self.images, self.defects)
        return self.images if which == NORMAL else self.moved


def make_trial(
    images: Sequence[NDArray], seen: Sequence[Seen], folds: NDArray[np.int64], injection: DefectInjectionParams, *,
    defects: int, seed: int,
) -> Trial:  # fmt: skip
    """Return normal ``images`` with so many pseudo-defects in them, at least one each."""
    made = graded_defects(images, injection, count=max(defects, len(images)), seed=seed)
    moved = Lazy(len(images), lambda k: disturbed(images[k], np.random.default_rng([seed, k])))
    return Trial(images, seen, folds, made, moved)


class Embedded:
    """Embeddings of a trial's images, made when they are first asked for; candidates that look at images in the same
    way share them."""

    def __init__(self, trial: Trial):
        self._trial = trial
        self._kept: dict[tuple[Any, ...], NDArray] = {}

    def inputs(self, auto: Auto, rows: Sequence[int], of: str = NORMAL) -> Sequence[Inputs]:
        """Return what a candidate's scorer takes of the normal images at ``rows``, of the defects, or of the images
        that were moved."""
        plain = InputSequence((IMAGE,), self._trial.of(of), rows)

        def make(k: int) -> Inputs:
            seen = plain[k]
            embedding = self._embedding(auto, seen, (of, rows[k]))
            return Inputs(seen.views, embedding[None] if isinstance(auto.scorer, PatchScorer) else embedding)

        return Lazy(len(rows), make)

    def _embedding(self, auto: Auto, seen: Inputs, which: tuple[str, int]) -> NDArray:
        """Return the features (h, w, D) of an image."""
        key = (*way_of_looking(auto, seen.views[0].shape), *which)
        if key not in self._kept:
            (found,) = embed_all(auto, [seen], batch_size=1)
            self._kept[key] = found[0] if isinstance(auto.scorer, PatchScorer) else found
        return self._kept[key]


def way_of_looking(auto: Auto, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """Return what the features of an image (C, H, W) depend on: network, layers, and how large it is looked at."""
    features, side, times = auto.features, min(shape[1:]), 1
    if isinstance(auto.scorer, FreePatchScorer):
        times = times_enlarged(shape[1:], auto.scorer.params.scale)
    looked_at = times * side if features.side is None else features.side
    return features.backbone, features.weights, features.layers, looked_at, times


@dataclass
class Tried:
    """What is known of a candidate: its AUROC's parts, for every image score and fold, or why it cannot serve."""

    name: str
    auto: Auto | None
    noise: float  # standard errors within which an image score is as good as the best
    of_defects: list[NDArray] = field(default_factory=list)  # a fold: (image scores, defects), share of normals below
    of_normals: list[NDArray] = field(default_factory=list)  # a fold: (image scores, normals), share of defects above
    scores: list["FoldScores"] = field(default_factory=list)
    seconds: float = 0.0
    reason: str = ""

    @property
    def folds(self) -> int:
        return len(self.of_defects)

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


class FoldScores(NamedTuple):
    """The scores (image scores, n) of the images of a fold: as they are, with pseudo-defects, moved; and which
    pseudo-defects these are."""

    normal: NDArray
    defective: NDArray
    moved: NDArray
    damaged: NDArray[np.int64]


def try_fold(tried: Tried, trial: Trial, fold: int, embedded: Embedded, reductions: Sequence[Reduction]) -> None:
    """Let a candidate learn all folds but one, and add how it tells the normal images of this from the defects."""
    auto = tried.auto
    assert auto is not None  # its callers have asked
    held = np.flatnonzero(trial.folds == fold)
    state = auto.fit(embedded.inputs(auto, np.flatnonzero(trial.folds != fold).tolist()), seed=fold)

    def scores(rows: NDArray, of: str) -> NDArray:
        sources = trial.sources[rows] if of == DEFECTS else rows
        maps = (within(auto.anomaly_map(state, each), trial.seen[source]) for each, source in
                zip(embedded.inputs(auto, rows.tolist(), of), sources, strict=True))  # fmt: skip
        return np.array([[reduce(one) for reduce in reductions] for one in maps]).T.reshape(len(reductions), -1)

    damaged = np.flatnonzero(np.isin(trial.sources, held))
    normal, defective, moved = scores(held, NORMAL), scores(damaged, DEFECTS), scores(held, MOVED)
    below, above = zip(*(placements(*each) for each in zip(normal, defective, strict=True)), strict=True)
    tried.of_defects.append(np.stack(below))
    tried.of_normals.append(np.stack(above))
    tried.scores.append(FoldScores(normal, defective, moved, damaged))


def choose_method(
    trial: Trial, params: AutoMethodParams, *, review_overkill: float, shapes: Sequence[tuple[int, ...]] | None = None,
    device: str = "cpu", track: Track = untracked, clock: Callable[[], float] = time.perf_counter,
) -> Choice:  # fmt: skip
    """Return what each candidate is worth, and the scorer of the chosen one, which has to suit images of all ``shapes``
    (C, H, W); None: those of the trial.

    ``auroc`` is that of its best image score, ``behind`` how far it is behind the best candidate, and ``error`` the
    standard error of that, on the folds that both were tried on; ``detected`` the share of the pseudo-defects above the
    conformal threshold of the held-out normal images at ``review_overkill``, ``stable`` that of good images
    below it when they are moved a little and in another light. Raise FlawlineError if no candidate can
    serve the images."""
    ends = None if params.choice.seconds is None else clock() + params.choice.seconds
    shapes = [image.shape for image in trial.images] if shapes is None else shapes
    scorers = candidate_scorers(params, shapes)
    found = [_begin(name, each, params, shapes, device) for name, each in scorers.items()]
    reductions = [Reduction(each) for each in params.choice.image_scores]
    embedded, late = Embedded(trial), False
    steps = [(fold, each) for fold in np.unique(trial.folds).tolist() for each in found]
    for fold, each in track(steps, total=len(steps), label="trying methods"):
        if each is found[0] and fold:
            _drop(found)
        late = late or (ends is not None and clock() > ends and any(other.folds for other in found))
        if each.reason or late:
            continue
        _timed(each, trial, fold, embedded, reductions, clock)
    return _decided(found, trial, params, review_overkill=review_overkill, late=late)


def candidate_scorers(params: AutoMethodParams, shapes: Sequence[tuple[int, ...]]) -> dict[str, AutoScorerParams]:
    """Return the candidates by name as scorers, with the first image score. Where all images (C, H, W) are larger than
    ``choice.side``, one that looks at them as they are looks at them with that shorter side."""
    score, side = params.choice.image_scores[0], params.choice.side
    large = min(min(shape[1:]) for shape in shapes) > side
    found = {}
    for name, each in params.candidates.items():
        own = {**each.settings, **(each.change or {})}
        smaller = {"features": {**own["features"], "side": side}} if large and _looks_at_all(own) else {}
        change = {**(each.change or {}), **smaller} or None
        found[name] = AutoScorerParams(**{**dict(each), "change": change}, image_score=score)
    return found


def _looks_at_all(settings: Mapping[str, Any]) -> bool:
    """Return True if a scorer with these settings looks at images as large as they are."""
    return isinstance(settings.get("features"), Mapping) and settings["features"].get("side") is None


def _begin(
    name: str, scorer: AutoScorerParams, params: AutoMethodParams, shapes: Sequence[tuple[int, ...]], device: str
) -> Tried:
    noise = params.choice.image_score_noise
    try:
        auto = Auto(scorer, device=device)
        auto.scorer.check_sizes(shapes, scorer.method)
    except FlawlineError as error:
        return Tried(name, None, noise, reason=str(error))
    return Tried(name, auto, noise)


def _timed(tried: Tried, trial: Trial, fold: int, embedded: Embedded, reductions: Any, clock: Any) -> None:
    begun = clock()
    try:
        try_fold(tried, trial, fold, embedded, reductions)
    except FlawlineError as error:
        tried.reason = str(error)
    tried.seconds += clock() - begun


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
        return [*told, "", False, *[np.nan] * 5, 0, tried.seconds, tried.reason or "not tried: the time was up"]
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
    return [*told, name, False, *figures, tried.folds, tried.seconds, tried.reason or fewer]


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


def untried(params: AutoMethodParams, shapes: Sequence[tuple[int, ...]], why: str) -> Choice:
    """Return the choice where nothing can be tried, which its table says: the scorer is ``params.scorer``, or where
    images (C, H, W) of several sizes do not suit it the first candidate that they suit."""
    fallback = {"": params.scorer}
    others = candidate_scorers(params, shapes)
    for name, each in (fallback | others).items():
        try:
            Auto(each).scorer.check_sizes(shapes, each.method)
        except FlawlineError:
            continue
        row = [name or _name_of(each, others), each.method, score_name(each.image_score), True, *[np.nan] * 5, 0, 0.0]
        table = pd.DataFrame([[*row, why]], columns=list(COLUMNS))
        return Choice(table, each, pd.DataFrame(columns=list(KINDS)))
    raise FlawlineError(f"auto found no candidate that can serve images of several sizes, and {why}")


def _name_of(scorer: AutoScorerParams, others: Mapping[str, AutoScorerParams]) -> str:
    return next((name for name, each in others.items() if each.own() == scorer.own()), scorer.method)

"""Why a detector was promoted, or was not."""

from collections.abc import Sequence

from flawline.detector.promoting import LEAST, RANKING, UNTESTED, VERDICTS, Decision, Paired
from flawline.params import PromotionParams
from flawline.report.words import counted, p_value

SHOWN = 5  # images that are told one by one


def promotion_in_words(decision: Decision, params: PromotionParams) -> str:
    """Return what was decided and by what, a line each, the decision first."""
    lines = [_verdict(decision), *_challenges(decision)]
    if not decision.champion:
        lines.append("There was no champion to compare it with.")
    elif decision.paired is None:
        lines += _untested(decision)
    else:
        lines += [_ranking(decision.paired, decision, params), _verdicts(decision.paired, decision, params)]
    return "\n".join(lines) + "\n"


def _verdict(decision: Decision) -> str:
    before = f" in the place of {decision.champion}" if decision.champion else ""
    if decision.promoted:
        return f"promoted: {decision.candidate} is the champion now{before}."
    stays = f"{decision.champion} stays the champion" if decision.champion else "there is still no champion"
    return f"not promoted: {decision.candidate}; {stays}."


def _challenges(decision: Decision) -> list[str]:
    if not decision.challenges:
        return ["There is no challenge set."]
    lines = []
    if decision.blocked:
        lines.append(
            f"It misses {_images(decision.blocked)} of the challenge set that a detector must judge as wanted, or does "
            f"not judge them: {_some(decision.blocked)}."
        )
    if decision.lost:
        lines.append(
            f"It judges {_images(decision.lost)} of the challenge set otherwise than wanted that the champion judges "
            f"as wanted: {_some(decision.lost)}."
        )
    every = counted(decision.challenges, "image", "images")
    return lines or [f"The challenge set ({every}) speaks for it: nothing is missed that must not be."]


def _untested(decision: Decision) -> list[str]:
    if decision.untold:
        why = "the candidate does not say which photographs it learned from, so none is known to be new to it"
        do = "Make it again, and a detector keeps that."
    else:
        why = (
            f"wanted at least {LEAST} good and {LEAST} defective test photographs of which both give a score and from "
            f"which neither learned"
        )
        do = "Give some more of both to the raw folder."
    lines = [f"It was not compared with the champion on test photographs: {why}. {do}"]
    if UNTESTED in decision.against:
        lines.append("To promote it without that comparison: promotion.without_test=true.")
    return lines


def _ranking(paired: Paired, decision: Decision, params: PromotionParams) -> str:
    of = f"{paired.good} good and {paired.defective} defective test photographs"
    found = (
        f"On {of} its AUROC is {paired.candidate_auroc:.4f}, the champion's {paired.champion_auroc:.4f}; with 95 % "
        f"confidence the difference is at least {paired.least_gain:+.4f}"
    )
    if RANKING in decision.against:
        return f"{found}, and a loss of {params.margin:g} or more cannot be ruled out."
    return f"{found}, above {-params.margin:g}: it is no worse."


def _verdicts(paired: Paired, decision: Decision, params: PromotionParams) -> str:
    found = (
        f"It alone is wrong on {counted(paired.worse, 'photograph', 'photographs')}, the champion alone on "
        f"{paired.better} (exact McNemar test that it is worse: p = {p_value(paired.p_value)})"
    )
    if VERDICTS in decision.against:
        return f"{found}: its verdicts are worse, since p is below {params.significance:g}."
    return f"{found}: that its verdicts are worse is not shown."


def _images(names: Sequence[str]) -> str:
    return counted(len(names), "image", "images")


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more

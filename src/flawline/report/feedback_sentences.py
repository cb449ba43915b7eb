"""What people's decisions say of a detector, beside what it promises."""

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from flawline.detector.decisions import DEFECTIVE, GOOD
from flawline.metrics.conformal import Threshold
from flawline.metrics.intervals import exact_interval
from flawline.report.words import interval_of, share

if TYPE_CHECKING:
    from flawline.detector.feedback import Feedback, JudgedTable

SHOWN = 10  # problems that are told one by one
Counts = Mapping[str, Counter[str]]


def feedback_in_words(feedback: "Feedback", judged: "JudgedTable", *, folders: tuple[str, str]) -> str:
    """Return what came of decisions, a line each; ``folders`` are where the good images lie now and the challenge
    set."""
    from flawline.detector.feedback import counted, problems_in

    counts = counted(feedback.table, judged)
    promise = Threshold.from_dict(judged.seal.facts["thresholds"]["reject"])
    used, problems = feedback.table[feedback.table["problem"] == ""], list(problems_in(feedback.table))
    lines = [f"category {judged.seal.facts['category']}: {len(used)} of {len(feedback.table)} decisions were used."]
    lines += [f"not used: {line}" for line in problems[:SHOWN]]
    lines += [f"not used: {len(problems) - SHOWN} more"] * (len(problems) > SHOWN)
    lines += [*flagged_in_words(counts), *overkill_in_words(counts, promise), *escapes_in_words(counts)]
    return "\n".join([*lines, *_taken(feedback, folders)]) + "\n"


def flagged_in_words(counts: Counts) -> list[str]:
    """Return of how many rejected and reviewed images a person said that they are good."""
    lines = []
    for verdict, name in (("reject", "rejected"), ("review", "for review")):
        good, told = counts[verdict][GOOD], counts[verdict][GOOD] + counts[verdict][DEFECTIVE]
        if told:
            rest = f"; of {counts[verdict]['']} nobody has said anything" if counts[verdict][""] else ""
            found = f"{good} of {told} images {name} are said to be good: {share(good, told)}"
            lines.append(f"{found} ({interval_of(good, told)}){rest}.")
    return lines


def overkill_in_words(counts: Counts, promise: Threshold) -> list[str]:
    """Return the overkill, beside the promise: images of which nobody has said anything count as good if they passed,
    and not at all if they did not. Rejected ones of which nobody has said anything make it too low."""
    rejected = counts["reject"][GOOD]
    total = rejected + counts["review"][GOOD] + counts["pass"][GOOD] + counts["pass"][""]
    if not total:
        return [promise.promise]
    least = "at least " if counts["reject"][""] else ""
    taken = f", {counts['pass']['']} of which passed and nobody said otherwise" if counts["pass"][""] else ""
    found = f"overkill: {least}{share(rejected, total)} of {total} good images{taken} ({interval_of(rejected, total)})."
    more = exact_interval(rejected, total)[0] > promise.promised_overkill
    return [found, *["overkill: that is more than is promised."] * more, promise.promise]


def escapes_in_words(counts: Counts) -> list[str]:
    """Return how many images passed of which a person said that they are defective."""
    missed, caught = counts["pass"][DEFECTIVE], counts["reject"][DEFECTIVE] + counts["review"][DEFECTIVE]
    if not missed + caught:
        return []
    return [f"escapes: {missed} of {missed + caught} images that are said to be defective had passed."]


def _taken(feedback: "Feedback", folders: tuple[str, str]) -> list[str]:
    good, challenges = folders
    lines = [f"challenge set: taken into {challenges}: {len(feedback.challenges)}."]
    if feedback.good:
        lines.append(
            f"next training: good images that lie in {good} now: {len(feedback.good)}. Copy them to the good images of "
            f"the raw folder and run again."
        )
    return lines

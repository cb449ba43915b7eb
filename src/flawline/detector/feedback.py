"""What people said of inspected images, against what the detector had said: counted, and put to use.

Good images are offered to the next training, defective ones go into the challenge set. A row that cannot be used is
told and costs no other."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from flawline.checks import FlawlineError, near_name
from flawline.detector.challenge_set import Addition, Challenge, ChallengeSet, Content, is_file_of
from flawline.detector.decisions import DECISIONS, DEFECTIVE, GOOD
from flawline.detector.record import RUN, Seal, read_seal, record_path
from flawline.detector.record_reading import read_table
from flawline.detector.verifying import beside, verify
from flawline.intake.manifest import locate, split_page

COLUMNS = ("line", "image", "sha256", "verdict", "score", "decision", "note", "taken", "problem")
TRAINING, CHALLENGE, KNOWN = "training", "challenge", "known"  # what an image was taken for; known: it is there already
WANTED = {GOOD: "pass", DEFECTIVE: "not_pass"}  # of an image in the challenge set
TAKES = {"none": (), "defective": (DEFECTIVE,), "all": DECISIONS}  # the parameter feedback.challenge


@dataclass(frozen=True)
class Decision:
    """A row of a table of decisions: the ``line`` where it stands, what was said of which image, and what is wrong with
    the row; ``row`` is that of the verdicts."""

    line: int
    image: str
    decision: str
    sha256: str = ""
    note: str = ""
    problem: str = ""
    row: Mapping[str, str] = field(default_factory=dict)
    taken: str = ""

    @property
    def content(self) -> Content:
        """What the image is."""
        return self.row["sha256"], split_page(self.image)[1]


@dataclass(frozen=True)
class JudgedTable:
    """The verdicts of an inspection as they were written, by image, with what they stand on."""

    path: Path
    rows: dict[str, dict[str, str]]
    seal: Seal

    @property
    def folder(self) -> Path:
        """Where the photographs were."""
        return Path(self.seal.facts["origin"].get("folder", ""))


@dataclass(frozen=True)
class Feedback:
    """What came of decisions: a row a decision, the images for the challenge set, and those for the next training."""

    table: pd.DataFrame
    challenges: list[Addition]
    good: list[Addition]


def read_decisions(path: Path) -> list[Decision]:
    """Read a table with the columns image and decision; sha256 and note may be there too, and any others. Rows without
    a decision are left out. Raise FlawlineError if it is no such table."""
    if not path.is_file():
        raise FlawlineError(f"no file {path}; wanted the decisions that the page of an inspection saves")
    table = read_table(path)
    if not {"image", "decision"} <= set(table.header):
        raise FlawlineError(f"{path} lacks the columns image and decision; it has {', '.join(table.header)}")
    rows = [(row.line, dict(zip(table.header, row.fields, strict=False))) for row in table.rows]
    found = [Decision(line, row.get("image", ""), row.get("decision", "").strip().lower(),
                      row.get("sha256", "").strip().lower(), row.get("note", "")) for line, row in rows]  # fmt: skip
    said = [each for each in found if each.decision]
    if not said:
        raise FlawlineError(f"{path} says of no image whether it is {' or '.join(DECISIONS)}: nothing to do")
    return said


def read_judged(path: Path) -> JudgedTable:
    """Read the verdicts of an inspection with their record. Raise FlawlineError if they are not as they were
    written."""
    seal, table = read_seal(record_path(path)), read_table(path)
    verified = verify(table, seal, [beside(seal)])
    if verified.wrong:
        raise FlawlineError(f"{path} is not as it was written: {verified.wrong[0]}. Type: kedro verify {path}")
    rows = [dict(zip(verified.columns, row.fields, strict=True)) for row in verified.rows]
    return JudgedTable(path, {row["image"]: row for row in rows}, seal)


def take_feedback(
    decisions: Sequence[Decision], judged: JudgedTable, *, folder: Path | None, challenges: ChallengeSet,
    learned: Collection[str], into_challenge: str,
) -> Feedback:  # fmt: skip
    """Put decisions to use. The photographs lie in ``folder``, or where they were inspected; ``learned`` are the
    SHA-256 of what the detector learned from, and ``into_challenge`` says whose images the challenge set takes: a key
    of TAKES."""
    photographs = folder or judged.folder
    known = {each.content: each for each in challenges.challenges}
    found = [_matched(each, judged) for each in decisions]
    found = [_placed(each, known, learned, TAKES[into_challenge]) for each in _without_contradictions(found)]
    found = [_still_there(each, photographs) for each in found]
    return Feedback(
        pd.DataFrame([_row(each) for each in found], columns=list(COLUMNS)),
        [_addition(each, photographs, judged) for each in found if each.taken == CHALLENGE],
        [_addition(each, photographs, judged) for each in found if each.taken == TRAINING],
    )


def _matched(said: Decision, judged: JudgedTable) -> Decision:
    """Return a decision with its row of the verdicts, or with what is wrong with it."""
    row = judged.rows.get(said.image)
    if said.decision not in DECISIONS:
        hint = near_name(said.decision, DECISIONS)
        return replace(said, problem=f"wanted {' or '.join(DECISIONS)}, got '{said.decision}'{hint}")
    if row is None:
        return replace(said, problem=f"was never judged: it is not in {judged.path}")
    if said.sha256 and said.sha256 != row["sha256"]:
        return replace(said, problem=f"is another file than was judged: wanted the SHA-256 {row['sha256']}")
    if row["verdict"] == "not_judged":
        return replace(said, problem=f"was not judged: {row['reason']}")
    return replace(said, row=row)


def _without_contradictions(found: Sequence[Decision]) -> list[Decision]:
    """Return each image once. Where a file is said to be good and to be defective, none of its rows is used."""
    said: dict[Content, dict[str, int]] = defaultdict(dict)
    for each in found:
        if not each.problem:
            said[each.content].setdefault(each.decision, each.line)
    kept = []
    for each in found:
        words = {} if each.problem else said[each.content]
        if len(words) > 1:
            both = " and ".join(f"{word} in line {line}" for word, line in words.items())
            kept.append(replace(each, row={}, problem=f"is said to be {both}"))
        elif each.problem or words[each.decision] == each.line:
            kept.append(each)
    return kept


def _placed(
    said: Decision, known: Mapping[Content, Challenge], learned: Collection[str], takes: Collection[str]
) -> Decision:
    """Return a decision with what its image is taken for, or why it cannot be."""
    if said.problem:
        return said
    there = known.get(said.content)
    if there is not None and there.is_met("pass") != (said.decision == GOOD):
        return replace(said, problem=f"the challenge set wants {there.wanted} of it, as {there.image}; correct one")
    if there is not None:
        newly_right = not there.held and there.is_met(said.row["verdict"])
        return replace(said, taken=CHALLENGE if newly_right else KNOWN)
    if said.decision in takes:
        return replace(said, taken=CHALLENGE)
    if said.decision == GOOD:
        return replace(said, taken=KNOWN if said.row["sha256"] in learned else TRAINING)
    return said


def _still_there(said: Decision, photographs: Path) -> Decision:
    """Return a decision, whose image is not taken where its photograph is not what was judged."""
    if said.taken not in (TRAINING, CHALLENGE):
        return said
    path, _ = locate(photographs, said.image)
    if is_file_of(path, said.row["sha256"]):
        return said
    reason = "holds something else than was judged" if path.is_file() else "is gone"
    return replace(said, taken="", problem=f"{path} {reason}; if it lies elsewhere: images=FOLDER")


def _row(said: Decision) -> dict[str, Any]:
    judged = {name: said.row.get(name, "") for name in ("sha256", "verdict", "score")}
    named = {name: getattr(said, name) for name in ("line", "image", "decision", "note", "taken", "problem")}
    return judged | named


def _addition(said: Decision, photographs: Path, judged: JudgedTable) -> Addition:
    path, _ = locate(photographs, said.image)
    run = judged.seal.facts["origin"].get(RUN, "")
    why = "; ".join(filter(None, (f"{said.decision}: {said.image}", said.note, f"inspection {run}" if run else "")))
    row = said.row
    return Addition(path, Challenge(said.image, row["sha256"], WANTED[said.decision], row["verdict"], why))


def counted(table: pd.DataFrame, judged: JudgedTable) -> dict[str, Counter[str]]:
    """Return for each verdict how many images a person said to be good and defective, and of how many nobody has said
    anything: under "", by their verdict."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for row in table[table["verdict"] != ""].to_dict("records"):
        counts[row["verdict"]][row["decision"]] += 1
    for verdict, total in Counter(row["verdict"] for row in judged.rows.values()).items():
        counts[verdict][""] = total - sum(counts[verdict].values())
    return counts


def problems_in(table: pd.DataFrame) -> Iterable[str]:
    """Yield a line for each decision that could not be used."""
    for row in table[table["problem"] != ""].to_dict("records"):
        yield f"line {row['line']}: {row['image']}: {row['problem']}"

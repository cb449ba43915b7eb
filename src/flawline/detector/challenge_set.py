"""The challenge set of a category: images of which a person has said what a detector must say of them.

It is a folder with the image files and a table of them, and outlives every detector. None may learn from it."""

import contextlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path, PurePosixPath

from flawline.checks import FlawlineError, near_name
from flawline.detector.record_reading import Row, Table, read_table
from flawline.intake.decoding import UnreadableImageError, read_bytes
from flawline.intake.manifest import locate, page_name, split_page
from flawline.storage.chain import csv_text
from flawline.storage.digests import content_digest, file_digest
from flawline.storage.whole import write_whole

TABLE = "challenge.csv"
WANTED = {
    "pass": ("pass",),
    "not_reject": ("pass", "review"),
    "not_pass": ("review", "reject"),
    "reject": ("reject",),
}  # what can be wanted of an image, and the verdicts that are meant by it
DIGEST = re.compile(r"[0-9a-f]{64}")
Content = tuple[str, int | None]  # an image, whatever it is called: its file's SHA-256, and its page
DIGITS = 12  # of a file's digest that a kept file is called by


@dataclass(frozen=True)
class Challenge:
    """One image: its name below the folder, the SHA-256 of its file, what is wanted of it (a key of WANTED), the
    verdict with which it was taken in, empty if there was none, and why it is here."""

    image: str
    sha256: str
    wanted: str
    verdict: str = ""
    why: str = ""

    def is_met(self, verdict: str) -> bool:
        """Return True if a verdict is one of those that are wanted."""
        return verdict in WANTED[self.wanted]

    @property
    def held(self) -> bool:
        """Whether each detector must judge it as wanted: one has done so before, or nobody said that none has."""
        return not self.verdict or self.is_met(self.verdict)

    @property
    def content(self) -> Content:
        """What the image is."""
        return self.sha256, split_page(self.image)[1]


@dataclass(frozen=True)
class ChallengeSet:
    """The images of a challenge set, and the folder in which they lie."""

    folder: Path
    challenges: tuple[Challenge, ...] = ()

    @property
    def digests(self) -> frozenset[str]:
        return frozenset(each.sha256 for each in self.challenges)

    def read(self, challenge: Challenge) -> tuple[bytes, int | None]:
        """Return the content of an image's file, and the page that it is. Raise UnreadableImageError if the file is
        gone, cannot be read, or is not what was taken in."""
        path, page = locate(self.folder, challenge.image)
        if not path.exists():
            raise UnreadableImageError(f"is gone: wanted the file {path}")
        content = read_bytes(path)
        digest = content_digest(content)
        if digest != challenge.sha256:
            raise UnreadableImageError(f"was changed: wanted the SHA-256 {challenge.sha256}, got {digest}")
        return content, page


@dataclass(frozen=True)
class Addition:
    """An image that is to be taken in, and the ``source`` where its file lies now."""

    source: Path
    challenge: Challenge


COLUMNS = tuple(field.name for field in fields(Challenge))


def read_challenge_set(folder: Path) -> ChallengeSet:
    """Read the challenge set in ``folder``; one without images where there is no folder.

    Raise FlawlineError if the table is missing, empty, or not as wanted."""
    if not folder.is_dir():
        return ChallengeSet(folder)
    path = folder / TABLE
    if not path.is_file():
        raise FlawlineError(
            f"the challenge set {folder} has no table {TABLE}; wanted one with the columns {', '.join(COLUMNS)}. "
            f"Without a challenge set, remove the folder."
        )
    table = read_table(path)
    missing = [name for name in COLUMNS[:3] if name not in table.header]
    if missing:
        raise FlawlineError(f"{path} lacks the columns {', '.join(missing)}; it has {', '.join(table.header)}")
    if not table.rows:
        raise FlawlineError(f"{path} names no image, so no detector is held to anything. Add some, or remove {folder}.")
    return ChallengeSet(folder, _without_doubles(path, [_challenge_in(path, table, row) for row in table.rows]))


def _challenge_in(path: Path, table: Table, row: Row) -> Challenge:
    if len(row.fields) != len(table.header):
        raise FlawlineError(f"{path}, line {row.line}: wanted {len(table.header)} fields, got {len(row.fields)}")
    named = dict(zip(table.header, row.fields, strict=True))
    challenge = Challenge(**{name: named.get(name, "").strip() for name in COLUMNS})
    wrong = _mistake_in(challenge)
    if wrong:
        raise FlawlineError(f"{path}, line {row.line}: {wrong}")
    return challenge


def _mistake_in(challenge: Challenge) -> str:
    """Return what is wrong with a row; empty if nothing is."""
    if challenge.wanted not in WANTED:
        hint = near_name(challenge.wanted, WANTED)
        return f"wanted must be one of {', '.join(WANTED)}, got '{challenge.wanted}'{hint}"
    if not DIGEST.fullmatch(challenge.sha256):
        return f"sha256 must be 64 digits from 0 to f, as sha256sum says them, got '{challenge.sha256}'"
    path = PurePosixPath(challenge.image)
    if not challenge.image or path.is_absolute() or ".." in path.parts:
        return f"image must be a path below the folder, got '{challenge.image}'"
    return ""


def _without_doubles(path: Path, found: Sequence[Challenge]) -> tuple[Challenge, ...]:
    """Return the images. Raise FlawlineError if one is there twice."""
    seen: dict[Content, str] = {}
    for each in found:
        if each.content in seen:
            twice = f"{seen[each.content]} and {each.image}"
            raise FlawlineError(f"{path} has the same image twice: {twice}. Remove one of the rows.")
        seen[each.content] = each.image
    return tuple(found)


def add_challenges(folder: Path, additions: Iterable[Addition]) -> ChallengeSet:
    """Take images into the challenge set in ``folder``, each in the place of the same image where it is there already;
    the files first, then the table. Raise FlawlineError if a file is not what it was."""
    known = read_challenge_set(folder)
    rows = {each.content: each for each in known.challenges}
    for each in additions:
        there = rows.get(each.challenge.content)
        name = there.image if there else keep_file(folder, each.source, each.challenge)
        rows[each.challenge.content] = replace(each.challenge, image=name)
    if rows:
        write_whole(folder / TABLE, csv_text(COLUMNS, [astuple(row) for row in rows.values()]))
    return ChallengeSet(folder, tuple(rows.values()))


def keep_file(folder: Path, source: Path, challenge: Challenge) -> str:
    """Copy an image's file into ``folder``, called by its digest and its name, so that two of one name have place;
    return the image's name there. Raise FlawlineError if the file is not what it was."""
    content = source.read_bytes()
    if content_digest(content) != challenge.sha256:
        raise FlawlineError(f"{source} was changed: wanted the SHA-256 {challenge.sha256}")
    name = f"{challenge.sha256[:DIGITS]}-{source.name}"
    if not is_file_of(folder / name, challenge.sha256):
        write_whole(folder / name, content)
    _, page = split_page(challenge.image)
    return page_name(name, page or 0) if source.name != PurePosixPath(challenge.image).name else name


def is_file_of(path: Path, sha256: str) -> bool:
    """Return True if there is a file, and it has that digest."""
    with contextlib.suppress(OSError):
        return file_digest(path) == sha256
    return False

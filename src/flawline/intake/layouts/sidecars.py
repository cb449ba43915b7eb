"""Files that lie beside photographs, are in no format that is read, and may say where defects are."""

import json
import re
from collections.abc import Iterator
from itertools import islice
from xml.etree import ElementTree

from flawline.intake.annotations.yolo import NAMES
from flawline.intake.folders import Contents
from flawline.intake.names import ending_of, folded, name_of, stem_of, tokens
from flawline.intake.texts import read_text

TEXTS = frozenset((".json", ".jsonl", ".ndjson", ".xml", ".txt", ".yaml", ".yml", ".csv", ".tsv", ".dat", ".lst"))
HARMLESS = re.compile(
    r"(?:read[-_ ]?me|licen[cs]e|copying|changelog|citation|notice|requirements|checksums?|md5sums?|sha\d+sums?)\b.*|"
    r".*\.(?:md|rst|url|lnk|md5|sha1|sha256|ini|log|html|py|cache|db)",
    re.IGNORECASE | re.DOTALL,
)
# What holds labels, whatever it is called: tables and arrays, Halcon's data sets; and names of what holds them.
HOLDERS = frozenset((".hdict", ".dict", ".hobj", ".npy", ".npz", ".mat", ".xlsx", ".xls", ".ods", ".h5", ".tfrecord",
                     ".pkl", ".pickle", ".parquet", ".sqlite"))  # fmt: skip
HOLDING = frozenset(("label", "labels", "annotation", "annotations", "mask", "masks", "gt", "groundtruth", "defects"))
TELLS = re.compile(r"annotation|label|categor|class|defect|polygon|bbox|segment|verdict|shapes", re.IGNORECASE)
TOKEN = re.compile(r"[^\s,;|\"'<>=(){}\[\]\\/]+")
NAMED = re.compile(r"(?=.*[^\W\d_])|\d{4}", re.DOTALL)  # a stem that is more than a number such as stands in any text
MOST_BYTES = 50_000_000  # of a text that is looked into
ENOUGH = 9  # files that are found


def sidecars_in(contents: Contents, read: frozenset[str]) -> list[str]:
    """Return the first files that are neither pictures nor ``read`` and are called like images, name some, or are
    damaged where they may have named some."""
    return list(islice(_sidecars(contents, read), ENOUGH))


def _sidecars(contents: Contents, read: frozenset[str]) -> Iterator[str]:
    pictures = {folded(path) for path in contents.pictures}
    stems = {folded(stem_of(path)) for path in contents.pictures}
    stems_but_svg = {folded(stem_of(path)) for path in contents.pictures if ending_of(path) != ".svg"}
    names = {folded(name_of(path)) for path in contents.pictures} | {stem for stem in stems if NAMED.match(stem)}
    for file in contents.files:
        name, ending = name_of(file), ending_of(file)
        if file in read or folded(file) in pictures or HARMLESS.fullmatch(name):
            continue
        stem = folded(stem_of(file))
        alike = {stem, stem_of(stem)} & stems or {stem, stem.rpartition("-")[2]} & names
        holds = ending in HOLDERS or (ending not in TEXTS and HOLDING & set(tokens(stem)))
        if alike or holds or name in NAMES or (ending in TEXTS and _may_tell(contents, file, names)):
            yield file
    yield from (path for path in contents.ending(".svg") if stems_but_svg & {folded(stem_of(path))})


def _may_tell(contents: Contents, file: str, names: set[str]) -> bool:
    """Return True if a text names an image, or is damaged so that it may have."""
    try:
        text = read_text(contents.root / file, MOST_BYTES)
        if ending_of(file) == ".json":
            json.loads(text)
        elif ending_of(file) == ".xml":
            ElementTree.fromstring(text.encode())
    except (OSError, ValueError, LookupError, RecursionError, ElementTree.ParseError):
        return True
    if ending_of(file) in (".json", ".jsonl", ".ndjson", ".xml") and TELLS.search(text):
        return True
    return any(not names.isdisjoint(_forms(token)) for token in TOKEN.findall(text))


def _forms(token: str) -> set[str]:
    """Return what a word of a text may mean: itself, without punctuation, a number behind it or a task before it."""
    word = folded(token.rstrip(".:"))
    return {word, re.sub(r"_\d+$", "", word), word.rpartition("-")[2]}

"""Which layout a folder has: the one that explains most of what lies in it."""

from flawline.checks import FlawlineError
from flawline.intake.annotations import FORMATS
from flawline.intake.folders import Contents
from flawline.intake.layouts.annotated import annotation_files
from flawline.intake.layouts.base import Listed, named_by
from flawline.intake.layouts.leftovers import unread
from flawline.intake.layouts.messages import found_in, hint, wanted
from flawline.intake.layouts.registry import LAYOUTS
from flawline.intake.layouts.table import tables_unread
from flawline.intake.notes import Note
from flawline.params import IngestionParams


def choose_layout(contents: Contents, params: IngestionParams, category: str) -> tuple[str, Listed, list[Note]]:
    """Return (name, what it lists, what is to be said) of the layout that leaves fewest of the folder's pictures,
    annotations and tables unexplained; of those that leave as few, the first in LAYOUTS."""
    if params.layout != "auto":
        return params.layout, LAYOUTS[params.layout].list_files(contents, params, category), []
    found: dict[str, Listed] = {}
    failed: dict[str, FlawlineError] = {}
    for name, layout in LAYOUTS.items():
        if not layout.is_in(contents, params):
            continue
        try:
            found[name] = layout.list_files(contents, params, category)
        except FlawlineError as error:
            failed[name] = error
        if layout.certain or (name == "csv" and params.table.file in contents.files):
            break
    told = {each: listed for each, listed in found.items() if not listed.assumed}
    if failed and not told:
        raise next(iter(failed.values()))
    found = told or found
    if not found:
        lost = "".join(f" {said}" for said in unread(contents, "", Listed([]), params).values())
        raise FlawlineError(
            f"no known layout in {contents.root}.{lost or hint(contents, params)}\n{wanted(params)}\n"
            f"{found_in(contents)}"
        )
    unexplained = {name: len(_unexplained(contents, listed, params)) for name, listed in found.items()}
    name = min(found, key=lambda each: unexplained[each])
    return name, found[name], _said_of_others(name, found, unexplained, failed)


def _unexplained(contents: Contents, listed: Listed, params: IngestionParams) -> set[str]:
    """Return the pictures, annotations and tables of a folder that a layout makes no use of."""
    evidence = {*contents.pictures, *tables_unread(contents, params.table)}
    evidence.update(*(annotation_files(contents, name) for name in FORMATS))
    return evidence - listed.read - named_by(file for file in listed.files if file.path not in listed.strangers)


def _said_of_others(
    name: str, found: dict[str, Listed], unexplained: dict[str, int], failed: dict[str, FlawlineError]
) -> list[Note]:
    notes = [Note(f"Not read: {error}", caution=True) for error in failed.values()]
    labels = {file.path: file.label for file in found[name].files}
    for other, listed in found.items():
        tied = other != name and unexplained[other] == unexplained[name]
        if tied and {file.path: file.label for file in listed.files} != labels:
            said = f"The folder can be read as '{name}' and as '{other}': it is read as '{name}'; "
            notes.append(Note(f"{said}ingestion.layout={other} reads it the other way.", caution=True))
    return notes

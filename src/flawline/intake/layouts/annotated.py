"""Images whose defects are marked by annotations, in one of the formats of ``intake.annotations``."""

from collections.abc import Sequence
from functools import lru_cache

from flawline.intake.annotations import FORMATS, Annotated, Format, Marks
from flawline.intake.folders import Contents
from flawline.intake.layouts.base import Layout, Listed, RawFile, said_of_classes
from flawline.intake.layouts.tree import Place, Tree, read_tree
from flawline.intake.masks import APART
from flawline.intake.names import is_good, parts_of, says_defective, split_of
from flawline.intake.notes import Note
from flawline.params import IngestionParams


def list_annotated(contents: Contents, params: IngestionParams, name: str) -> Listed:
    """List every photograph with what the files of the format ``name`` mark in it. One that they do not name is good if
    its folder says so, or where the format has files of images with defects only."""
    form, marks, tree = FORMATS[name], marks_of(contents, name), read_tree(contents, params)
    places = {place.path: place for place in tree.photographs if place.path in contents.pictures}
    files = [_marked(image, marks, places.get(image), tree.good, good=params.good) for image in marks.images]
    rest = [place for path, place in places.items() if path not in marks.images]
    unmarked = [_unmarked(place, form, tree.good) for place in rest]
    notes = [
        *marks.notes,
        *said_of_classes(files, params.good),
        *_assumed(rest, form, tree.good),
        *_masks_left(tree, form),
    ]
    strangers = frozenset(file.path for file in unmarked if file.unusable)
    return Listed([*files, *unmarked], tuple(notes), read=frozenset(marks.files), strangers=strangers)


def marked_defects(contents: Contents, name: str, good: tuple[str, ...]) -> dict[str, tuple[str, str]]:
    """Return the images in which the files of a format mark a defect, with the file and the defect's name."""
    marks = marks_of(contents, name)
    found = {image: _classes(marked, good) for image, marked in marks.images.items()}
    return {image: (marks.sources[image][0], "+".join(names)) for image, names in found.items() if names}


@lru_cache(maxsize=8)
def marks_of(contents: Contents, name: str) -> Marks:
    """Return what the files of a format mark in a folder."""
    return FORMATS[name].marks(contents, annotation_files(contents, name))


@lru_cache(maxsize=32)
def annotation_files(contents: Contents, name: str) -> list[str]:
    """Return the files of a format in a folder."""
    return FORMATS[name].files(contents)


def _marked(
    image: str, marks: Marks, place: Place | None, good_kinds: frozenset[str], *, good: tuple[str, ...]
) -> RawFile:
    """Return an image that is annotated; it is normal if only classes called ``good`` are marked in it."""
    marked, source = marks.images[image], marks.sources[image]
    split = split_of(marks.splits.get(image, "")) or (place.split if place else _split_in(image))
    names = _classes(marked, good)
    problem = marked.problem or _contrary_labels(marked, good)
    if problem:
        return RawFile(image, 1, "unknown", split, unusable=f"its annotation {source[0]} {problem}")
    kind = place.kind if place and good_kinds else ""
    if not names:
        contrary = f"lies in {kind}/, but {source[0]} marks no defect in it" if kind and kind not in good_kinds else ""
        return RawFile(image, 0, "good", split, unusable=contrary)
    if kind in good_kinds:
        contrary = f"lies in {kind}/, but {source[0]} marks a '{names[0]}' in it"
        return RawFile(image, 1, "+".join(names), split, unusable=contrary)
    return RawFile(image, 1, "+".join(names), split, mask=APART.join(source) if marked.shapes else None)


def _contrary_labels(marked: Annotated, good: tuple[str, ...]) -> str:
    """Return what is wrong with an image that is called good and something else; empty where nothing is."""
    normal = [label for label in marked.labels if is_good(label, good)]
    others = _classes(marked, good)
    return f"calls the image '{normal[0]}' and '{others[0]}'; correct one of the two" if normal and others else ""


def _unmarked(place: Place, form: Format, good_kinds: frozenset[str]) -> RawFile:
    normal = place.kind in good_kinds
    if good_kinds and place.kind and (normal or says_defective(place.kind) or not form.unnamed):
        return RawFile(
            place.path, 0 if normal else 1, "good" if normal else place.kind, place.split, unusable=place.doubt
        )
    return RawFile(place.path, 0, "good", place.split, unusable=form.unnamed or place.doubt)


def _classes(marked: Annotated, good: tuple[str, ...]) -> list[str]:
    """Return the classes that are marked, without those that mean good."""
    names = {shape.name for shape in marked.shapes} | {label for label in marked.labels if label}
    return sorted(name for name in names if not is_good(name, good))


def _split_in(image: str) -> str | None:
    return next((split for part in parts_of(image) if (split := split_of(part))), None)


def _assumed(rest: Sequence[Place], form: Format, good_kinds: frozenset[str]) -> list[Note]:
    count = sum(1 for place in rest if not (good_kinds and place.kind))
    if not count or form.unnamed:
        return []
    said = f"{count} images have no annotation ({form.says}) and count as good."
    return [Note(said, caution=True)]


def _masks_left(tree: Tree, form: Format) -> list[Note]:
    count = len(tree.orphans) + sum(len(masks) for masks in tree.masks.values())
    said = f"{count} mask pictures are not read: defects are where the annotations ({form.says}) mark them."
    return [Note(said, caution=True)] if count else []


def _layout(name: str) -> Layout:
    return Layout(
        is_in=lambda contents, params: bool(annotation_files(contents, name)),
        list_files=lambda contents, params, category: list_annotated(contents, params, name),
        wanted=lambda params: FORMATS[name].wanted,
    )


ANNOTATED: dict[str, Layout] = {name: _layout(name) for name in FORMATS}

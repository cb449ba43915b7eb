"""Which masks belong to which photographs, by where they lie and how they are called."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence

from flawline.intake.folders import Contents
from flawline.intake.grouping import grouped
from flawline.intake.layouts.places import Place
from flawline.intake.mask_likeness import look_like_masks, may_be_masks
from flawline.intake.names import ending_of, folded, image_stems, parts_of, plain, without_image_word

Key = tuple[str, tuple[str, ...], str]  # class, folders below it, stem: as they are compared


def match(
    photographs: Sequence[Place], masks: Sequence[Place], *, good: Collection[str]
) -> tuple[dict[str, tuple[str, ...]], list[str]]:
    """Return (masks of each photograph, masks of none): by class, folders below it and name. A mask whose name fits a
    photograph better takes it; several that fit as well are united. Where a mask may be of a good photograph or of
    one other, it is of the other; ``good`` are the classes of normal images."""
    index: dict[Key, list[Place]] = defaultdict(list)
    for place in photographs:
        stems = {place.stem, without_image_word(place.stem)}
        for key in {key for stem in stems for key in (_key(place.kind, place.below, stem), ("", (), folded(stem)))}:
            index[key].append(place)
    found: dict[str, dict[int, list[str]]] = defaultdict(lambda: defaultdict(list))
    orphans = []
    classes = any(place.kind for place in photographs)
    for mask in masks:
        for rank, key in enumerate(_keys(mask, classes=classes)):
            fits = _only(index.get(key, ()), mask.split, good)
            if fits is not None:
                found[fits.path][rank].append(mask.path)
                break
        else:
            orphans.append(mask.path)
    best = {path: ranks.pop(min(ranks)) for path, ranks in found.items()}
    orphans += [mask for ranks in found.values() for paths in ranks.values() for mask in paths]
    return {path: tuple(sorted(paths)) for path, paths in best.items()}, sorted(orphans)


def _key(kind: str, below: Sequence[str], stem: str) -> Key:
    return plain(kind) or folded(kind), tuple(folded(part) for part in below), folded(stem)


def _keys(mask: Place, *, classes: bool) -> list[Key]:
    """Return how a photograph of this mask may be called, the likeliest first: NAME_mask, NAME, and NAME/000."""
    stems = [*image_stems(mask.stem), mask.stem]
    keys = [_key(mask.kind, mask.below, stem) for stem in stems]
    if mask.below:
        keys.append(_key(mask.kind, mask.below[:-1], mask.below[-1]))
    if mask.kind and not mask.below:
        keys.append(_key("", (), mask.kind))
    if not mask.kind or not classes:
        keys += [("", (), folded(stem)) for stem in stems]
    return keys


def _only(places: Sequence[Place], split: str | None, good: Collection[str]) -> Place | None:
    """Return the one photograph that a mask of a ``split`` can be of: rather one that is not good, and where it says no
    split, rather one that is tested."""
    same = [place for place in places if split in (None, place.split)]
    if len(same) > 1 and split is None:
        same = [place for place in same if place.split == "test"] or same
    if len(same) > 1:
        same = [place for place in same if place.kind not in good] or same
    return same[0] if len(same) == 1 else None


def masks_beside(contents: Contents, photographs: Sequence[Place], *, max_pixels: int) -> dict[str, tuple[str, ...]]:
    """Return the masks that lie beside their photographs: NAME_mask beside NAME, or NAME.png beside NAME.jpg where the
    one looks like a mask and the other does not."""
    pictures = set(contents.pictures)
    found: dict[str, list[str]] = defaultdict(list)
    for places in grouped((p for p in photographs if p.path in pictures), lambda place: parts_of(place.path)).values():
        by_stem: dict[str, list[Place]] = defaultdict(list)
        for place in places:
            for stem in {folded(place.stem), folded(without_image_word(place.stem))}:
                by_stem[stem].append(place)
        for image, mask in [*_suffixed(places, by_stem), *_of_same_stem(contents, by_stem, max_pixels)]:
            found[image].append(mask)
    sampled = [mask for masks in found.values() for mask in masks]
    if may_be_masks(contents.root, sampled, max_pixels=max_pixels) is False:
        return {}
    return {image: tuple(sorted(masks)) for image, masks in found.items()}


def _suffixed(places: Sequence[Place], by_stem: Mapping[str, list[Place]]) -> Iterator[tuple[str, str]]:
    for mask in places:
        named = (by_stem.get(folded(stem), []) for stem in image_stems(mask.stem))
        image = next((alike[0] for alike in named if len(alike) == 1), None)
        if image is not None:
            yield image.path, mask.path


def _of_same_stem(contents: Contents, by_stem: Mapping[str, list[Place]], max_pixels: int) -> Iterator[tuple[str, str]]:
    """Yield (image, mask) of the pairs of one stem, as a few of each pair of endings tell which is the mask."""
    paths = (sorted((place.path for place in alike), key=ending_of) for alike in by_stem.values() if len(alike) == 2)
    for each in grouped(paths, lambda pair: tuple(map(ending_of, pair))).values():
        firsts, seconds = ([pair[k] for pair in each] for k in (0, 1))
        told = tuple(look_like_masks(contents.root, some, max_pixels=max_pixels) for some in (firsts, seconds))
        if told == (True, False):
            yield from ((second, first) for first, second in each)
        elif told == (False, True):
            yield from ((first, second) for first, second in each)

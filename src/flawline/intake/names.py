"""What the names of files and folders say: which split, which class, a mask or a photograph, and of which image.

Names are compared in Unicode's composed form and in any case, since file systems and tools change both on the way."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import PurePosixPath

SPLITS = {  # what data sets call their splits
    "train": "train", "training": "train", "trainset": "train",
    "val": "validation", "valid": "validation", "validate": "validation", "validation": "validation",
    "dev": "validation",
    "calibration": "calibration", "calib": "calibration",
    "test": "test", "testing": "test", "testset": "test", "testpublic": "test",
}  # fmt: skip
MASKS = frozenset((
    "mask", "masks", "gt", "groundtruth", "groundtruths", "label", "labels", "annotation", "annotations",
    "segmentation", "segmentations", "segmentationmask", "segmentationmasks", "seg", "segs", "segmask", "segmasks",
    "labelimage", "labelimages", "maskimage", "maskimages", "annotationmask", "annotationmasks", "binarymask",
    "binarymasks", "defectmask", "defectmasks", "anomalymask", "anomalymasks", "pixellabel", "pixellabels",
    "segmentationclass", "segmentationobject", "maske", "masken", "masque", "masques", "máscara", "máscaras",
    "mascara", "mascaras", "maschera", "maschere",
))  # fmt: skip
IMAGES = frozenset((
    "image", "images", "img", "imgs", "photo", "photos", "picture", "pictures", "jpegimages", "rgb", "data", "dataset",
    "bild", "bilder",
))  # fmt: skip
NEGATIONS = frozenset(("no", "not", "non", "nicht", "kein", "keine", "un", "ne", "nao", "não"))
DEFECTIVE = frozenset((  # words for defective parts that name no defect
    "bad", "ng", "nok", "ko", "defect", "defects", "defective", "def", "fail", "fails", "failed", "failure", "reject",
    "rejects", "rejected", "anomaly", "anomalies", "anomalous", "abnormal", "faulty", "fault", "faults", "nogood",
    "notgood", "notok", "nio", "nichtinordnung", "schlecht", "ausschuss", "defekt", "fehlerhaft", "fehler",
    "malo", "malos", "mala", "defecto", "defectos", "defectuoso", "rechazado", "mauvais", "nonconforme", "défaut",
    "défauts", "defaut", "défectueux", "rebut", "scarto", "scarti", "difettoso", "difetto", "difetti", "ruim",
    "reprovado", "defeito", "defeitos", "wadliwy", "wada", "брак", "дефект", "不良", "不良品", "缺陷", "不合格", "异常",
    "異常", "欠陥", "불량", "이상",
))  # fmt: skip
WORD = re.compile(r"[^\W_]+")
AFFIX = r"mask|masks|gt|ground[-_ ]?truth|label|labels|labelids|seg|segm|segmentation|annotation|anno|maske|masque"
AFTER = re.compile(rf"(?P<image>.+?)[-_. ]+(?:{AFFIX})(?:[-_. ]?\d+)?$", re.IGNORECASE)
BEFORE = re.compile(rf"(?:{AFFIX})[-_. ]+(?P<image>.+)$", re.IGNORECASE)


def parts_of(path: str) -> tuple[str, ...]:
    """Return the names of the folders of a relative path."""
    return tuple(path.split("/")[:-1])


def stem_of(path: str) -> str:
    """Return the name of a file without its ending."""
    name = path.rpartition("/")[2]
    return name.rpartition(".")[0] or name


def ending_of(path: str) -> str:
    """Return how the name of a file ends, in lower case and with the dot; empty where it has no ending."""
    name = path.rpartition("/")[2]
    before, dot, after = name.rpartition(".")
    return f".{after.lower()}" if before and dot else ""


def composed(name: str) -> str:
    """Return a name in Unicode's composed form (NFC)."""
    return unicodedata.normalize("NFC", name)


# Names of folders come again with every file in them.
@lru_cache(maxsize=2**12)
def folded(name: str) -> str:
    """Return a name as it is compared: composed, in one case."""
    return composed(name).casefold()


@lru_cache(maxsize=2**12)
def plain(name: str) -> str:
    """Return a name's letters and digits alone, in one case: ``Ground Truth`` and ``ground_truth`` are the same."""
    return "".join(tokens(name))


@lru_cache(maxsize=2**12)
def tokens(name: str) -> tuple[str, ...]:
    """Return the words of a name: ``OK_front`` is ok, front."""
    return tuple(WORD.findall(folded(name)))


def split_of(name: str) -> str | None:
    """Return the split that a folder's name means, None for any other name."""
    return SPLITS.get(plain(name))


@lru_cache(maxsize=2**12)
def means_masks(name: str) -> bool:
    """Return True if a folder of this name holds masks: ``Ground Truth``, ``scratch_mask``, ``gt``."""
    words = tokens(name)
    return plain(name) in MASKS or (len(words) > 1 and bool({words[0], words[-1]} & {"mask", "masks", "gt"}))


def means_images(name: str) -> bool:
    """Return True if a folder's name says no more than that images lie in it."""
    return plain(name) in IMAGES


def is_good(name: str, good: Sequence[str]) -> bool:
    """Return True if ``name`` is one of the words for normal images; in any case, however its parts are joined."""
    return plain(name) in {plain(word) for word in good} if plain(name) else False


def says_good(name: str, good: Sequence[str]) -> bool:
    """Return True if ``name`` is a word for normal images, or begins or ends with one and says nothing to the contrary:
    ``ok_front`` and ``2024_good``, but neither ``not_ok`` nor ``good_defect``."""
    words = tokens(name)
    if is_good(name, good):
        return True
    if len(words) < 2 or NEGATIONS & set(words) or DEFECTIVE & {*words, plain(name)}:
        return False
    return is_good(words[0], good) or is_good(words[-1], good)


def says_defective(name: str) -> bool:
    """Return True if ``name`` is a word for defective parts that names no defect."""
    return plain(name) in DEFECTIVE


def image_stems(stem: str) -> list[str]:
    """Return the stems of images that a mask of this ``stem`` may be of, the likeliest first, without the stem itself:
    ``007`` for ``007_mask``, ``007-GT``, ``007_mask2`` and ``mask_007``."""
    found = (pattern.match(stem) for pattern in (AFTER, BEFORE))
    return list(dict.fromkeys(match["image"] for match in found if match))


class Names:
    """Relative paths that are found again however they are written: the other Unicode form, another case, backslashes,
    URL quotes, folders of another machine before them."""

    def __init__(self, paths: Iterable[str]):
        self.paths = sorted(paths)
        self._exact = {composed(path): path for path in self.paths}
        self._tails: dict[str, list[str]] = {}
        for path in self.paths:
            self._tails.setdefault(folded(path.rpartition("/")[2]), []).append(path)

    def __contains__(self, path: str) -> bool:
        return composed(path) in self._exact

    def exact(self, path: str) -> str | None:
        """Return the path that is ``path`` but for its Unicode form."""
        return self._exact.get(composed(path))

    def within(self, path: str) -> str | None:
        """Return the path that is ``path`` without its first folders, or with others before it; None if there is none,
        or several."""
        wanted = [folded(part) for part in PurePosixPath(path).parts]
        found = self.find(path)
        parts = [folded(part) for part in PurePosixPath(found).parts] if found else []
        return found if found and _common_tail(wanted, parts) == min(len(wanted), len(parts)) else None

    def find(self, path: str) -> str | None:
        """Return the one path with the most last parts in common with ``path``, at least the name; None if there is
        none, or if several have as many."""
        if (exact := self.exact(path)) is not None:
            return exact
        wanted = [folded(part) for part in PurePosixPath(path).parts]
        alike = self._tails.get(wanted[-1], []) if wanted else []
        common = {each: _common_tail(wanted, [folded(part) for part in PurePosixPath(each).parts]) for each in alike}
        most = max(common.values(), default=0)
        best = [each for each, count in common.items() if count == most]
        return best[0] if len(best) == 1 else None


def _common_tail(first: Sequence[str], second: Sequence[str]) -> int:
    count = 0
    for one, other in zip(reversed(first), reversed(second), strict=False):
        if one != other:
            break
        count += 1
    return count

"""What is said of a folder that cannot be read: what was wanted, what lies there, what may be meant."""

from collections import Counter
from collections.abc import Sequence

from flawline.checks import FlawlineError
from flawline.intake.folders import Contents
from flawline.intake.layouts.base import RawFile
from flawline.intake.layouts.registry import LAYOUTS
from flawline.intake.layouts.tree import classes_in_words, read_tree
from flawline.intake.names import is_good, split_of
from flawline.params import IngestionParams

SHOWN = 8  # names in a message


def check_normal(contents: Contents, name: str, files: Sequence[RawFile], params: IngestionParams) -> None:
    """Raise FlawlineError if nothing can be learned from."""
    if not files:
        raise FlawlineError(
            f"{contents.root} holds no file in the layout '{name}'.\n{wanted(params)}\n{found_in(contents)}"
        )
    if not any(file.label in (0, None) and file.split != "test" for file in files if not file.unusable):
        raise FlawlineError(
            f"{contents.root} holds no normal image to learn from: wanted, in the layout '{name}', "
            f"{LAYOUTS[name].wanted(params)}; got {len(files)} other files{_reasons(files)}."
            f"{hint(contents, params)}\n{found_in(contents)}"
        )


def _reasons(files: Sequence[RawFile]) -> str:
    """Return in brackets why files cannot be used, the commonest reason first."""
    unusable = [file for file in files if file.unusable]
    if not unusable:
        return ""
    reason, count = Counter(file.unusable for file in unusable).most_common(1)[0]
    first = next(file.path for file in unusable if file.unusable == reason)
    like = f", and {count - 1} like it" if count > 1 else ""
    return f" ({len(unusable)} unusable; {first}: {reason}{like})"


def hint(contents: Contents, params: IngestionParams) -> str:
    """Return what may be meant by folders of which none is called good."""
    categories = _categories(contents, params)
    if categories:
        return (
            f" It looks like a folder of several categories ({names_in_words(categories)}): give one of them, "
            f"raw={contents.root / categories[0]}."
        )
    classes = classes_in_words(contents, params)
    if not classes or read_tree(contents, params).good:
        return ""
    return (
        f" None of its folders is called good in a word that is known: {classes}. Say which one holds normal images: "
        f"ingestion.good=NAME among --params, or SET=ingestion.good=NAME with make run."
    )


def _categories(contents: Contents, params: IngestionParams) -> list[str]:
    """Return the folders that each look like a category of its own: with folders of splits or good images in them."""
    found = []
    for folder in contents.top_folders():
        below = [name[len(folder) + 1 :] for name in contents.folders if name.startswith(f"{folder}/")]
        direct = [name for name in below if "/" not in name]
        says = any(split_of(name) or is_good(name, params.good) for name in direct)
        if says and not (split_of(folder) or is_good(folder, params.good)):
            found.append(folder)
    return found if len(found) > 1 else []


def wanted(params: IngestionParams) -> str:
    """Return what each layout looks like, a line each."""
    lines = [f"  {name}: {layout.wanted(params)}" for name, layout in reversed(LAYOUTS.items())]
    return "\n".join(["Wanted one of:", *lines])


def found_in(contents: Contents) -> str:
    """Return in a sentence what lies directly in the folder."""
    names = sorted([*(f"{name}/" for name in contents.top_folders()), *(f for f in contents.files if "/" not in f)])
    return f"Found: {names_in_words(names) or 'nothing'}."


def names_in_words(names: Sequence[str]) -> str:
    """Return the first of some names, and how many more there are."""
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")

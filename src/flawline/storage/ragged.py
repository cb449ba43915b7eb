"""Arrays of different sizes in one memory-mapped file, which stages pass on instead of images in memory; and folders
that are written whole or not at all."""

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from flawline.checks import FlawlineError
from flawline.storage.digests import Digest, arrays_digest

DATA, INDEX = "data.bin", "index.json"
AGAIN = "Delete the folder and run the stage that writes it again."


class Lazy(Sequence):
    """A sequence whose items are made when they are asked for, and never kept."""

    def __init__(self, length: int, make: Callable[[int], Any]):
        self._length, self._make = length, make

    @classmethod
    def of(cls, items: Sequence, rows: Sequence[int]) -> "Lazy":
        """Return the items at ``rows``, each read when it is asked for."""
        return cls(len(rows), lambda i: items[rows[i]])

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        if isinstance(index, slice):
            return Lazy.of(self, range(*index.indices(self._length)))
        if not 0 <= index < self._length:
            raise IndexError(index)
        return self._make(index)


@dataclass(frozen=True)
class Keyed:
    """Arrays on their way to a store, with the ``key`` of all that they are made from."""

    items: Iterable[NDArray]
    key: str

    def __iter__(self) -> Iterator[NDArray]:
        return iter(self.items)


@dataclass(frozen=True)
class Noted:
    """An array on its way to a store, with a ``note`` on it, as JSON has it: floats come back to the last bit."""

    array: NDArray
    note: dict[str, Any]


class RaggedArray(Sequence):
    """Read-only arrays of different shapes and types, mapped from a folder that ``write_ragged`` made.

    ``digest`` is the SHA-256 of all content, ``shapes`` the arrays' shapes, ``key`` what was said of their making,
    ``notes`` what was noted on each."""

    def __init__(self, folder: Path):
        self.folder = Path(folder)
        data = self.folder / DATA
        try:
            index, size = json.loads((self.folder / INDEX).read_text()), data.stat().st_size
        except (OSError, ValueError) as error:
            raise FlawlineError(f"{self.folder} is not a whole store of arrays ({error}). {AGAIN}") from None
        if size != index["size"]:
            raise FlawlineError(f"{data} is broken: its index says {index['size']} bytes, it has {size}. {AGAIN}")
        self.digest: str = index["digest"]
        self.key: str = index.get("key", "")
        self.shapes: list[tuple[int, ...]] = [tuple(item["shape"]) for item in index["items"]]
        self.notes: list[dict[str, Any]] = [item.get("note", {}) for item in index["items"]]
        self._items = index["items"]
        self._data = np.memmap(data, np.uint8, "r") if size else np.frombuffer(b"", np.uint8)

    def __len__(self) -> int:
        return len(self._items)

    @overload
    def __getitem__(self, index: int) -> NDArray: ...
    @overload
    def __getitem__(self, index: slice) -> list[NDArray]: ...
    def __getitem__(self, index: int | slice) -> NDArray | list[NDArray]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        item = self._items[index]
        dtype = np.dtype(item["dtype"])
        return self._data[item["offset"] : end_of(item)].view(dtype).reshape(item["shape"])

    def is_intact(self) -> bool:
        """Read everything once and return True if it is what was written."""
        return arrays_digest(self) == self.digest

    def __deepcopy__(self, memo: dict) -> "RaggedArray":
        return self  # read-only: a copy would only read the whole file into memory


def write_ragged(folder: Path, arrays: Iterable[NDArray | Noted]) -> None:
    """Write ``arrays`` one by one to ``folder``; whole or not at all."""
    with writing_folder(folder) as partial:
        _write_items(partial, arrays, getattr(arrays, "key", ""))


@contextmanager
def writing_folder(folder: Path) -> Iterator[Path]:
    """Yield FOLDER.partial to write to. At the end it replaces ``folder``; after an error it is removed."""
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        replace_folder(partial, folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def replace_folder(partial: Path, folder: Path) -> None:
    """Replace ``folder`` by ``partial``, so that no reader ever sees half of either."""
    old = folder.with_name(folder.name + ".old")
    _remove(old)
    if folder.exists():
        folder.rename(old)
    try:
        partial.rename(folder)
    except BaseException:
        if old.exists():
            old.rename(folder)
        raise
    _remove(old)


def _remove(path: Path) -> None:
    """Remove a folder, or a file of that name."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


class ItemWriter:
    """Writes arrays one behind the other to the folder of a store; ``items`` are what its index says of each. Those
    that are ``kept`` are there from before, and what lies behind the last of them is not."""

    def __init__(self, folder: Path, kept: Sequence[dict[str, Any]] = ()):
        self.items, self._folder, self._digest = list(kept), folder, Digest()
        self._file = (folder / DATA).open("r+b" if kept else "wb")
        self._end = max(map(end_of, kept), default=0)
        self._file.truncate(self._end)
        for each in kept:
            self._file.seek(each["offset"])
            content = np.frombuffer(self._file.read(end_of(each) - each["offset"]), np.dtype(each["dtype"]))
            self._digest.add_array(content.reshape(each["shape"]))
        self._file.seek(self._end)

    def append(self, each: NDArray | Noted) -> dict[str, Any]:
        """Write an array behind the others; return its item."""
        array, note = (each.array, {"note": each.note}) if isinstance(each, Noted) else (each, {})
        content = np.ascontiguousarray(array)
        self._digest.add_array(content)
        padding = -self._end % content.dtype.itemsize  # a mapped view must be aligned
        self._file.write(b"\0" * padding)
        self._file.write(content.data)
        item = {"offset": self._end + padding, "shape": array.shape, "dtype": content.dtype.str, **note}
        self.items.append(item)
        self._end += padding + content.nbytes
        return item

    def flush(self) -> None:
        """Hand what was written over to the system: it is there if this process is killed."""
        self._file.flush()

    def finish(self, key: str = "") -> None:
        """Write the index, with which the store is whole."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        index = {"digest": self._digest.hexdigest(), "size": self._end, "key": key, "items": self.items}
        with (self._folder / INDEX).open("w") as file:
            json.dump(index, file)
            file.flush()
            os.fsync(file.fileno())

    def close(self) -> None:
        self._file.close()


def end_of(item: dict[str, Any]) -> int:
    """Return the byte behind an item."""
    return item["offset"] + np.dtype(item["dtype"]).itemsize * int(np.prod(item["shape"], dtype=np.int64))


def _write_items(folder: Path, arrays: Iterable[NDArray | Noted], key: str) -> None:
    writer = ItemWriter(folder)
    try:
        for each in arrays:
            writer.append(each)
        writer.finish(key)
    finally:
        writer.close()

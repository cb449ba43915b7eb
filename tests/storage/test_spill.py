from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from flawline.checks import FlawlineError
from flawline.storage.spill import Spill


def test_arrays_come_back_as_they_were():
    kept = {
        "one": np.arange(12, dtype=np.float16).reshape(3, 4),
        ("two", 2): np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "small": np.uint8([[7]]),
    }
    spill = Spill()
    for name, array in kept.items():
        spill[name] = array
    assert "one" in spill
    assert "three" not in spill
    for name, array in reversed(kept.items()):
        found = spill[name]
        assert found.dtype == array.dtype
        np.testing.assert_array_equal(found, array)
        with pytest.raises(ValueError, match=r"read-only|assignment destination"):
            found[...] = 1
    with pytest.raises(KeyError):
        spill["three"]


def test_several_threads_write_and_read_at_once():
    spill = Spill()

    def kept(k):
        spill[k] = np.full(5000 + k, k)
        return bool((spill[k] == k).all())

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(kept, range(200)))
    assert all((spill[k] == k).all() and len(spill[k]) == 5000 + k for k in range(200))


def test_a_full_disk_is_told_and_what_was_kept_before_stays(monkeypatch):
    spill = Spill()
    spill["kept"] = np.arange(1000)
    write = spill._file.write

    class Full:
        """A file on a disk that takes 100 bytes more."""

        def __init__(self, file):
            self._file, self._left = file, 100

        def __getattr__(self, name):
            return getattr(self._file, name)

        def write(self, data):
            if not self._left:
                raise OSError(28, "No space left on device")
            taken, self._left = write(data[: self._left]), 0
            return taken

    real = spill._file
    monkeypatch.setattr(spill, "_file", Full(real))
    with pytest.raises(FlawlineError, match=r"8 MB do not fit into the temporary folder .* Free space there"):
        spill["lost"] = np.arange(1_000_000)
    monkeypatch.setattr(spill, "_file", real)
    assert "lost" not in spill
    spill["next"] = np.arange(5)
    np.testing.assert_array_equal(spill["kept"], np.arange(1000))
    np.testing.assert_array_equal(spill["next"], np.arange(5))

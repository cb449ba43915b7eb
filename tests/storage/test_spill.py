import numpy as np
import pytest

from flawline.storage.spill import Spill


def test_arrays_come_back_as_they_were():
    kept = {
        "one": np.arange(12, dtype=np.float16).reshape(3, 4),
        ("two", 2): np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "none": np.zeros((0, 5), np.uint8),
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
        found += 1  # a copy
        np.testing.assert_array_equal(spill[name], array)
    with pytest.raises(KeyError):
        spill["three"]

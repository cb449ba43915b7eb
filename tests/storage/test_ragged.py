import copy
import errno
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from flawline.checks import FlawlineError
from flawline.storage.ragged import DATA, INDEX, Lazy, Noted, RaggedArray, replace_folder, write_ragged, writing_folder

DTYPES = st.sampled_from([np.uint8, np.uint16, np.float16, np.float32, np.float64, np.bool_])
ARRAYS = DTYPES.flatmap(lambda dtype: npst.arrays(dtype, npst.array_shapes(min_dims=1, max_dims=3, min_side=0)))


def frozen(*arrays):
    for array in arrays:
        array.flags.writeable = False
    return list(arrays)


@pytest.fixture
def store(tmp_path):
    """A store of two arrays, written before."""
    write_ragged(tmp_path / "store", frozen(np.arange(6, dtype=np.uint8).reshape(2, 3), np.ones((1, 2), np.float32)))
    return tmp_path / "store"


def test_chosen_rows_are_read_when_asked_for_and_every_time():
    read = []

    def make(i):
        read.append(i)
        return 10 * i

    some = Lazy.of(Lazy(5, make), [3, 0, 3])
    assert (len(some), read) == (3, [])
    assert list(some) == [30, 0, 30]
    assert some[1] == 0
    assert read == [3, 0, 3, 0]
    with pytest.raises(IndexError):
        some[3]


def test_layout_on_disk_by_hand(store):
    assert (store / DATA).read_bytes() == bytes([0, 1, 2, 3, 4, 5, 0, 0]) + np.ones(2, "<f4").tobytes()
    index = json.loads((store / INDEX).read_text())
    assert index["size"] == 16
    assert index["items"] == [
        {"offset": 0, "shape": [2, 3], "dtype": "|u1"},
        {"offset": 8, "shape": [1, 2], "dtype": "<f4"},
    ]


@settings(max_examples=40)
@given(st.lists(ARRAYS, max_size=6))
def test_round_trip_of_mixed_shapes_types_and_empty_arrays(tmp_path_factory, arrays):
    folder = tmp_path_factory.mktemp("ragged") / "store"
    write_ragged(folder, frozen(*arrays))
    loaded = RaggedArray(folder)
    assert len(loaded) == len(arrays)
    assert loaded.shapes == [array.shape for array in arrays]
    for got, wanted in zip(loaded, arrays, strict=True):
        assert got.dtype == wanted.dtype
        assert got.flags.aligned
        assert not got.flags.writeable
        np.testing.assert_array_equal(got, wanted)


def test_wide_types_are_aligned_after_odd_sizes(tmp_path):
    write_ragged(tmp_path / "s", [np.ones(3, np.uint8), np.ones(1, np.uint16), np.ones(1, np.uint8), np.ones(2)])
    loaded = RaggedArray(tmp_path / "s")
    assert [array.ctypes.data % array.itemsize for array in loaded] == [0, 0, 0, 0]


def test_arrays_in_any_memory_order_and_big_endian(tmp_path):
    turned = np.arange(6, dtype=">u2").reshape(2, 3).T
    write_ragged(tmp_path / "s", frozen(turned))
    np.testing.assert_array_equal(RaggedArray(tmp_path / "s")[0], turned)


def test_items_cannot_be_written(store):
    with pytest.raises(ValueError, match="read-only"):
        RaggedArray(store)[0][0, 0] = 9
    write_ragged(store, [np.zeros((0, 0))])
    assert not RaggedArray(store)[0].flags.writeable


def test_slices_negative_and_out_of_range(store):
    loaded = RaggedArray(store)
    assert [array.shape for array in loaded[:]] == [(2, 3), (1, 2)]
    assert loaded[-1].shape == (1, 2)
    with pytest.raises(IndexError):
        loaded[2]


def test_deepcopy_is_free(store):
    loaded = RaggedArray(store)
    assert copy.deepcopy(loaded) is loaded


def test_digest_tells_content_shape_and_type_apart(tmp_path):
    variants = [
        [np.zeros(4, np.uint8)],
        [np.zeros((2, 2), np.uint8)],
        [np.zeros(2, np.uint16)],
        [np.zeros(2, np.uint8), np.zeros(2, np.uint8)],
        [np.array([0, 0, 0, 1], np.uint8)],
        [],
    ]
    for name, arrays in enumerate(variants):
        write_ragged(tmp_path / str(name), arrays)
    assert len({RaggedArray(tmp_path / str(name)).digest for name in range(6)}) == 6


# --- whole or not at all ---------------------------------------------------------------------------------------------
def interrupted(error):
    yield np.zeros(1000, np.uint8)
    raise error


@pytest.mark.parametrize("error", [RuntimeError("half way"), KeyboardInterrupt()])
def test_interrupted_write_leaves_the_old_entry_and_the_next_works(store, error):
    with pytest.raises(type(error)):
        write_ragged(store, interrupted(error))
    assert [path.name for path in store.parent.iterdir()] == ["store"]
    np.testing.assert_array_equal(RaggedArray(store)[0], [[0, 1, 2], [3, 4, 5]])
    write_ragged(store, [np.full(3, 7)])
    assert RaggedArray(store)[0].tolist() == [7, 7, 7]


def test_full_disk_leaves_the_old_entry_and_the_next_works(store):
    with pytest.raises(OSError, match="No space left on device"):
        write_ragged(store, interrupted(OSError(errno.ENOSPC, "No space left on device")))
    assert [path.name for path in store.parent.iterdir()] == ["store"]
    assert len(RaggedArray(store)) == 2
    write_ragged(store, [np.full(3, 7)])
    assert RaggedArray(store)[0].tolist() == [7, 7, 7]


def test_rename_that_fails_puts_the_old_entry_back(store, monkeypatch):
    real = Path.rename

    def rename(path, target):
        if path.name.endswith(".partial"):
            raise OSError(errno.EIO, "broken")
        return real(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", rename)
        with pytest.raises(OSError, match="broken"):
            write_ragged(store, [np.zeros(1)])
    assert [path.name for path in store.parent.iterdir()] == ["store"]
    assert len(RaggedArray(store)) == 2


def test_leftovers_of_a_killed_write_are_never_read(store):
    for suffix in (".partial", ".old"):
        (store.parent / f"store{suffix}").mkdir()
        (store.parent / f"store{suffix}" / DATA).write_bytes(b"half")
    write_ragged(store, [np.full(2, 5)])
    assert [path.name for path in store.parent.iterdir()] == ["store"]
    assert RaggedArray(store)[0].tolist() == [5, 5]


def test_replace_folder_where_there_was_none(tmp_path):
    (tmp_path / "new").mkdir()
    replace_folder(tmp_path / "new", tmp_path / "store")
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_writing_folder_is_not_there_before_the_end(tmp_path):
    with writing_folder(tmp_path / "deep" / "store") as partial:
        (partial / "x").touch()
        assert not (tmp_path / "deep" / "store").exists()
    assert (tmp_path / "deep" / "store" / "x").exists()


# --- broken stores ---------------------------------------------------------------------------------------------------
def test_truncated_data_is_refused(store):
    content = (store / DATA).read_bytes()
    (store / DATA).write_bytes(content[:-1])
    with pytest.raises(
        FlawlineError, match=r"is broken: its index says 16 bytes, it has 15\. Delete the folder and run"
    ):
        RaggedArray(store)


@pytest.mark.parametrize("content", [b"", b'{"digest": "a', b"\xff\xfe"])
def test_broken_index_is_refused(store, content):
    (store / INDEX).write_bytes(content)
    with pytest.raises(FlawlineError, match=r"store is not a whole store of arrays \(.*\)\. Delete the folder and run"):
        RaggedArray(store)


@pytest.mark.parametrize("name", [DATA, INDEX])
def test_missing_file_is_refused(store, name):
    (store / name).unlink()
    with pytest.raises(FlawlineError, match=r"is not a whole store of arrays \(.*No such file"):
        RaggedArray(store)


# --- Lazy ------------------------------------------------------------------------------------------------------------
def test_lazy_makes_items_when_asked_and_keeps_none():
    made = itertools.count()
    lazy = Lazy(3, lambda i: np.array([i, next(made)]))
    assert len(lazy) == 3
    assert [item.tolist() for item in lazy] == [[0, 0], [1, 1], [2, 2]]
    assert lazy[1].tolist() == [1, 3]
    for index in (3, -1):
        with pytest.raises(IndexError, match=str(index)):
            lazy[index]


def test_store_is_written_one_array_at_a_time(tmp_path):
    alive = []

    class Counted(np.ndarray):
        def __del__(self):
            alive.remove(id(self))

    def make(i):
        array = np.zeros(10, np.uint8).view(Counted)
        alive.append(id(array))
        assert len(alive) <= 2  # the one being written and the next
        return array

    write_ragged(tmp_path / "s", Lazy(20, make))
    assert len(RaggedArray(tmp_path / "s")) == 20


# --- notes -----------------------------------------------------------------------------------------------------------
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)


@settings(max_examples=40)
@given(
    st.lists(st.dictionaries(st.text(max_size=5), NUMBERS | st.text(max_size=5) | st.none(), max_size=3), max_size=4)
)
def test_notes_come_back_as_they_were_and_floats_to_the_last_bit(tmp_path_factory, notes):
    folder = tmp_path_factory.mktemp("noted") / "store"
    write_ragged(folder, (Noted(np.full((1, k), k, np.uint8), note) for k, note in enumerate(notes)))
    loaded = RaggedArray(folder)
    assert loaded.notes == notes
    assert [array.tolist() for array in loaded] == [[[k] * k] for k in range(len(notes))]
    for mine, theirs in zip(loaded.notes, notes, strict=True):
        floats = [(mine[name], value) for name, value in theirs.items() if isinstance(value, float)]
        assert all(a.hex() == b.hex() for a, b in floats)  # the sign of zero too


def test_a_score_comes_back_to_the_last_bit(tmp_path):
    score = float(np.float32(1 / 3)) + 2**-52
    write_ragged(tmp_path / "s", [Noted(np.zeros((2, 2), np.float16), {"score": score})])
    assert RaggedArray(tmp_path / "s").notes == [{"score": score}]


def test_arrays_with_and_without_a_note_may_lie_together(tmp_path):
    write_ragged(tmp_path / "s", [np.zeros(1), Noted(np.ones(2), {"score": 0.1}), Noted(np.ones(2), {})])
    assert RaggedArray(tmp_path / "s").notes == [{}, {"score": 0.1}, {}]


def test_a_note_does_not_change_what_the_arrays_are(tmp_path):
    write_ragged(tmp_path / "noted", [Noted(np.arange(3), {"score": 0.1})])
    write_ragged(tmp_path / "plain", [np.arange(3)])
    noted, plain = RaggedArray(tmp_path / "noted"), RaggedArray(tmp_path / "plain")
    assert noted.digest == plain.digest
    assert noted.is_intact()


def test_a_note_that_json_has_no_word_for_leaves_nothing(tmp_path):
    with pytest.raises(TypeError, match="not JSON serializable"):
        write_ragged(tmp_path / "s", [Noted(np.zeros(1), {"score": np.float32(0.1)})])
    assert list(tmp_path.iterdir()) == []

"""A few hundred damaged files of every format, in this process; tests/fuzz/run.py does more, in processes apart."""

import os
import signal
import struct
import sys
import threading
from pathlib import Path

import pytest

FILES = 640  # ten of each original


@pytest.fixture(scope="module")
def fuzz():
    sys.path.insert(0, str(Path(__file__).parent))
    import mutate
    import run

    yield run, mutate
    sys.path.remove(str(Path(__file__).parent))
    for name in ("mutate", "run", "knowable"):
        sys.modules.pop(name, None)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_damaged_files_are_refused_or_decoded_and_nothing_knowable_is_accepted(fuzz):
    run, _ = fuzz
    outcomes = [run.judge(number, seed=2022) for number in range(FILES)]
    assert [each for each in outcomes if each.what in run.BAD] == []
    assert {each.what for each in outcomes} == {"refused", "same pixels", "other pixels"}
    assert max(each.seconds for each in outcomes) < run.TIME_LIMIT


def test_worker_that_dies_or_hangs_is_counted_and_replaced(fuzz, monkeypatch):
    run, _ = fuzz
    worker = run.Worker(seed=0)
    os.kill(worker.process.pid, signal.SIGSTOP)
    monkeypatch.setattr(run, "TIME_LIMIT", 0.2)
    assert worker.judge(0).what == "hang"
    monkeypatch.setattr(run, "TIME_LIMIT", 60)
    assert worker.judge(0).what == "refused"
    os.kill(worker.process.pid, signal.SIGSTOP)
    threading.Timer(0.2, os.kill, (worker.process.pid, signal.SIGKILL)).start()
    assert (worker.judge(1).what, worker.judge(0).what) == ("crash", "refused")
    worker.stop()


def test_same_number_and_seed_make_the_same_damage(fuzz):
    _, mutate = fuzz
    assert [mutate.mutant(k, 3) for k in range(60)] == [mutate.mutant(k, 3) for k in range(60)]
    assert mutate.mutant(5, 3) != mutate.mutant(5, 4)


def test_pieces_joined_are_the_file(fuzz):
    _, mutate = fuzz
    for original in mutate.originals():
        assert b"".join(mutate.pieces(original.content)) == original.content
        assert len(mutate.pieces(original.content)) >= 2


def test_undamaged_files_prove_no_damage(fuzz):
    run, mutate = fuzz
    proofs = {each.name: run.known_damage(each.kind, each.content) for each in mutate.originals()}
    assert set(proofs.values()) == {""}


def test_every_place_of_a_size_holds_it(fuzz):
    _, mutate = fuzz
    for original in mutate.originals():
        if original.kind in ("PNG", "JPEG", "MPO"):
            found = {struct.unpack_from(form, original.content, at)[0]
                     for at, form in mutate.size_places(original.content)}  # fmt: skip
            assert found == {mutate.HEIGHT, mutate.WIDTH}


def test_class_of_a_reason_leaves_out_its_particulars(fuzz):
    run, _ = fuzz
    assert run.class_of("is damaged (wrong checksum of the b'IDAT' at byte 33)") == run.class_of(
        "is damaged (wrong checksum of the b'IHDR' at byte 8)"
    )
    assert run.class_of("/tmp/abc/marks.json is 'x' 3.5") == "... is ... N"

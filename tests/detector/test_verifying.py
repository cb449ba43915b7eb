"""Whatever is done to verdicts is found, and named by its line."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from written_verdicts import COLUMNS, record_of

from flawline.checks import FlawlineError
from flawline.detector.record_reading import Row, Table
from flawline.detector.verifying import Witness, beside, verify
from flawline.storage.chain import PREVIOUS, chained
from flawline.storage.digests import settings_digest

RECORD = record_of(9)
ROWS, SEAL = list(RECORD.rows), RECORD.seal
PLACE = st.integers(0, len(ROWS) - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)


def findings(rows, *, header=COLUMNS, seal=SEAL, witnesses=None):
    """Return what is wrong with rows of a file, of which the first stands in line 2."""
    table = Table(tuple(header), tuple(Row(line, tuple(row)) for line, row in enumerate(rows, start=2)))
    return verify(table, seal, [beside(seal)] if witnesses is None else witnesses).wrong


def edited(place, **fields):
    rows = [list(row) for row in ROWS]
    for name, text in fields.items():
        rows[place][COLUMNS.index(name)] = text
    return rows


def test_nothing_is_wrong_with_what_was_written():
    assert findings(ROWS) == []
    assert findings(ROWS, seal=None, witnesses=[Witness("--head", SEAL.head)]) == []
    assert findings(ROWS[:1], seal=record_of(1).seal) == []


@given(PLACE, st.sampled_from(COLUMNS), TEXT)
def test_any_edit_of_one_field_is_found_in_its_line(place, column, text):
    rows = edited(place, **{column: text})
    found = findings(rows)
    assert bool(found) == (rows[place][COLUMNS.index(column)] != ROWS[place][COLUMNS.index(column)])
    assert not found or any(f"line {place + 2}" in line or f"lines {place + 2} " in line or f" {place + 2}:" in line
                            or f"row {place + 1} is missing" in line for line in found)  # fmt: skip


@given(PLACE)
def test_any_row_that_was_removed_is_named(place):
    assert f"row {place + 1} is missing behind line {place + 1}" in findings(ROWS[:place] + ROWS[place + 1 :])


@given(PLACE, PLACE)
def test_rows_that_were_removed_together_are_named_together(one, other):
    first, last = sorted((one, other))
    wanted = f"row {first + 1} is" if first == last else f"rows {first + 1} to {last + 1} are"
    assert f"{wanted} missing behind line {first + 1}" in findings(ROWS[:first] + ROWS[last + 1 :])


@given(PLACE, st.integers(0, len(ROWS)))
def test_any_row_that_was_doubled_is_named(place, where):
    rows = [*ROWS[:where], ROWS[place], *ROWS[where:]]
    first, second = (k for k, row in enumerate(rows, start=2) if row == ROWS[place])
    assert f"line {second}: row {place + 1} is doubled: it stands in line {first}" in findings(rows)


@given(PLACE, PLACE)
def test_any_two_rows_that_were_swapped_are_named(one, other):
    rows = list(ROWS)
    rows[one], rows[other] = rows[other], rows[one]
    wanted = [] if one == other else [
        f"line {k + 2}: wanted row {k + 1}, got row {m + 1}: rows were moved"
        for k, m in sorted([(one, other), (other, one)])
    ]  # fmt: skip
    assert findings(rows) == wanted


@given(st.permutations(ROWS))
def test_any_other_order_is_found_and_nothing_else(rows):
    found = findings(rows)
    assert bool(found) == (rows != ROWS)
    assert all("rows were moved" in line for line in found)


@given(PLACE, TEXT)
def test_a_row_that_was_made_up_is_found(where, image):
    made = [image, *ROWS[0][1:]]
    if tuple(made) != ROWS[0]:
        assert findings([*ROWS[:where], made, *ROWS[where:]])


def test_an_edit_says_what_was_expected_and_what_came():
    rows = edited(3, verdict="reject")
    (said,) = findings(rows)
    assert said == (f"line 5: row 4 was changed: wanted the hash {ROWS[4][-1][:16]}..., which line 6 carries, got "
                    f"{Row(5, tuple(rows[3])).hash[:16]}...")  # fmt: skip


def test_an_edit_of_the_last_row_is_known_by_the_record():
    (said,) = findings(edited(8, score="0.1"))
    assert said.startswith(f"line 10: wanted {SEAL.head[:16]}... as the hash of the last row, by the record beside")


def test_an_edit_of_a_rows_previous_names_the_two_that_it_can_be():
    found = findings(edited(3, **{PREVIOUS: "f" * 64}))
    assert found[0].startswith("line 4 or 5: one of these was changed")
    assert found[1].startswith("line 5: row 4 was changed")


def test_rows_cut_off_at_the_end_leave_a_chain_that_only_the_record_refutes():
    found = findings(ROWS[:6])
    assert found[0] == "rows 7 to 9 are missing behind line 7"
    assert findings(ROWS[:6], seal=None, witnesses=[Witness("--head", SEAL.head)])[0].startswith("line 7: wanted")
    assert findings([])[0] == "rows 1 to 9 are missing behind line 1"


def test_without_anything_to_compare_with_nothing_is_proven():
    assert findings(ROWS, seal=None, witnesses=[]) == [
        "nothing is known to compare the last row with: give the record, --head or --run"
    ]


def test_a_chain_that_was_made_anew_is_refuted_by_whoever_kept_the_hash():
    forged = [row[:-2] for row in edited(3, verdict="reject")]
    rows = chained(forged, SEAL.first)
    seal = replace(SEAL, head=Row(0, rows[-1]).hash)
    assert findings(rows, seal=seal) == []  # whoever rewrites both files is not found by these
    (said,) = findings(rows, seal=seal, witnesses=[beside(seal), Witness("--head", SEAL.head)])
    assert "by --head" in said


def test_facts_that_were_changed_do_not_have_the_digest_in_the_first_row():
    seal = replace(SEAL, facts={**SEAL.facts, "category": "nut"})
    (said,) = findings(ROWS, seal=seal)
    wanted, got = settings_digest(seal.facts)[:16], SEAL.first[:16]
    assert said.startswith(
        f"line 2: wanted {wanted}... before the first row, by the record beside the verdicts, got {got}"
    )
    assert said.endswith("the row or the facts of the record were changed")


@pytest.mark.parametrize(("rows", "count"), [(10**15, "rows 10 to 1000000000000000 are"), (10, "row 10 is")])
def test_a_record_of_more_rows_is_believed_and_the_rest_missing(rows, count):
    assert f"{count} missing behind line 10" in findings(ROWS, seal=replace(SEAL, rows=rows))


def test_a_record_of_fewer_rows_names_those_that_are_too_many():
    assert "line 10: wanted 8 rows, got one that says it is row 9" in findings(ROWS, seal=replace(SEAL, rows=8))


def test_rows_of_other_lengths_are_named():
    rows = [*ROWS[:2], ROWS[2][:5], *ROWS[3:]]
    assert f"line 4: wanted {len(COLUMNS)} fields, got 5" in findings(rows)
    assert f"line 2: wanted {len(COLUMNS)} fields, got 1" in findings([("x",), *ROWS])


def test_a_changed_header_is_told_and_the_rows_are_checked_all_the_same():
    header = ["grade" if name == "score" else name for name in COLUMNS]
    (said,) = findings(ROWS, header=header)
    assert said.startswith("line 1: the header was changed: wanted image,")
    assert len(findings(edited(3, reason="x"), header=header)) == 2
    with pytest.raises(FlawlineError, match="lack columns that were recorded: image"):
        findings([row[1:] for row in ROWS], header=COLUMNS[1:])


def test_numbers_written_in_another_way_are_told_from_others():
    rows = edited(2, score=f"{3 / 7}".replace(".", ","), area="30.0")
    assert findings(rows) == ["line 4: its numbers are written in another way, and are those that were recorded"]
    (said,) = findings(edited(2, score="0,4"))
    assert said.startswith("line 4: row 3 was changed")


def test_a_file_saved_again_is_whole_if_every_field_is_and_else_may_have_been_rounded():
    table = Table(COLUMNS, tuple(Row(k, row) for k, row in enumerate(ROWS, start=2)), ("its lines end otherwise",))
    verified = verify(table, SEAL, [beside(SEAL)])
    assert verified.wrong == []
    assert verified.told == [
        "the file was saved again by another program: its lines end otherwise. Every field holds what was written"
    ]
    rounded = replace(table, rows=tuple(Row(k, tuple(row)) for k, row in enumerate(edited(2, score="0.43"), start=2)))
    (told,) = verify(rounded, SEAL, [beside(SEAL)]).told
    assert "cannot be told from tampering: verify the file as it was written" in told


def test_of_many_findings_of_a_kind_ten_are_told():
    found = findings([[*row[:2], "9", *row[3:]] for row in record_of(40).rows], seal=record_of(40).seal)
    assert sum("changed" in line for line in found) == 10
    assert "and 29 more like this" in found

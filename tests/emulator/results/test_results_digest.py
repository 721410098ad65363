"""The digest: the same for the same cells however they are cut, another for any change of any cell."""

from __future__ import annotations

import hashlib
import math
import struct
from itertools import pairwise

import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from made_run import made_rows

from layerlift.emulator.results.columns import batch
from layerlift.emulator.results.digest import RunDigest, TableDigest
from layerlift.emulator.results.tables import DIGESTED, TABLES
from layerlift.emulator.results.writer import ResultWriter
from layerlift.models.errors import RunError

CELLS = {
    "float": st.floats(allow_nan=False).map(lambda value: value + 0.0),
    "int": st.integers(-(2**63), 2**63 - 1),
    "text": st.text(st.characters(exclude_categories=["Cs"]), max_size=4),
}
FEW = settings(max_examples=60, deadline=None, derandomize=True)


@st.composite
def table_rows(draw, min_size=0):
    table = draw(st.sampled_from(DIGESTED))
    row = st.tuples(*(CELLS[kind] for _, kind in TABLES[table]))
    return table, draw(st.lists(row, min_size=min_size, max_size=5))


def digest(table, rows, cuts=()):
    run = RunDigest()
    edges = [0, *sorted(cuts), len(rows)]
    for low, high in pairwise(edges):
        run.add(table, batch(table, rows[low:high]))
    return run.hexdigest()


@FEW
@given(table_rows(), st.data())
def test_chunks_of_any_size_give_one_digest(made, data):
    table, rows = made
    cuts = data.draw(st.lists(st.integers(0, len(rows)), max_size=4))
    assert digest(table, rows, cuts) == digest(table, rows)


@FEW
@given(table_rows(min_size=1), st.data())
def test_slices_of_a_batch_give_its_digest(made, data):
    table, rows = made
    whole, at = batch(table, rows), data.draw(st.integers(0, len(rows)))
    run = RunDigest()
    run.add(table, whole.slice(0, at))
    run.add(table, whole.slice(at))
    assert run.hexdigest() == digest(table, rows)


@FEW
@given(table_rows(min_size=1), st.data())
def test_any_other_cell_changes_it(made, data):
    table, rows = made
    at = data.draw(st.integers(0, len(rows) - 1))
    column = data.draw(st.integers(0, len(TABLES[table]) - 1))
    cell = data.draw(CELLS[TABLES[table][column][1]])
    assume(cell != rows[at][column])
    changed = [*rows]
    changed[at] = (*rows[at][:column], cell, *rows[at][column + 1 :])
    assert digest(table, changed) != digest(table, rows)


@FEW
@given(table_rows(min_size=2), st.data())
def test_swapping_or_dropping_rows_changes_it(made, data):
    table, rows = made
    first, second = data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=2, max_size=2, unique=True))
    assert digest(table, rows[:first] + rows[first + 1 :]) != digest(table, rows)
    assume(rows[first] != rows[second])
    swapped = [*rows]
    swapped[first], swapped[second] = rows[second], rows[first]
    assert digest(table, swapped) != digest(table, rows)


@pytest.mark.parametrize("table", DIGESTED)
def test_every_column_of_every_table_counts(table):
    """One cell at a time, in a run with rows in all tables."""
    rows = made_rows()

    def of(changed):
        run = RunDigest()
        for name in TABLES:
            run.add(name, batch(name, changed if name == table else rows[name]))
        return run.hexdigest()

    seen = {of(rows[table])}
    for column, (_, kind) in enumerate(TABLES[table]):
        row = list(rows[table][-1])
        row[column] = row[column] + "x" if kind == "text" else row[column] + 1
        seen.add(of([*rows[table][:-1], tuple(row)]))
    assert len(seen) == 1 + len(TABLES[table])


def test_text_is_not_confused_across_its_borders():
    row = made_rows()["allocations"][0]
    rows = [(*row[:1], "ab", "c", *row[3:]), (*row[:1], "a", "bc", *row[3:])]
    moved = [(*row[:1], "a", "bc", *row[3:]), (*row[:1], "ab", "c", *row[3:])]
    joined = [(*row[:1], "aba", "cbc", *row[3:]), (*row[:1], "", "", *row[3:])]
    assert len({digest("allocations", each) for each in (rows, moved, joined)}) == 3


def test_measured_is_outside_and_minus_zero_is_zero():
    run = RunDigest()
    before = run.hexdigest()
    run.add("measured", batch("measured", made_rows()["measured"]))
    assert run.hexdigest() == before
    row = made_rows()["uploads"][0]
    assert digest("uploads", [(-0.0, *row[1:])]) == digest("uploads", [(0.0, *row[1:])])


def test_a_nan_is_refused_by_name_and_nothing_of_its_batch_is_taken():
    row = made_rows()["uploads"][0]
    table = TableDigest("uploads")
    before = table.hexdigest()
    with pytest.raises(RunError, match=r"uploads\.ended_s holds NaN"):
        table.add(batch("uploads", [row, (*row[:10], math.nan, *row[11:])]))
    assert table.hexdigest() == before


def slow_digest(rows):
    """The definition, cell by cell, with nothing but the standard library."""

    def short(data):
        return hashlib.blake2b(data, digest_size=16)

    digests = []
    for table in sorted(DIGESTED):
        whole = short(repr((table, TABLES[table], len(rows[table]))).encode())
        for column, (_, kind) in enumerate(TABLES[table]):
            cells = [row[column] for row in rows[table]]
            if kind == "text":
                whole.update(short("".join(cells).encode()).digest())
                cells = [len(cell.encode()) for cell in cells]
            code = "<d" if kind == "float" else "<q"
            whole.update(short(b"".join(struct.pack(code, cell) for cell in cells)).digest())
        digests.append((table, whole.hexdigest()))
    return short(repr(digests).encode()).hexdigest()


def test_the_digest_is_the_one_defined():
    rows = made_rows()
    rows["plans"][0] = (*rows["plans"][0][:-1], "größer, 更大")
    run = RunDigest()
    for name, entries in rows.items():
        run.add(name, batch(name, entries))
    assert run.hexdigest() == slow_digest(rows)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        (4, 1.5, r"uploads\.part takes int"),
        (4, None, r"uploads\.part takes int"),
        (4, 2**63, r"uploads\.part takes int"),
        (0, "now", r"uploads\.at_s takes float"),
        (0, None, r"uploads\.at_s takes float"),
        (1, None, r"uploads\.client takes text"),
        (1, 7, r"uploads\.client takes text"),
        (1, "\ud800", r"uploads\.client takes text"),
    ],
)
def test_a_cell_of_another_kind_is_refused_by_name(column, value, message):
    row = made_rows()["uploads"][0]
    with pytest.raises(RunError, match=message):
        batch("uploads", [(*row[:column], value, *row[column + 1 :])])


def test_a_row_of_another_length_is_refused():
    with pytest.raises(RunError, match="14 values, expected 15"):
        batch("uploads", [made_rows()["uploads"][0], made_rows()["uploads"][0][:-1]])
    with pytest.raises(RunError, match="did you mean queries"):
        batch("querys", [])


def test_columns_carry_their_units():
    writer = ResultWriter(None)
    writer.close({})
    fields = writer.result().usage.schema
    units = {field.name: (field.metadata or {}).get(b"unit", b"").decode() for field in fields}
    assert units["energy_j"] == "joule"
    assert units["held_byte_s"] == "byte second"
    assert (units["busy_s"], units["sent_bytes"], units["money"], units["node"]) == ("second", "byte", "USD", "")
    assert fields.field("busy_s").type == pa.float64()

"""One definition of every column: what rows are made of, what the page says, and that emitters name what they give."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import get_args

import pytest

from layerlift.emulator.nodes.client.parts import Event
from layerlift.emulator.results import rows
from layerlift.emulator.results.columns import schema
from layerlift.emulator.results.rows import ROWS, TABLE_OF, UploadStatus
from layerlift.emulator.results.tables import COLUMNS, TABLES, page

ROOT = Path(__file__).parents[3]
EMITTED = {row.__name__ for row in TABLE_OF}
UNITS = {"_s": "second", "_bytes": "byte", "byte_s": "byte second", "_j": "joule"}


def unnamed(source: str) -> list[int]:
    """Lines in which a row is made of values without the names of their columns."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return [call.lineno for call in calls if isinstance(call.func, ast.Name) and call.func.id in EMITTED and call.args]


@pytest.mark.parametrize("path", sorted((ROOT / "emulator").rglob("*.py")), ids=lambda path: path.name)
def test_whoever_emits_a_row_names_its_columns(path: Path) -> None:
    """Two floats in the wrong order would pass mypy, and reach the digest."""
    assert unnamed(path.read_text(encoding="utf-8")) == []


def test_a_row_without_names_would_be_found() -> None:
    assert unnamed("row = ChangeRow(0.0, 'r1', 'crash', '', '', '')") == [1]


def test_the_page_about_results_says_what_the_rows_say() -> None:
    assert page() in (ROOT / "docs" / "results.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("table", ROWS)
def test_every_column_has_a_meaning_and_the_unit_of_its_name(table: str) -> None:
    assert [column.name for column in COLUMNS[table]] == [name for name, _ in TABLES[table]]
    for column in COLUMNS[table]:
        assert column.meaning
        ending = next((unit for end, unit in UNITS.items() if column.name.endswith(end)), None)
        wanted = "byte second" if column.name.endswith("byte_s") else ending
        if wanted is not None:
            assert column.unit == wanted, column
        field = schema(table).field(column.name)
        assert (field.metadata or {}).get(b"unit", b"").decode() == column.unit


def test_a_row_is_a_tuple_in_the_order_of_its_table() -> None:
    made = rows.ChangeRow(at_s=1.0, node="r1", kind="crash", peer="", user="", note="")
    assert tuple(made) == (1.0, "r1", "crash", "", "", "")
    assert made._fields == tuple(name for name, _ in TABLES["changes"])


def test_what_becomes_of_an_attempt_is_a_status_or_an_event_of_its_part() -> None:
    assert set(get_args(UploadStatus)) - {"cancelled"} <= set(get_args(Event))

"""A table on a narrow screen: values stay with their units, and only what cannot fit is parted."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table
from rich.text import Text

from layerlift.emulator.report import formatting
from layerlift.emulator.report.screen import Screen

VALUES = st.one_of(
    st.floats(0, 1e5).map(formatting.seconds),
    st.floats(0, 1e13).map(formatting.size),
    st.floats(0, 1e7).map(formatting.joules),
    st.floats(0, 1).map(formatting.share),
    st.integers(0, 999).map(lambda done: f"{done} of 1,000"),
    st.just(formatting.NOT_GIVEN),
)


def printed(width: int, *rows: list[str], head: str = "energy of each user") -> list[str]:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for number in range(len(rows[0])):
        table.add_column(head, justify="right" if number else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    file = io.StringIO()
    Screen(file=file, width=width).print(table)
    return [line.rstrip() for line in file.getvalue().splitlines()]


@given(st.lists(VALUES, min_size=6, max_size=6))
def test_a_value_is_never_parted_from_its_unit_where_there_is_room(row: list[str]) -> None:
    lines = printed(80, ["a name of some words", *row], head="some words")
    assert all(len(line) <= 80 for line in lines)
    assert all(any(value in line for line in lines) for value in row)


def test_columns_come_closer_before_a_value_is_parted() -> None:
    row = ["48.7 s"] * 4
    apart, closer, parted = printed(30, row, head="x"), printed(27, row, head="x"), printed(20, row, head="x")
    assert apart[1:] == ["48.7 s  48.7 s  48.7 s  48.7 s"]
    assert closer[1:] == ["48.7 s 48.7 s 48.7 s 48.7 s"]
    assert len(parted) == 3
    assert parted[1].split() == ["48.7"] * 4


@pytest.mark.parametrize("text", ["12: 1.07 MiB", "254 KiB in 1", "3 of 3"])
def test_what_is_one_value(text: str) -> None:
    assert text in printed(24, ["some more words", text], head="x")[1]

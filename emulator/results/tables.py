"""The result tables as names, kinds, units and meanings of columns, read off the classes of `rows`.

Rows of a table are ordered by (emission time, node, row number of that node). All tables but `measured` are digested.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, NamedTuple, get_args, get_origin, get_type_hints

from layerlift.emulator.results.rows import ROWS, Of

Kind = Literal["float", "int", "text"]

_KINDS: Final[dict[Any, Kind]] = {float: "float", int: "int", str: "text"}


class Column(NamedTuple):
    """A column of a table."""

    name: str
    kind: Kind
    unit: str
    meaning: str


def _columns(row: type[tuple[Any, ...]]) -> tuple[Column, ...]:
    found = []
    for name, hint in get_type_hints(row, include_extras=True).items():
        assert get_origin(hint) is Annotated, f"{row.__name__}.{name} says nothing of its meaning"
        held, of = get_args(hint)[:2]
        assert isinstance(of, Of)
        words = {get_origin(held), *map(get_origin, get_args(held))}
        kind: Kind = "text" if Literal in words else _KINDS[held]
        found.append(Column(name, kind, of.unit, of.meaning))
    return tuple(found)


COLUMNS: Final[dict[str, tuple[Column, ...]]] = {table: _columns(row) for table, row in ROWS.items()}
"""By table, in order."""

TABLES: Final[dict[str, tuple[tuple[str, Kind], ...]]] = {
    table: tuple((column.name, column.kind) for column in columns) for table, columns in COLUMNS.items()
}
"""Names and kinds alone: what a digest is over."""

DIGESTED: Final = tuple(name for name in TABLES if name != "measured")
LATER: Final = frozenset({"batches"})
"""Tables that earlier versions did not have: empty, they are not in a digest, so that runs without them keep theirs."""


def page() -> str:
    """Return the tables as Markdown: what docs/results.md says of every column."""
    parts = []
    for table, columns in COLUMNS.items():
        head = f"### `{table}`\n\n{(ROWS[table].__doc__ or '').strip()}\n\n| column | type | unit | meaning |"
        lines = [f"| `{c.name}` | {c.kind} | {c.unit} | {c.meaning} |" for c in columns]
        parts.append("\n".join([head, "| --- | --- | --- | --- |", *lines]))
    return "\n\n".join(parts) + "\n"

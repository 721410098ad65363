"""Tables from files, CSV or Parquet, as columns of numbers and texts. Whatever is wrong is told with file and line."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from layerlift.emulator.scenario.schema.files import Source
from layerlift.models.errors import ScenarioError, near

ColumnKind = Literal["float", "text"]

MOST_ROWS: Final = 1_000_000
MOST_TEXT: Final = 1000
"""Characters of a cell."""
MAGIC: Final = b"PAR1"

_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_DECIMAL_COMMA: Final = re.compile(r"[+-]?\d+,\d+", re.ASCII)
_WITH_UNIT: Final = re.compile(r"[+-]?[\d.]+ ?[a-zA-Zµ/]+", re.ASCII)
_WORD: Final = {"float": "number", "text": "text"}


class Columns(dict[str, list[Any]]):
    """Columns by name, all of one length; `place(row)` says where a row was written."""

    def __init__(self, columns: Mapping[str, list[Any]], name: str, lines: list[int] | None) -> None:
        super().__init__(columns)
        self._name = name
        self._lines = lines

    def place(self, row: int) -> str:
        """Return `lte.csv, line 12`, or `lte.parquet, row 11`, for row 10."""
        return f"{self._name}, row {row + 1}" if self._lines is None else f"{self._name}, line {self._lines[row]}"


def read_columns(source: Source, wanted: Mapping[str, ColumnKind], optional: Collection[str] = ()) -> Columns:
    """Read the wanted columns of a .csv file (UTF-8, commas, decimal points, with a header) or of a .parquet file.

    Numbers are finite. A column in `optional` may be missing, and its cells may be empty: they are None. Other columns
    are ignored. Raises `ScenarioError`: not a table, no rows or more than a million, a column missing or twice, a row
    with more or fewer cells than the header, a cell that is none of its kind.
    """
    name = source.file
    parquet = name.lower().endswith(".parquet")
    if not parquet and not name.lower().endswith(".csv"):
        raise ScenarioError(f"{name} is no table: expected a file that ends in .csv or .parquet")
    if source.content.startswith(MAGIC) != parquet:
        what = "is no Parquet file" if parquet else "is a Parquet file"
        raise ScenarioError(f"{name} {what}: expected its name to end in {'.csv' if parquet else '.parquet'}")
    cells, lines = (_parquet if parquet else _csv)(source, wanted, optional)
    found = Columns(cells, name, lines)
    if not any(cells.values()):
        raise ScenarioError(f"{name} has no rows: expected at least one below the names of the columns")
    for column, values in cells.items():
        for row, cell in enumerate(values):
            values[row] = _value(cell, wanted[column], column in optional, column, found, row)
    return found


def _value(cell: object, kind: ColumnKind, optional: bool, name: str, table: Columns, row: int) -> float | str | None:
    if cell is None or cell == "":
        if optional:
            return None
        raise ScenarioError(f"{table.place(row)}: {name} is empty, expected a {_WORD[kind]}")
    if kind == "text":
        return str(cell)
    number = math.nan
    if not isinstance(cell, str) or _NUMBER.fullmatch(cell):
        number = float(cell)  # type: ignore[arg-type]
    if not math.isfinite(number):
        given = repr(cell[:40]) if isinstance(cell, str) else f"{cell}"
        raise ScenarioError(f"{table.place(row)}: {name} is {given}, expected {_wanted(cell)}")
    return number


def _wanted(cell: object) -> str:
    text = str(cell)[:40]
    if _DECIMAL_COMMA.fullmatch(text):
        return "a number with a decimal point, not a comma"
    if _WITH_UNIT.fullmatch(text):
        return "a number alone: the unit is in the column's name"
    return "a finite number"


def _check_names(name: str, wanted: Iterable[str], optional: Collection[str], known: list[str]) -> None:
    for column in wanted:
        if known.count(column) > 1:
            raise ScenarioError(f"{name} has two columns {column}: expected one")
        if column not in known and column not in optional:
            raise ScenarioError(f"{name} has no column {column}{_instead(column, known)}")


def _instead(column: str, known: list[str]) -> str:
    """What was meant: the same in another unit, the cells of another separator, or a near name."""
    for separator, called in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
        if any(column in (part.strip() for part in text.split(separator)) for text in known if separator in text):
            return f": its cells are parted by {called}, expected commas and decimal points"
    quantity = column.split("_")[0]
    other = next((text for text in known if text.split("_")[0] == quantity and "_" in text), None)
    if other is not None and "_" in column:
        return f" but {other[:40]!r}: expected {column}, in the unit of that name"
    return near(column, [text[:40] for text in known[:50]]) if known and known != [""] else ""


Cells = tuple[dict[str, list[Any]], list[int] | None]


def _csv(source: Source, wanted: Mapping[str, ColumnKind], optional: Collection[str]) -> Cells:
    name, lines = source.file, list[int]()
    try:
        text = source.content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ScenarioError(f"{name} is neither Parquet nor text in UTF-8: expected a table") from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        head = [cell.strip() for cell in next(reader, [])]
        _check_names(name, wanted, optional, head)
        places = {column: head.index(column) if column in head else -1 for column in wanted}
        cells: dict[str, list[Any]] = {column: [] for column in wanted}
        for row in reader:
            if not row:
                continue
            if len(row) != len(head):
                count = f"{len(row)} cells, expected {len(head)} as in the first line"
                raise ScenarioError(f"{name}, line {reader.line_num}: has {count} (and decimal points, not commas)")
            if len(lines) == MOST_ROWS:
                raise _too_long(name)
            lines.append(reader.line_num)
            for column, place in places.items():
                cells[column].append(_short(row[place].strip(), column, name) if place >= 0 else None)
    except csv.Error as error:
        raise ScenarioError(f"{name}, line {reader.line_num}: this is not CSV: {error}") from None
    return cells, lines


def _parquet(source: Source, wanted: Mapping[str, ColumnKind], optional: Collection[str]) -> Cells:
    name = source.file
    try:
        there = pq.read_schema(pa.BufferReader(source.content)).names
        texts = [column for column, kind in wanted.items() if kind == "text" and column in there]
        # Texts stay in a dictionary, however often each of them comes, until their lengths are known.
        with pq.ParquetFile(pa.BufferReader(source.content), read_dictionary=texts) as file:
            rows = file.metadata.num_rows
            if rows > MOST_ROWS:
                raise _too_long(name)
            known = list(file.schema_arrow.names)
            _check_names(name, wanted, optional, known)
            held = [column for column in wanted if column in known]
            for column in held:
                _check_type(name, column, wanted[column], file.schema_arrow.field(column).type)
            table = file.read(columns=held)
            listed = {column: _listed(table[column], column, name) for column in held}
            return {column: listed.get(column, [None] * rows) for column in wanted}, None
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ScenarioError(f"{name} is a broken Parquet file: {' '.join(str(error).split())[:200]}") from None


def _check_type(name: str, column: str, kind: ColumnKind, given: Any) -> None:
    held = given.value_type if pa.types.is_dictionary(given) else given
    numbers = pa.types.is_integer(held) or (
        kind == "float" and (pa.types.is_floating(held) or pa.types.is_decimal(held))
    )
    texts = kind == "text" and (pa.types.is_string(held) or pa.types.is_large_string(held))
    if not numbers and not texts:
        raise ScenarioError(f"{name}: {column} holds {str(given)[:60]}, expected {_WORD[kind]}s")


def _listed(column: Any, called: str, name: str) -> list[Any]:
    for chunk in column.chunks if pa.types.is_dictionary(column.type) else ():
        _fits(pc.max(pc.binary_length(chunk.dictionary)).as_py() or 0, called, name)
    return list(column.to_pylist())


def _short(text: str, column: str, name: str) -> str:
    _fits(len(text), column, name)
    return text


def _fits(length: int, column: str, name: str) -> None:
    if length > MOST_TEXT:
        raise ScenarioError(f"{name}: a cell of {column} has {length:,} characters, expected at most {MOST_TEXT:,}")


def _too_long(name: str) -> ScenarioError:
    return ScenarioError(f"{name} has more than {MOST_ROWS:,} rows: expected a shorter table")

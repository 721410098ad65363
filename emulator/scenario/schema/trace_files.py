"""Tables from files, CSV or Parquet, as columns of numbers and texts. Whatever is wrong is told with file and line."""

from __future__ import annotations

import csv
import math
from collections.abc import Collection, Iterable, Mapping
from io import TextIOWrapper
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal

from layerlift.models.errors import ScenarioError, near
from layerlift.models.files import open_regular

ColumnKind = Literal["float", "text"]

MOST_ROWS: Final = 1_000_000
MOST_BYTES: Final = 256 << 20
MAGIC: Final = b"PAR1"


class Columns(dict[str, list[Any]]):
    """Columns by name, all of one length; `place(row)` says where a row was written."""

    def __init__(self, columns: Mapping[str, list[Any]], name: str, lines: list[int] | None) -> None:
        super().__init__(columns)
        self._name = name
        self._lines = lines

    def place(self, row: int) -> str:
        """Return `lte.csv, line 12`, or `lte.parquet, row 11`, for row 10."""
        return f"{self._name}, row {row + 1}" if self._lines is None else f"{self._name}, line {self._lines[row]}"


def read_columns(path: str | Path, wanted: Mapping[str, ColumnKind], optional: Collection[str] = ()) -> Columns:
    """Read the wanted columns of a CSV file (UTF-8, with a header) or of a Parquet file, which its first bytes tell.

    Numbers are finite. A column in `optional` may be missing, and its cells may be empty: they are None. Other columns
    are ignored. Raises `ScenarioError`: no such file, not a table, no rows or more than a million, a column missing, a
    cell that is none of its kind.
    """
    path = Path(path)
    try:
        file = open_regular(path, MOST_BYTES)
    except OSError as error:
        raise ScenarioError(f"{path.name} cannot be read: {error.strerror or error}") from None
    with file:
        parquet = file.read(len(MAGIC)) == MAGIC
        file.seek(0)
        cells, lines = (_parquet if parquet else _csv)(path, file, wanted, optional)
    found = Columns(cells, path.name, lines)
    if not any(cells.values()):
        raise ScenarioError(f"{path.name} has no rows: expected at least one below the names of the columns")
    for name, column in cells.items():
        for row, cell in enumerate(column):
            column[row] = _value(cell, wanted[name], name in optional, name, found, row)
    return found


def _value(cell: object, kind: ColumnKind, optional: bool, name: str, table: Columns, row: int) -> float | str | None:
    if cell is None or cell == "":
        if optional:
            return None
        raise ScenarioError(f"{table.place(row)}: {name} is empty, expected a {_WORD[kind]}")
    if kind == "text":
        return str(cell)
    try:
        number = math.nan if isinstance(cell, bool) else float(cell)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ScenarioError(f"{table.place(row)}: {name} is {str(cell)[:40]!r}, expected a finite number")
    return number


_WORD: Final = {"float": "number", "text": "text"}


def _missing(name: str, wanted: Iterable[str], optional: Collection[str], known: list[str]) -> None:
    for column in wanted:
        if known.count(column) > 1:
            raise ScenarioError(f"{name} has two columns {column}: expected one")
        if column not in known and column not in optional:
            raise ScenarioError(f"{name} has no column {column}{near(column, [text[:40] for text in known[:50]])}")


def _csv(
    path: Path, content: BinaryIO, wanted: Mapping[str, ColumnKind], optional: Collection[str]
) -> tuple[dict[str, list[Any]], list[int] | None]:
    lines: list[int] = []
    try:
        with TextIOWrapper(content, encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            head = [text.strip() for text in next(reader, [])]
            _missing(path.name, wanted, optional, head)
            places = {name: head.index(name) if name in head else -1 for name in wanted}
            cells: dict[str, list[Any]] = {name: [] for name in wanted}
            for row in reader:
                if not row:
                    continue
                if len(row) != len(head):
                    count = f"{len(row)} cells, expected {len(head)} as in the first line"
                    raise ScenarioError(f"{path.name}, line {reader.line_num}: has {count}")
                if len(lines) == MOST_ROWS:
                    raise _too_long(path)
                lines.append(reader.line_num)
                for name, place in places.items():
                    cells[name].append(row[place].strip() if place >= 0 else None)
    except UnicodeDecodeError:
        raise ScenarioError(f"{path.name} is neither Parquet nor text in UTF-8: expected a table") from None
    except csv.Error as error:
        raise ScenarioError(f"{path.name}, line {reader.line_num}: this is not CSV: {error}") from None
    return cells, lines


def _parquet(
    path: Path, content: BinaryIO, wanted: Mapping[str, ColumnKind], optional: Collection[str]
) -> tuple[dict[str, list[Any]], list[int] | None]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(content) as file:
            if file.metadata.num_rows > MOST_ROWS:
                raise _too_long(path)
            known = list(file.schema_arrow.names)
            _missing(path.name, wanted, optional, known)
            rows = file.metadata.num_rows
            table = file.read(columns=[name for name in wanted if name in known])
            columns = {name: table[name].to_pylist() if name in known else [None] * rows for name in wanted}
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ScenarioError(f"{path.name} is a broken Parquet file: {' '.join(str(error).split())[:200]}") from None
    return columns, None


def _too_long(path: Path) -> ScenarioError:
    return ScenarioError(f"{path.name} has more than {MOST_ROWS:,} rows: expected a shorter table")

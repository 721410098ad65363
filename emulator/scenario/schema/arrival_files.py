"""Traces of instants in files: CSV with a header, or Parquet; one instant a row, in seconds, ascending."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from layerlift.emulator.scenario.schema.fields import LARGEST, shown
from layerlift.models.errors import ScenarioError, near
from layerlift.models.files import open_regular

MOST_ROWS: Final = 1_000_000
MOST_BYTES: Final = 256 << 20

_Cell = tuple[int, object]
"""Where it is (a line of a CSV file, a row of a Parquet file) and what is there; None: nothing."""


def recorded(path: Path, column: str = "time_s", repeat_s: float | None = None) -> tuple[float, ...]:
    """Read the instants of a trace, in seconds.

    Raises `ScenarioError`, with the file and the line: it cannot be read, has no such column, no rows or more than
    1,000,000, something that is no number of at least 0, or times that go back; or `repeat_s` comes before its end.
    """
    parquet = path.suffix.lower() == ".parquet"
    if not parquet and path.suffix.lower() != ".csv":
        raise ScenarioError(f"{path.name} is no trace: expected a file that ends in .csv or .parquet")
    cells = _parquet(path, column) if parquet else _csv(path, column)
    times: list[float] = []
    for at, cell in islice(cells, MOST_ROWS + 1):
        where = f"{path.name}, {'row' if parquet else 'line'} {at}: {column}"
        times.append(_time(where, cell, times[-1] if times else 0.0))
    if not times:
        raise ScenarioError(f"{path.name} has no rows: expected one instant a row")
    if len(times) > MOST_ROWS:
        raise _too_long(path)
    if repeat_s is not None and repeat_s < times[-1] - times[0]:
        raise ScenarioError(
            f"{path.name} lasts {times[-1] - times[0]:g} s, longer than repeat_s ({repeat_s:g}): "
            "expected to repeat it only after its end"
        )
    return tuple(times)


def _too_long(path: Path) -> ScenarioError:
    return ScenarioError(f"{path.name} has more than {MOST_ROWS:,} rows: expected fewer")


def _time(where: str, cell: object, before: float) -> float:
    try:
        if cell is None or isinstance(cell, bool) or (isinstance(cell, str) and "_" in cell):
            raise ValueError
        value = float(cell)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        value = math.nan
    if not 0 <= value <= LARGEST:
        raise ScenarioError(f"{where} is {'missing' if cell is None else shown(cell)}, expected seconds of at least 0")
    if value < before:
        raise ScenarioError(f"{where} is {value:g}, before {before:g} in the row above: expected ascending times")
    return value


def _csv(path: Path, column: str) -> Iterator[_Cell]:
    try:
        with TextIOWrapper(open_regular(path, MOST_BYTES), encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file)
            names = [name.strip() for name in next(rows, [])]
            place = _place(path, column, names)
            for row in rows:
                if row:
                    yield rows.line_num, row[place] if place < len(row) else None
    except UnicodeDecodeError:
        raise ScenarioError(f"{path.name} is not text in UTF-8: expected a CSV file") from None
    except csv.Error as error:
        raise ScenarioError(f"{path.name}, line {rows.line_num}: this is not CSV: {error}") from None
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None


def _parquet(path: Path, column: str) -> Iterator[_Cell]:
    try:
        with open_regular(path, MOST_BYTES) as content, pq.ParquetFile(content) as file:
            _place(path, column, file.schema_arrow.names)
            if file.metadata.num_rows > MOST_ROWS:
                raise _too_long(path)
            kind = file.schema_arrow.field(column).type
            if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
                raise ScenarioError(f"{path.name}: {column} holds {kind}, expected numbers of seconds")
            cells = file.read(columns=[column]).column(0).to_pylist()
    except (OSError, ValueError, pa.ArrowException) as error:
        raise _unreadable(path, error) from None
    yield from enumerate(cells, 1)


def _place(path: Path, column: str, names: list[str]) -> int:
    if column not in names:
        raise ScenarioError(f"{path.name} has no column {column!r}{near(column, names[:20]) if names else ''}")
    return names.index(column)


def _unreadable(path: Path, error: Exception) -> ScenarioError:
    reason = getattr(error, "strerror", None) or (str(error).splitlines() or ["it is broken"])[0]
    return ScenarioError(f"{path} cannot be read: {reason}")

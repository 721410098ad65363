"""Rows of the result tables as Arrow columns: the one place where Python values become 64-bit numbers and UTF-8."""

from __future__ import annotations

import json
import sys
from array import array
from collections.abc import Sequence
from functools import cache
from typing import Any, Final

import numpy as np
import pyarrow as pa

from layerlift.emulator.results.tables import COLUMNS, TABLES, Column, Kind
from layerlift.models.errors import RunError, near

Row = tuple[float | int | str, ...]

ARROW: Final[dict[Kind, Any]] = {"float": pa.float64(), "int": pa.int64(), "text": pa.string()}
_CODE: Final = {"float": "d", "int": "q"}
_DTYPE: Final = {"float": np.float64, "int": np.int64}


@cache
def schema(table: str) -> Any:
    """The Arrow schema of a result table: columns in the order of `TABLES`, never null, units in the metadata.

    The schema's metadata holds `layerlift.units`, a JSON object from column to unit; each field repeats its own.
    Raises `RunError` for a table that there is not.
    """
    if table not in TABLES:
        raise RunError(f"there is no result table {table!r}{near(table, TABLES)}")
    fields = [_field(column) for column in COLUMNS[table]]
    units = {column.name: column.unit for column in COLUMNS[table] if column.unit}
    return pa.schema(fields, metadata={"layerlift.table": table, "layerlift.units": json.dumps(units)})


def _field(column: Column) -> Any:
    told = {"unit": column.unit} if column.unit else None
    return pa.field(column.name, ARROW[column.kind], nullable=False, metadata=told)


def batch(table: str, rows: Sequence[Row]) -> Any:
    """Turn rows into one `pyarrow.RecordBatch` of `schema(table)`.

    Each row has exactly the columns of `TABLES[table]`, in order. Raises `RunError` naming the table and column for
    a row of another length or a value of another kind (a float where an int belongs, None, text that is not Unicode).
    """
    target = schema(table)
    width = len(target)
    if not set(map(len, rows)) <= {width}:
        wrong = next(row for row in rows if len(row) != width)
        raise RunError(f"a row of {table} has {len(wrong)} values, expected {width}: {', '.join(target.names)}")
    cells = zip(*rows, strict=True) if rows else ((),) * width
    arrays = [_column(table, name, kind, column) for (name, kind), column in zip(TABLES[table], cells, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=target)


def _column(table: str, name: str, kind: Kind, values: Sequence[Any]) -> Any:
    try:
        if kind != "text":
            return pa.array(np.frombuffer(array(_CODE[kind], values), dtype=_DTYPE[kind]))
        made = pa.array(values, pa.string())
    except (TypeError, OverflowError, ValueError) as error:
        raise RunError(f"{table}.{name} takes {kind} values only: {error}") from error
    if made.null_count:
        raise RunError(f"{table}.{name} takes {kind} values only: row {values.index(None)} of the batch is None")
    return made


if sys.byteorder != "little" or array("q").itemsize != 8:  # pragma: no cover
    raise RunError("layerlift needs a little-endian machine with 64-bit integers: digests are defined on those bytes")

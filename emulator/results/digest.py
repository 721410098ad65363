"""What names a run: a hash over every cell of every digested table, blind to how the rows were cut into parts.

Parquet bytes depend on the writer's version and on where parts were cut; cell values do not. So each column keeps
one running BLAKE2b over its values (floats as little-endian float64, integers as int64) or, for text, two: the
lengths as int64 and the UTF-8 bytes, which together say the same as length-prefixed text.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, Final

import numpy as np

from layerlift.emulator.results.columns import schema
from layerlift.emulator.results.tables import DIGESTED, LATER, TABLES, Kind
from layerlift.models.errors import RunError

DIGEST_BYTES: Final = 16


class ColumnDigest:
    """The running hash of one column; feeding it in any chunks gives the same digest."""

    def __init__(self, kind: Kind, name: str = "column") -> None:
        self.kind = kind
        self.name = name
        self._values = blake2b(digest_size=DIGEST_BYTES)
        self._lengths = blake2b(digest_size=DIGEST_BYTES)

    def check(self, column: Any) -> None:
        """Raise `RunError` for a column with a NaN, which equals nothing, itself included."""
        if self.kind == "float" and np.isnan(column.to_numpy(zero_copy_only=True)).any():
            raise RunError(f"{self.name} holds NaN, which cannot be digested: expected a number")

    def add(self, column: Any) -> None:
        """Feed one checked Arrow array without nulls, possibly a slice."""
        if len(column) == 0:
            return
        if self.kind == "text":
            self._add_text(column)
            return
        values = column.to_numpy(zero_copy_only=True)
        if self.kind == "float":
            values = values + 0.0  # -0.0 becomes 0.0
        self._values.update(np.ascontiguousarray(values).data)

    def _add_text(self, column: Any) -> None:
        _, offsets, data = column.buffers()
        ends = np.frombuffer(offsets, dtype=np.int32)[column.offset : column.offset + len(column) + 1]
        self._lengths.update(np.diff(ends).astype(np.int64).data)
        if data is not None:
            self._values.update(memoryview(data)[int(ends[0]) : int(ends[-1])])

    def digest(self) -> bytes:
        """The digest of all values so far; more may follow."""
        return self._values.digest() + (self._lengths.digest() if self.kind == "text" else b"")


class TableDigest:
    """The running hash of one table: its name, column names and kinds, row count and every cell."""

    def __init__(self, table: str) -> None:
        schema(table)
        self.table = table
        self.rows = 0
        self._columns = [ColumnDigest(kind, f"{table}.{name}") for name, kind in TABLES[table]]

    def add(self, batch: Any) -> None:
        """Feed the next rows, a `pyarrow.RecordBatch` with the columns of `TABLES`, in order.

        Raises `RunError` for a NaN; nothing of the batch is fed then.
        """
        for digest, column in zip(self._columns, batch.columns, strict=True):
            digest.check(column)
        for digest, column in zip(self._columns, batch.columns, strict=True):
            digest.add(column)
        self.rows += batch.num_rows

    def hexdigest(self) -> str:
        """32 hexadecimal digits that name the rows so far."""
        whole = blake2b(repr((self.table, TABLES[self.table], self.rows)).encode(), digest_size=DIGEST_BYTES)
        for column in self._columns:
            whole.update(column.digest())
        return whole.hexdigest()


class RunDigest:
    """The running hash of a run: all tables of `DIGESTED`, empty ones included but for those of `LATER`."""

    def __init__(self) -> None:
        self._tables = {table: TableDigest(table) for table in DIGESTED}

    def add(self, table: str, batch: Any) -> None:
        """Feed the next rows of a table; those of tables outside the digest are ignored."""
        if table in self._tables:
            self._tables[table].add(batch)

    def tables(self) -> dict[str, str]:
        """The digest of each table, which tells where two runs part."""
        return {name: table.hexdigest() for name, table in self._tables.items() if table.rows or name not in LATER}

    def hexdigest(self) -> str:
        """32 hexadecimal digits that name the run's rows so far."""
        return blake2b(repr(sorted(self.tables().items())).encode(), digest_size=DIGEST_BYTES).hexdigest()

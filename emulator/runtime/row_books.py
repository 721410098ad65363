"""The conductor's books: rows from hosts, completed with what only the network knows, on their way to the tables."""

from __future__ import annotations

from typing import Any

from layerlift.emulator.network.byte_ledger import ByteLedger
from layerlift.emulator.results.rows import Rows, UsageRow, Write
from layerlift.emulator.results.tables import TABLES
from layerlift.emulator.runtime.usage_books import UsageBooks
from layerlift.emulator.world.world import World

_BATCH_ROWS = 8_192


class RowBooks:
    """Takes rows in their final order and passes them on table by table."""

    def __init__(self, world: World, ledger: ByteLedger, write: Write) -> None:
        self._write = write
        self._tables: Rows = {table: [] for table in TABLES}
        self._pending = 0
        self._queries = 0
        self._usage = UsageBooks(world, ledger)
        self._index = {node.name: node.index for node in world.nodes}

    @property
    def queries(self) -> int:
        """Queries that have ended so far."""
        return self._queries + len(self._tables["queries"])

    def add(self, rows: Rows) -> None:
        """Take rows, each table in order of (emission time, node), after all earlier ones.

        To be called at the end of each window, with rows or without: the network's books have something to add.
        """
        self._take(rows, self._usage.add(rows.get("usage", ())))
        if self._pending >= _BATCH_ROWS:
            self.flush()

    def close(self, rows: Rows, end: float) -> None:
        """Take the last rows of a run that ended at `end`, and pass everything on; what came later is cut."""
        in_time = {table: [row for row in more if row[0] <= end] for table, more in rows.items()}
        self._take(in_time, self._usage.close(in_time.get("usage", ()), end))
        self.flush()

    def break_off(self, at_s: float) -> None:
        """Pass on every row of a run that is broken off at `at_s`, before which all has happened."""
        self._take({}, self._usage.break_off(at_s))
        self.flush()

    def _take(self, rows: Rows, usage: list[UsageRow]) -> None:
        for table, more in rows.items():
            if table != "usage":
                self._tables[table] += more
                self._pending += len(more)
        self._tables["usage"] += usage
        self._pending += len(usage)

    def sort(self, rows: Rows) -> None:
        """Put rows of several hosts, each in its own order, into the order of the tables."""
        for more in rows.values():
            more.sort(key=self._order)

    def _order(self, row: tuple[Any, ...]) -> tuple[float, int]:
        return row[0], self._index[row[1]]

    def flush(self) -> None:
        """Pass on what is held back."""
        for table, rows in self._tables.items():
            if rows:
                if table == "queries":
                    self._queries += len(rows)
                self._tables[table] = []
                self._write(table, rows)
        self._pending = 0

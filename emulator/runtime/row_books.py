"""The conductor's books: rows from hosts, completed with what only the network knows, on their way to the tables."""

from __future__ import annotations

from typing import Any

from layerlift.emulator.network.byte_ledger import ByteLedger
from layerlift.emulator.results.rows import Rows, UsageRow, Write
from layerlift.emulator.runtime.usage_books import UsageBooks
from layerlift.emulator.world.world import World


class RowBooks:
    """Takes rows in their final order and passes them on table by table."""

    def __init__(self, world: World, ledger: ByteLedger, write: Write) -> None:
        self._write = write
        self._usage = UsageBooks(world, ledger)
        self.queries = 0
        """Queries that have ended so far."""
        self._index = {node.name: node.index for node in world.nodes}

    def add(self, rows: Rows) -> None:
        """Pass rows on, each table in order of (emission time, node), after all earlier ones.

        To be called at the end of each window, with rows or without: the network's books have something to add. Nothing
        is held back but the rows of use that end with the last sample: idle nodes may have one that comes before them.
        """
        self._pass_on(rows, self._usage.add(rows.get("usage", ())))

    def close(self, rows: Rows, end: float) -> None:
        """Take the last rows of a run that ended at `end`, and pass everything on; what came later is cut."""
        in_time = {table: [row for row in more if row[0] <= end] for table, more in rows.items()}
        self._pass_on(in_time, self._usage.close(in_time.get("usage", ()), end))

    def break_off(self, at_s: float) -> None:
        """Pass on what is left of a run that is broken off at `at_s`, before which all has happened."""
        self._pass_on({}, self._usage.break_off(at_s))

    def _pass_on(self, rows: Rows, usage: list[UsageRow]) -> None:
        self.queries += len(rows.get("queries", ()))
        for table, more in rows.items():
            if more and table != "usage":
                self._write(table, more)
        if usage:
            self._write("usage", usage)

    def sort(self, rows: Rows) -> None:
        """Put rows of several hosts, each in its own order, into the order of the tables."""
        for more in rows.values():
            more.sort(key=self._order)

    def _order(self, row: tuple[Any, ...]) -> tuple[float, int]:
        return row[0], self._index[row[1]]

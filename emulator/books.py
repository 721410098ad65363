"""The conductor's books: rows from hosts, completed with what only the network knows, on their way to the tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from emulator.host import Row
from emulator.tables import TABLES
from emulator.traffic import Sample, Traffic
from emulator.world import World

Write = Callable[[str, list[tuple[Any, ...]]], None]

_BATCH_ROWS = 8_192


class Books:
    """Takes rows in their final order and passes them on table by table."""

    def __init__(self, world: World, traffic: Traffic, write: Write) -> None:
        self._world, self._traffic, self._write = world, traffic, write
        self._tables: dict[str, list[tuple[Any, ...]]] = {table: [] for table in TABLES}
        self._pending = 0
        self._queries = 0

    @property
    def queries(self) -> int:
        """Queries that have ended so far."""
        return self._queries + len(self._tables["queries"])

    def add(self, rows: list[Row]) -> None:
        """Take rows that are ordered by (emission time, node, row number), after all earlier ones."""
        tables = self._tables
        for _, node, _, table, values in rows:
            if table == "usage":
                tables[table].append(self._usage(node, values))
            else:
                tables[table].append(values)
        self._pending += len(rows)
        if self._pending >= _BATCH_ROWS:
            self.flush()

    def close(self, rows: list[Row], end: float) -> None:
        """Take the last rows of a run that ended at `end`, and pass everything on."""
        last = self._traffic.last(end)
        kept = [row for row in rows if row[0] <= end]
        self.add([row if row[3] != "usage" or row[4][-1] else _final(row, last) for row in kept])
        self.flush()

    def flush(self) -> None:
        """Pass on what is held back."""
        for table, rows in self._tables.items():
            if rows:
                if table == "queries":
                    self._queries += len(rows)
                self._write(table, rows)
                self._tables[table] = []
        self._pending = 0

    def _usage(self, node: int, values: tuple[Any, ...]) -> tuple[Any, ...]:
        """Add bytes, radio time, energy and money to what the node itself could measure."""
        at, name, period, busy, held, held_byte_s, mark = values
        sample = mark if isinstance(mark, Sample) else self._traffic.at(mark, node)
        spec = self._world.nodes[node]
        energy = spec.idle_w * period + spec.compute_w * busy + spec.radio_w * sample.radio_s
        money = spec.price_per_s * busy + spec.price_per_byte_s * held_byte_s + sample.money
        return (
            at, name, period, busy, held, held_byte_s, sample.sent_bytes, sample.received_bytes, sample.radio_s, energy,
            money,
        )  # fmt: skip


def _final(row: Row, last: dict[int, Sample]) -> Row:
    at, node, number, table, values = row
    sample = last.get(node, Sample())
    period: float = values[2]
    sample = sample._replace(radio_s=min(sample.radio_s, period))
    return at, node, number, table, (*values[:-1], sample)

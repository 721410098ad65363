"""The conductor's books: rows from hosts, completed with what only the network knows, on their way to the tables."""

from __future__ import annotations

from typing import Any

from layerlift.emulator.network.byte_ledger import ByteLedger, Sample
from layerlift.emulator.results.rows import Rows, UsageReading, UsageRow, Write
from layerlift.emulator.world.world import World


class RowBooks:
    """Takes rows in their final order and passes them on table by table."""

    def __init__(self, world: World, ledger: ByteLedger, write: Write) -> None:
        self._world, self._ledger, self._write = world, ledger, write
        self.queries = 0
        """Queries that have ended so far."""
        self._last: dict[int, Sample] = {}
        self._index = {node.name: node.index for node in world.nodes}

    def add(self, rows: Rows) -> None:
        """Pass rows on, each table in order of (emission time, node), after all earlier ones.

        Nothing is held back: what a run had when it was killed is what had come to the tables.
        """
        self.queries += len(rows.get("queries", ()))
        for table, more in rows.items():
            if more:
                self._write(table, list(map(self._usage, more)) if table == "usage" else more)

    def close(self, rows: Rows, end: float) -> None:
        """Take the last rows of a run that ended at `end`, and pass everything on; what came later is cut."""
        self._last = self._ledger.last(end)
        self.add({table: [row for row in more if row[0] <= end] for table, more in rows.items()})

    def sort(self, rows: Rows) -> None:
        """Put rows of several hosts, each in its own order, into the order of the tables."""
        for more in rows.values():
            more.sort(key=self._order)

    def _order(self, row: tuple[Any, ...]) -> tuple[float, int]:
        return row[0], self._index[row[1]]

    def _usage(self, told: UsageReading) -> UsageRow:
        """Add bytes, radio time, energy and money to what the node itself could measure."""
        node = self._index[told.node]
        if told.number:
            sample = self._ledger.at(told.number, node)
        else:
            sample = self._last.get(node, Sample())
            sample = sample._replace(radio_s=min(sample.radio_s, told.period_s))
        spec = self._world.nodes[node]
        energy_j = spec.idle_w * told.on_s + spec.compute_w * told.busy_s + spec.radio_w * sample.radio_s
        return UsageRow(
            at_s=told.at_s,
            node=told.node,
            period_s=told.period_s,
            busy_s=told.busy_s,
            held_bytes=told.held_bytes,
            held_byte_s=told.held_byte_s,
            sent_bytes=sample.sent_bytes,
            received_bytes=sample.received_bytes,
            radio_s=sample.radio_s,
            energy_j=energy_j,
            money=spec.price_per_s * told.busy_s + spec.price_per_byte_s * told.held_byte_s + sample.money,
        )

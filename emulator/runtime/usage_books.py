"""The books of use: what nodes read of themselves and what the network's books say of them become rows of `usage`.

A node's period is *idle* when it did no work, held and drew the same all the time, nothing that it sent or received
arrived, and no radio was on. Idle periods that follow each other become one row. So the rows, as all the work here,
grow with what happens and not with virtual time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from layerlift.emulator.kernel import periods
from layerlift.emulator.network.byte_ledger import ByteLedger, Sample
from layerlift.emulator.results.rows import UsageReading, UsageRow
from layerlift.emulator.world.machines import NodeSpec
from layerlift.emulator.world.world import World

_NOTHING = Sample()


class _State:
    """How a node was left by its last row, and the period with which that row ended."""

    __slots__ = ("held_bytes", "number", "on")

    def __init__(self, on: bool) -> None:
        self.number, self.held_bytes, self.on = 0, 0, on


class UsageBooks:
    """Gives rows in the order of (time, node). Those of an instant wait for the idle rows that end at it.

    An idle row is known when its node is used again: at the next sample, when rows of other nodes may have been made
    that end with it. `add` must come often enough that a period's readings and its samples come together.
    """

    def __init__(self, world: World, ledger: ByteLedger) -> None:
        self._world, self._ledger = world, ledger
        self._index = {node.name: node.index for node in world.nodes}
        self._states = [_State(node.index not in world.begin_off) for node in world.nodes]
        self._waiting: list[UsageRow] = []

    def add(self, readings: Sequence[UsageReading]) -> list[UsageRow]:
        """Take the readings of periods that are over; the rows that are known by now and come next."""
        samples = self._ledger.take()
        if not readings and not samples:
            return []
        told: dict[int, dict[int, UsageReading]] = defaultdict(dict)
        for reading in readings:
            told[reading.number][self._index[reading.node]] = reading
        rows: list[UsageRow] = []
        for number in sorted({*told, *samples}):
            rows += self._period(number, told.get(number, {}), samples.get(number, {}))
        return rows

    def close(self, readings: Iterable[UsageReading], end: float) -> list[UsageRow]:
        """Take the last readings of a run that ended at `end`; all rows that are left."""
        told = list(readings)
        samples = self._ledger.last(end)
        rows = self.add([reading for reading in told if not reading.cut])
        cut = {self._index[reading.node]: reading for reading in told if reading.cut}
        for node in range(len(self._states)):
            self._waiting += self._last(node, cut.get(node), samples.get(node, _NOTHING), end)
        return rows + self._waited()

    def break_off(self, at_s: float) -> list[UsageRow]:
        """All rows that are left of a run that is broken off at `at_s`, before which all has happened."""
        self._ledger.sample_before(at_s)
        rows = self.add(())
        # A step that was broken off in its midst may have closed the period that ended as it began: not known yet.
        over = min(self._ledger.open_number, periods.ending_from(at_s, self._world.sample_s)) - 1
        for node in range(len(self._states)):
            self._waiting += self._idle(node, over)
        return rows + self._waited()

    def _period(self, number: int, told: Mapping[int, UsageReading], samples: Mapping[int, Sample]) -> list[UsageRow]:
        """Rows of the nodes that were used in a period wait; those before them come, now that all are known."""
        used = sorted({*samples, *(node for node, reading in told.items() if not reading.idle)})
        if not used:
            return []
        for node in used:
            self._waiting += self._idle(node, number - 1)
        rows = self._waited()
        self._waiting = [self._used(node, told.get(node), samples.get(node, _NOTHING), number) for node in used]
        return rows

    def _waited(self) -> list[UsageRow]:
        rows, self._waiting = self._waiting, []
        return sorted(rows, key=lambda row: (row.at_s, self._index[row.node]))

    def _last(self, node: int, reading: UsageReading | None, sample: Sample, end: float) -> list[UsageRow]:
        """The rows with which a node's use ends: the period that the end cut short, if it was used, or idle time."""
        state = self._states[node]
        if reading is not None and not (reading.idle and sample == _NOTHING):
            idle = self._idle(node, reading.number - 1)
            return [*idle, self._used(node, reading, sample, reading.number)]
        idle_s = end - self._end_s(state.number)
        return [self._left_alone(node, end, idle_s)] if idle_s > 0.0 else []

    def _idle(self, node: int, number: int) -> list[UsageRow]:
        """The row of a node that was idle up to the end of a period; none when it has one to there."""
        state = self._states[node]
        count = number - state.number
        if count <= 0:
            return []
        state.number = number
        return [self._left_alone(node, self._end_s(number), count * self._world.sample_s)]

    def _used(self, node: int, reading: UsageReading | None, sample: Sample, number: int) -> UsageRow:
        """The row of a period in which a node was used; without a reading only the network knows that it was."""
        state = self._states[node]
        state.number = number
        if reading is None:
            return self._left_alone(node, self._end_s(number), self._world.sample_s, sample)
        state.held_bytes, state.on = reading.held_bytes, reading.on
        return _row(self._world.nodes[node], reading, sample)

    def _left_alone(self, node: int, at_s: float, period_s: float, sample: Sample = _NOTHING) -> UsageRow:
        """The row of a node that did nothing itself: it held what it held, and was on or off."""
        spec, state = self._world.nodes[node], self._states[node]
        held, on = state.held_bytes, state.on
        reading = UsageReading(
            at_s=at_s,
            node=spec.name,
            period_s=period_s,
            busy_s=0.0,
            held_bytes=held,
            held_byte_s=held * period_s,
            on_s=period_s if on else 0.0,
            on=on,
            idle=True,
            number=state.number,
            cut=False,
        )
        return _row(spec, reading, sample)

    def _end_s(self, number: int) -> float:
        return number * self._world.sample_s if number else 0.0


def _row(spec: NodeSpec, told: UsageReading, sample: Sample) -> UsageRow:
    """Add bytes, radio time, energy and money to what the node itself could measure."""
    radio_s = min(sample.radio_s, told.period_s)  # spans are added up: their sum may be longer by a rounding
    return UsageRow(
        at_s=told.at_s,
        node=told.node,
        period_s=told.period_s,
        busy_s=told.busy_s,
        held_bytes=told.held_bytes,
        held_byte_s=told.held_byte_s,
        sent_bytes=sample.sent_bytes,
        received_bytes=sample.received_bytes,
        radio_s=radio_s,
        energy_j=_energy_j(spec, told, radio_s),
        money=spec.price_per_s * told.busy_s + spec.price_per_byte_s * told.held_byte_s + sample.money,
    )


def _energy_j(spec: NodeSpec, told: UsageReading, radio_s: float) -> float:
    on = spec.idle_w * told.on_s + spec.compute_w * told.busy_s + spec.radio_w * radio_s
    return on + spec.off_w * (told.period_s - told.on_s)

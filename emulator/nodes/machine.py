"""What every emulated machine has: a CPU, an outbox, rows to report and samples of its use."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any, ClassVar

from layerlift.emulator.kernel import periods
from layerlift.emulator.kernel.clock import Node
from layerlift.emulator.kernel.cpu import Cpu, FifoCpu
from layerlift.emulator.kernel.disciplines import AnyCpu
from layerlift.emulator.nodes import validation
from layerlift.emulator.nodes.ports import HostPort
from layerlift.emulator.protocol.messages import Departure, Message
from layerlift.emulator.results.rows import TABLE_OF, Emitted, UsageReading
from layerlift.emulator.world.machines import NodeSpec


class Machine(Node):
    """A node with a CPU. Its messages and timers are numbered by itself, never by its host."""

    __slots__ = (
        "_armed",
        "_busy_s",
        "_changed_s",
        "_held_at",
        "_held_before",
        "_held_byte_s",
        "_on",
        "_received",
        "_sampled",
        "_seconds",
        "_sent",
        "_turns",
        "_was_on",
        "cpu",
        "held_bytes",
        "host",
        "name",
        "spec",
    )

    def __init__(self, host: HostPort, spec: NodeSpec) -> None:
        super().__init__(host.kernel, spec.index)
        self.host, self.spec, self.name = host, spec, spec.name
        self.cpu = self.make_cpu()
        self._on = self._was_on = not spec.begins_off
        """Whether the machine is on, and was at the last sample."""
        self._turns: list[tuple[float, bool]] = []
        """When it was switched on or off since then."""
        self.held_bytes = 0
        self._received = 0
        self._held_at = self._held_byte_s = 0.0
        self._held_before: list[tuple[float, float, int, float]] = []
        self._sent = 0
        self._sampled = 0
        self._busy_s = 0.0
        """As of the last sample."""
        self._changed_s = inf
        """When the machine was first used otherwise since then, by more than its work."""
        self._armed = 0
        """The period that is read at its end; 0 while the machine is idle."""
        self._seconds: dict[int, tuple[float, ...]] = {}

    def make_cpu(self) -> AnyCpu:
        """The CPU that its discipline asks for."""
        return Cpu(self, self.spec.cores) if self.spec.discipline == "sharing" else FifoCpu(self, self.spec.cores)

    def receive(self, message: Any) -> None:
        """Take a message that has arrived."""
        self.handlers[type(message)](self, message)

    handlers: ClassVar[dict[type, Callable[[Any, Any], None]]] = {}
    """By type of message; each kind of machine has its own."""

    def send(self, to: int, size: int, message: Message, stream: int = 0) -> int:
        """Let `message` leave for node `to` now, charged `size` bytes; returns its number, which `Cancel` takes."""
        self._sent = sequence = self._sent + 1
        self.host.depart(Departure(self.kernel.now, self.index, sequence, to, size, stream, message))
        return sequence

    def receive_and_validate(self, message: Any) -> None:
        """The same, and see whether all is as it should be (see `layerlift.emulator.nodes.validation`)."""
        self.receive(message)
        self._received += 1
        if self._received % validation.every(len(self.host.world.users)) == 0:
            self.validate()

    def validate(self) -> None:
        """Raise `AssertionError` when the machine's own books contradict each other. Overridden by those with more."""
        assert self.held_bytes >= 0, f"{self.name} holds less than nothing"

    def busy_s(self, until: float) -> float:
        """Core-seconds of work that the CPU has done from the start of the run up to a moment (s)."""
        return self.cpu.busy_s(until)

    def row(self, row: Emitted) -> None:
        """Report something that happened now."""
        self.host.rows[TABLE_OF[type(row)]].append(row)

    def seconds(self, model: int) -> tuple[float, ...]:
        """Seconds of each layer of a model, alone on this machine."""
        if self.spec.tier == "client":
            return self.host.world.seconds(model, self.index)  # asked for now and then; a crowd would keep thousands
        found = self._seconds.get(model)
        if found is None:
            found = self._seconds[model] = self.host.world.seconds(model, self.index)
        return found

    def hold(self, more_bytes: int) -> None:
        """Change the parameter bytes held; the byte-seconds so far are kept."""
        if not more_bytes:
            return
        self.change_use()
        now = self.kernel.now
        recent = now - self.host.world.lookahead_s
        self._held_before = [state for state in self._held_before if state[0] >= recent]
        self._held_before.append((now, self._held_at, self.held_bytes, self._held_byte_s))
        self._held_byte_s += self.held_bytes * (now - self._held_at)
        self._held_at = now
        self.held_bytes += more_bytes

    def usage(self, until: float) -> tuple[float, int, float]:
        """Busy core-seconds, bytes held and byte-seconds held since the last sample, up to `until`.

        `until` may lie a little back, where a run turns out to have ended inside its last window.
        """
        while self._held_before and self._held_before[-1][0] > until:
            _, self._held_at, self.held_bytes, self._held_byte_s = self._held_before.pop()
        busy, before = self.cpu.busy_s(until), self._busy_s
        self._held_byte_s += self.held_bytes * max(0.0, until - self._held_at)
        self._held_at = max(self._held_at, until)
        held, self._held_byte_s = self._held_byte_s, 0.0
        self._busy_s = busy
        return busy - before, self.held_bytes, held

    # Samples: an idle machine is not looked at, so that a quiet day costs nothing. Whoever uses it wakes it first, and
    # it is read at the end of that period and of those that follow, until it is idle again.

    def wake(self) -> None:
        """Have the period read at its end that is under way, or ends at this very instant and has not been read."""
        if not self._armed:
            self._arm(max(self._sampled + 1, periods.ending_from(self.kernel.now, self.host.world.sample_s)))

    def change_use(self) -> None:
        """Say that the machine is not used as before from now on, though it may do no work."""
        self.wake()
        self._changed_s = min(self._changed_s, self.kernel.now)

    def switch(self, on: bool) -> None:
        """Switch the machine on or off now."""
        if on != self._on:
            self.change_use()
            self._on = on
            self._turns.append((self.kernel.now, on))

    def _arm(self, number: int) -> None:
        period_s = self.host.world.sample_s
        self._armed = number
        self._skip_to(periods.beginning_s(number, period_s))
        if period_s < inf:
            self.call_at(number * period_s, self._sample, number)

    def _skip_to(self, begun_s: float) -> None:
        """Leave out the idle periods before a moment: others know what was held in them."""
        if begun_s > self._held_at:
            self._held_at, self._held_byte_s = begun_s, 0.0

    def _sample(self, number: int) -> None:
        self._report_usage(self.host.world.sample_s, self.kernel.now, number, cut=False)
        self._sampled, self._armed, self._changed_s = number, 0, inf
        self._was_on, self._turns = self._on, []
        if len(self.cpu):
            self._arm(number + 1)

    def finish(self, at: float) -> None:
        """Report what the end of the run at `at` cuts off. Overridden by machines that have more to say."""
        period_s = self.host.world.sample_s
        number = self._armed or max(self._sampled + 1, periods.ending_from(at, period_s))
        begun_s = periods.beginning_s(number, period_s)
        if at > begun_s:
            self._skip_to(begun_s)
            self._report_usage(at - begun_s, at, number, cut=True)

    def _report_usage(self, period_s: float, until: float, number: int, *, cut: bool) -> None:
        busy_s, held_bytes, held_byte_s = self.usage(until)
        on_s, on = self._power(period_s, until)
        self.row(
            UsageReading(
                at_s=self.kernel.now,
                node=self.name,
                period_s=period_s,
                busy_s=busy_s,
                held_bytes=held_bytes,
                held_byte_s=held_byte_s,
                on_s=on_s,
                on=on,
                idle=not busy_s and self._changed_s > until,
                number=number,
                cut=cut,
            )
        )

    def _power(self, period_s: float, until: float) -> tuple[float, bool]:
        """Seconds of the period that ends at `until` in which the machine was on, and whether it is on then."""
        if not self._turns:
            return (period_s if self._was_on else 0.0), self._was_on
        on, since, on_s = self._was_on, until - period_s, 0.0
        for at_s, turned_on in self._turns:
            if at_s > until:
                break
            on_s += (at_s - since) if on else 0.0
            on, since = turned_on, at_s
        on_s += (until - since) if on else 0.0
        return min(on_s, period_s), on

"""A CPU that serves alike pieces together: bulk service, first come first served, with a bounded wait for company.

Source of the model: N. T. J. Bailey, Journal of the Royal Statistical Society B 16(1), 1954; M. F. Neuts, The Annals of
Mathematical Statistics 38(3), 1967 (service begins with fewer than a full batch). The bounded wait is that of serving
systems (D. Crankshaw et al., Clipper, NSDI 2017).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, NamedTuple, Protocol

from layerlift.emulator.kernel.clock import Node
from layerlift.models.sums import left_sum


class Joins(Protocol):
    """A piece as it is handed over (the `argument` of `serve`)."""

    @property
    def kind(self) -> Hashable:
        """Pieces of one kind may run together."""
        ...

    @property
    def waits_since_s(self) -> float:
        """From when its wait for company counts: a moment that has passed."""
        ...


class Member(NamedTuple):
    """A piece of a batch, or one that waits."""

    call: Callable[[Any], object]
    argument: Any
    came_s: float
    due_s: float
    """When it has waited for company for long enough."""


class Batch:
    """Pieces of one kind that run together on one core."""

    __slots__ = ("begun_s", "came_s", "company_s", "kind", "members", "size", "work_s")

    def __init__(self, kind: Hashable, members: dict[int, Member], begun_s: float, work_s: float) -> None:
        self.kind, self.members, self.begun_s, self.work_s = kind, members, begun_s, work_s
        self.size = len(members)
        """As it began; a piece that is cancelled since leaves its place empty."""
        self.came_s = next(iter(members.values())).came_s
        """When the first of them came."""
        self.company_s = 0.0
        """How long that one waited while a core was free."""


class BatchCpu:
    """One batch at a time on each of `cores` cores, of at most `most` pieces of one kind.

    Pieces of a kind are taken in order of coming. They may begin when they fill a batch, or when one of them has waited
    for `wait_s`; of several kinds that may, the one whose first piece came first does. What is there when a core turns
    to a kind is taken, up to `most`, however long it has waited. `cost(kind, size)` are the seconds of a batch, and
    `ended(batch)` is called before the calls of its members, while the core is free again.
    """

    __slots__ = (
        "_busy", "_cost", "_ended", "_free_s", "_in", "_most", "_number", "_running", "_wait_s", "_waiting", "cores",
        "node", "turned_s",
    )  # fmt: skip

    def __init__(
        self,
        node: Node,
        cores: int,
        most: int,
        wait_s: float,
        cost: Callable[[Any, int], float],
        ended: Callable[[Batch], object],
    ) -> None:
        self.node, self.cores = node, cores
        self._most, self._wait_s, self._cost, self._ended = most, wait_s if most > 1 else 0.0, cost, ended
        self._waiting: dict[Hashable, dict[int, Member]] = {}
        self._running: list[Batch] = []
        self._in: dict[int, Batch] = {}
        self._busy = self._free_s = 0.0
        self._number = 0
        self.turned_s = 0.0
        """When the CPU turned to the piece that ends now."""

    def __len__(self) -> int:
        """Pieces present."""
        return len(self._in) + sum(len(group) for group in self._waiting.values())

    def serve(self, work_s: float, call: Callable[[Any], object], argument: Any = None, owner: int = -1) -> int:
        """Queue a piece, which `argument` must describe (`Joins`); `call(argument)` when its batch is done.

        Returns its number, which `cancel` takes. Its own `work_s` is what `cost` says of one, and whose it is makes no
        difference here.
        """
        piece: Joins = argument
        self.node.wake()
        self._number = number = self._number + 1
        now = self.node.kernel.now
        due_s = piece.waits_since_s + self._wait_s
        self._waiting.setdefault(piece.kind, {})[number] = Member(call, argument, now, due_s)
        self._start()
        if number not in self._in and due_s > now:
            self.node.call_at(due_s, self._due)
        return number

    def cancel(self, number: int) -> None:
        """Take a piece out; a finished one is left alone.

        A batch goes on without it, in the time that it would have taken, unless nobody is left in it.
        """
        batch = self._in.pop(number, None)
        if batch is None:
            self._drop(number)
            return
        del batch.members[number]
        if not batch.members:
            self._busy += self.node.kernel.now - batch.begun_s
            self._release(batch)
            self._start()

    def clear(self) -> None:
        """Take every piece out; the time that they had stays counted as busy."""
        now = self.node.kernel.now
        self._busy += left_sum(now - batch.begun_s for batch in self._running)
        if len(self._running) == self.cores:
            self._free_s = now
        self._running.clear()
        self._in.clear()
        self._waiting.clear()

    def busy_s(self, until: float) -> float:
        """Core-seconds of work done up to `until`, a moment not before the last event of this CPU."""
        return self._busy + left_sum(until - batch.begun_s for batch in self._running)

    def _drop(self, number: int) -> None:
        for kind, group in self._waiting.items():
            if group.pop(number, None) is not None:
                if not group:
                    del self._waiting[kind]
                return

    def _due(self, _: object) -> None:
        """A piece has waited for long enough. If it runs by now, nothing may begin that could not before."""
        self._start()

    def _may_begin(self, group: dict[int, Member]) -> bool:
        now = self.node.kernel.now
        return len(group) >= self._most or any(member.due_s <= now for member in group.values())

    def _start(self) -> None:
        while self._waiting and len(self._running) < self.cores:
            ready = [(next(iter(group)), kind) for kind, group in self._waiting.items() if self._may_begin(group)]
            if not ready:
                return
            self._begin(min(ready, key=lambda each: each[0])[1])

    def _begin(self, kind: Hashable) -> None:
        group, now = self._waiting[kind], self.node.kernel.now
        taken = {number: group.pop(number) for number in list(group)[: self._most]}
        if not group:
            del self._waiting[kind]
        batch = Batch(kind, taken, now, self._cost(kind, len(taken)))
        batch.company_s = now - max(batch.came_s, self._free_s)
        self._running.append(batch)
        self._in.update(dict.fromkeys(taken, batch))
        self.node.call_at(now + batch.work_s, self._finish, batch)

    def _release(self, batch: Batch) -> None:
        if len(self._running) == self.cores:
            self._free_s = self.node.kernel.now
        self._running.remove(batch)

    def _finish(self, batch: Batch) -> None:
        if batch not in self._running:
            return
        self._busy += batch.work_s
        self._release(batch)
        for number in batch.members:
            del self._in[number]
        self._start()
        self.turned_s = batch.begun_s
        self._ended(batch)
        for member in list(batch.members.values()):
            member.call(member.argument)

"""A CPU shared by owner and weight: generalised processor sharing, with the face of
`layerlift.emulator.kernel.cpu.Cpu`.

Source: A. K. Parekh, R. G. Gallager, IEEE/ACM Transactions on Networking 1(3), 1993.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from math import fsum, inf
from typing import Any

from layerlift.emulator.kernel.clock import Node
from layerlift.emulator.kernel.water_filling import fill


class _Job:
    """A piece under way: work left (s) as of the last event, and cores that it has since."""

    __slots__ = ("argument", "call", "left", "owner", "rate")

    def __init__(self, work_s: float, call: Callable[[Any], object], argument: Any, owner: int) -> None:
        self.left, self.call, self.argument, self.owner = work_s, call, argument, owner
        self.rate = 0.0


class WeightedCpu:
    """Weighted processor sharing over `cores` cores in O(n log n) per event.

    Owners share the cores by weight, none gets more than its cap, and what one cannot use goes to the others. Several
    pieces of an owner divide its weight and its cap equally; a piece never gets more than one core. Only the piece that
    a timer was set for ends with it: no tolerance, so that rounding never ends a piece early.
    """

    __slots__ = ("_at", "_busy", "_caps", "_jobs", "_number", "_speed", "_timer", "_weights", "cores", "node")

    turned_s = 0.0
    """See `Cpu.turned_s`."""

    def __init__(self, node: Node, cores: int) -> None:
        self.node, self.cores = node, cores
        self._jobs: dict[int, _Job] = {}
        self._weights: dict[int, float] = {}
        self._caps: dict[int, float] = {}
        self._at = self._busy = self._speed = 0.0
        self._number = self._timer = 0

    def __len__(self) -> int:
        """Pieces present."""
        return len(self._jobs)

    def weigh(self, owner: int, weight: float, cap: float = inf) -> None:
        """Set the weight of an owner, and how many cores it can have at most; without it they are 1 and infinite.

        Raises `ValueError` unless both are above 0: work with no share of the CPU would never end.
        """
        if not (0.0 < weight < inf and cap > 0.0):
            raise ValueError(f"weight {weight} and cap {cap} were given, expected numbers above 0")
        if (weight, cap) == (self._weights.get(owner, 1.0), self._caps.get(owner, inf)):
            return
        self._weights[owner], self._caps[owner] = weight, cap
        if any(job.owner == owner for job in self._jobs.values()):
            self._catch_up()
            self._arm()

    def serve(self, work_s: float, call: Callable[[Any], object], argument: Any = None, owner: int = -1) -> int:
        """Begin a piece of `owner`; `call(argument)` when it is done. Returns its number, which `cancel` takes."""
        self.node.wake()
        self._catch_up()
        self._number = number = self._number + 1
        self._jobs[number] = _Job(work_s, call, argument, owner)
        self._arm()
        return number

    def cancel(self, number: int) -> None:
        """Take a piece out; the time that it had stays counted as busy. A finished one is left alone."""
        if number in self._jobs:
            self._catch_up()
            del self._jobs[number]
            self._arm()

    def clear(self) -> None:
        """Take every piece out; the time that they had stays counted as busy."""
        self._catch_up()
        self._jobs.clear()
        self._arm()

    def busy_s(self, until: float) -> float:
        """Core-seconds of work done up to `until`, a moment not before the last event of this CPU."""
        return self._busy + (until - self._at) * self._speed

    def _catch_up(self) -> None:
        now = self.node.kernel.now
        elapsed = now - self._at
        if elapsed > 0.0:
            for job in self._jobs.values():
                job.left = max(0.0, job.left - elapsed * job.rate)
            self._busy += elapsed * self._speed
        self._at = now

    def _share(self) -> None:
        """Set every piece's rate anew."""
        present = Counter(job.owner for job in self._jobs.values())
        weights = [self._weights.get(owner, 1.0) for owner in present]
        caps = [min(float(count), self._caps.get(owner, inf)) for owner, count in present.items()]
        rates = dict(zip(present, fill(float(self.cores), weights, caps), strict=True))
        self._speed = fsum(rates.values())
        for job in self._jobs.values():
            job.rate = rates[job.owner] / present[job.owner]

    def _arm(self) -> None:
        """Share anew, and set the timer for the piece that ends next; only the last timer counts."""
        self._share()
        self._timer += 1
        if self._jobs:
            wait, number = min((job.left / job.rate, number) for number, job in self._jobs.items())
            self.node.call_at(self.node.kernel.now + wait, self._finish, (self._timer, number))

    def _finish(self, due: tuple[int, int]) -> None:
        """End a piece. The others have had time in proportion to it: pieces alike then end at the same instant."""
        timer, number = due
        if timer != self._timer:
            return
        ended, now = self._jobs.pop(number), self.node.kernel.now
        for job in self._jobs.values():
            job.left = max(0.0, job.left - ended.left * (job.rate / ended.rate))
        self._busy += (now - self._at) * self._speed
        self._at = now
        self._arm()
        ended.call(ended.argument)

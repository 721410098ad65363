"""CPUs: a rate shared among jobs, each of which can use only so much of it.

Two disciplines with one face. Work is in seconds that a piece takes alone on one core; a node with c cores
serves at most c pieces at full speed, and more at c/n each (egalitarian processor sharing) or in turn (FIFO).
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from math import inf
from typing import Any

from layerlift.emulator.kernel.clock import Node
from layerlift.models.sums import left_sum

_REBASE_S = 1e6
"""Work served after which marks are rebased: below it a double still resolves 1e-10 s."""


class Cpu:
    """Processor sharing over `cores` cores in O(log n) per job.

    `served` is the work that every job present has received since the last idle moment; a job ends when that
    reaches its mark. Only the job whose mark a timer was set for ends with it: no tolerance, so that equal marks
    end one after the other at the same instant and rounding never ends a job early.
    """

    __slots__ = ("_at", "_busy", "_jobs", "_number", "_served", "_timer", "cores", "node")

    turned_s = 0.0
    """When the CPU turned to the piece that ends now. 0 where that was when it was handed over: nobody waits here."""

    def __init__(self, node: Node, cores: int) -> None:
        self.node, self.cores = node, cores
        self._jobs: list[tuple[float, int, Callable[[Any], object], Any]] = []
        self._served = self._at = self._busy = 0.0
        self._number = self._timer = 0

    def __len__(self) -> int:
        """Pieces present."""
        return len(self._jobs)

    def serve(self, work_s: float, call: Callable[[Any], object], argument: Any = None, owner: int = -1) -> int:
        """Begin a piece; `call(argument)` when it is done. Returns its number, which `cancel` takes.

        Whose it is makes no difference here (see `layerlift.emulator.kernel.weighted_cpu`).
        """
        self.node.wake()
        self._number = number = self._number + 1
        if self._jobs:
            self._catch_up()
            heappush(self._jobs, (self._served + work_s, number, call, argument))
            self._arm()
            return number
        self._served, self._at = 0.0, self.node.kernel.now
        self._jobs.append((work_s, number, call, argument))
        self._timer = number
        self.node.call_at(self._at + work_s, self._finish, number)
        return number

    def cancel(self, number: int) -> None:
        """Take a piece out; the time that it had stays counted as busy. A finished one is left alone."""
        for position, job in enumerate(self._jobs):
            if job[1] == number:
                self._catch_up()
                self._jobs[position] = self._jobs[-1]
                self._jobs.pop()
                heapify(self._jobs)
                self._arm()
                return

    def clear(self) -> None:
        """Take every piece out; the time that they had stays counted as busy."""
        self._catch_up()
        self._jobs.clear()
        self._arm()

    def busy_s(self, until: float) -> float:
        """Core-seconds of work done up to `until`, a moment not before the last event of this CPU."""
        return self._busy + (until - self._at) * min(len(self._jobs), self.cores)

    def _speed(self) -> float:
        present = len(self._jobs)
        return 1.0 if present <= self.cores else self.cores / present

    def _catch_up(self) -> None:
        now, present = self.node.kernel.now, len(self._jobs)
        elapsed = now - self._at
        if elapsed > 0.0:
            self._served += elapsed * self._speed()
            self._busy += elapsed * min(present, self.cores)
            self._at = now
        if self._served > _REBASE_S:
            base, self._served = self._served, 0.0
            self._jobs = [(mark - base, number, call, argument) for mark, number, call, argument in self._jobs]

    def _arm(self) -> None:
        """Set the timer for the job that ends next; a number of its own makes every earlier timer void."""
        self._number = self._timer = self._number + 1
        if self._jobs:
            left = self._jobs[0][0] - self._served
            at = self.node.kernel.now + (left / self._speed() if left > 0.0 else 0.0)
            self.node.call_at(at, self._finish, self._timer)

    def _finish(self, timer: int) -> None:
        if timer != self._timer:
            return
        jobs, now = self._jobs, self.node.kernel.now
        present = len(jobs)
        self._busy += (now - self._at) * (present if present < self.cores else self.cores)
        self._served, _, call, argument = heappop(jobs)
        self._at = now
        if present > 1:
            self._arm()
        call(argument)


class _Waiting:
    """A piece of a FIFO CPU, waiting or running."""

    __slots__ = ("argument", "begun_s", "call", "number", "work_s")

    def __init__(self, number: int, work_s: float, call: Callable[[Any], object], argument: Any) -> None:
        self.number, self.work_s, self.call, self.argument = number, work_s, call, argument
        self.begun_s = inf


class FifoCpu:
    """First come, first served on each of `cores` cores; the rest wait in order."""

    __slots__ = ("_busy", "_number", "_running", "_waiting", "cores", "node", "turned_s")

    def __init__(self, node: Node, cores: int) -> None:
        self.node, self.cores = node, cores
        self._running: dict[int, _Waiting] = {}
        self._waiting: dict[int, _Waiting] = {}
        self._busy = 0.0
        self._number = 0
        self.turned_s = 0.0
        """When the CPU turned to the piece that ends now."""

    def __len__(self) -> int:
        """Pieces present."""
        return len(self._running) + len(self._waiting)

    def serve(self, work_s: float, call: Callable[[Any], object], argument: Any = None, owner: int = -1) -> int:
        """Queue a piece; `call(argument)` when it is done. Returns its number, which `cancel` takes.

        Whose it is makes no difference here (see `layerlift.emulator.kernel.weighted_cpu`).
        """
        self.node.wake()
        self._number = number = self._number + 1
        self._waiting[number] = _Waiting(number, work_s, call, argument)
        self._start()
        return number

    def cancel(self, number: int) -> None:
        """Take a piece out; the time that it had stays counted as busy. A finished one is left alone."""
        if self._waiting.pop(number, None) is None:
            running = self._running.pop(number, None)
            if running is not None:
                self._busy += self.node.kernel.now - running.begun_s
                self._start()

    def clear(self) -> None:
        """Take every piece out; the time that they had stays counted as busy."""
        self._busy += left_sum(self.node.kernel.now - job.begun_s for job in self._running.values())
        self._waiting.clear()
        self._running.clear()

    def busy_s(self, until: float) -> float:
        """Core-seconds of work done up to `until`, a moment not before the last event of this CPU."""
        return self._busy + left_sum(until - job.begun_s for job in self._running.values())

    def _start(self) -> None:
        while self._waiting and len(self._running) < self.cores:
            number = next(iter(self._waiting))
            job = self._running[number] = self._waiting.pop(number)
            job.begun_s = self.node.kernel.now
            self.node.call_at(job.begun_s + job.work_s, self._finish, job)

    def _finish(self, job: _Waiting) -> None:
        if self._running.pop(job.number, None) is not None:
            self._busy += job.work_s
            self._start()
            self.turned_s = job.begun_s
            job.call(job.argument)

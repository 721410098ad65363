"""CPUs: a rate shared among jobs, each of which can use only so much of it.

Two disciplines with one face. Work is in seconds that a piece takes alone on one core; a node with c cores
serves at most c pieces at full speed, and more at c/n each (egalitarian processor sharing) or in turn (FIFO).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from math import inf
from typing import Any

from emulator.kernel import Node

_REBASE_S = 1e6
"""Work served after which marks are rebased: below it a double still resolves 1e-10 s."""


class Job:
    """A piece of work under way. `done_s` of it is kept in the books when it is cancelled."""

    __slots__ = ("argument", "begun_s", "call", "cancelled", "work_s")

    def __init__(self, work_s: float, call: Callable[[Any], object], argument: Any, begun_s: float) -> None:
        self.work_s, self.call, self.argument = work_s, call, argument
        self.begun_s = begun_s
        self.cancelled = False


class Cpu:
    """Processor sharing over `cores` cores in O(log n) per job.

    `served` is the work that every job present has received since the last idle moment; a job ends when that
    reaches its mark. Only the job whose mark a timer was set for ends with it: no tolerance, so that equal marks
    end one after the other at the same instant and rounding never ends a job early.
    """

    __slots__ = ("_at", "_busy", "_jobs", "_sequence", "_served", "_timer", "cores", "node")

    def __init__(self, node: Node, cores: int) -> None:
        self.node, self.cores = node, cores
        self._jobs: list[tuple[float, int, Job]] = []
        self._served = self._at = self._busy = 0.0
        self._sequence = self._timer = 0

    def __len__(self) -> int:
        """Pieces present."""
        return len(self._jobs)

    def serve(self, work_s: float, call: Callable[[Any], object], argument: Any = None) -> Job:
        """Begin a piece; `call(argument)` when it is done."""
        now = self.node.kernel.now
        job = Job(work_s, call, argument, now)
        self._sequence += 1
        if self._jobs:
            self._catch_up()
            heappush(self._jobs, (self._served + work_s, self._sequence, job))
            self._arm()
            return job
        self._served, self._at = 0.0, now
        self._jobs.append((work_s, self._sequence, job))
        self._timer += 1
        self.node.call_at(now + work_s, self._finish, self._timer)
        return job

    def cancel(self, job: Job) -> None:
        """Take a piece out; the time that it had stays counted as busy. A finished job is left alone."""
        for position, (_, _, other) in enumerate(self._jobs):
            if other is job:
                self._catch_up()
                job.cancelled = True
                self._jobs[position] = self._jobs[-1]
                self._jobs.pop()
                heapify(self._jobs)
                self._arm()
                return

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
            self._jobs = [(mark - base, sequence, job) for mark, sequence, job in self._jobs]

    def _arm(self) -> None:
        self._timer += 1
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
        self._served, _, job = heappop(jobs)
        self._at = now
        if jobs:
            self._arm()
        job.call(job.argument)


class FifoCpu:
    """First come, first served on each of `cores` cores; the rest wait in order."""

    __slots__ = ("_busy", "_running", "_waiting", "cores", "node")

    def __init__(self, node: Node, cores: int) -> None:
        self.node, self.cores = node, cores
        self._running: set[Job] = set()
        self._waiting: deque[Job] = deque()
        self._busy = 0.0

    def __len__(self) -> int:
        """Pieces present."""
        return len(self._running) + len(self._waiting)

    def serve(self, work_s: float, call: Callable[[Any], object], argument: Any = None) -> Job:
        """Queue a piece; `call(argument)` when it is done."""
        job = Job(work_s, call, argument, inf)
        self._waiting.append(job)
        self._start()
        return job

    def cancel(self, job: Job) -> None:
        """Take a piece out; the time that it had stays counted as busy. A finished job is left alone."""
        if job in self._waiting:
            self._waiting.remove(job)
        elif job in self._running:
            self._running.remove(job)
            self._busy += self.node.kernel.now - job.begun_s
            self._start()
        else:
            return
        job.cancelled = True

    def busy_s(self, until: float) -> float:
        """Core-seconds of work done up to `until`, a moment not before the last event of this CPU."""
        return self._busy + sum(sorted(until - job.begun_s for job in self._running))

    def _start(self) -> None:
        while self._waiting and len(self._running) < self.cores:
            job = self._waiting.popleft()
            job.begun_s = self.node.kernel.now
            self._running.add(job)
            self.node.call_at(job.begun_s + job.work_s, self._finish, job)

    def _finish(self, job: Job) -> None:
        if job.cancelled:
            return
        self._running.remove(job)
        self._busy += job.work_s
        self._start()
        job.call(job.argument)

"""Planners that take long, asked beside each other: each planning in a process of its own, the others here.

How long a planner takes is learnt from its first plan, which is made here. What comes of a planning does not depend on
where it was made, so that the same run has the same digest with any number of processes.
"""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import Final

from layerlift.emulator.planning.answer import Answered
from layerlift.emulator.planning.job import PlanJob
from layerlift.emulator.planning.stoppable import CannotBeSentError, Stoppable
from layerlift.models.errors import RunError
from layerlift.planners import Planner, make

LONG_S: Final = 0.05
"""A planner that takes longer than this for one plan is asked in other processes."""
MOST: Final = 256


def workers_of(given: str | int) -> int:
    """How many processes are wanted, 1 for none beside this one. Raises `RunError` for what is no number of them."""
    if given == "auto":
        return len(os.sched_getaffinity(0))
    try:
        number = int(given)
    except ValueError:
        number = 0
    if not 1 <= number <= MOST:
        raise RunError(f"plan_workers is {given!r}, expected auto or a whole number from 1 to {MOST}")
    return number


class Pace:
    """Which planners take long, by what their plans have taken so far."""

    def __init__(self) -> None:
        self._long: dict[str, bool] = {}

    def note(self, job: PlanJob, took_s: float) -> None:
        """Note what a planning took; a planner that once took long counts as one that does."""
        one_s = took_s / len(job.together or (job.problem,))
        self._long[job.planner] = self._long.get(job.planner, False) or one_s > LONG_S

    def takes_long(self, planner: str) -> bool:
        """Whether a planner is known to take long."""
        return self._long.get(planner, False)


class Workers:
    """Asks planners in up to `count` processes with a seed and a limit in seconds of wall clock."""

    def __init__(self, count: int, seed: int, timeout_s: float) -> None:
        self._seed, self._timeout_s = seed, timeout_s
        self._threads = ThreadPoolExecutor(count, "plan") if count > 1 else None
        self._processes = [Stoppable() for _ in range(count)]
        self._idle: SimpleQueue[Stoppable] = SimpleQueue()
        for process in self._processes:
            self._idle.put(process)
        self._pace, self._closed = Pace(), False
        self._waiting: dict[tuple[str, str], PlanJob] = {}
        self._begun: dict[tuple[str, str], Future[Answered | None]] = {}

    def submit(self, job: PlanJob) -> None:
        """Begin a planning whose planner takes long; keep one whose planner may turn out to."""
        if self._threads is None or job.key in self._begun:
            return
        if self._pace.takes_long(job.planner):
            self._begin(job)
        else:
            self._waiting[job.key] = job

    def result(self, job: PlanJob) -> Answered | None:
        """What comes of a planning that was begun; None for one that is to be made here."""
        self._waiting.pop(job.key, None)
        begun = self._begun.pop(job.key, None)
        return None if begun is None else begun.result()

    def note(self, job: PlanJob, took_s: float) -> None:
        """Learn what a planning took here; where that was long, those that wait for the same planner begin."""
        self._pace.note(job, took_s)
        if self._pace.takes_long(job.planner):
            for key, waiting in list(self._waiting.items()):
                if waiting.planner == job.planner:
                    del self._waiting[key]
                    self._begin(waiting)

    def close(self) -> None:
        """End the processes, whatever they are at."""
        if self._threads is not None:
            self._closed = True
            self._threads.shutdown(wait=False, cancel_futures=True)
            for process in self._processes:
                process.close()
            self._threads.shutdown()

    def _begin(self, job: PlanJob) -> None:
        assert self._threads is not None
        try:
            planner = make(job.planner)
        except (Exception, SystemExit):  # planning here will tell what is wrong
            return
        self._begun[job.key] = self._threads.submit(self._ask, planner, job)

    def _ask(self, planner: Planner, job: PlanJob) -> Answered | None:
        process = self._idle.get()
        try:
            if self._closed:
                return None
            return process.ask(planner, job, self._seed, self._timeout_s)
        except CannotBeSentError:
            return None
        finally:
            self._idle.put(process)

"""Planners that are bad in one way each, made of a healthy one that they otherwise ask: `bad_planners:NoMemory`."""

from __future__ import annotations

import random
import time
from dataclasses import replace

import numpy as np

from layerlift.planners import Plan, Problem, make
from layerlift.planners.registry.base import PlannerBase


class Bad(PlannerBase):
    """Asks `healthy` what it would do if the world were as this one thinks."""

    healthy = "ionn"

    def plan(self, problem: Problem, rng: random.Random) -> Plan:
        return make(self.healthy).plan(self.believed(problem), rng)

    def believed(self, problem: Problem) -> Problem:
        return problem


class NoMemory(Bad):
    """Ignores how much servers can hold: many of its plans are illegal."""

    def believed(self, problem: Problem) -> Problem:
        return replace(problem, memory_bytes=np.full(len(problem.nodes), np.inf))


class Herd(Bad):
    """Ignores everybody else: equal servers are told apart by their order alone."""

    healthy = "spread+ionn"

    def believed(self, problem: Problem) -> Problem:
        return replace(problem, crowd=None, load=np.zeros(len(problem.nodes)), share=np.ones(len(problem.nodes)))


class StaleLoad(Bad):
    """Takes the load that servers last told for what it is now: nothing that has been planned since counts."""

    healthy = "best_response+ionn"


class NoUploadTime(Bad):
    """Places as if everything were uploaded at once, and whoever comes stayed for ever."""

    healthy = "units:stay_s=known+direct"

    def believed(self, problem: Problem) -> Problem:
        return replace(problem, stay=None)


class Slow(Bad):
    """Takes more than a second for what its twin does in milliseconds."""

    def believed(self, problem: Problem) -> Problem:
        began = time.process_time()
        while time.process_time() < began + 1.1:
            pass
        return problem


class Raises(Bad):
    """Never answers."""

    def believed(self, problem: Problem) -> Problem:
        raise ValueError("no idea\nof anything")


class Endless(Bad):
    """Never returns."""

    def believed(self, problem: Problem) -> Problem:
        while True:
            pass


class Sleeps(Bad):
    """Waits for what does not come."""

    def believed(self, problem: Problem) -> Problem:
        while True:
            time.sleep(1.0)

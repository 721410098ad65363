"""What has been planned already, for runs that ask the same again: of a pair, the half that places is asked once."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from typing import Any

from layerlift.emulator.planning.answer import Answered
from layerlift.planners import Plan, Planner, Problem, make
from layerlift.planners.registry.base import CrowdPlanner, PlannerBase, capability
from layerlift.planners.registry.combine import Combined


class PlanMemory:
    """Shared by runs, whatever their seeds: answers are those of planning anew, random numbers included."""

    def __init__(self) -> None:
        self.answers: dict[tuple[int, str, str], Answered] = {}
        """By seed, planner and digests of the problems."""
        self._placed: dict[tuple[Any, ...], tuple[list[Plan], Any]] = {}

    def planner(self, text: str) -> Planner:
        """`planners.make`, but the first half of a pair answers from memory what it was asked before."""
        planner = make(text)
        # A placement that depends on how it is uploaded is not the first half's alone.
        if isinstance(planner, Combined) and not planner.weighs_uploads:
            planner.offloading = _Remembering(planner.offloading, re.split(r"\+(?!\d)", text)[0], self._placed)
        return planner


class _Remembering(PlannerBase):
    """A planner whose answers are kept, with the state in which it left the generator."""

    def __init__(self, planner: Planner, name: str, placed: dict[tuple[Any, ...], tuple[list[Plan], Any]]) -> None:
        self._planner, self._name, self._placed = planner, name, placed
        # A pair tells its halves what they want to know: who answers for a half must want the same.
        for wanted in ("wants_crowd", "wants_stay"):
            setattr(self, wanted, capability(planner, wanted))

    def plan(self, problem: Problem, rng: random.Random) -> Plan:
        return self._asked("plan", [problem], rng)[0]

    def plan_all(self, problems: Sequence[Problem], rng: random.Random) -> list[Plan]:
        return self._asked("plan_all", problems, rng)

    def _asked(self, method: str, problems: Sequence[Problem], rng: random.Random) -> list[Plan]:
        key = (self._name, method, *(problem.digest for problem in problems), rng.getstate())
        if key not in self._placed:
            if method == "plan":
                plans = [self._planner.plan(problems[0], rng)]
            else:
                assert isinstance(self._planner, CrowdPlanner)
                plans = self._planner.plan_all(problems, rng)
            self._placed[key] = plans, rng.getstate()
        plans, state = self._placed[key]
        rng.setstate(state)
        return list(plans)

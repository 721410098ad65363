"""One-step segmentation: the best single cut, a prefix on the client and the rest on one server."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Literal

from layerlift.planners.cost.judge import Judge, term_of
from layerlift.planners.problem.plan import Plan, Upload, in_one_piece, offload
from layerlift.planners.problem.problem import Problem
from layerlift.planners.registry.base import PlannerBase


class OneStep(PlannerBase):
    """Neurosurgeon's search: every single cut towards every server, and staying local, compared by the cost model.

    `by` is what they are compared by: the problem's objective with its constraints, or one term alone. On a DAG a
    cut in the topological order carries a set of tensors. Used without an uploading half, P1 goes in one piece.
    """

    multi_server = False

    def __init__(self, by: Literal["objective", "latency", "energy", "money", "period"] = "objective") -> None:
        self.by = by
        self.optimises = by

    @classmethod
    def cite(cls) -> str:
        """The source of the algorithm."""
        return "Kang et al., Neurosurgeon, ASPLOS 2017, doi:10.1145/3037697.3037698"

    def plan(self, problem: Problem, rng: random.Random) -> Plan:
        """The best single cut, or all-local where none is better."""
        return offload(self.place(problem))

    def place(self, problem: Problem) -> tuple[int, ...]:
        """The placement of the best single cut."""
        judge, local = Judge(problem), (0,) * len(problem.graph)
        if not len(judge.cuts):
            return local
        if self.by == "objective":
            found = judge.best_cut()
            return found[1] if found is not None and found[0] < judge.local_key else local
        least, placement = judge.cut_of_least(self.by)
        return placement if least < term_of(judge.local, self.by) else local


class Direct(OneStep):
    """Direct Uploading: the best single cut, uploaded in one piece and used once it is all there.

    As an uploading half it sends P1 in one piece per server.
    """

    whole = True

    def upload(self, problem: Problem, placement: Sequence[int], rng: random.Random) -> tuple[Upload, ...]:
        """All of P1, one part per server."""
        return in_one_piece(placement)

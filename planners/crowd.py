"""Users who share servers: what each other's pieces cost them. For planners that place all users together.

The model is mean-field: a user whose queries follow each other keeps `busy / latency` pieces running on a server on
average, and a piece there shares the processor with the pieces of all others. The latencies of users alone give the
averages, and the averages lengthen the pieces once: no fixed point is sought. Links are independent, as everywhere
in planning.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from models.errors import PlanError
from planners import population
from planners.judge import Judge, Key
from planners.population import Placements
from planners.problem import Floats, Problem

SHORTEST_QUERY_S = 1e-12
"""Keeps a query that costs nothing from running infinitely often."""


class Crowd:
    """The problems of all users, over the same servers in the same order.

    Raises `PlanError` when there is no problem, or when two users see different servers.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        if not problems:
            raise PlanError("no user was given to plan for, expected at least one problem")
        for problem in problems:
            if problem.nodes[1:] != problems[0].nodes[1:]:
                raise PlanError(
                    f"users see different servers, {problem.nodes[1:]} and {problems[0].nodes[1:]}: plan them apart"
                )
        self.problems = tuple(problems)
        known: dict[str, Judge] = {}
        self.judges = tuple(known.setdefault(problem.digest, Judge(problem)) for problem in problems)

    def __len__(self) -> int:
        return len(self.problems)

    def scores(self, placements: Sequence[Placements]) -> tuple[Floats, Floats]:
        """How good choices for all users are: violations and values, each summed over the users.

        `placements[u]` has shape (P, L of user u): row p of every array together is choice p. Returns shapes (P,)
        and (P,), compared as `Judge.keys` are: the lower violation wins, then the lower value. The balance that the
        objectives weigh is that of the servers under all users.
        """
        costs = [population.evaluate(each, rows) for each, rows in zip(self.problems, placements, strict=True)]
        running = [running_pieces(each) for each in costs]
        total = np.sum(running, axis=0)
        violations, values = np.zeros(len(total)), np.zeros(len(total))
        for judge, rows, own in zip(self.judges, placements, running, strict=True):
            problem = judge.problem
            shared = population.evaluate(problem, rows, contended(problem, total - own))
            shared = replace(shared, balance=evenness(problem, total))
            missed, worth = judge.keys(rows, shared)
            violations += missed
            values += worth
        return violations, values

    def score(self, placements: Sequence[Sequence[int]]) -> Key:
        """The score of one choice: one placement per user."""
        violations, values = self.scores([np.array([placement], dtype=np.int64) for placement in placements])
        return float(violations[0]), float(values[0])


def running_pieces(costs: population.Costs) -> Floats:
    """How many pieces of a user run on each node on average, shape (P, N); none on the client, which nobody shares."""
    made: Floats = costs.busy_s / np.maximum(costs.latency_s, SHORTEST_QUERY_S)[:, None]
    made[:, 0] = 0.0
    return made


def contended(problem: Problem, others: Floats) -> Floats:
    """`Problem.slowdown` when `others` pieces of other users run beside the reported load; shapes (..., N)."""
    shared = (problem.load + 1.0 + others) / problem.cores
    made: Floats = np.maximum(np.maximum(shared, 1.0 / problem.share), 1.0)
    return made


def evenness(problem: Problem, total: Floats) -> Floats:
    """Coefficient of variation of the servers' utilisation under `total` pieces of all users; shapes (P, N) -> (P,)."""
    if len(problem.nodes) < 2:
        return np.zeros(len(total))
    used = (total[:, 1:] + problem.load[1:]) / problem.cores[1:]
    mean = used.mean(axis=1)
    spread = np.sqrt(((used - mean[:, None]) ** 2).mean(axis=1))
    made: Floats = np.divide(spread, mean, out=np.zeros_like(mean), where=mean > 0)
    return made

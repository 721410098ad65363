"""Good placements to begin from, where bounds alone leave a gap: the better the start, the less is left to search."""

from __future__ import annotations

import random

import numpy as np

from layerlift.planners.cost.batch import Placements
from layerlift.planners.cost.judge import Judge
from layerlift.planners.exact.units import clean_units
from layerlift.planners.problem.problem import Problem
from layerlift.planners.swarm.ga import Ga

GRAINS = 100
"""Pieces of the network that intervals are made of at first: 5,050 intervals per server at most."""

NEAR = 30
"""Layers that a border may then move to: 900 intervals per server at most."""


def starts(judge: Judge) -> list[tuple[int, ...]]:
    """The best interval of layers found on each server, and what a genetic algorithm of fixed seed finds."""
    problem = judge.problem
    found = [_best_interval(judge, server) for server in problem.servers]
    return [*found, Ga().plan(problem, random.Random(0)).placement]


def _best_interval(judge: Judge, server: int) -> tuple[int, ...]:
    """The best interval between a few clean cuts, then between any layers within one piece of its borders."""
    count = len(judge.problem.graph)
    lasts = [unit.last for unit in clean_units(judge.problem.graph)]
    step = -(-len(lasts) // GRAINS)
    borders = sorted({0, count, *(last + 1 for last in lasts[step - 1 :: step])})
    coarse = judge.best(_intervals(judge.problem, server, borders, borders))
    moved = [layer for layer, node in enumerate(coarse) if node]
    if not moved:
        return coarse
    firsts, ends = _near(moved[0], borders), _near(moved[-1] + 1, borders)
    return judge.best(np.concatenate([[coarse], _intervals(judge.problem, server, firsts, ends)]))


def _near(border: int, borders: list[int]) -> list[int]:
    """Layers from the border before to the border after, no more than `NEAR` of them."""
    low = max((each for each in borders if each < border), default=border)
    high = min((each for each in borders if each > border), default=border)
    step = -(-(high - low + 1) // NEAR)
    return sorted({border, *range(low, high + 1, step)})


def _intervals(problem: Problem, server: int, firsts: list[int], ends: list[int]) -> Placements:
    """The intervals that begin in `firsts` and stop before one of `ends`, where allowed on `server`; shape (K, L)."""
    pairs = np.array([(first, end) for first in firsts for end in ends if first < end], dtype=np.int64).reshape(-1, 2)
    layers = np.arange(len(problem.graph))
    inside = (layers >= pairs[:, :1]) & (layers < pairs[:, 1:])
    rows: Placements = (inside & problem.allowed[:, server]).astype(np.int64) * server
    return rows

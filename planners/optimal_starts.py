"""Good placements to begin from, where bounds alone leave a gap: the better the start, the less is left to search."""

from __future__ import annotations

import random

import numpy as np

from planners.ga import Ga
from planners.judge import Judge
from planners.optimal_units import clean_units
from planners.population import Placements
from planners.problem import Problem

GRAINS = 40
"""Pieces of the network that intervals are made of at most: 820 intervals per server."""


def starts(judge: Judge) -> list[tuple[int, ...]]:
    """The best interval of units on one server, and what a genetic algorithm of fixed seed finds."""
    problem = judge.problem
    found = [judge.best(_intervals(problem, server)) for server in problem.servers]
    return [*found, Ga().plan(problem, random.Random(0)).placement]


def _intervals(problem: Problem, server: int) -> Placements:
    """Each interval between clean cuts on `server`, where that is allowed, the rest on the client; shape (K, L)."""
    lasts = [unit.last for unit in clean_units(problem.graph)]
    step = -(-len(lasts) // GRAINS)
    borders = np.array([0, *(last + 1 for last in lasts[step - 1 :: step])])
    if borders[-1] != len(problem.graph):
        borders = np.append(borders, len(problem.graph))
    firsts, ends = np.triu_indices(len(borders), 1)
    layers = np.arange(len(problem.graph))
    inside = (layers >= borders[firsts][:, None]) & (layers < borders[ends][:, None])
    rows: Placements = (inside & problem.allowed[:, server]).astype(np.int64) * server
    return rows

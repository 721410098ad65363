"""Intervals device -> server -> device: the one-climb policy, for one user and for all together."""

from __future__ import annotations

import random

import numpy as np

from layerlift.models.graph.graph import LayerGraph
from layerlift.models.graph.per_graph import per_graph
from layerlift.planners.cost import batch
from layerlift.planners.cost.batch import Placements
from layerlift.planners.cost.judge import Judge
from layerlift.planners.graphs.chain import Unit, units_of
from layerlift.planners.graphs.spans import Spans, spans_of
from layerlift.planners.problem.plan import Plan, offload
from layerlift.planners.problem.problem import Problem
from layerlift.planners.registry.base import PlannerBase

LAYERS_AT_MOST = 200
"""Longer networks are cut between units only: L^2 / 2 intervals per server would take minutes."""


class OneClimb(PlannerBase):
    """The best contiguous interval of layers on one server, the layers before and after on the client.

    Yan et al. prove that each chain goes from device to edge at most once, which leaves O(L^2) intervals; here each
    of them is tried, on every server, with the problem's own cost model, so the answer is exact within the class.
    Intervals begin and end at any layer (with more than 200 layers: at any unit, see
    `layerlift.planners.graphs.chain`); layers that are not allowed on the server stay on the client. Not modelled:
    the paper's bisection over transmit power and CPU frequency, and tasks of one user that wait for another's.
    """

    multi_server = False

    @classmethod
    def cite(cls) -> str:
        """The source of the algorithm."""
        return "Yan, Bi, Zhang, Tao, Optimal task offloading with inter-user task dependency, TWC 19(1):235, 2020"

    def plan(self, problem: Problem, rng: random.Random) -> Plan:
        """The best interval, or all-local where none is better."""
        judge = Judge(problem)
        best = (0,) * len(problem.graph)
        for server in problem.servers:
            best = min(best, judge.best(intervals(problem, server)), key=judge.key)
        return offload(best)


def grains(problem: Problem) -> tuple[Unit, ...]:
    """What intervals are made of: layers, or units for a long network."""
    return _grains(problem.graph)


def _grains(graph: LayerGraph) -> tuple[Unit, ...]:
    if len(graph) > LAYERS_AT_MOST:
        return units_of(graph)
    return tuple(Unit(layer, layer, ()) for layer in range(len(graph)))


def spans_in(problem: Problem) -> Spans:
    """What crosses for every interval: the same for all who ask for a network with such headers, so found once."""
    known = _spans(problem.graph)
    if problem.header_bytes not in known:
        known[problem.header_bytes] = spans_of(problem.graph, grains(problem), problem.header_bytes)
    return known[problem.header_bytes]


@per_graph
def _spans(graph: LayerGraph) -> dict[int, Spans]:
    """By the header's bytes, of which a world has one number."""
    return {}


def interval(problem: Problem, server: int, first: int, last: int) -> tuple[int, ...]:
    """The placement with layers `first..last` on `server` where they are allowed, the rest on the client."""
    inside = problem.allowed[first : last + 1, server].tolist()
    return (0,) * first + tuple([server if may else 0 for may in inside]) + (0,) * (len(problem.graph) - last - 1)


def intervals(problem: Problem, server: int) -> Placements:
    """Every legal interval on `server`, shape (K, L), in order of first and last grain."""
    parts = grains(problem)
    starts = np.array([part.first for part in parts])
    ends = np.array([part.last for part in parts])
    firsts, lasts = np.triu_indices(len(parts))
    layers = np.arange(len(problem.graph))
    inside = (layers >= starts[firsts][:, None]) & (layers <= ends[lasts][:, None])
    rows = (inside & problem.allowed[:, server]).astype(np.int64) * server
    rows = rows[rows.any(axis=1)]
    return rows[batch.fits(problem, rows)]

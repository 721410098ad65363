"""Random problems in which the period is weighed, and pipelines by brute force."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations, permutations

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from planner_problems import problems

from layerlift.models.graph.graph import LayerGraph
from layerlift.planners import Problem
from layerlift.planners.cost.units import units_of
from layerlift.planners.problem.shared_links import SharedLinks, ports


@st.composite
def _shared(draw: DrawFn, nodes: int) -> SharedLinks | None:
    kind = draw(st.sampled_from(("nothing", "nothing", "ports", "ports", "media", "alone")))
    if kind == "nothing":
        return None
    rates = st.sampled_from((np.inf, 1e5, 2e6, 3e7))
    both = [np.array([draw(rates) for _ in range(nodes)]) for _ in range(2)]
    if kind != "media":
        return ports(both[0], both[1], queue=kind == "ports")
    carries = np.array([[[draw(st.booleans()) for _ in range(nodes)] for _ in range(nodes)] for _ in range(2)])
    return SharedLinks(np.array([2e5, 4e6]), carries & ~np.eye(nodes, dtype=np.bool_))


@st.composite
def streams(
    draw: DrawFn, graphs: st.SearchStrategy[LayerGraph] | None = None, max_nodes: int = 4, plain: bool = False
) -> Problem:
    """A problem of `problems` whose objective weighs the period, alone or among other terms."""
    problem = draw(problems(graphs, max_nodes, plain))
    wanted = replace(problem.objective, period=draw(st.sampled_from((0.5, 1.0))))
    if draw(st.booleans()):
        wanted = replace(wanted, latency=0.0, energy=0.0, money=0.0, balance=0.0)
    return replace(problem, objective=wanted, shared=None if plain else draw(_shared(len(problem.nodes))))


def every_pipeline(problem: Problem) -> Iterator[tuple[int, ...]]:
    """Every placement of whole units in runs: the client's first, one on each of some servers, the client's last."""
    units = units_of(problem.graph)
    yield (0,) * len(problem.graph)
    for many in range(1, len(problem.servers) + 1):
        for cuts in combinations(range(len(units) + 1), many + 1):
            for servers in permutations(problem.servers, many):
                nodes = [0] * len(units)
                for server, first, end in zip(servers, cuts, cuts[1:], strict=False):
                    nodes[first:end] = [server] * (end - first)
                yield tuple(node for unit, node in zip(units, nodes, strict=True) for _ in unit.layers)

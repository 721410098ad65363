"""Random problems for the tests of the planners."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from strategies import layer_graphs

from layerlift.models.graph.graph import LayerGraph
from layerlift.planners.problem.problem import Objective, Problem, simple_problem

SECONDS = st.floats(1e-4, 2.0)
BANDWIDTHS = st.floats(1e5, 1e8)
DELAYS = st.floats(0.0, 0.05)


def _square(draw: DrawFn, values: st.SearchStrategy[float], nodes: int, diagonal: float) -> np.ndarray:
    table = np.array(draw(st.lists(values, min_size=nodes * nodes, max_size=nodes * nodes))).reshape(nodes, nodes)
    np.fill_diagonal(table, diagonal)
    return table


def _vector(draw: DrawFn, values: st.SearchStrategy[float], nodes: int) -> np.ndarray:
    return np.array(draw(st.lists(values, min_size=nodes, max_size=nodes)), dtype=np.float64)


@st.composite
def problems(
    draw: DrawFn,
    graphs: st.SearchStrategy[LayerGraph] | None = None,
    max_nodes: int = 4,
    plain: bool = False,
    min_nodes: int = 1,
) -> Problem:
    """Small random problems; `plain` ones have no prices, loads, masks, memory limits or headers."""
    graph = draw(graphs if graphs is not None else layer_graphs())
    nodes = draw(st.integers(min_nodes, max_nodes))
    rows = st.lists(SECONDS, min_size=nodes, max_size=nodes)
    seconds = np.array(draw(st.lists(rows, min_size=len(graph), max_size=len(graph))))
    base = simple_problem(
        graph,
        seconds,
        bandwidth_bytes_s=_square(draw, BANDWIDTHS, nodes, np.inf),
        latency_s=_square(draw, DELAYS, nodes, 0.0),
    )
    if plain:
        return base
    allowed = np.array(
        draw(
            st.lists(
                st.sampled_from((True, True, True, False)), min_size=len(graph) * nodes, max_size=len(graph) * nodes
            )
        )
    ).reshape(len(graph), nodes)
    allowed[:, 0] = True
    weight = st.sampled_from((0.0, 0.5, 1.0))
    return replace(
        base,
        memory_bytes=_vector(draw, st.sampled_from((np.inf, np.inf, 5e6, 1e3)), nodes),
        load=_vector(draw, st.sampled_from((0.0, 0.0, 1.0, 3.0)), nodes),
        share=_vector(draw, st.sampled_from((1.0, 1.0, 0.5, 0.25)), nodes),
        price_per_s=_vector(draw, st.floats(0, 1), nodes),
        price_per_byte=_square(draw, st.floats(0, 1e-6), nodes, 0.0),
        price_per_byte_s=_vector(draw, st.sampled_from((0.0, 1e-9)), nodes),
        busy_w=_vector(draw, st.floats(0, 100), nodes),
        load_s_per_byte=_vector(draw, st.sampled_from((0.0, 1e-8)), nodes),
        cores=np.array(draw(st.lists(st.integers(1, 4), min_size=nodes, max_size=nodes)), dtype=np.int64),
        allowed=allowed,
        objective=Objective(
            latency=draw(st.sampled_from((0.5, 1.0))),
            energy=draw(weight),
            money=draw(weight),
            balance=draw(weight),
            coordination=draw(weight),
        ),
        query=draw(st.sampled_from(("dataflow", "serial"))),
        uploads_at_once=draw(st.sampled_from(("one", "per_server"))),
        header_bytes=draw(st.sampled_from((0, 64))),
    )

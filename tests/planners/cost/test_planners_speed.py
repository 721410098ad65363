"""Planning is quick enough to be asked for again while users come and go. What is counted is calls of functions:
the same on every machine, however busy."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from dataclasses import replace
from types import FrameType

import numpy as np
import pytest
from paper_problems import paper_problem

from layerlift.planners import make
from layerlift.planners.cost import batch


def calls_of(work: Callable[[], object]) -> int:
    """How many Python functions were called."""
    calls = 0

    def note(frame: FrameType, event: str, argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(before)
    return calls


@pytest.mark.long
@pytest.mark.parametrize("network", ["vgg19", "googlenet"])
def test_a_population_costs_hardly_more_calls_than_a_few(network: str) -> None:
    problem = paper_problem(network)

    def calls(rows: int) -> int:
        drawn = np.random.default_rng(0).integers(0, len(problem.nodes), (rows, len(problem.graph)))
        return calls_of(lambda: batch.evaluate(problem, drawn))

    few = calls(100)  # enough to use all nodes
    assert calls(batch.CHUNK_ROWS) < 1.3 * few
    assert calls(4 * batch.CHUNK_ROWS) < 4 * 1.3 * few


@pytest.mark.long
@pytest.mark.parametrize(
    ("planner", "calls_each"), [("ionn", 80), ("efficiency", 80), ("recursive", 80), ("shortest_path", 1)]
)
def test_densenet_over_all_servers(planner: str, calls_each: int) -> None:
    """So many calls for each of 668 layers on each of 11 nodes, more than twice what there are: none tries all pairs.

    What holds of the network alone is found once, by whoever plans first: here for another problem of it.
    """
    problem = paper_problem("densenet121")
    made = make(planner)
    made.plan(replace(problem, seconds=2.0 * problem.seconds), random.Random(0))
    pairs = len(problem.graph) * len(problem.nodes)
    assert calls_of(lambda: made.plan(problem, random.Random(0))) < calls_each * pairs

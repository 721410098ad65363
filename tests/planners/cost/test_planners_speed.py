"""Planning is quick enough to be asked for again while users come and go. Bounds are those of the design."""

from __future__ import annotations

import random
import time

import numpy as np
import pytest
from paper_problems import paper_problem

from layerlift.planners import make
from layerlift.planners.cost import batch


def seconds_of(work) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


@pytest.mark.parametrize(("network", "rows", "bound_s"), [("vgg19", 10_000, 1.0), ("googlenet", 1_000, 2.0)])
def test_populations(network: str, rows: int, bound_s: float) -> None:
    problem = paper_problem(network)
    drawn = np.random.default_rng(0).integers(0, len(problem.nodes), (rows, len(problem.graph)))
    assert seconds_of(lambda: batch.evaluate(problem, drawn)) < bound_s


@pytest.mark.parametrize(
    ("planner", "bound_s"), [("ionn", 1.0), ("efficiency", 1.0), ("recursive", 1.0), ("shortest_path", 0.1)]
)
def test_densenet_over_all_servers(planner: str, bound_s: float) -> None:
    problem = paper_problem("densenet121")
    made = make(planner)
    assert seconds_of(lambda: made.plan(problem, random.Random(0))) < bound_s

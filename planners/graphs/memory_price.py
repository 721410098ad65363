"""Fitting a plan into the servers' memory by pricing it: the Lagrangian search that several planners share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from layerlift.planners import cost
from layerlift.planners.problem.problem import Floats, Problem

DOUBLINGS, BISECTIONS = 80, 40

Placement = tuple[int, ...]


def within_memory(problem: Problem, solve: Callable[[Floats], Placement], unit_price: float) -> Placement:
    """The answer of `solve` at the least price of memory, found by bisection, at which it fits.

    `solve` takes the price of a byte held on each node, shape (N,), and answers a placement that it would choose at
    that price; `unit_price` > 0 is the size of a price that begins to matter. Only overfull servers get a price.
    What does not fit at any price is returned as it is: callers compare with staying local.
    """
    overfull = np.zeros(len(problem.nodes))
    answer = solve(overfull)
    level = unit_price
    for _ in range(DOUBLINGS):
        held = cost.held_bytes(problem, answer)
        full = [node for node in problem.servers if held[node] > problem.memory_bytes[node]]
        if not full:
            break
        overfull[full] = 1.0
        level *= 2.0
        answer = solve(overfull * level)
    if not overfull.any() or not cost.fits(problem, answer):
        return answer
    low, high = 0.0, level
    for _ in range(BISECTIONS):
        middle = (low + high) / 2.0
        tried = solve(overfull * middle)
        if cost.fits(problem, tried):
            high, answer = middle, tried
        else:
            low = middle
    return answer

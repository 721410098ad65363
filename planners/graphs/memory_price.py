"""Fitting a plan into the servers' memory by pricing it: the Lagrangian search that several planners share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from layerlift.planners import cost
from layerlift.planners.problem.problem import Floats, Problem

DOUBLINGS, BISECTIONS = 80, 40

Placement = tuple[int, ...]


Line = tuple[float, float]
"""What a placement costs without a price of memory, and the bytes that a price is paid for."""


def within_memory(
    problem: Problem,
    solve: Callable[[Floats], Placement],
    unit_price: float,
    line: Callable[[Placement], Line] | None = None,
) -> Placement:
    """The answer of `solve` at the least price of memory at which it fits.

    `solve` takes the price of a byte held on each node, shape (N,), and answers a placement that it would choose at
    that price; `unit_price` > 0 is the size of a price that begins to matter. Only overfull servers get a price.
    What does not fit at any price is returned as it is: callers compare with staying local. The price is found by
    bisection; with `line`, of a planner that prices one server, in the few steps in which two lines cross.
    """
    overfull = np.zeros(len(problem.nodes))
    before = answer = solve(overfull)
    level = unit_price
    for _ in range(DOUBLINGS):
        held = cost.held_bytes(problem, answer)
        full = [node for node in problem.servers if held[node] > problem.memory_bytes[node]]
        if not full:
            break
        overfull[full] = 1.0
        level *= 2.0
        before, answer = answer, solve(overfull * level)
    if not overfull.any() or not cost.fits(problem, answer):
        return answer
    if line is not None:
        return _crossing(problem, lambda price: solve(overfull * price), line, before, answer)
    low, high = 0.0, level
    for _ in range(BISECTIONS):
        middle = (low + high) / 2.0
        tried = solve(overfull * middle)
        if cost.fits(problem, tried):
            high, answer = middle, tried
        else:
            low = middle
    return answer


def _crossing(
    problem: Problem,
    at: Callable[[float], Placement],
    line: Callable[[Placement], Line],
    heavy: Placement,
    fit: Placement,
) -> Placement:
    """The cheapest placement that fits and is an answer at some price, between one that is too large and one that fits.

    What the cheapest placement costs is a concave function of the price, of pieces that are lines: where the lines of
    the two cross, a third is cheaper, or they are neighbours (Eisner and Severance, JACM 23(4), 1976).
    """
    for _ in range(BISECTIONS):
        (less, more), (dear, few) = line(heavy), line(fit)
        if more <= few:
            break
        tried = at((dear - less) / (more - few))
        if tried in (heavy, fit):
            break
        if cost.fits(problem, tried):
            fit = tried
        else:
            heavy = tried
    return fit

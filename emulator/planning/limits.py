"""What a plan's note says where the user's deadline or budget, or the servers' memory, cannot be kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from layerlift.planners import Objective, Problem, cost
from layerlift.planners.cost.holdings import layer_bytes
from layerlift.planners.cost.judge import Term, term_of
from layerlift.planners.offloading.front import least_of


def broken(problem: Problem, placement: tuple[int, ...]) -> str:
    """One sentence where a placement misses a limit, whoever planned it; empty where it keeps all.

    That no plan keeps one is said where even the least of that term, by `units`, is above it with all the memory that
    one could want; where memory is short, that none was found.
    """
    said = [*_missed(problem, placement), *_full(problem)]
    return "; ".join(said)


def _missed(problem: Problem, placement: tuple[int, ...]) -> Iterator[str]:
    wanted = problem.objective
    found = cost.evaluate(problem, placement)
    limits: tuple[tuple[Term, float | None, str, str, float, str], ...] = (
        ("latency", wanted.deadline_s, "deadline_s", "takes", 1e3, " ms"),
        ("money", wanted.budget, "budget", "costs", 1.0, " USD"),
    )
    both = wanted.deadline_s is not None and wanted.budget is not None
    for term, limit, name, verb, unit, word in limits:
        own = term_of(found, term)
        if limit is None or own <= limit:
            continue
        free = replace(problem, objective=Objective())
        least = min(own, term_of(cost.evaluate(free, least_of(free, term)), term))
        given = f"{name} {limit:.6g}"
        if least > limit:
            roomy = replace(free, memory_bytes=np.full_like(problem.memory_bytes, np.inf))
            none = term_of(cost.evaluate(roomy, least_of(roomy, term)), term) > limit
            who = "no plan" if none else "no plan that was found"
            yield f"{who} keeps {given}; the nearest {verb} {least * unit:.4g}{word}"
        else:
            other = ", though not with the other limit for all that is known" if both else ""
            yield f"this plan {verb} {own * unit:.4g}{word} and misses {given}, which a plan keeps{other}"


def _full(problem: Problem) -> Iterator[str]:
    """Where no server that is there has room for the smallest layer."""
    room = problem.memory_bytes[1:]
    sizes = [size for size in layer_bytes(problem.graph).tolist() if size]
    if sizes and len(room) and 0.0 < float(room.max()) < min(sizes):
        free = f"{float(room.max()):.0f} are free"
        yield f"no server has room for a layer with parameters: the smallest holds {min(sizes):.0f} bytes, {free}"

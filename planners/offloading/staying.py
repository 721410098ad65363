"""Placements for somebody who will leave: what a longer upload brings must still be worth it by then."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from layerlift.models.graph.route import CLIENT
from layerlift.planners.cost.judge import Judge
from layerlift.planners.cost.pieces import Sums
from layerlift.planners.cost.stay import Stay
from layerlift.planners.problem.plan import Plan, all_local
from layerlift.planners.problem.problem import Floats

Placement = tuple[int, ...]

PRICES = tuple(step / 8.0 for step in range(9))
"""Prices of a second of upload, in what a query at home costs for each second of the stay."""


def upload_seconds(sums: Sums) -> Floats:
    """Seconds in which each piece is uploaded to each node and built there, shape (P, N); nothing for the client."""
    problem, facts = sums.problem, sums.facts
    sizes = [
        float(problem.graph.upload_bytes(range(first, last + 1)))
        for first, last in zip(facts.first.tolist(), facts.last.tolist(), strict=True)
    ]
    per_byte_s = 1.0 / problem.bandwidth_bytes_s[CLIENT] + problem.load_s_per_byte
    per_byte_s[CLIENT] = 0.0
    made: Floats = np.array(sizes)[:, None] * per_byte_s
    return made


def priced(sums: Sums, pieces: Floats, stay: Stay) -> list[Floats]:
    """What pieces on nodes cost when a second of upload has a price: from nothing to all that a stay can save.

    Queries of a plan that costs `v` each against `h` at home lose `h - v` for every second of its upload, and cost `v`
    for every second of the stay: so a second of upload weighs `(h - v) / stay`, and no plan saves more than `h`.
    """
    at_home = float(pieces[:, CLIENT].sum())
    seconds = upload_seconds(sums)
    return [pieces + price * at_home / stay.seconds * seconds for price in PRICES]


def best_over(stay: Stay, judge: Judge, placements: Iterable[Placement], uploaded: Callable[[Placement], Plan]) -> Plan:
    """The plan that costs least over the stay, of staying local and of some placements, `uploaded` as they will be."""
    best = all_local(judge.problem)
    least = stay.cost(judge, best)
    for placement in dict.fromkeys(placements):
        if not any(placement):
            continue
        plan = uploaded(placement)
        if (found := stay.cost(judge, plan)) < least:
            best, least = plan, found
    return best

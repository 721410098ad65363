"""Who had better not go to a server: what one answer in a hundred would take there, by what it says of its users."""

from __future__ import annotations

from math import log
from typing import Final

import numpy as np

from layerlift.planners.cost.judge import Judge
from layerlift.planners.learned.crowd.features import asking_of
from layerlift.planners.learned.crowd.offers import Offer, work_s
from layerlift.planners.learned.features import straight_log2
from layerlift.planners.problem.problem import Floats, Problem

LATE: Final = 1.1
"""What one answer in a hundred may take, in multiples of what it takes at home; assumed."""
_RARE: Final = 0.01
"""One answer in a hundred."""
_LEAST: Final = 1e-12
"""Questions a second: nothing is divided by less."""


def safe(problem: Problem, judge: Judge, offers: list[Offer]) -> list[Offer]:
    """The offers at which, the user among its users, at most one answer in a hundred is `LATE`; all where none is told.

    The wait is that before one server as fast as its cores together, whose users ask at random for exponential work:
    P(W > t) = rho exp(-(1 - rho) t / s) with a use of rho and pieces of s seconds on average (M/M/1: Kleinrock,
    Queueing Systems I, 1975). The user is reckoned to ask as often as at home, also where answers come sooner.
    Logarithms are drawn straight between powers of two, alike on every processor.
    """
    if not offers or problem.crowd is None:
        return offers
    waits_s = rare_wait_s(problem, judge, offers)
    home_s = judge.local.latency_s
    alone_s = [judge.cost(offer.placement).latency_s for offer in offers]
    return [
        offer
        for offer, own_s, wait_s in zip(offers, alone_s, waits_s.tolist(), strict=True)
        if own_s + wait_s <= LATE * home_s
    ]


def rare_wait_s(problem: Problem, judge: Judge, offers: list[Offer]) -> Floats:
    """What one wait in a hundred is longer than, at each offer's server with the user there, shape (offers,).

    Infinite where all that a server can do is asked of it, or more. `problem` knows its crowd.
    """
    assert problem.crowd is not None
    at = np.array([offer.server for offer in offers])
    cores = problem.cores[at].astype(np.float64)
    _, per_s = asking_of(problem, judge.local.latency_s)
    work = problem.crowd.work[at] + work_s(problem, offers) * per_s
    full = work >= cores
    work = np.where(full, 0.0, work)  # that of a full server may be infinite, and its pieces no number
    use = work / cores
    piece_s = work / np.maximum(problem.crowd.asks_per_s[at] + per_s, _LEAST) / cores
    made = piece_s * log(2.0) * straight_log2(np.maximum(use / _RARE, 1.0)) / (1.0 - use)
    waits_s: Floats = np.where(full, np.inf, made)
    return waits_s

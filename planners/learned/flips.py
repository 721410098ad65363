"""Ways made of scores without chance: the best steps throughout, and that way left at one step, the closest call first.

So candidates keep the order of the scores (Huang, Bi, Zhang: Deep Reinforcement Learning for Online Computation
Offloading, IEEE TMC 2020, has it so for decisions that do not hang on each other): a scorer that is unsure of a step
has it tried both ways, one that is sure is asked for what it is less sure of. After the step the best ones follow.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Final

import numpy as np

from layerlift.models.graph.route import CLIENT
from layerlift.planners.cost.pieces import Sums
from layerlift.planners.learned.features import features_of
from layerlift.planners.learned.policy import Table
from layerlift.planners.learned.policy_file import Kind, Weights
from layerlift.planners.learned.priced import Priced, came_from
from layerlift.planners.learned.scorer import Scorer
from layerlift.planners.learned.steps import STEPS
from layerlift.planners.learned.walk import CLOSED
from layerlift.planners.problem.problem import Bools, Floats, Ints

FLIPS: Final[Kind] = replace(STEPS, name="flips")
"""The same networks as those of steps, trained together for ways that are made like that."""


class FlipsWalker:
    """Ways by several scorers: of each the same number, scorer by scorer."""

    def __init__(self, weights: Weights) -> None:
        self._scorer = Scorer(weights)

    def ways(self, sums: Sums, seen: Priced, count: int, draws: np.random.Generator, room: Floats) -> Ints:
        """See `Walker`; nothing is drawn."""
        scores = self._scorer.scores(features_of(seen))
        each = max(1, count // len(scores))
        return np.concatenate([flipped(table, seen.forbidden, each, sums.facts.held, room) for table in scores])


def flipped(scores: Table, closed: Bools, count: int, held: Floats, room: Floats) -> Ints:
    """The best way by scores, and up to `count` - 1 that leave it at one step; shape (K, P).

    Arguments are those of `walk.ways`: what is closed is not entered, nor a node without room.
    """
    tied = np.where(closed[:, None, :], CLOSED, scores)
    follow = partial(_within, held=held, room=room) if np.isfinite(room[1:]).any() else _freely
    way = follow(tied, np.array([-1]), np.array([CLIENT]))
    rows = tied[np.arange(len(tied)), came_from(way)[0]]
    rows = np.where(_full(way[0], held, room), CLOSED, rows)
    units, nodes = np.divmod(_closest_calls(rows, way[0], count - 1), rows.shape[1])
    return np.concatenate([way, follow(tied, units, nodes)])


def _closest_calls(rows: Table, way: Ints, count: int) -> Ints:
    """The steps beside a way whose scores are least below those taken, at most `count`, as numbers of (unit, node)."""
    every = np.arange(len(rows))
    margins = rows[every, way][:, None] - rows
    margins[every, way] = -CLOSED
    calls = np.argsort(margins, axis=None, kind="stable")[:count]
    made: Ints = calls[margins.flat[calls] < -CLOSED // 2]
    return made


def _freely(tied: Table, units: Ints, nodes: Ints) -> Ints:
    """Ways of the best steps, but that each is on its node at its unit; shape (K, P)."""
    best = tied.argmax(axis=2)
    leaving = dict.fromkeys(units.tolist())
    at = np.full(len(units), CLIENT, dtype=np.int64)
    made = np.empty((len(tied), len(units)), dtype=np.int64)
    for number, row in enumerate(best):
        at = row.take(at)
        if number in leaving:
            at = np.where(units == number, nodes, at)
        made[number] = at
    return made.T


def _within(tied: Table, units: Ints, nodes: Ints, held: Floats, room: Floats) -> Ints:
    """The same where memory has an end."""
    every = np.arange(len(units))
    used = np.zeros((len(units), tied.shape[2]))
    at = np.full(len(units), CLIENT, dtype=np.int64)
    made = np.empty((len(tied), len(units)), dtype=np.int64)
    for number, row in enumerate(tied):
        full = used + held[number] > room
        full[:, CLIENT] = False
        at = np.where(units == number, nodes, np.where(full, CLOSED, row[at]).argmax(axis=1))
        used[every, at] += held[number]
        made[number] = at
    return made.T


def _full(way: Ints, held: Floats, room: Floats) -> Bools:
    """Which nodes have no room for each piece of a way, given where it was before; never the client. Shape (P, n)."""
    put = np.zeros((len(way) + 1, len(room)))
    put[np.arange(1, len(way) + 1), way] = held
    full: Bools = np.cumsum(put, axis=0)[:-1] + held[:, None] > room
    full[:, CLIENT] = False
    return full

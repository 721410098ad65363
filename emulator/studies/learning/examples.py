"""What a policy learns from: states of a problem, and what each next step costs beyond the best, exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from layerlift.emulator.studies.learning.worlds import TRIAL_FROM, Worlds
from layerlift.emulator.world import streams
from layerlift.models.graph.route import CLIENT
from layerlift.planners.cost.judge import Judge
from layerlift.planners.graphs.additive import Additive
from layerlift.planners.graphs.pieces import Sums, ahead, cheapest_way, whole_pieces
from layerlift.planners.learned.features import Features, Whole, features_of
from layerlift.planners.learned.priced import DEAR, Priced, priced
from layerlift.planners.problem.problem import Floats, Ints, Problem

Number = TypeVar("Number", np.float32, np.bool_)
STATES: Final = 48
"""That are looked at of a problem: (unit, node before it)."""
SEEDS: Final = 16
"""Worlds of a round."""
_APART: Final = 20_000
"""Rounds that one training may have before it meets the worlds of the next seed's."""
MOST_REGRET: Final = 4.0
"""A step that costs more than so many times staying local is as bad as that."""


@dataclass(frozen=True, slots=True)
class Examples:
    """States with n next nodes each, S of them."""

    piece: Whole
    """Shape (S, OF_PIECE)."""
    source: Whole
    """Of the node before, shape (S, OF_NODE)."""
    target: Whole
    """Of each next node, shape (S, n, OF_NODE)."""
    step: Whole
    """Shape (S, n, OF_STEP)."""
    regret: NDArray[np.float32]
    """What each next node costs beyond the best, as a share of staying local, shape (S, n)."""
    open: NDArray[np.bool_]
    """Whether there is such a node, and the piece may be there, shape (S, n)."""


def problem_costs(problem: Problem) -> tuple[Sums, Priced]:
    """Its terms piece by piece, and priced as its objective has it."""
    sums, judge = Sums(problem, whole_pieces(problem.graph)), Judge(problem)
    prices = Additive(problem, judge)
    return sums, priced(sums, (prices.per_second, prices.per_joule, prices.per_money))


def regrets(costs: Priced) -> Floats:
    """What every step costs beyond the best from the same node, shape (P, n, n): exact, by dynamic programming."""
    rest = ahead(costs.pieces, costs.steps)
    whole = costs.steps + (costs.pieces + rest[1:])[:, None, :]
    made: Floats = whole - whole.min(axis=2, keepdims=True)
    return made


def examples_of(problem: Problem, rng: np.random.Generator) -> Examples:
    """`STATES` states: on the best way, at the client, and anywhere, a third each, at units drawn at random."""
    _, costs = problem_costs(problem)
    count, nodes = costs.pieces.shape
    way = np.array([CLIENT, *cheapest_way(costs.pieces, costs.steps)[:-1]])
    at = rng.integers(0, count, size=STATES)
    before = rng.integers(0, nodes, size=STATES)
    third = STATES // 3
    before[:third] = way[at[:third]]
    before[third : 2 * third] = CLIENT
    return _looked_at(features_of(costs), costs, at, before)


def _looked_at(seen: Features, costs: Priced, at: Ints, before: Ints) -> Examples:
    regret = np.minimum(regrets(costs)[at, before], MOST_REGRET)
    return Examples(
        seen.piece[at],
        seen.node[at, before],
        seen.node[at],
        seen.step[at, before],
        regret.astype(np.float32),
        ~costs.forbidden[at] & (costs.steps[at, before] < DEAR),
    )


def joined(parts: Sequence[Examples]) -> Examples:
    """All states of some examples, in order; nothing is open among nodes that are not there."""
    most = max(part.open.shape[1] for part in parts)
    return Examples(
        np.concatenate([part.piece for part in parts]),
        np.concatenate([part.source for part in parts]),
        np.concatenate([_padded(part.target, most) for part in parts]),
        np.concatenate([_padded(part.step, most) for part in parts]),
        np.concatenate([_padded(part.regret, most) for part in parts]),
        np.concatenate([_padded(part.open, most) for part in parts]),
    )


def _padded(table: NDArray[Number], nodes: int) -> NDArray[Number]:
    wide = [(0, 0)] * table.ndim
    wide[1] = (0, nodes - table.shape[1])
    return np.pad(table, wide)


def of_seed(worlds: Worlds, seed: int) -> Examples:
    """The examples of all problems of one seed."""
    rng = np.random.default_rng(streams.family(seed, "learning", "states").getrandbits(64))
    return joined([examples_of(problem, rng) for problem in worlds.problems(seed)])


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a round needs of its worlds: who draws them does not matter."""

    worlds: Worlds
    seeds: tuple[int, ...]


def lesson(worlds: Worlds, seed: int, number: int) -> Lesson:
    """The lesson of a round, 0 the first."""
    first = (seed * _APART + number) * SEEDS
    return Lesson(worlds, tuple((first + each) % TRIAL_FROM for each in range(SEEDS)))


def taught(lesson: Lesson) -> Examples:
    """The states of a lesson's worlds, in order of their seeds."""
    return joined([of_seed(lesson.worlds, seed) for seed in lesson.seeds])

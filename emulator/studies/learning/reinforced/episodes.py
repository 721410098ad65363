"""What reinforcement learns from: problems to walk in, ways walked by what is known so far, and what came of them.

A state is a unit and the node before it, an action the next node, the reward what the objective grows by, as a share
of staying local, negative; nothing is discounted. No exact answer is looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from layerlift.emulator.studies.learning.examples import Lesson, padded, problem_costs
from layerlift.models.graph.route import CLIENT
from layerlift.planners.learned.features import Features, features_of, looked_ahead
from layerlift.planners.learned.policy import Table
from layerlift.planners.learned.priced import DEAR, Priced
from layerlift.planners.learned.walk import CLOSED
from layerlift.planners.problem.problem import Bools, Floats, Ints, Problem

T = TypeVar("T")
WALKS: Final = 16
"""Ways that are walked through a problem in a round."""
_BOLDEST: Final = 0.4
"""How often the boldest way but one takes any node: way i of N does so with probability 0.4^(1 + 7 i / (N - 1)).

(Horgan et al., Distributed Prioritized Experience Replay, 2018.)
"""
LEAST: Final = 1e-6
"""What is still to come is taken for no less, as a share of staying local, where something is divided by it."""


@dataclass(frozen=True, slots=True)
class Ground:
    """A problem to walk in: P units, n nodes."""

    seen: Features
    costs: Priced
    rest: Floats
    """What is still to come from each node in front of each unit, with one more move at most, shape (P + 1, n)."""

    @property
    def open(self) -> Bools:
        """Whether there is such a step, shape (P, n, n)."""
        made: Bools = ~self.costs.forbidden[:, None, :] & (self.costs.steps < DEAR)
        return made


def ground_of(problem: Problem) -> Ground:
    """A problem to walk in."""
    _, costs = problem_costs(problem)
    return Ground(features_of(costs), costs, np.maximum(looked_ahead(costs).one_move, LEAST))


def taught(lesson: Lesson) -> list[Ground]:
    """The problems of a lesson's worlds, in order of their seeds."""
    return [ground_of(problem) for seed in lesson.seeds for problem in lesson.worlds.problems(seed)]


def joined(parts: Sequence[list[T]]) -> list[T]:
    """All problems of some parts of a lesson, in order."""
    return [each for part in parts for each in part]


@dataclass(frozen=True, slots=True)
class Ways:
    """Ways through one problem, W of them."""

    before: Ints
    """The node in front of each unit, shape (P, W)."""
    taken: Ints
    """The node of each unit, shape (P, W)."""
    best: Bools
    """Whether that is what was known as best, shape (P, W)."""


def walked(ground: Ground, scores: Table, rng: np.random.Generator, count: int = WALKS) -> Ways:
    """Ways by the best of scores (shape (P, n, n)), but now and then to any node that is open: by turns more boldly."""
    open_ = ground.open
    known = np.where(open_, scores, CLOSED).argmax(axis=2)
    bold = _BOLDEST ** (1.0 + 7.0 * np.arange(count) / max(count - 1, 1))
    astray = rng.random((len(scores), count)) < bold
    lot = rng.random((len(scores), count))
    at = np.full(count, CLIENT)
    before, taken = np.empty((2, len(scores), count), dtype=np.int64)
    for number in range(len(scores)):
        before[number] = at
        sums = np.cumsum(open_[number, at], axis=1)
        drawn = (sums <= (lot[number] * sums[:, -1])[:, None]).sum(axis=1)
        at = np.where(astray[number], drawn, known[number, at])
        taken[number] = at
    return Ways(before, taken, taken == known[np.arange(len(scores))[:, None], before])


def returns(ground: Ground, ways: Ways, value: Floats, steps: int) -> Floats:
    """What each step of some ways came to: its cost and that of up to `steps` - 1 after it, then `value`, negative.

    `value`, shape (P + 1, n), is what is still to come from a node in front of a unit. As soon as a way goes astray,
    `value` is asked: what follows says nothing about the best (Watkins, Learning from Delayed Rewards, 1989).
    """
    count = len(ways.taken)
    each = np.arange(count)[:, None]
    spent = ground.costs.steps[each, ways.before, ways.taken] + ground.costs.pieces[each, ways.taken]
    made: Floats = np.empty_like(spent)
    for first in range(count):
        total, going = spent[first].copy(), np.ones(spent.shape[1], dtype=np.bool_)
        for at in range(first + 1, min(first + steps, count) + 1):
            last = at == min(first + steps, count)
            ends = going if last else going & ~ways.best[at]
            total = np.where(ends, total - value[at, ways.taken[at - 1]], total)
            going = going & ~ends
            if not going.any():
                break
            total = np.where(going, total + spent[at], total)
        made[first] = -total
    return made


@dataclass(frozen=True, slots=True)
class Steps:
    """Steps that were taken, S of them, each with what n nodes could have been gone to."""

    piece: NDArray[np.float32]
    source: NDArray[np.float32]
    target: NDArray[np.float32]
    step: NDArray[np.float32]
    """As in `Examples`."""
    open: Bools
    """Shape (S, n)."""
    taken: Ints
    """Which node was, shape (S,)."""
    rest: NDArray[np.float32]
    """`Ground.rest` of the state, shape (S,)."""
    made: NDArray[np.float32]
    """What came of it (see `returns`), shape (S,)."""


def steps_of(ground: Ground, ways: Ways, made: Floats, most: int, rng: np.random.Generator) -> Steps:
    """At most `most` of the steps of some ways, drawn without putting back."""
    count, wide = ways.taken.shape
    chosen = rng.permutation(count * wide)[:most]
    unit, before = chosen // wide, ways.before.reshape(-1)[chosen]
    seen = ground.seen
    return Steps(
        seen.piece[unit],
        seen.node[unit, before],
        seen.node[unit],
        seen.step[unit, before],
        ground.open[unit, before],
        ways.taken.reshape(-1)[chosen],
        ground.rest[unit, before].astype(np.float32),
        made.reshape(-1)[chosen].astype(np.float32),
    )


def together(parts: Sequence[Steps]) -> Steps:
    """All steps of some parts, in order; nothing is open among nodes that are not there."""
    most = max(part.open.shape[1] for part in parts)
    return Steps(
        np.concatenate([part.piece for part in parts]),
        np.concatenate([part.source for part in parts]),
        np.concatenate([padded(part.target, most) for part in parts]),
        np.concatenate([padded(part.step, most) for part in parts]),
        np.concatenate([padded(part.open, most) for part in parts]),
        np.concatenate([part.taken for part in parts]),
        np.concatenate([part.rest for part in parts]),
        np.concatenate([part.made for part in parts]),
    )

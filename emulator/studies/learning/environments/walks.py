"""Walks through networks unit by unit, many at once: what is seen, what may be done, and what each step costs.

What is seen is what shipped policies see (`layerlift.planners.learned.features`), of the present unit and from the
present node, as shares of the largest number; everything is padded to one size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from layerlift.models.graph.route import CLIENT
from layerlift.planners.cost.judge import Judge
from layerlift.planners.cost.pieces import Sums, whole_pieces
from layerlift.planners.graphs.additive import Additive
from layerlift.planners.learned.features import LARGEST, OF_NODE, OF_PIECE, OF_STEP, Features, features_of
from layerlift.planners.learned.priced import DEAR, Priced, priced
from layerlift.planners.problem.problem import Bools, Floats, Ints, Problem

OF_UNIT: Final = OF_PIECE + 1
"""Numbers of a unit: those of a piece, and what share of the units is still to come."""
OF_PLACE: Final = OF_NODE + OF_STEP + 1
"""Numbers of a node: of it, of the step there, and how much of the rest of the network its memory still takes."""
Seen = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Course:
    """A problem to be walked through, with at most so many nodes as there is room for."""

    sums: Sums
    judge: Judge
    costs: Priced
    features: Features

    def placement(self, way: Ints) -> tuple[int, ...]:
        """The placement of a whole way, which names nodes as `costs` does."""
        return self.sums.placement(self.costs.nodes[way].tolist())

    def cost(self, way: Ints) -> float:
        """What the placement costs by the cost model, as a share of staying local, and by what it misses limits."""
        missed, value = self.judge.key(self.placement(way))
        home = self.judge.local_key[1]
        return min(value / home if home > 0.0 else value, DEAR) + min(missed, DEAR)


def course_of(problem: Problem, most: int) -> Course:
    """The course of a problem among the client and the servers with the cheapest single cuts, `most` nodes in all."""
    judge, sums = Judge(problem), Sums(problem, whole_pieces(problem.graph))
    prices = Additive(problem, judge)
    costs = nearest(priced(sums, (prices.per_second, prices.per_joule, prices.per_money)), most)
    return Course(sums, judge, costs, features_of(costs))


def nearest(costs: Priced, most: int) -> Priced:
    """The costs of at most so many nodes: the client, and the servers with the cheapest single cuts, ascending."""
    if len(costs.nodes) <= most:
        return costs
    home = costs.pieces[:, CLIENT]
    after = np.cumsum(costs.pieces[::-1], axis=0)[::-1]
    cut = ((np.cumsum(home) - home)[:, None] + costs.steps[:, CLIENT] + after).min(axis=0)
    cut[CLIENT] = -1.0
    kept = np.sort(np.argsort(cut, kind="stable")[:most])
    steps = costs.steps[:, kept][:, :, kept]
    return Priced(costs.nodes[kept], costs.pieces[:, kept], steps, costs.forbidden[:, kept])


class Walks:
    """`count` walkers, each through a course of its own, among at most `nodes` nodes."""

    def __init__(self, count: int, nodes: int) -> None:
        self.count, self.nodes = count, nodes
        self.courses: list[Course | None] = [None] * count
        self.at: Ints = np.zeros(count, dtype=np.int64)
        """The unit that each walker is in front of."""
        self.node: Ints = np.zeros(count, dtype=np.int64)
        """The node where each walker is: that of the unit before, the client's at first."""
        self.length: Ints = np.zeros(count, dtype=np.int64)
        """Units of each course."""
        self.spent: Floats = np.zeros(count)
        self.room: Floats = np.zeros((count, nodes))
        """Bytes that each node still takes."""
        self._every = np.arange(count)
        self._units, self._tables = 0, dict[str, NDArray[Any]]()
        self._make_room(32)

    def _make_room(self, units: int) -> None:
        """Let courses have so many units; tables have shape (count, units, ...)."""
        lead = (self.count, units)
        shapes: dict[str, tuple[int, ...]] = {
            "piece": (OF_PIECE,), "place": (self.nodes, OF_NODE), "step": (self.nodes, self.nodes, OF_STEP),
            "cost": (self.nodes, self.nodes), "open": (self.nodes, self.nodes), "held": (), "rest": (), "way": (),
        }  # fmt: skip
        kinds = {"cost": np.float64, "held": np.float64, "rest": np.float64, "open": np.bool_, "way": np.int64}
        made: dict[str, NDArray[Any]] = {
            name: np.zeros(lead + shape, dtype=kinds.get(name, np.float32)) for name, shape in shapes.items()
        }
        for name, table in self._tables.items():
            made[name][:, : self._units] = table
        self._units, self._tables = units, made

    def begin(self, walker: int, course: Course) -> None:
        """Put a walker in front of the first unit of a course, on the client."""
        costs, features = course.costs, course.features
        units, nodes = costs.pieces.shape
        if units > self._units:
            self._make_room(2 * units)
        held = course.sums.facts.held
        rows: dict[str, NDArray[Any]] = {
            "piece": features.piece / LARGEST, "place": features.node / LARGEST, "step": features.step / LARGEST,
            "cost": costs.steps + costs.pieces[:, None, :],
            "open": ~costs.forbidden[:, None, :] & (costs.steps < DEAR) & (costs.pieces < DEAR)[:, None, :],
            "held": held, "rest": np.cumsum(held[::-1])[::-1], "way": np.zeros(units, dtype=np.int64),
        }  # fmt: skip
        for name, row in rows.items():
            table = self._tables[name][walker]
            table[...] = 0
            table[tuple(map(slice, row.shape))] = row
        self._tables["open"][walker, :units, :, CLIENT] = True
        self.courses[walker] = course
        self.at[walker], self.node[walker], self.length[walker], self.spent[walker] = 0, CLIENT, units, 0.0
        self.room[walker] = 0.0
        self.room[walker, :nodes] = course.sums.problem.memory_bytes[costs.nodes]
        self.room[walker, CLIENT] = np.inf

    @property
    def over(self) -> Bools:
        """Which walkers are behind the last unit, or have none."""
        return self.at >= self.length

    @property
    def masks(self) -> Bools:
        """Where each walker may go, shape (count, nodes); home always."""
        unit = np.minimum(self.at, self._units - 1)
        fits = self._tables["held"][self._every, unit][:, None] <= self.room
        made: Bools = self._tables["open"][self._every, unit, self.node] & fits & ~self.over[:, None]
        made[:, CLIENT] = True
        return made

    def seen(self) -> Seen:
        """What each walker sees, new arrays: `unit` (count, OF_UNIT), `nodes` (count, nodes, OF_PLACE), the mask."""
        every, unit, tables = self._every, np.minimum(self.at, self._units - 1), self._tables
        left = np.maximum(self.length - self.at, 0) / np.maximum(self.length, 1)
        rest = np.broadcast_to(tables["rest"][every, unit][:, None], self.room.shape)
        share = np.divide(self.room, rest, out=np.ones_like(self.room), where=rest > 0.0)
        taken = np.where(tables["open"][every, unit].any(axis=1), np.minimum(share, 1.0), 0.0)
        of_unit = np.concatenate([tables["piece"][every, unit], left[:, None]], axis=1)
        step = tables["step"][every, unit, self.node]
        of_nodes = np.concatenate([tables["place"][every, unit], step, taken[:, :, None]], axis=2)
        going = ~self.over
        return {
            "unit": (of_unit * going[:, None]).astype(np.float32),
            "nodes": (of_nodes * going[:, None, None]).astype(np.float32),
            "action_mask": self.masks.astype(np.int8),
        }

    def take(self, actions: Ints) -> tuple[Floats, Bools]:
        """Each walker that is not behind the last unit runs its unit on a node.

        Answers the rewards, shape (count,), and who asked for what may not be: that unit runs at home.
        A reward is what the step costs, negative; the last makes up for whatever steps alone do not show, so that a
        walk's rewards add up to what its placement costs by the cost model (`Course.cost`).
        """
        going = ~self.over
        every, unit = self._every, np.minimum(self.at, self._units - 1)
        known = (actions >= 0) & (actions < self.nodes)
        legal = known & self.masks[every, np.where(known, actions, CLIENT)]
        node = np.where(legal, actions, CLIENT)
        rewards: Floats = np.where(going, -self._tables["cost"][every, unit, self.node, node], 0.0)
        self.room[every, node] -= np.where(going, self._tables["held"][every, unit], 0.0)
        self._tables["way"][every[going], unit[going]] = node[going]
        self.node = np.where(going, node, self.node)
        self.at = self.at + going
        for walker in np.flatnonzero(going & self.over).tolist():
            rewards[walker] = -(self.cost(walker) + self.spent[walker])
        self.spent = self.spent + rewards
        return rewards, going & ~legal

    def way(self, walker: int) -> Ints:
        """The nodes of a walker's units so far, as its course names them."""
        made: Ints = self._tables["way"][walker, : min(int(self.at[walker]), int(self.length[walker]))]
        return made

    def course(self, walker: int) -> Course:
        """The course of a walker that has begun one."""
        course = self.courses[walker]
        assert course is not None
        return course

    def cost(self, walker: int) -> float:
        """What a walker's whole way costs (see `Course.cost`)."""
        return self.course(walker).cost(self.way(walker))

    def placement(self, walker: int) -> tuple[int, ...]:
        """The placement of a walker's whole way."""
        return self.course(walker).placement(self.way(walker))

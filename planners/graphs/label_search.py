"""Label setting: ways through a chain of pieces, none of which is worse in everything than another to the same place.

A label is a way so far: what it costs, and what it has used of each limited resource. At a node after a piece only
labels stay that no other there undercuts in cost and in every resource, that can still be finished within the limits,
and that can still beat the best finished way known. What is left at the end is exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layerlift.models.sums import left_sum
from layerlift.planners.graphs.pieces import ahead
from layerlift.planners.problem.problem import Bools, Floats, Ints

Numbers = NDArray[Any]

WITHIN = 1e-9
"""Share by which a way may exceed a limit and still be kept: whether it keeps it is for the cost model to say."""

_BLOCK = 128
"""Labels that are held against the others at a time: enough to drown numpy's call overhead."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """What ways add up, piece by piece and step by step."""

    pieces: Floats
    """On each node, shape (P, N)."""
    steps: Floats
    """Of the steps to each piece, shape (P, N, N), or (1, N, N) where all are alike."""
    limit: float = np.inf

    def of(self, nodes: list[int]) -> float:
        """What a way adds up to; `nodes` are those of its pieces."""
        every, there = np.arange(len(nodes)), np.array(nodes)
        hops = self.steps[every % len(self.steps), np.concatenate(([0], there[:-1])), there]
        return float(self.pieces[every, there].sum() + hops.sum())


@dataclass(frozen=True, slots=True)
class Options:
    """Other ways to run one piece on a node: what each adds to the cost and to each resource, K of them."""

    node: Ints
    cost: Floats
    used: Floats
    """Shape (R, K)."""


@dataclass(slots=True)
class _Layer:
    """The labels behind one piece: where each is, which option it took (-1: none), and the label before it."""

    node: Ints
    option: Ints
    before: Ints


@dataclass(frozen=True, slots=True)
class Ways:
    """Finished ways by rising cost: what each costs and uses (shape (R, K)), its nodes and options (shape (K, P))."""

    cost: Floats
    used: Floats
    nodes: Ints
    options: Ints
    """Of each piece; -1 where it took none."""
    complete: bool
    """Whether no label was left out for want of room."""


class LabelSearch:
    """All ways that matter, under limits on resources; `most` labels are kept at a node, those that promise most."""

    def __init__(
        self,
        cost: Quantity,
        resources: list[Quantity],
        most: int,
        step: float = 0.0,
        prices: Floats | None = None,
        options: Mapping[int, Options] | None = None,
    ) -> None:
        """A label that another beats but for a share `step` of its resources goes too.

        Each row of `prices` (shape (M, R)) are multipliers of the resources: they sharpen what can still be reached,
        the first of all labels, the others of those that it leaves. `options` are other ways to run some pieces.
        """
        self.options = options or {}
        self.cost, self.resources, self.most, self.step = cost, resources, most, step
        self.count, self.nodes = cost.pieces.shape
        self.prices = np.zeros((0, len(resources))) if prices is None else prices[prices.any(axis=1)]
        self.limits = np.array([each.limit for each in resources])
        self.to = [self._columns(piece) for piece in range(self.count)]
        # What is bounded: the cost, each resource, and the cost at each of the prices; T in all.
        self._weights = np.concatenate([np.eye(1 + len(resources)), np.insert(self.prices, 0, 1.0, axis=1)])
        self._moving = np.flatnonzero([each.steps.any() for each in (cost, *resources)])
        """Which of the cost and the resources steps between nodes add to."""
        self._stepping = np.flatnonzero(self._weights[:, self._moving].any(axis=1))
        self._step_of = {row: at for at, row in enumerate(self._stepping.tolist())}
        self._steps = self._stepped()
        self._on, self._ahead = self._bounded()
        self.most_ahead = self._most_ahead()

    def _stepped(self) -> Floats:
        """The steps of all that is bounded and that they add to, (P, S, N, N); memory, for one, does not move."""
        every = [self.cost, *self.resources]
        steps = np.zeros((self.count, len(self._stepping), self.nodes, self.nodes))
        for at, row in enumerate(self._weights[self._stepping]):
            for number in np.flatnonzero(row).tolist():
                steps[:, at] += row[number] * every[number].steps
        return steps

    def _bounded(self) -> tuple[list[Floats], Floats]:
        """All that is bounded, of each piece where a label may go, (T, columns), and the least from each node on.

        The latter before each piece to the end, shape (P + 1, T, N).
        """
        pieces = np.zeros((self.count, len(self._weights), self.nodes))
        for at, row in enumerate(self._weights):
            for number in np.flatnonzero(row).tolist():
                pieces[:, at] += row[number] * (self.cost, *self.resources)[number].pieces
        on = list(pieces.copy())
        for piece, options in self.options.items():
            added = self._weights @ np.concatenate([options.cost[None], options.used])
            on[piece] = np.concatenate([on[piece], on[piece][:, options.node] + added], axis=1)
            for at in range(len(self._weights)):
                np.minimum.at(pieces[piece, at], options.node, on[piece][at, self.nodes :])
        still = np.setdiff1d(np.arange(len(self._weights)), self._stepping)
        to_go = np.zeros((self.count + 1, len(self._weights), self.nodes))
        to_go[:, self._stepping] = ahead(pieces[:, self._stepping], self._steps)
        to_go[:-1, still] = np.cumsum(pieces[::-1, still].min(axis=2), axis=0)[::-1, :, None]
        return on, to_go

    def _most_ahead(self) -> Floats:
        """The most of each resource that any way may still use before each piece, shape (R, P + 1)."""
        made = np.zeros((len(self.resources), self.count + 1))
        for number, each in enumerate(self.resources):
            dearest = np.where(np.isfinite(each.pieces), each.pieces, 0.0).max(axis=1)
            for piece, options in self.options.items():
                dearest[piece] += max(0.0, float(options.used[number].max(initial=0.0)))
            hops = np.broadcast_to(each.steps.max(axis=(1, 2)), (self.count,))
            made[number, :-1] = np.cumsum((dearest + hops)[::-1])[::-1]
        return made

    def run(self, beat: float = np.inf, most: int | None = None) -> Ways:
        """The ways that cost at most `beat`; with fewer labels at a node where `most` says so."""
        room, bounds = self.most if most is None else most, self._bounds(beat)
        first = len(self.resources) + 1 if len(self.prices) and beat < np.inf else min(1, len(self.resources))
        node, sums = np.zeros(1, dtype=np.int64), np.zeros((1 + len(self.resources), 1))
        layers, complete = [], True
        # What is infinite, for it is forbidden, times nothing is not a number, and goes no further.
        with np.errstate(invalid="ignore"):
            for piece in range(self.count):
                label, column, sums = self._extended(piece, node, sums, bounds, first)
                kept, whole = self._kept(piece, self.to[piece][column], sums, room)
                complete = complete and whole
                column, sums = column[kept], sums[:, kept]
                node = self.to[piece][column]
                layers.append(_Layer(node, np.maximum(column - self.nodes, -1), label[kept]))
        order = np.argsort(sums[0], kind="stable")
        return Ways(sums[0, order], sums[1:, order], *_traced(layers, order), complete)

    def _columns(self, piece: int) -> Ints:
        """Where a label may go in one piece: to every node, and to that of each option."""
        options = self.options.get(piece)
        every = np.arange(self.nodes)
        return every if options is None else np.concatenate([every, options.node])

    def _extended(self, piece: int, node: Ints, sums: Floats, bounds: Floats, first: int) -> tuple[Ints, Ints, Floats]:
        """Every label taken everywhere, as far as it may still end well: from which label, where, and its sums.

        All of them are held against bound `first`, the others only against those that this leaves.
        """
        to, on, to_go, steps = self.to[piece], self._on[piece], self._ahead[piece + 1], self._steps[piece]
        leaps = (self._weights[first] @ sums)[:, None] + (on[first] + to_go[first].take(to))
        if first in self._step_of:
            leaps += steps[self._step_of[first]].take(to, axis=1).take(node, axis=0)
        label, column = (leaps <= bounds[first]).nonzero()
        there = to[column]
        made = sums[:, label]
        hops = node[label] * self.nodes + there
        for at, number in enumerate(self._moving.tolist()):
            made[number] += steps[at].take(hops)
        made += on[: len(sums), column]
        fits = np.logical_and.reduce(self._weights @ made + to_go[:, there] <= bounds[:, None], axis=0)
        return label[fits], column[fits], made[:, fits]

    def _bounds(self, beat: float) -> Floats:
        """What each of all that is bounded may be at most, shape (T,), for ways that cost at most `beat`."""
        limits = self.limits * (1.0 + WITHIN)
        # What a way costs is at least what it costs at some prices, less the prices of all that there is.
        dearest = beat + np.array([left_sum((price * limits)[price > 0.0].tolist()) for price in self.prices])
        return np.concatenate([[beat], limits, dearest + WITHIN * np.abs(dearest)])

    def _kept(self, piece: int, node: Ints, sums: Floats, most: int) -> tuple[Ints, bool]:
        """The labels that no other at their node undercuts, ascending by node and cost; and whether these are all."""
        counts = np.bincount(node, minlength=self.nodes)
        if counts.max() < 2:
            return node.argsort(), True
        kept = self._undercut_by_none(piece, node, sums, counts)
        counts = np.bincount(node[kept], minlength=self.nodes)
        if counts.max() <= most:
            return kept, True
        if most < self.most and len(self.prices):
            row = len(sums)
            return kept[_promising(self._weights[row] @ sums[:, kept], counts, most)], False
        ends = np.cumsum(counts).tolist()
        own = [kept[end - count : end] for end, count in zip(ends, counts.tolist(), strict=True)]
        return np.concatenate([each[_spread(len(each), most)] if len(each) > most else each for each in own]), False

    def _undercut_by_none(self, piece: int, node: Ints, sums: Floats, counts: Ints) -> Ints:
        # What can never reach its limit any more does not tell labels apart.
        used = sums[1:]
        loose = used + self.most_ahead[:, piece + 1, None] <= self.limits[:, None]
        telling = np.where(loose & np.isfinite(self.limits)[:, None], 0.0, used)
        order = np.lexsort((*telling[::-1], sums[0], node))
        if len(used) == 1:
            return order[_fronts(telling[0, order], counts, self.step)]
        ends = np.cumsum(counts).tolist()
        own = [order[end - count : end] for end, count in zip(ends, counts.tolist(), strict=True)]
        return np.concatenate([each[undominated(telling[:, each], self.step)] for each in own if len(each)])


def _promising(priced: Floats, counts: Ints, most: int) -> Bools:
    """About `most` of each of neighbouring groups of so many: half of them the cheapest, the others evenly."""
    group = np.arange(len(counts)).repeat(counts)
    place, size = np.arange(len(group)) - (counts.cumsum() - counts)[group], counts[group]
    rank = np.empty_like(place)
    rank[np.lexsort((priced, group))] = place
    share = place * (most - most // 2) // size
    evenly: Bools = share != (place - 1) * (most - most // 2) // size
    return evenly | (rank < most // 2)


def _fronts(used: Floats, counts: Ints, step: float) -> Bools:
    """`undominated` of one resource, for neighbouring groups of so many at once."""
    group = np.arange(len(counts)).repeat(counts)
    place = np.arange(len(used)) - (counts.cumsum() - counts)[group]
    table = np.full((len(counts), counts.max() + 1), np.inf)
    table[group, place + 1] = used
    made: Bools = used < np.minimum.accumulate(table, axis=1)[group, place] * (1.0 - step)
    return made


def _spread(count: int, most: int) -> Ints:
    """`most` of `count` places, evenly, the first and the last among them."""
    return np.unique(np.linspace(0, count - 1, most).astype(np.int64))


def undominated(used: Floats, step: float) -> Bools:
    """Which columns of `used` (shape (R, K), by rising cost) no earlier one undercuts in every row."""
    if not len(used):
        first: Bools = np.arange(used.shape[1]) == 0
        return first
    if len(used) == 1:
        before = np.concatenate(([np.inf], np.minimum.accumulate(used[0])[:-1]))
        ahead_of_all: Bools = used[0] < before * (1.0 - step)
        return ahead_of_all
    telling = used[(used != used[:, :1]).any(axis=1)]
    if len(telling) < 2:
        return undominated(telling, step)
    if not step:
        telling = _ranked(telling)
    table, count = np.empty_like(telling), 0
    made = np.zeros(used.shape[1], dtype=np.bool_)
    for begin in range(0, used.shape[1], _BLOCK):
        block = telling[:, begin : begin + _BLOCK]
        fresh = np.flatnonzero(~_undercuts(table[:, :count], block, step).any(axis=0))
        own = block[:, fresh]
        fresh = fresh[_not_by_earlier(_undercuts(own, own, step), step)]
        table[:, count : count + len(fresh)] = block[:, fresh]
        count += len(fresh)
        made[begin + fresh] = True
    return made


def _ranked(used: Floats) -> Numbers:
    """The place of each number in its row, equal ones alike: small whole numbers are compared several times as fast."""
    kind = np.int16 if used.shape[1] < 2**15 else np.int64
    made: Numbers = np.array([np.unique(row, return_inverse=True)[1] for row in used], dtype=kind)
    return made


def _undercuts(one: Numbers, other: Numbers, step: float) -> Bools:
    """Whether each column of `one` is no more than each of `other` in every row but for a share `step`."""
    low = one * (1.0 - step) if step else one
    found: Bools = low[0, :, None] <= other[0]
    for row in range(1, len(low)):
        np.logical_and(found, low[row, :, None] <= other[row], out=found)
    return found


def _not_by_earlier(undercuts: Bools, step: float) -> Bools:
    """Of columns that undercut one another so, those that no earlier one does that is itself among these."""
    earlier = np.triu(undercuts, 1)
    kept: Bools = np.logical_not(np.logical_or.reduce(earlier, axis=0))
    if step:  # what is undercut but for a share may be undercut by nobody who stays
        for number in np.flatnonzero(~kept).tolist():
            kept[number] = not (earlier[:number, number] & kept[:number]).any()
    return kept


def _traced(layers: list[_Layer], last: Ints) -> tuple[Ints, Ints]:
    """The nodes and the options of each way that ends with one of the labels `last`, shape (K, P)."""
    nodes = np.zeros((len(last), len(layers)), dtype=np.int64)
    options = np.zeros_like(nodes)
    at = last
    for number in range(len(layers) - 1, -1, -1):
        nodes[:, number], options[:, number] = layers[number].node[at], layers[number].option[at]
        at = layers[number].before[at]
    return nodes, options

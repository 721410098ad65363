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

from layerlift.planners.graphs.label_bounds import LabelBounds, Options, Quantity
from layerlift.planners.problem.problem import Bools, Floats, Ints

Numbers = NDArray[Any]

_BLOCK = 128
"""Labels that are held against the others at a time: enough to drown numpy's call overhead."""


@dataclass(slots=True)
class _Layer:
    """The labels behind one piece: where each is, which option it took (-1: none), and the label before it."""

    node: Ints
    option: Ints
    before: Ints


@dataclass(frozen=True, slots=True)
class _Ending:
    """A label taken to the end in one of the ways of `LabelBounds.finished`: that which costs least of all so far."""

    piece: int
    before: int
    """The label before the piece."""
    column: int
    row: int
    sums: Floats
    """What the whole way costs and uses."""


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
        self.most, self.step = most, step
        self.bounds = LabelBounds(cost, resources, prices, options or {})

    def run(self, beat: float = np.inf, most: int | None = None, beyond: float = np.inf) -> Ways:
        """The ways that cost at most `beat`; with fewer labels at a node where `most` says so.

        `beyond` is what a way may cost at most on top of its sums. Where that has an end every label is also taken to
        the end in a few ways (see `LabelBounds.finished`): the best of these that keeps the limits is found, too, and
        the others must beat or equal it from then on, so that fewer are left.
        """
        bounds, room, upper = self.bounds, self.most if most is None else most, self.bounds.upper(beat)
        first = bounds.priced if len(bounds.prices) and beat < np.inf else min(1, bounds.priced - 1)
        node, sums = np.zeros(1, dtype=np.int64), np.zeros((bounds.priced, 1))
        layers: list[_Layer] = []
        ending: _Ending | None = None
        complete = True
        # What is infinite, for it is forbidden, times nothing is not a number, and goes no further.
        with np.errstate(invalid="ignore"):
            for piece in range(bounds.count):
                label, column, sums = self._extended(piece, node, sums, upper, first)
                if beyond < np.inf and len(label):
                    found = self._finished(piece, label, column, sums)
                    if found.sums[0] + beyond < upper[0]:
                        ending, upper = found, bounds.upper(found.sums[0] + beyond)
                        left = self._in_reach(piece, bounds.to[piece][column], sums, upper)
                        label, column, sums = label[left], column[left], sums[:, left]
                kept, whole = self._kept(piece, bounds.to[piece][column], sums, room)
                complete = complete and whole
                column, sums = column[kept], sums[:, kept]
                node = bounds.to[piece][column]
                layers.append(_Layer(node, np.maximum(column - bounds.nodes, -1), label[kept]))
        return self._ways(layers, sums, ending, complete)

    def _ways(self, layers: list[_Layer], sums: Floats, ending: _Ending | None, complete: bool) -> Ways:
        """What a search has found, by rising cost."""
        nodes, options = _traced(layers, np.arange(sums.shape[1]))
        if ending is not None and not (sums[0] <= ending.sums[0]).any():
            bounds = self.bounds
            before = [each[0] for each in _traced(layers[: ending.piece], np.array([ending.before]))]
            node = int(bounds.to[ending.piece][ending.column])
            columns = [ending.column, *bounds.finished.columns_from(ending.piece + 1, ending.row, node)]
            there = [int(bounds.to[ending.piece + at][column]) for at, column in enumerate(columns)]
            taken = np.maximum(np.array(columns) - bounds.nodes, -1)
            nodes = np.concatenate([nodes, np.concatenate([before[0], there])[None]])
            options = np.concatenate([options, np.concatenate([before[1], taken])[None]])
            sums = np.concatenate([sums, ending.sums[:, None]], axis=1)
        order = np.argsort(sums[0], kind="stable")
        return Ways(sums[0, order], sums[1:, order], nodes[order], options[order], complete)

    def _extended(self, piece: int, node: Ints, sums: Floats, upper: Floats, first: int) -> tuple[Ints, Ints, Floats]:
        """Every label taken everywhere, as far as it may still end well: from which label, where, and its sums.

        All of them are held against bound `first`, the others only against those that this leaves.
        """
        bounds = self.bounds
        to, on, to_go, steps = bounds.to[piece], bounds.on[piece], bounds.ahead[piece + 1], bounds.steps[piece]
        leaps = (bounds.weights[first] @ sums)[:, None] + (on[first] + to_go[first].take(to))
        if first in bounds.step_of:
            leaps += steps[bounds.step_of[first]].take(to, axis=1).take(node, axis=0)
        label, column = (leaps <= upper[first]).nonzero()
        there = to[column]
        made = sums[:, label]
        hops = node[label] * bounds.nodes + there
        for at, number in enumerate(bounds.moving.tolist()):
            made[number] += steps[at].take(hops)
        made += on[: len(sums), column]
        fits = self._in_reach(piece, there, made, upper)
        return label[fits], column[fits], made[:, fits]

    def _in_reach(self, piece: int, node: Ints, sums: Floats, upper: Floats) -> Bools:
        """Which labels behind a piece may still end within all that is bounded."""
        bounds = self.bounds
        made: Bools = np.logical_and.reduce(bounds.weights @ sums + bounds.ahead[piece + 1][:, node] <= upper[:, None])
        return made

    def _finished(self, piece: int, label: Ints, column: Ints, sums: Floats) -> _Ending:
        """The best way to take any of some labels behind a piece to the end; it costs the infinite if none can be."""
        ends = sums + self.bounds.finished.sums[piece + 1][:, :, self.bounds.to[piece][column]]
        cost, row, chosen = self.bounds.cheapest(ends)
        whole = np.concatenate([[cost], ends[row, 1:, chosen]])
        return _Ending(piece, int(label[chosen]), int(column[chosen]), row, whole)

    def _kept(self, piece: int, node: Ints, sums: Floats, most: int) -> tuple[Ints, bool]:
        """The labels that no other at their node undercuts, ascending by node and cost; and whether these are all."""
        bounds = self.bounds
        counts = np.bincount(node, minlength=bounds.nodes)
        if counts.max() < 2:
            return node.argsort(), True
        kept = self._undercut_by_none(piece, node, sums, counts)
        counts = np.bincount(node[kept], minlength=bounds.nodes)
        if counts.max() <= most:
            return kept, True
        if most < self.most and len(bounds.prices):
            return kept[_promising(bounds.weights[bounds.priced] @ sums[:, kept], counts, most)], False
        ends = np.cumsum(counts).tolist()
        own = [kept[end - count : end] for end, count in zip(ends, counts.tolist(), strict=True)]
        return np.concatenate([each[_spread(len(each), most)] if len(each) > most else each for each in own]), False

    def _undercut_by_none(self, piece: int, node: Ints, sums: Floats, counts: Ints) -> Ints:
        # What can never reach its limit any more does not tell labels apart.
        used, limits = sums[1:], self.bounds.limits[:, None]
        loose = used + self.bounds.most_ahead[:, piece + 1, None] <= limits
        telling = np.where(loose & np.isfinite(limits), 0.0, used)
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

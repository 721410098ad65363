"""Label setting: ways through a chain of pieces, none of which is worse in everything than another to the same place.

A label is a way so far: what it costs, and what it has used of each limited resource. At a node after a piece only
labels stay that no other there undercuts in cost and in every resource, that can still be finished within the limits,
and that can still beat the best finished way known. What is left at the end is exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from layerlift.planners.graphs.pieces import ahead
from layerlift.planners.problem.problem import Bools, Floats, Ints

WITHIN = 1e-9
"""Share by which a way may exceed a limit and still be kept: whether it keeps it is for the cost model to say."""


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

    def ahead(self) -> Floats:
        """The least from each node before each piece to the end, shape (P + 1, N)."""
        return ahead(self.pieces, np.broadcast_to(self.steps, (len(self.pieces), *self.steps.shape[1:])))


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
        price: Floats | None = None,
        options: Mapping[int, Options] | None = None,
    ) -> None:
        """A label that another beats but for a share `step` of its resources goes too.

        `price` (shape (R,)) are multipliers of the resources: they sharpen what can still be reached. `options` are
        other ways to run some pieces.
        """
        self.options = options or {}
        self.cost, self.resources, self.most, self.step = cost, resources, most, step
        self.count, self.nodes = cost.pieces.shape
        self.price = np.zeros(len(resources)) if price is None else price
        self.limits = np.array([each.limit for each in resources])
        self.cost_ahead = self._least(cost, np.zeros(0))
        self.used_ahead = np.array(
            [self._least(each, np.eye(len(resources))[number]) for number, each in enumerate(resources)]
        ).reshape(-1, self.count + 1, self.nodes)
        self.priced_ahead = self._least(self._priced(), self.price, True) if self.price.any() else self.cost_ahead
        self.most_ahead = self._most_ahead()

    def _priced(self) -> Quantity:
        pieces, steps = self.cost.pieces.copy(), self.cost.steps.copy()
        for price, each in zip(self.price, self.resources, strict=True):
            if price:
                pieces, steps = pieces + price * each.pieces, steps + price * each.steps
        return Quantity(pieces, steps)

    def _least(self, quantity: Quantity, price: Floats, both: bool = False) -> Floats:
        """`Quantity.ahead` with the options that add `price` x resources (and cost: without prices, or `both`)."""
        if not self.options:
            return quantity.ahead()
        pieces = quantity.pieces.copy()
        for number, options in self.options.items():
            added = price @ options.used if len(price) else options.cost
            added = added + options.cost if both else added
            np.minimum.at(pieces[number], options.node, quantity.pieces[number][options.node] + added)
        return Quantity(pieces, quantity.steps).ahead()

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
        room = self.most if most is None else most
        node, cost = np.zeros(1, dtype=np.int64), np.zeros(1)
        used, layers, complete = np.zeros((len(self.resources), 1)), [], True
        for piece in range(self.count):
            label, column, cost, used = self._extended(piece, node, cost, used, beat)
            kept, whole = self._kept(piece, self._columns(piece)[column], cost, used, room)
            complete = complete and whole
            column, cost, used = column[kept], cost[kept], used[:, kept]
            node = self._columns(piece)[column]
            layers.append(_Layer(node, np.maximum(column - self.nodes, -1), label[kept]))
        order = np.argsort(cost, kind="stable")
        return Ways(cost[order], used[:, order], *_traced(layers, order), complete)

    def _columns(self, piece: int) -> Ints:
        """Where a label may go in one piece: to every node, and to that of each option."""
        options = self.options.get(piece)
        every = np.arange(self.nodes)
        return every if options is None else np.concatenate([every, options.node])

    def _extended(
        self, piece: int, node: Ints, cost: Floats, used: Floats, beat: float
    ) -> tuple[Ints, Ints, Floats, Floats]:
        """Every label taken everywhere, as far as it may still end well: from which label, where, and its sums."""
        to, options = self._columns(piece), self.options.get(piece)
        there = _stepped(self.cost, piece, node, cost, to)
        spent = np.empty((len(self.resources), *there.shape))
        for number, each in enumerate(self.resources):
            spent[number] = _stepped(each, piece, node, used[number], to)
        if options is not None:
            there[:, self.nodes :] += options.cost
            spent[:, :, self.nodes :] += options.used[:, None, :]
        going = there + self.cost_ahead[piece + 1, to] <= beat
        priced, bound = there + self.priced_ahead[piece + 1, to], beat
        for number, each in enumerate(self.resources):
            going &= spent[number] + self.used_ahead[number, piece + 1, to] <= each.limit * (1.0 + WITHIN)
            if self.price[number]:
                # What it costs is at least what it costs at these prices, less the prices of all that there is.
                priced = priced + self.price[number] * spent[number]
                bound += float(self.price[number]) * each.limit * (1.0 + WITHIN)
        if self.price.any() and beat < np.inf:
            going &= priced <= bound + WITHIN * abs(bound)
        label, column = np.nonzero(going)
        return label, column, there[label, column], spent[:, label, column]

    def _kept(self, piece: int, node: Ints, cost: Floats, used: Floats, most: int) -> tuple[Ints, bool]:
        """The labels that no other at their node undercuts, ascending by node and cost; and whether these are all."""
        # What can never reach its limit any more does not tell labels apart.
        loose = used + self.most_ahead[:, piece + 1, None] <= self.limits[:, None]
        used = np.where(loose & np.isfinite(self.limits)[:, None], 0.0, used)
        order = np.lexsort((*used[::-1], cost, node))
        starts = np.searchsorted(node[order], np.arange(self.nodes + 1))
        kept, whole = [], True
        for first, end in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
            own = order[first:end]
            if not len(own):
                continue
            own = own[undominated(used[:, own], self.step)]
            if len(own) > most:
                own, whole = own[_spread(len(own), most)], False
            kept.append(own)
        return np.concatenate(kept) if kept else np.zeros(0, dtype=np.int64), whole


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
    kept: list[int] = []
    table = np.empty_like(telling)
    made = np.zeros(used.shape[1], dtype=np.bool_)
    for number in range(used.shape[1]):
        own = telling[:, number, None]
        if kept and ((table[:, : len(kept)] * (1.0 - step)) <= own).all(axis=0).any():
            continue
        table[:, len(kept)] = telling[:, number]
        kept.append(number)
        made[number] = True
    return made


def _stepped(quantity: Quantity, piece: int, node: Ints, so_far: Floats, to: Ints) -> Floats:
    """What each label has of a quantity when it has gone to each of `to` and run the piece there."""
    steps = quantity.steps[piece % len(quantity.steps)]
    made: Floats = so_far[:, None] + steps[node][:, to] + quantity.pieces[piece, to]
    return made


def _traced(layers: list[_Layer], last: Ints) -> tuple[Ints, Ints]:
    """The nodes and the options of each way that ends with one of the labels `last`, shape (K, P)."""
    nodes = np.zeros((len(last), len(layers)), dtype=np.int64)
    options = np.zeros_like(nodes)
    at = last
    for number in range(len(layers) - 1, -1, -1):
        nodes[:, number], options[:, number] = layers[number].node[at], layers[number].option[at]
        at = layers[number].before[at]
    return nodes, options

"""What ways through a chain of pieces may still cost and use from each node on, and how a way is finished well."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from layerlift.models.sums import left_sum
from layerlift.planners.cost.pieces import ahead
from layerlift.planners.problem.problem import Floats, Ints

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


@dataclass(frozen=True, slots=True)
class Options:
    """Other ways to run one piece on a node: what each adds to the cost and to each resource, K of them."""

    node: Ints
    cost: Floats
    used: Floats
    """Shape (R, K)."""


@dataclass(frozen=True, slots=True)
class Finished:
    """Ways to the end from each node before each piece, S of them."""

    sums: Floats
    """What they cost and use, shape (P + 1, S, 1 + R, N)."""
    onto: Ints
    """The node that each goes to first, shape (P, S, N)."""
    columns: Ints
    """What each takes of a piece on a node, see `LabelBounds.to`, shape (P, S, N)."""

    def columns_from(self, piece: int, row: int, node: int) -> list[int]:
        """What one of them takes of each piece from `piece` on."""
        made = []
        for number in range(piece, len(self.onto)):
            node = int(self.onto[number, row, node])
            made.append(int(self.columns[number, row, node]))
        return made


class LabelBounds:
    """Bounds of the cost, of each resource, and of the cost at each of the prices; T in all, of R resources.

    Each row of `prices` (shape (M, R)) are multipliers of the resources. `options` are other ways to run some pieces.
    """

    def __init__(
        self, cost: Quantity, resources: list[Quantity], prices: Floats | None, options: Mapping[int, Options]
    ) -> None:
        self.cost, self.resources, self.options = cost, resources, options
        self.count, self.nodes = cost.pieces.shape
        self.priced = 1 + len(resources)
        """The first bound with a price, if there is one."""
        self.prices = np.zeros((0, len(resources))) if prices is None else prices[prices.any(axis=1)]
        self.limits = np.array([each.limit for each in resources])
        self.to = [self._columns(piece) for piece in range(self.count)]
        """Where a label may go in each piece: to every node, and to that of each option; so many columns."""
        self.weights = np.concatenate([np.eye(1 + len(resources)), np.insert(self.prices, 0, 1.0, axis=1)])
        """Of the cost and the resources in each bound, shape (T, 1 + R)."""
        self.moving = np.flatnonzero([each.steps.any() for each in (cost, *resources)])
        """Which of the cost and the resources steps between nodes add to."""
        self.stepping = np.flatnonzero(self.weights[:, self.moving].any(axis=1))
        """Which bounds these add to, S of them; the cost where there are none, for ways to the end are theirs."""
        if not len(self.stepping):
            self.stepping = np.zeros(1, dtype=np.int64)
        self.step_of = {row: at for at, row in enumerate(self.stepping.tolist())}
        self.steps = self._stepped()
        """The steps of these, shape (P, S, N, N); memory, for one, does not move."""
        self.on, self.ahead = self._bounded()
        self.most_ahead = self._most_ahead()
        """The most of each resource that any way may still use before each piece, shape (R, P + 1)."""

    def upper(self, beat: float) -> Floats:
        """What each of all that is bounded may be at most, shape (T,), for ways that cost at most `beat`."""
        limits = self.limits * (1.0 + WITHIN)
        # What a way costs is at least what it costs at some prices, less the prices of all that there is.
        dearest = beat + np.array([left_sum((price * limits)[price > 0.0].tolist()) for price in self.prices])
        return np.concatenate([[beat], limits, dearest + WITHIN * np.abs(dearest)])

    def cheapest(self, ends: Floats) -> tuple[float, int, int]:
        """A little more than the least that any of some whole ways costs which surely keep the limits; and which it is.

        `ends` are what they cost and use, shape (S, 1 + R, K); infinite where none does.
        """
        safe = np.logical_and.reduce(ends[:, 1:] <= (self.limits * (1.0 - WITHIN))[:, None], axis=1)
        costs = np.where(safe, ends[:, 0], np.inf)
        row, label = divmod(int(costs.argmin()), costs.shape[1])
        least = float(costs[row, label])
        return least + abs(least) * WITHIN, row, label

    @cached_property
    def finished(self) -> Finished:
        """The ways to the end that are least in each bound that steps add to."""
        rows, own, nodes = len(self.stepping), self.priced, self.nodes
        made = np.zeros((self.count + 1, rows, own, nodes))
        onto, columns = np.zeros((2, self.count, rows, nodes), dtype=np.int64)
        steps = np.zeros((self.count, own, nodes, nodes))
        for number, each in enumerate((self.cost, *self.resources)):
            steps[:, number] = each.steps
        whence = np.arange(nodes) * nodes + np.arange(own)[:, None] * nodes**2
        base = np.arange(rows * own).reshape(rows, own, 1) * nodes
        for piece in range(self.count - 1, -1, -1):
            least, used, columns[piece] = self._least_on(piece)
            on = least + self.ahead[piece + 1, self.stepping]
            onto[piece] = (self.steps[piece] + on[:, None, :]).argmin(axis=2)
            to, onward = onto[piece, :, None, :], used + made[piece + 1]
            made[piece] = steps[piece].take(whence + to) + onward.take(base + to)
        return Finished(made, onto, columns)

    def _least_on(self, piece: int) -> tuple[Floats, Floats, Ints]:
        """The least of each bound that steps add to, of a piece on each node, shape (S, N).

        Also what it costs and uses, (S, 1 + R, N), and in which column it is, (S, N).
        """
        on, to = self.on[piece], self.to[piece]
        every, moving = np.arange(self.nodes), on[self.stepping]
        if len(to) == self.nodes:
            used = np.broadcast_to(on[: self.priced], (len(moving), self.priced, self.nodes))
            return moving, used, np.broadcast_to(every, moving.shape)
        column = np.where(to == every[:, None], moving[:, None, :], np.inf).argmin(axis=2)
        return np.take_along_axis(moving, column, axis=1), on[: self.priced][:, column].transpose(1, 0, 2), column

    def _columns(self, piece: int) -> Ints:
        options = self.options.get(piece)
        every = np.arange(self.nodes)
        return every if options is None else np.concatenate([every, options.node])

    def _stepped(self) -> Floats:
        every = [self.cost, *self.resources]
        steps = np.zeros((self.count, len(self.stepping), self.nodes, self.nodes))
        for at, row in enumerate(self.weights[self.stepping]):
            for number in np.flatnonzero(row).tolist():
                steps[:, at] += row[number] * every[number].steps
        return steps

    def _bounded(self) -> tuple[list[Floats], Floats]:
        """All that is bounded, of each piece where a label may go, (T, columns), and the least from each node on.

        The latter before each piece to the end, shape (P + 1, T, N).
        """
        pieces = np.zeros((self.count, len(self.weights), self.nodes))
        for at, row in enumerate(self.weights):
            for number in np.flatnonzero(row).tolist():
                pieces[:, at] += row[number] * (self.cost, *self.resources)[number].pieces
        on = list(pieces.copy())
        for piece, options in self.options.items():
            added = self.weights @ np.concatenate([options.cost[None], options.used])
            on[piece] = np.concatenate([on[piece], on[piece][:, options.node] + added], axis=1)
            for at in range(len(self.weights)):
                np.minimum.at(pieces[piece, at], options.node, on[piece][at, self.nodes :])
        still = np.setdiff1d(np.arange(len(self.weights)), self.stepping)
        to_go = np.zeros((self.count + 1, len(self.weights), self.nodes))
        to_go[:, self.stepping] = ahead(pieces[:, self.stepping], self.steps)
        to_go[:-1, still] = np.cumsum(pieces[::-1, still].min(axis=2), axis=0)[::-1, :, None]
        return on, to_go

    def _most_ahead(self) -> Floats:
        made = np.zeros((len(self.resources), self.count + 1))
        for number, each in enumerate(self.resources):
            dearest = np.where(np.isfinite(each.pieces), each.pieces, 0.0).max(axis=1)
            for piece, options in self.options.items():
                dearest[piece] += max(0.0, float(options.used[number].max(initial=0.0)))
            hops = np.broadcast_to(each.steps.max(axis=(1, 2)), (self.count,))
            made[number, :-1] = np.cumsum((dearest + hops)[::-1])[::-1]
        return made

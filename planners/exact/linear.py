"""What the exact planner can bound: costs that are a rate times the latency, plus extras that simply add up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from layerlift.models.graph.graph import LayerGraph
from layerlift.models.graph.route import CLIENT
from layerlift.models.sums import left_sum
from layerlift.planners import cost
from layerlift.planners.cost.judge import Judge
from layerlift.planners.cost.query import Cost
from layerlift.planners.problem.problem import Bools, Floats, Problem


@dataclass(frozen=True, slots=True)
class Terms:
    """Weights of the objective's terms, each already divided by its scale (see
    `layerlift.planners.cost.judge.Judge.divisors`); coordination, which is never negative, is left out.
    """

    latency: float = 0.0
    energy: float = 0.0
    money: float = 0.0
    balance: float = 0.0
    period: float = 0.0

    @classmethod
    def of(cls, judge: Judge) -> Terms:
        """The weights by which `judge` adds the terms up; one that is too large for a float is left out."""
        wanted, scales = judge.problem.objective, judge.divisors
        return cls(
            _over(wanted.latency, scales.latency),
            _over(wanted.energy, scales.energy),
            _over(wanted.money, scales.money),
            _over(wanted.balance, scales.balance),
            _over(wanted.period, scales.period),
        )

    def value(self, found: Cost) -> float:
        """The weighted sum of a placement's costs."""
        return (
            self.latency * found.latency_s
            + self.energy * found.energy_j
            + self.money * found.money
            + self.balance * found.balance
            + self.period * found.period_s
        )


def _over(weight: float, scale: float) -> float:
    made = weight / scale
    # Leaving a term out keeps a lower bound a lower bound, for no term is negative; inf x 0 would be NaN.
    return made if made < np.inf else 0.0


def held_share(graph: LayerGraph) -> Floats:
    """Bytes of parameters per layer, shape (L,), a shared one divided among its layers.

    So the layers on a node never sum to more than it holds.
    """
    # `set`: a layer that reads one parameter twice holds it once.
    holders = Counter(parameter for layer in graph.layers for parameter in set(layer.parameters))
    return np.array(
        [
            float(left_sum(graph.parameters[each].held_bytes / holders[each] for each in sorted(set(layer.parameters))))
            for layer in graph.layers
        ]
    )


class Linear:
    """`terms` on `problem`, without what does not add up: balance, period, and money for memory held while it lasts.

    Balance and period are never negative, and memory is charged for `least_s`, which no query is shorter than; so what
    is computed here bounds the objective from below, and without the two it is exact. A placement costs `rate` x its
    latency, `extra[layer, node]` for each layer (shape (L, N)) and the extra of each message (`hops`). `allowed`
    (shape (L, N)) replaces the problem's; `added` (shape (L, N)) joins `extra`.
    """

    def __init__(
        self,
        problem: Problem,
        terms: Terms,
        allowed: Bools | None = None,
        added: Floats | float = 0.0,
        least_s: float = 0.0,
    ) -> None:
        self.problem = problem
        self.terms = terms
        self.least_s = least_s
        self.allowed: Bools = problem.allowed if allowed is None else allowed
        # The sum is a new array, so that `+=` below does not write into the caller's.
        self.added: Floats = np.zeros_like(problem.seconds) + added
        if least_s:
            held_s = terms.money * least_s * problem.price_per_byte_s
            # The cost model charges memory on servers only, whatever the client's entry says.
            held_s[CLIENT] = 0.0
            self.added += held_share(problem.graph)[:, None] * held_s
        power = problem.power
        # The client idles through the whole query, on whatever node a layer runs, so idle power is a price of time.
        self.rate = terms.latency + terms.energy * power.idle_w
        self.lasting_s: Floats = problem.seconds * problem.slowdown
        # `busy_w` of the client has the idle power in it, which `rate` charges already: only the increment is left.
        draw = np.array([power.compute_w, *problem.busy_w[1:]])
        # Energy and money count processor seconds at full speed: a crowded node makes a layer last longer
        # (`lasting_s`), but it does not work more.
        self.extra: Floats = self.added + problem.seconds * (terms.energy * draw + terms.money * problem.price_per_s)
        self._hops: dict[int, tuple[Floats, Floats]] = {}

    def value(self, placement: Sequence[int]) -> float:
        """What `placement` costs."""
        problem = self.problem
        # What memory costs while the query lasts is latency times bytes and not linear; `added` holds its lower bound.
        if problem.price_per_byte_s.any():
            problem = replace(problem, price_per_byte_s=np.zeros(len(problem.nodes)))
        joined = left_sum(float(self.added[layer, node]) for layer, node in enumerate(placement))
        return replace(self.terms, balance=0.0, period=0.0).value(cost.evaluate(problem, placement)) + joined

    def hops(self, size: int) -> tuple[Floats, Floats]:
        """Seconds and extra of one message of `size` bytes and a header between each pair, each of shape (N, N)."""
        if size not in self._hops:
            problem = self.problem
            moved = size + problem.header_bytes
            carried = moved / problem.bandwidth_bytes_s
            # Within a node nothing is sent, whatever the diagonals say: neither time nor, below, money for a header.
            np.fill_diagonal(carried, 0.0)
            radio = np.zeros_like(carried)
            radio[CLIENT, :] = radio[:, CLIENT] = self.terms.energy * problem.power.radio_w
            extra = radio * carried + self.terms.money * moved * problem.price_per_byte
            np.fill_diagonal(extra, 0.0)
            self._hops[size] = problem.latency_s + carried, extra
        return self._hops[size]

    def hop_cost(self, size: int) -> Floats:
        """What one message of `size` bytes costs when somebody waits for it, shape (N, N), zero on the diagonal."""
        seconds, extra = self.hops(size)
        cost: Floats = self.rate * seconds + extra
        return cost

    @cached_property
    def least_extra(self) -> Floats:
        """The least extra of each layer over its allowed nodes, shape (L,)."""
        # Each layer must be somewhere, so this much is paid whatever the path; `layer_cost` then counts only what is
        # above.
        bounds: Floats = np.where(self.allowed, self.extra, np.inf).min(axis=1)
        return bounds

    @cached_property
    def base(self) -> float:
        """The least extra of all layers together."""
        return float(left_sum(self.least_extra.tolist()))

    @cached_property
    def layer_cost(self) -> Floats:
        """Cost of each layer on a path, above its least extra, shape (L, N); infinite where not allowed."""
        # Less the least extra, which `base` has for all layers: along a path no extra is counted twice.
        cost: Floats = self.rate * self.lasting_s + self.extra - self.least_extra[:, None]
        cost[~self.allowed] = np.inf
        return cost


class Paths:
    """Lower bounds from single paths through the network: whatever else happens, each path must be walked.

    Along a path every layer and message is waited for; all other layers cost at least their least extra
    (`Linear.base`), and no queue and no busy node is counted. `head[l, n]` bounds the cost from the query's start to
    the end of layer l on node n, `tail[l, n]` from its start to the answer; shape (L, N). A layer on which no answer
    depends has a tail of minus infinity.
    """

    def __init__(self, linear: Linear) -> None:
        self.linear = linear
        self.after = self._after()

    @cached_property
    def tail(self) -> Floats:
        """See the class."""
        # Where nothing is waited for, -inf must stay: a forbidden node's cost is +inf, and the sum would be NaN.
        bounds: Floats = self.after + np.where(np.isneginf(self.after), 0.0, self.linear.layer_cost)
        return bounds

    @cached_property
    def head(self) -> Floats:
        """See the class."""
        graph, linear = self.linear.problem.graph, self.linear
        heads = np.zeros_like(linear.layer_cost)
        for layer in graph.layers:
            ready = np.zeros(heads.shape[1])
            for number in layer.inputs:
                tensor = graph.tensors[number]
                hop = linear.hop_cost(tensor.bytes)
                # Every reader takes the cheapest node of its producer for itself. Two readers may so disagree about
                # where one layer is, which no placement can: the bound is the lower for it, and a few array operations
                # per tensor.
                come = hop[CLIENT] if tensor.producer < 0 else (heads[tensor.producer][:, None] + hop).min(axis=0)
                # The maximum, not the sum: inputs come side by side, so only the dearest path is sure to be paid.
                ready = np.maximum(ready, come)
            heads[layer.index] = ready + linear.layer_cost[layer.index]
        return heads

    @cached_property
    def through(self) -> Floats:
        """The least that a placement with layer l on node n can cost, shape (L, N)."""
        unread = np.isneginf(self.after)
        # `head` ends with the layer itself and `after` begins behind it. A layer that no answer waits for proves
        # nothing.
        bounds: Floats = self.linear.base + np.where(unread, 0.0, self.head + self.after)
        bounds[~self.linear.allowed] = np.inf
        return bounds

    @cached_property
    def bound(self) -> float:
        """The least that any placement can cost."""
        # The layer is on one of its nodes, so its least entry holds; this is so for every layer, so the largest holds.
        return float(self.through.min(axis=1).max())

    def better_than(self, value: float) -> Bools:
        """Which layers may be on which nodes in a placement of less than `value`, shape (L, N)."""
        possible: Bools = self.through < value
        return possible

    def _after(self) -> Floats:
        """Cost from the end of layer l on node n to the answer, shape (L, N)."""
        graph, linear = self.linear.problem.graph, self.linear
        rows = np.full_like(linear.layer_cost, -np.inf)
        for layer in reversed(graph.layers):
            # A view: the maxima below are written into `rows`.
            after = rows[layer.index]
            for number in layer.outputs:
                tensor = graph.tensors[number]
                hop = linear.hop_cost(tensor.bytes)
                if tensor.is_output:
                    # An answer goes home even where nothing else reads it.
                    np.maximum(after, hop[:, CLIENT], out=after)
                for reader in tensor.consumers:
                    # A reader from which no answer comes may end after the query does: nobody waits for it.
                    if not np.isneginf(rows[reader]).any():
                        onward = rows[reader] + linear.layer_cost[reader]
                        np.maximum(after, (hop + onward).min(axis=1), out=after)
        return rows

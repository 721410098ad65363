"""What the exact planner can bound: costs that are a rate times the latency, plus extras that simply add up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from models.route import CLIENT
from planners.cost import Cost
from planners.judge import Judge
from planners.problem import Bools, Floats, Problem


@dataclass(frozen=True, slots=True)
class Terms:
    """Weights of the objective's terms, each already divided by its scale (see `planners.judge.Scales`)."""

    latency: float = 0.0
    energy: float = 0.0
    money: float = 0.0
    balance: float = 0.0

    @classmethod
    def of(cls, judge: Judge) -> Terms:
        """The weights by which `judge` adds the terms up."""
        wanted, scales = judge.problem.objective, judge.scales
        return cls(
            wanted.latency / scales.latency,
            wanted.energy / scales.energy,
            wanted.money / scales.money,
            wanted.balance / scales.balance,
        )

    def value(self, found: Cost) -> float:
        """The weighted sum of a placement's costs."""
        return (
            self.latency * found.latency_s
            + self.energy * found.energy_j
            + self.money * found.money
            + self.balance * found.balance
        )


class Linear:
    """`terms` on `problem`, without what does not add up: balance, and the money for memory held while it lasts.

    Both are never negative, so what is computed here bounds the objective from below; without them it is exact.
    A placement costs `rate` x its latency, `extra[layer, node]` for each layer (shape (L, N)) and the extra of each
    message (`hops`). `allowed` (shape (L, N)) replaces the problem's.
    """

    def __init__(self, problem: Problem, terms: Terms, allowed: Bools | None = None) -> None:
        self.problem = problem
        self.terms = terms
        self.allowed: Bools = problem.allowed if allowed is None else allowed
        power = problem.power
        self.rate = terms.latency + terms.energy * power.idle_w
        self.lasting_s: Floats = problem.seconds * problem.slowdown
        draw = np.array([power.compute_w, *problem.busy_w[1:]])
        self.extra: Floats = problem.seconds * (terms.energy * draw + terms.money * problem.price_per_s)
        self._hops: dict[int, tuple[Floats, Floats]] = {}

    def hops(self, size: int) -> tuple[Floats, Floats]:
        """Seconds and extra of one message of `size` bytes and a header between each pair, each of shape (N, N)."""
        if size not in self._hops:
            problem = self.problem
            moved = size + problem.header_bytes
            carried = moved / problem.bandwidth_bytes_s
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
        made: Floats = np.where(self.allowed, self.extra, np.inf).min(axis=1)
        return made

    @cached_property
    def base(self) -> float:
        """The least extra of all layers together."""
        return float(sum(self.least_extra.tolist()))

    @cached_property
    def layer_cost(self) -> Floats:
        """Cost of each layer on a path, above its least extra, shape (L, N); infinite where not allowed."""
        cost = self.rate * self.lasting_s + self.extra - self.least_extra[:, None]
        made: Floats = np.where(self.allowed, cost, np.inf)
        return made


class Paths:
    """Lower bounds from single paths through the network: whatever else happens, each path must be walked.

    Along a path every layer and message is waited for; all other layers cost at least their least extra
    (`Linear.base`), and no queue and no busy node is counted. `head[l, n]` bounds the cost from the query's start to
    the end of layer l on node n, `tail[l, n]` from its start to the answer; shape (L, N). A layer on which no answer
    depends has a tail of minus infinity.
    """

    def __init__(self, linear: Linear) -> None:
        self.linear = linear
        self.tail = self._tails()

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
                come = hop[CLIENT] if tensor.producer < 0 else (heads[tensor.producer][:, None] + hop).min(axis=0)
                ready = np.maximum(ready, come)
            heads[layer.index] = ready + linear.layer_cost[layer.index]
        return heads

    @cached_property
    def through(self) -> Floats:
        """The least that a placement with layer l on node n can cost, shape (L, N)."""
        made: Floats = self.linear.base + self.head + self.tail - self.linear.layer_cost
        return np.where(self.linear.allowed, np.where(np.isneginf(self.tail), self.linear.base, made), np.inf)

    @cached_property
    def bound(self) -> float:
        """The least that any placement can cost."""
        return float(self.through.min(axis=1).max())

    def better_than(self, value: float) -> Bools:
        """Which layers may be on which nodes in a placement of less than `value`, shape (L, N)."""
        made: Bools = self.through < value
        return made

    def _tails(self) -> Floats:
        graph, linear = self.linear.problem.graph, self.linear
        tails = np.full_like(linear.layer_cost, -np.inf)
        for layer in reversed(graph.layers):
            after = np.full(tails.shape[1], -np.inf)
            for number in layer.outputs:
                tensor = graph.tensors[number]
                hop = linear.hop_cost(tensor.bytes)
                if tensor.is_output:
                    after = np.maximum(after, hop[:, CLIENT])
                for reader in tensor.consumers:
                    after = np.maximum(after, (hop + tails[reader]).min(axis=1))
            tails[layer.index] = np.where(np.isneginf(after), -np.inf, after + linear.layer_cost[layer.index])
        return tails


def views(problem: Problem, judge: Judge, allowed: Sequence[Sequence[bool]] | Bools | None = None) -> list[Linear]:
    """The objective, and alone the latency where there is a deadline and the money where there is a budget."""
    mask = None if allowed is None else np.asarray(allowed, dtype=np.bool_)
    wanted = [Terms.of(judge), Terms(latency=1.0), Terms(money=1.0)]
    used = (True, problem.objective.deadline_s is not None, problem.objective.budget is not None)
    return [Linear(problem, terms, mask) for terms, use in zip(wanted, used, strict=True) if use]

"""Costs that simply add up: what the graph algorithms (shortest path, minimum cut, IONN) can minimise.

A layer costs something on its node and a tensor something on its way, whatever else happens at the time. For
chains the sum is the objective itself; where branches overlap it is an upper estimate of the latency.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property

import numpy as np

from layerlift.models.graph.route import CLIENT
from layerlift.models.sums import left_sum
from layerlift.planners.cost.judge import Judge, Quantity
from layerlift.planners.problem.problem import Floats, Ints, Problem

TermWeights = tuple[float, float, float]
"""Of latency, energy and money."""


LEANS = 20
"""Steps by which the objective is leaned towards a constraint that it breaks."""


class Additive:
    """The problem's objective as prices of layers and transfers.

    The weighted terms are latency, energy and money, each over its scale (see `layerlift.planners.cost.judge.Scales`);
    when only one of them is wanted its own unit (seconds, joules, money) is kept. Balance, period, coordination,
    memory held per second and the constraints do not add up and are left out; an objective of these alone is taken for
    latency.
    """

    def __init__(self, problem: Problem, judge: Judge | None = None, weights: TermWeights | None = None) -> None:
        """`weights` (latency, energy, money) replace those of the problem's objective."""
        self.problem = problem
        self.judge = judge or Judge(problem)
        wanted = problem.objective
        weights = weights or (wanted.latency, wanted.energy, wanted.money)
        if sum(weight > 0 for weight in weights) > 1:
            scales = self.judge.scales
            weights = (weights[0] / scales.latency, weights[1] / scales.energy, weights[2] / scales.money)
        elif not any(weights):
            weights = (1.0, 0.0, 0.0)
        else:
            weights = (float(weights[0] > 0), float(weights[1] > 0), float(weights[2] > 0))
        self.per_second, self.per_joule, self.per_money = weights

    @cached_property
    def layers(self) -> Floats:
        """Cost of each layer on each node, shape (L, N)."""
        problem, power = self.problem, self.problem.power
        alone = problem.seconds
        lasting = alone * problem.slowdown
        draw = np.array([power.compute_w, *problem.busy_w[1:]])
        joules = power.idle_w * lasting + draw * alone
        made: Floats = (
            self.per_second * lasting + self.per_joule * joules + self.per_money * problem.price_per_s * alone
        )
        return made

    def transfer(self, size: int, source: int, to: int) -> float:
        """Cost of one message of `size` bytes and a header from node to node; nothing within a node."""
        if source == to:
            return 0.0
        moved = size + self.problem.header_bytes
        return self.waiting(self.problem.tables.latency_s[source][to]) + self.carrying(moved, source, to)

    def moving(self, size: Floats, source: Ints, to: Ints) -> Floats:
        """`transfer` of many messages at once, whose shapes broadcast; the same to the last bit."""
        problem = self.problem
        moved = size + problem.header_bytes
        made = self.waiting(problem.latency_s[source, to]) + self.carried(moved, source, to)
        return np.where(source == to, 0.0, made)

    def carried(self, size: Floats, source: Ints, to: Ints) -> Floats:
        """`carrying` of many messages at once; the same to the last bit."""
        problem = self.problem
        seconds = size / problem.bandwidth_bytes_s[source, to]
        radio = np.where((source == CLIENT) | (to == CLIENT), problem.power.radio_w * seconds, 0.0)
        spent = self.per_money * size * problem.price_per_byte[source, to]
        made: Floats = self.waiting(seconds) + self.per_joule * radio + spent
        return made

    def transfers(self, size: int) -> Floats:
        """`transfer` between all pairs of nodes, shape (N, N)."""
        problem = self.problem
        moved = size + problem.header_bytes
        seconds = moved / problem.bandwidth_bytes_s
        radio = np.zeros_like(seconds)
        radio[CLIENT, :] = radio[:, CLIENT] = problem.power.radio_w
        made: Floats = self.waiting(1.0) * (problem.latency_s + seconds) + self.per_joule * radio * seconds
        made += self.per_money * moved * problem.price_per_byte
        np.fill_diagonal(made, 0.0)
        return made

    def carrying(self, size: int, source: int, to: int) -> float:
        """Cost of pushing `size` bytes through a link, without its delay."""
        seconds = size / self.problem.tables.bandwidth_bytes_s[source][to]
        radio = self.problem.power.radio_w * seconds if CLIENT in (source, to) else 0.0
        spent = self.per_money * size * float(self.problem.price_per_byte[source, to])
        return self.waiting(seconds) + self.per_joule * radio + spent

    def waiting(self, seconds: Quantity) -> Quantity:
        """Cost of `seconds` in which nothing but time passes."""
        return (self.per_second + self.per_joule * self.problem.power.idle_w) * seconds

    def uploading(self, size: int, server: int) -> float:
        """Cost of moving `size` bytes of parameters to `server` and building them there, without the round trip."""
        built = float(self.problem.load_s_per_byte[server]) * size
        return self.carrying(size, CLIENT, server) + self.waiting(built)

    def round_trip(self, server: int) -> float:
        """Cost of the delays and headers of one part: there, and the confirm result back."""
        there, back = self.problem.upload_delay_s(server), self.problem.tables.latency_s[server][CLIENT]
        header = self.problem.header_bytes
        return (
            self.waiting(there + back) + self.carrying(header, CLIENT, server) + self.carrying(header, server, CLIENT)
        )

    def value(self, placement: tuple[int, ...]) -> float:
        """Sum of all layers and transfers of a placement: each tensor once per node that reads it, answers home."""
        graph = self.problem.graph
        total = left_sum(float(self.layers[layer, node]) for layer, node in enumerate(placement))
        for tensor in graph.tensors:
            home = CLIENT if tensor.producer < 0 else placement[tensor.producer]
            readers = {placement[reader] for reader in tensor.consumers}
            if tensor.is_output:
                readers.add(CLIENT)
            total += left_sum(self.transfer(tensor.bytes, home, reader) for reader in sorted(readers - {home}))
        return total


def weights_of(judge: Judge) -> Floats:
    """The objective's weights of seconds, joules and money, each over its scale where there are several."""
    prices = Additive(judge.problem, judge)
    return np.array([prices.per_second, prices.per_joule, prices.per_money])


def leaning(
    problem: Problem,
    judge: Judge,
    search: Callable[[Additive], tuple[int, ...]],
    additive: Additive | None = None,
) -> tuple[int, ...]:
    """The best placement that `search` finds, when its prices lean towards a constraint that it would break.

    Where the answer at the objective's own weights misses the deadline or the budget, the weights move in `LEANS`
    steps towards latency, towards money, and towards both: a Lagrangian search over what `search` can minimise.
    `additive` is the problem's at its own weights, where that is known.
    """
    first = search(additive or Additive(problem, judge))
    if judge.key(first)[0] == 0.0:
        return first
    found = [first, *(search(Additive(problem, judge, weights)) for weights in _leans(problem))]
    return judge.best(np.array(found, dtype=np.int64))


def _leans(problem: Problem) -> Iterator[TermWeights]:
    wanted = problem.objective
    start = np.array([wanted.latency, wanted.energy, wanted.money])
    ends = [(1.0, 0.0, 0.0)] if wanted.deadline_s is not None else []
    ends += [(0.0, 0.0, 1.0)] if wanted.budget is not None else []
    ends += [(0.5, 0.0, 0.5)] if len(ends) == 2 else []
    for end in ends:
        for step in range(1, LEANS + 1):
            latency, energy, money = (start + (np.array(end) - start) * (step / LEANS)).tolist()
            yield latency, energy, money

"""A network in pieces that run one after the other, and what each of them and each step between nodes costs.

Pieces begin where a single tensor crosses (see `layerlift.planners.cost.units`), and, `inside` modules, also where
several do that are together smaller than what enters or leaves the module: a wait in the middle of a module may pay.
Every term of a query (seconds, joules, money) is then a sum over pieces and steps: exactly, where pieces begin at
single tensors and the network answers once; else nearly, as if what crosses came from where the piece before ran.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from layerlift.models.graph.graph import LayerGraph
from layerlift.models.graph.per_graph import crossings, per_graph
from layerlift.models.graph.route import CLIENT
from layerlift.planners.cost.units import units_of
from layerlift.planners.problem.problem import Bools, Floats, Ints, Problem

LATENCY, ENERGY, MONEY = range(3)


@dataclass(frozen=True, slots=True)
class PieceFacts:
    """Where pieces begin and what crosses there; arrays have shape (P,)."""

    first: Ints
    last: Ints
    bytes: Floats
    """What crosses in front of each piece, the network's inputs for the first."""
    count: Floats
    """How many tensors that is."""
    held: Floats
    """Bytes of parameters of each piece; what pieces share counts in each."""
    answers: tuple[tuple[int, int], ...]
    """Piece and bytes of each answer."""


@per_graph
def whole_pieces(graph: LayerGraph) -> PieceFacts:
    """Pieces that begin where a single tensor crosses."""
    return _facts(graph, [unit.first for unit in units_of(graph)])


@per_graph
def inner_pieces(graph: LayerGraph) -> PieceFacts:
    """Pieces that also begin inside modules, where less crosses than at an end of the module."""
    sizes = [sum(graph.tensors[tensor].bytes for tensor in crossing) for crossing in crossings(graph)]
    firsts: list[int] = []
    for unit in units_of(graph):
        after = sizes[unit.last + 1] if unit.last + 1 < len(sizes) else 0
        ends = max(sizes[unit.first], after)
        firsts += [unit.first, *(layer for layer in unit.layers[1:] if sizes[layer] < ends)]
    return _facts(graph, firsts)


def _facts(graph: LayerGraph, firsts: list[int]) -> PieceFacts:
    lasts = [first - 1 for first in firsts[1:]] + [len(graph) - 1]
    crossing = [crossings(graph)[first] for first in firsts]
    answers = tuple(
        (piece, graph.tensors[tensor].bytes)
        for piece, (first, last) in enumerate(zip(firsts, lasts, strict=True))
        for layer in graph.layers[first : last + 1]
        for tensor in layer.outputs
        if graph.tensors[tensor].is_output
    )
    held = [float(graph.held_bytes(range(first, last + 1))) for first, last in zip(firsts, lasts, strict=True)]
    sizes = [float(sum(graph.tensors[tensor].bytes for tensor in tensors)) for tensors in crossing]
    counts = [float(len(tensors)) for tensors in crossing]
    return PieceFacts(np.array(firsts), np.array(lasts), np.array(sizes), np.array(counts), np.array(held), answers)


class Sums:
    """The terms of a problem, piece by piece and step by step; `facts` says where pieces begin."""

    def __init__(self, problem: Problem, facts: PieceFacts) -> None:
        self.problem, self.facts = problem, facts
        self.moved: Floats = facts.bytes + facts.count * problem.header_bytes

    @cached_property
    def exact(self) -> bool:
        """Whether sums are what the cost model says, but for the last bits."""
        return self.chained and not self.problem.price_per_byte_s.any()

    @cached_property
    def chained(self) -> bool:
        """The same of seconds and joules: whether it is a chain of pieces with one answer."""
        facts = self.facts
        made = [piece for piece, _ in facts.answers]
        return made == [len(facts.first) - 1] and bool((facts.count == 1).all())

    @cached_property
    def forbidden(self) -> Bools:
        """Which pieces may not be on which nodes, shape (P, N)."""
        allowed = self.problem.allowed
        if allowed.all():
            return np.zeros((len(self.facts.first), allowed.shape[1]), dtype=np.bool_)
        return ~np.logical_and.reduceat(allowed, self.facts.first, axis=0)

    @cached_property
    def _message_s(self) -> tuple[Floats, Floats]:
        """Seconds of a message's delay and of each of its bytes, shapes (N, N), 0 on the diagonal."""
        problem, nodes = self.problem, len(self.problem.nodes)
        delay_s, per_byte_s = problem.latency_s.copy(), 1.0 / problem.bandwidth_bytes_s
        delay_s.flat[:: nodes + 1] = per_byte_s.flat[:: nodes + 1] = 0.0
        return delay_s, per_byte_s

    def _rate(self, term: int) -> tuple[Floats, Floats]:
        """One term of a message per delay and per byte, shapes (N, N), 0 on the diagonal."""
        problem, idle = self.problem, self.problem.power.idle_w
        delay_s, per_byte_s = self._message_s
        if term == LATENCY:
            return delay_s, per_byte_s
        if term == ENERGY:
            radio_w = np.zeros_like(delay_s)
            radio_w[CLIENT, :] = radio_w[:, CLIENT] = problem.power.radio_w
            return idle * delay_s, (idle + radio_w) * per_byte_s
        price = problem.price_per_byte.copy()
        price.flat[:: len(price) + 1] = 0.0
        return np.zeros_like(delay_s), price

    @cached_property
    def rates(self) -> tuple[Floats, Floats]:
        """Each term of a message per delay and per byte, both of shape (3, N, N), 0 on the diagonal."""
        made = [self._rate(term) for term in range(3)]
        return np.array([delay for delay, _ in made]), np.array([carried for _, carried in made])

    @cached_property
    def work_s(self) -> Floats:
        """Seconds of each piece on each node at full speed, shape (P, N)."""
        made: Floats = np.add.reduceat(self.problem.seconds, self.facts.first, axis=0)
        return made

    def _term(self, term: int) -> Floats:
        """One term of each piece on each node, answers sent home, shape (P, N); infinite where not allowed."""
        problem, power = self.problem, self.problem.power
        alone = self.work_s
        if term == LATENCY:
            made = alone * problem.slowdown
        elif term == ENERGY:
            made = power.idle_w * (alone * problem.slowdown) + np.array([power.compute_w, *problem.busy_w[1:]]) * alone
        else:
            made = problem.price_per_s * alone
        delay, carried = self._rate(term)
        for piece, size in self.facts.answers:
            made[piece] += delay[:, CLIENT] + carried[:, CLIENT] * (size + problem.header_bytes)
        made[self.forbidden] = np.inf
        return made

    @cached_property
    def pieces(self) -> Floats:
        """Each term of each piece on each node, answers sent home, shape (3, P, N); infinite where not allowed."""
        return np.array([self._term(term) for term in range(3)])

    def weighed(self, weights: Floats) -> tuple[Floats, Floats]:
        """A weighted sum (shape (3,)) of the terms: of pieces, shape (P, N), and of the steps to them, (P, N, N)."""
        return self.weighed_pieces(weights), self.weighed_steps(weights)

    def weighed_pieces(self, weights: Floats) -> Floats:
        """The same of pieces alone."""
        used = np.flatnonzero(weights).tolist()
        if len(used) == 1:
            return float(weights[used[0]]) * self._term(used[0])
        pieces = weighed(weights, self.pieces)
        pieces[self.forbidden] = np.inf
        return pieces

    def weighed_steps(self, weights: Floats) -> Floats:
        """The same of steps alone."""
        delay, rate = self.hops(weights)
        steps: Floats = rate * self.moved[:, None, None]
        steps += delay
        return steps

    def hops(self, weights: Floats) -> tuple[Floats, Floats]:
        """The weighted sum of a message's terms per delay and per byte, shapes (N, N)."""
        used = np.flatnonzero(weights).tolist()
        if len(used) == 1:
            delay, rate = self._rate(used[0])
            return float(weights[used[0]]) * delay, float(weights[used[0]]) * rate
        delays, carried = self.rates
        return weighed(weights, delays), weighed(weights, carried)

    def placement(self, nodes: list[int]) -> tuple[int, ...]:
        """The placement with each piece on its node."""
        lengths = self.facts.last - self.facts.first + 1
        return tuple(np.repeat(nodes, lengths).tolist())


def weighed(weights: Floats, terms: Floats) -> Floats:
    """The weighted sum of three terms, the first axis; a term without weight is left out, whatever it is."""
    used = np.flatnonzero(weights)
    if len(used) == 1:
        made: Floats = terms[used[0]] * weights[used[0]]
        return made
    # What is infinite times nothing is not a number.
    return np.tensordot(weights[used], terms[used], 1) if len(used) else np.zeros_like(terms[0])


def cheapest_way(pieces: Floats, steps: Floats) -> list[int]:
    """The node of each piece on the cheapest way that begins at the client; of equals the lowest, the client first."""
    return cheapest_ways([(pieces, steps)])[0]


def cheapest_ways(tables: list[tuple[Floats, Floats]]) -> list[list[int]]:
    """The same for several tables of pieces and steps at once, of one problem: shapes (P, N) and (P, N, N) each."""
    longest, nodes = max(len(pieces) for pieces, _ in tables), tables[0][0].shape[1]
    # Shorter ones stay where they end, which costs nothing. Steps by where they go, then whence.
    rows = np.zeros((longest, len(tables), nodes))
    ways = np.empty((longest, len(tables), nodes, nodes))
    for at, (pieces, steps) in enumerate(tables):
        rows[: len(pieces), at], ways[: len(pieces), at] = pieces, steps.transpose(0, 2, 1)
        ways[len(pieces) :, at] = np.where(np.eye(nodes, dtype=np.bool_), 0.0, np.inf)
    came, last = _walked(rows.reshape(longest, -1), ways.reshape(longest, -1), nodes)
    found: list[list[int]] = []
    for at, (pieces, _) in enumerate(tables):
        chosen = [int(last[at * nodes : (at + 1) * nodes].argmin())]
        for before in reversed(came[: len(pieces) - 1, at * nodes : (at + 1) * nodes].tolist()):
            chosen.append(before[chosen[-1]])
        found.append(chosen[::-1])
    return found


def _walked(rows: Floats, ways: Floats, nodes: int) -> tuple[Ints, Floats]:
    """Whence the cheapest way to each node comes after each piece but the first, and what it costs after the last.

    A loop of few operations on flat arrays, for it is most of what many a plan costs.
    """
    every = np.arange(rows.shape[1])
    begins, tiled = every * nodes, (every // nodes * nodes)[:, None] + np.arange(nodes)
    spread = tiled.reshape(-1)
    came = np.empty((len(rows) - 1, len(every)), dtype=np.intp)
    best: Floats = ways[0, every * nodes] + rows[0]
    for row, way, before in zip(rows[1:], ways[1:], came, strict=True):
        through = best.take(spread)
        through += way
        through.reshape(-1, nodes).argmin(1, before)
        best = through.take(before + begins)
        best += row
    return came, best


def ahead(pieces: Floats, steps: Floats) -> Floats:
    """The least cost from each node before each piece to the end, of tables of pieces and steps at once.

    Shapes (P, ..., N) and (P, ..., N, N) -> (P + 1, ..., N); nothing after the last.
    """
    made = np.zeros((len(pieces) + 1, *pieces.shape[1:]))
    for number in range(len(pieces) - 1, -1, -1):
        on = pieces[number] + made[number + 1]
        np.minimum.reduce(steps[number] + on[..., None, :], axis=-1, out=made[number])
    return made

"""A network in pieces that run one after the other, and what each of them and each step between nodes costs.

Pieces begin where a single tensor crosses (see `layerlift.planners.graphs.units`), and, `inside` modules, also where
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
from layerlift.planners.graphs.units import units_of
from layerlift.planners.problem.problem import Floats, Ints, Problem

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
        self.forbidden = ~np.logical_and.reduceat(problem.allowed, facts.first, axis=0)

    @cached_property
    def rates(self) -> tuple[Floats, Floats]:
        """Each term of a message per delay and per byte, both of shape (3, N, N), 0 on the diagonal."""
        problem, idle = self.problem, self.problem.power.idle_w
        nodes = len(problem.nodes)
        apart = ~np.eye(nodes, dtype=np.bool_)
        per_byte_s = np.where(apart, 1.0 / problem.bandwidth_bytes_s, 0.0)
        radio_w = np.zeros((nodes, nodes))
        radio_w[CLIENT, :] = radio_w[:, CLIENT] = problem.power.radio_w
        delay_s = np.where(apart, problem.latency_s, 0.0)
        delays = np.array([delay_s, idle * delay_s, np.zeros_like(delay_s)])
        carried = np.array([per_byte_s, (idle + radio_w) * per_byte_s, np.where(apart, problem.price_per_byte, 0.0)])
        return delays, carried

    @cached_property
    def pieces(self) -> Floats:
        """Each term of each piece on each node, answers sent home, shape (3, P, N); infinite where not allowed."""
        problem, power = self.problem, self.problem.power
        alone = np.add.reduceat(problem.seconds, self.facts.first, axis=0)
        lasting = alone * problem.slowdown
        draw = np.array([power.compute_w, *problem.busy_w[1:]])
        made = np.array([lasting, power.idle_w * lasting + draw * alone, problem.price_per_s * alone])
        delays, carried = self.rates
        for piece, size in self.facts.answers:
            made[:, piece] += delays[:, :, CLIENT] + carried[:, :, CLIENT] * (size + problem.header_bytes)
        made[:, self.forbidden] = np.inf
        return made

    def weighed(self, weights: Floats) -> tuple[Floats, Floats]:
        """A weighted sum (shape (3,)) of the terms: of pieces, shape (P, N), and of the steps to them, (P, N, N)."""
        delays, carried = self.rates
        delay, rate = np.tensordot(weights, delays, 1), np.tensordot(weights, carried, 1)
        # Terms without weight are left out, for what is infinite times nothing is not a number.
        used = np.flatnonzero(weights)
        pieces = np.tensordot(weights[used], self.pieces[used], 1) if len(used) else np.zeros_like(self.pieces[0])
        pieces[self.forbidden] = np.inf
        return pieces, delay + rate * self.moved[:, None, None]

    def placement(self, nodes: list[int]) -> tuple[int, ...]:
        """The placement with each piece on its node."""
        lengths = self.facts.last - self.facts.first + 1
        return tuple(np.repeat(nodes, lengths).tolist())


def cheapest_way(pieces: Floats, steps: Floats) -> list[int]:
    """The node of each piece on the cheapest way that begins at the client; of equals the lowest, the client first."""
    nodes = pieces.shape[1]
    every = np.arange(nodes)
    best, came = steps[0, CLIENT] + pieces[0], []
    for row, step in zip(pieces[1:], steps[1:], strict=True):
        through = best[:, None] + step
        before = through.argmin(axis=0)
        came.append(before)
        best = through[before, every] + row
    chosen = [int(best.argmin())]
    for before in reversed(came):
        chosen.append(int(before[chosen[-1]]))
    return chosen[::-1]


def ahead(pieces: Floats, steps: Floats) -> Floats:
    """The least cost from each node before each piece to the end, shape (P + 1, N); nothing after the last."""
    made = np.zeros((len(pieces) + 1, pieces.shape[1]))
    for number in range(len(pieces) - 1, -1, -1):
        made[number] = (steps[number] + (pieces[number] + made[number + 1])).min(axis=1)
    return made

"""What each server could do for a user: the best way to use it beside the client, where that beats staying local."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from layerlift.models.graph.graph import LayerGraph
from layerlift.models.graph.per_graph import per_graph
from layerlift.models.graph.route import CLIENT
from layerlift.planners.cost.holdings import held_on
from layerlift.planners.cost.judge import Judge, Rank
from layerlift.planners.cost.pieces import Sums, cheapest_ways, whole_pieces
from layerlift.planners.graphs.additive import Additive
from layerlift.planners.problem.problem import Floats, Problem

Placement = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Offer:
    """The best use of one server."""

    server: int
    rank: Rank
    placement: Placement


def offers_of(judge: Judge) -> list[Offer]:
    """The offers that beat staying local, servers in order.

    Of each server: the better, by the cost model, of its best single cut and of the cheapest way of whole pieces
    between the client and it, which dynamic programming finds and which may come home before the end.
    """
    problem = judge.problem
    ways = _ways(judge) if len(problem.servers) else []
    found = []
    for server, way in zip(problem.servers, ways, strict=True):
        offer = _best(judge, server, way)
        if offer.rank < judge.local_key:
            found.append(offer)
    return found


def _best(judge: Judge, server: int, way: Placement) -> Offer:
    cut = judge.best_cut(server)
    if cut is None:
        return Offer(server, judge.key(way), way)
    rank, placement = cut
    if way != placement and (other := judge.key(way)) < rank:
        return Offer(server, other, way)
    return Offer(server, rank, placement)


def _ways(judge: Judge) -> list[Placement]:
    """The cheapest way between the client and each server, by sums, memory aside."""
    problem = judge.problem
    sums, prices = Sums(problem, whole_pieces(problem.graph)), Additive(problem, judge)
    weights = np.array([prices.per_second, prices.per_joule, prices.per_money])
    pieces, _ = sums.weighed(weights)
    delay, rate = sums.hops(weights)
    tables = [_between(server, pieces, delay, rate, sums.moved) for server in problem.servers]
    ways = cheapest_ways(tables)
    return [
        sums.placement([server if there else CLIENT for there in way])
        for server, way in zip(problem.servers, ways, strict=True)
    ]


def _between(server: int, pieces: Floats, delay: Floats, rate: Floats, moved: Floats) -> tuple[Floats, Floats]:
    """Costs of pieces on the client and a server, shape (P, 2), and of steps between the two, (P, 2, 2)."""
    steps = np.zeros((len(moved), 2, 2))
    steps[:, 0, 1] = delay[CLIENT, server] + rate[CLIENT, server] * moved
    steps[:, 1, 0] = delay[server, CLIENT] + rate[server, CLIENT] * moved
    # Nothing through a link that carries nothing is no number.
    steps[np.isnan(steps)] = np.inf
    return pieces[:, [CLIENT, server]], steps


def work_s(problem: Problem, offers: list[Offer]) -> Floats:
    """Seconds of each offer on its server at full speed, shape (offers,)."""
    made = [_summed(problem.seconds[np.array(offer.placement) == offer.server, offer.server]) for offer in offers]
    return np.array(made)


def held_bytes(problem: Problem, offers: list[Offer]) -> Floats:
    """Bytes of parameters that each offer's server holds, shape (offers,)."""
    nodes = len(problem.nodes)
    made = [float(held_on(problem.graph, offer.placement, nodes)[offer.server]) for offer in offers]
    return np.array(made)


@per_graph
def shorter(graph: LayerGraph) -> float:
    """By how much fewer bytes of parameters travel than are held."""
    every = range(len(graph))
    held = graph.held_bytes(every)
    return graph.upload_bytes(every) / held if held else 1.0


def _summed(seconds: Floats) -> float:
    return float(np.cumsum(seconds)[-1])

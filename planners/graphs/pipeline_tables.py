"""What pipelines are made of: kinds of servers, cuts, and what each stage and each step between two costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from layerlift.models.graph.route import CLIENT
from layerlift.models.sums import int_sum
from layerlift.planners.cost.pieces import Sums
from layerlift.planners.problem.problem import Floats, Ints, Problem

ROUNDING = 1e-12
"""Share by which a stage may be above a limit, since sums over prefixes are rounded otherwise than the cost model's."""

INF = float("inf")


class Run(NamedTuple):
    """Pieces from cut `first` to before cut `end` on a server of one kind."""

    kind: int
    first: int
    end: int


@dataclass(frozen=True, slots=True)
class Table:
    """What stages and the steps between them cost, with K kinds of servers and C cuts; kind 0 is the client."""

    head: Floats
    """The client's, up to each cut, shape (C,)."""
    tail: Floats
    """The client's, from each cut on, shape (C,)."""
    run: Floats
    """Of each kind from cut to cut, shape (K, C, C); infinite where there is none."""
    hop: Floats
    """From kind to kind at each cut, the client included, shape (K + 1, K + 1, C); after the last cut, the answers."""

    def within(self, busy: Table, limit: float) -> Table:
        """Without what is busier than `limit` by another table."""
        most = limit * (1.0 + ROUNDING)
        return Table(
            np.where(busy.head <= most, self.head, INF),
            np.where(busy.tail <= most, self.tail, INF),
            np.where(busy.run <= most, self.run, INF),
            np.where(busy.hop <= most, self.hop, INF),
        )

    def kept(self, kinds: Ints, cuts: Ints) -> Table:
        """Some kinds (numbered from 1) and some cuts."""
        both = np.concatenate([[0], kinds])
        return Table(
            self.head[cuts],
            self.tail[cuts],
            self.run[np.ix_(kinds - 1, cuts, cuts)],
            self.hop[np.ix_(both, both, cuts)],
        )


def kinds_of(problem: Problem) -> list[list[int]]:
    """Servers by what tells them apart, each kind in order: of two alike, it does not matter which is taken."""
    rates = link_rates(problem)
    kinds: list[list[int]] = []
    for server in problem.servers:
        for kind in kinds:
            if _alike(problem, rates, kind[0], server):
                kind.append(server)
                break
        else:
            kinds.append([server])
    return kinds


def _alike(problem: Problem, rates: Floats, one: int, other: int) -> bool:
    columns = (problem.seconds, problem.allowed)
    if not all(np.array_equal(each[:, one], each[:, other]) for each in columns):
        return False
    if any(each[one] != each[other] for each in (problem.occupancy, problem.slowdown, problem.memory_bytes)):
        return False
    swapped = np.arange(len(problem.nodes))
    swapped[[one, other]] = other, one
    links = (problem.latency_s, problem.bandwidth_bytes_s, rates)
    return all(np.array_equal(each[np.ix_(swapped, swapped)], each) for each in links)


def link_rates(problem: Problem) -> Floats:
    """Bytes a second of each pair, no wider than what it shares with others, shape (N, N)."""
    shared, rates = problem.shared, problem.bandwidth_bytes_s.copy()
    if shared is None:
        return rates
    if not shared.queue:
        rates[:] = INF
    for rate, carries in zip(shared.bytes_s.tolist(), shared.carries, strict=True):
        rates[carries] = np.minimum(rates[carries], rate)
    return rates


def tables_of(sums: Sums, kinds: list[list[int]]) -> tuple[Table, Table]:
    """How long stages and links are busy, and how long they last."""
    problem, facts = sums.problem, sums.facts
    header = problem.header_bytes
    answers = int_sum(size + header for _, size in facts.answers)
    moved = np.append(sums.moved, float(answers))
    ends = np.concatenate([np.zeros((1, len(problem.nodes))), np.cumsum(problem.seconds, axis=0)])
    work = ends[np.append(facts.first, len(problem.graph))]
    first = [CLIENT, *(kind[0] for kind in kinds)]
    hops = np.full((2, len(first), len(first), len(moved)), INF)
    rates = link_rates(problem)
    for row, source in enumerate(first):
        for column, to in enumerate(first):
            if row == column and (not row or len(kinds[row - 1]) < 2):
                continue
            there = kinds[row - 1][1] if row == column else to
            hops[0, row, column] = moved / rates[source, there]
            hops[1, row, column] = problem.latency_s[source, there] + moved / problem.bandwidth_bytes_s[source, there]
    made = [
        Table(
            work[:, CLIENT] * per[CLIENT],
            (work[-1, CLIENT] - work[:, CLIENT]) * per[CLIENT],
            np.array([_run_table(sums, work[:, kind[0]] * per[kind[0]], kind[0]) for kind in kinds]).reshape(
                len(kinds), len(moved), len(moved)
            ),
            hop,
        )
        for per, hop in ((problem.occupancy, hops[0]), (problem.slowdown, hops[1]))
    ]
    return made[0], made[1]


def _run_table(sums: Sums, spent: Floats, server: int) -> Floats:
    """What runs from cut to cut cost on a server, infinite where they are none, forbidden or too large."""
    barred = np.concatenate([[0], np.cumsum(sums.forbidden[:, server])])
    held = np.concatenate([[0.0], np.cumsum(sums.facts.held)])
    cuts = np.arange(len(spent))
    legal = (cuts[:, None] < cuts) & (barred[:, None] == barred)
    legal &= held - held[:, None] <= sums.problem.memory_bytes[server]
    made: Floats = np.where(legal, spent - spent[:, None], INF)
    return made


def by_one_server(busy: Table) -> tuple[float, list[Run]]:
    """The least period with one server, and its run."""
    least, runs = INF, list[Run]()
    for kind in range(len(busy.run)):
        stage = np.maximum(busy.run[kind], busy.head[:, None] + busy.tail)
        hops = np.maximum(busy.hop[0, kind + 1][:, None], busy.hop[kind + 1, 0])
        worth = np.maximum(stage, hops)
        first, end = divmod(int(worth.argmin()), worth.shape[1])
        if worth[first, end] < least:
            least, runs = float(worth[first, end]), [Run(kind, first, end)]
    return least, runs

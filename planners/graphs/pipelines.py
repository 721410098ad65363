"""Pipelines: pieces of a network in runs, the first and the last perhaps on the client, each other on its own server.

The least of what joins along a pipeline, for sums (latency) and for maxima (the period), by

    best[used + t, t, v] = min over u and s of  best[used, s, u] . hop[s, t, u] . run[t, u, v]

where `used` are the servers that have had a run, `s` the one that had the last, and `.` joins: + or max. Servers that
nothing tells apart count as a number of one kind, so that `used` is a number of each kind. What begins and ends on the
client is one stage of it, so that its two runs do not join but add up: ends are looked at one by one, by rising bounds,
and the search is made again for those where that matters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from layerlift.models.graph.route import CLIENT
from layerlift.models.sums import int_sum
from layerlift.planners.graphs.pieces import PieceFacts, Sums
from layerlift.planners.problem.problem import Floats, Ints, Problem

EFFORT = 2e7
"""Joins of one search above which the least promising servers are left out."""

CHUNK = 1 << 20
"""Numbers that one operation on arrays makes."""

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


class Pipelines:
    """The pipelines of one problem over some pieces; a stage that is busier than the best single server is left out."""

    def __init__(self, problem: Problem, facts: PieceFacts) -> None:
        self.sums = Sums(problem, facts)
        self.kinds = _kinds(problem)
        busy, lasting = _tables(self.sums, self.kinds)
        self.local_s = float(busy.head[-1])
        self.left_out = 0
        """Servers that would have made the search too long."""
        limit = min(self.local_s, _by_one_server(busy))
        self._limit(busy.within(busy, limit), lasting)

    def _limit(self, busy: Table, lasting: Table) -> None:
        """Keep the cuts and the kinds that may matter, and no more servers than `EFFORT` allows."""
        kinds = np.array(
            [
                kind
                for kind in range(1, len(self.kinds) + 1)
                if np.isfinite(busy.run[kind - 1]).any() and np.isfinite(busy.hop[:, kind]).any()
            ],
            dtype=np.int64,
        )
        open_cuts = np.isfinite(busy.hop[:, 1:]).any(axis=(0, 1)) | np.isfinite(busy.hop[1:]).any(axis=(0, 1))
        open_cuts[[0, -1]] = True
        self.cuts: Ints = np.flatnonzero(open_cuts)
        most = max(len(self.cuts) - 1, 1)
        counts = {int(kind): min(len(self.kinds[kind - 1]), most) for kind in kinds}
        slowest = sorted(counts, key=lambda kind: -self._whole_s(kind))
        while counts and _joins(list(counts.values()), len(self.cuts)) > EFFORT:
            worst = slowest[0]
            counts[worst] -= 1
            self.left_out += 1
            if not counts[worst]:
                del counts[worst]
                slowest.pop(0)
        chosen = np.array(sorted(counts), dtype=np.int64)
        self.kinds = [self.kinds[kind - 1] for kind in chosen]
        self.counts: Ints = np.array([counts[int(kind)] for kind in chosen], dtype=np.int64)
        self.busy, self.lasting = busy.kept(chosen, self.cuts), lasting.kept(chosen, self.cuts)

    def _whole_s(self, kind: int) -> float:
        """For how long the whole network would occupy a server."""
        problem, server = self.sums.problem, self.kinds[kind - 1][0]
        return float(problem.seconds[:, server].sum() * problem.occupancy[server])

    def least_period(self) -> tuple[float, list[Run]]:
        """The least period of a pipeline and its runs; no runs where all on the client is no worse."""
        table = self.busy
        search = _Search(table, self.counts, maximum=True)

        def together(end: int) -> Floats:
            made: Floats = table.head + table.tail[end]
            return made

        return search.best(table.head, table.tail, together, self.local_s)

    def fastest(self, limit_s: float) -> list[Run]:
        """The runs of least latency whose stages are busy for at most `limit_s`; none where there are none."""
        busy, table = self.busy, self.lasting.within(self.busy, limit_s)
        most = limit_s * (1.0 + ROUNDING)
        search = _Search(table, self.counts, maximum=False)

        def together(end: int) -> Floats:
            made: Floats = np.where(busy.head + busy.tail[end] <= most, table.head + table.tail[end], INF)
            return made

        return search.best(table.head, table.tail, together, INF)[1]

    def placement(self, runs: list[Run]) -> tuple[int, ...]:
        """The placement that runs stand for."""
        nodes = [CLIENT] * len(self.sums.facts.first)
        taken = [0] * len(self.kinds)
        for kind, first, end in runs:
            server = self.kinds[kind][taken[kind]]
            taken[kind] += 1
            for piece in range(int(self.cuts[first]), int(self.cuts[end])):
                nodes[piece] = server
        return self.sums.placement(nodes)


class _Search:
    """Dynamic programming over the servers used, the last of them, and the cut."""

    def __init__(self, table: Table, counts: Ints, maximum: bool) -> None:
        self.table, self.counts, self.maximum = table, counts, maximum
        self.strides: Ints = np.concatenate([[1], np.cumprod(counts + 1)])[:-1] if len(counts) else counts
        states = np.arange(int(np.prod(counts + 1)))
        self.digits: Ints = states[:, None] // self.strides % (counts + 1) if len(counts) else states[:, None][:, :0]

    def join(self, one: Floats, other: Floats) -> Floats:
        """What two things in a row come to."""
        made: Floats = np.maximum(one, other) if self.maximum else one + other
        return made

    def best(
        self, head: Floats, tail: Floats, together: Callable[[int], Floats], beat: float
    ) -> tuple[float, list[Run]]:
        """The least that a pipeline comes to, if it is below `beat`, and its runs.

        `together(end)` is what begins on the client up to each cut when the last run ends at cut `end`.
        """
        found: list[Run] = []
        least = beat
        if not len(self.counts):
            return least, found
        free = self._filled(head)
        ends = self._ends(free)
        bounds = self.join(ends, tail)
        for end in np.argsort(bounds, kind="stable").tolist():
            if not bounds[end] < least:
                break
            coupled = together(end)
            runs = self._runs(free, head, end)
            worth = self._worth(runs, coupled)
            if worth > bounds[end] * (1.0 + ROUNDING):
                filled = self._filled(coupled)
                if not self._ends(filled)[end] < least:
                    continue
                runs = self._runs(filled, coupled, end)
                worth = self._worth(runs, coupled)
            if worth < least:
                least, found = worth, runs
        return least, found

    def _worth(self, runs: list[Run], head: Floats) -> float:
        table, before = self.table, 0
        total = float(head[runs[0].first])
        for kind, first, end in runs:
            for more in (table.hop[before, kind + 1, first], table.run[kind, first, end]):
                total = max(total, float(more)) if self.maximum else total + float(more)
            before = kind + 1
        back = float(table.hop[before, 0, runs[-1].end])
        return max(total, back) if self.maximum else total + back

    def _entries(self, filled: Floats, states: Ints, head: Floats) -> Floats:
        """What it comes to when a server of each kind begins at each cut, after `states`: shape (S, K, C)."""
        hop = self.table.hop
        if not states[0]:
            return self.join(head, hop[0, 1:])[None]
        made = np.full((len(states), len(self.counts), len(head)), INF)
        for last in range(len(self.counts)):
            before = filled[states, last]
            if np.isfinite(before).any():
                np.minimum(made, self.join(before[:, None, :], hop[last + 1, 1:][None]), out=made)
        return made

    def _filled(self, head: Floats) -> Floats:
        """The least up to each state, last kind and cut, shape (S, K, C)."""
        filled = np.full((len(self.digits), len(self.counts), len(head)), INF)
        used = self.digits.sum(axis=1)
        for level in range(int(used.max())):
            states = np.flatnonzero(used == level)
            if level:
                states = states[np.isfinite(filled[states]).any(axis=(1, 2))]
            if not len(states):
                break
            entries = self._entries(filled, states, head)
            for kind, count in enumerate(self.counts.tolist()):
                open_ = (self.digits[states, kind] < count) & np.isfinite(entries[:, kind]).any(axis=1)
                rows = np.flatnonzero(open_)
                filled[states[rows] + self.strides[kind], kind] = self._run(entries[rows, kind], kind)
        return filled

    def _run(self, entries: Floats, kind: int) -> Floats:
        """The least to each cut when a server of a kind begins at some cut, shapes (R, C) -> (R, C)."""
        run = self.table.run[kind]
        made = np.empty_like(entries)
        step = max(1, CHUNK // run.size)
        for first in range(0, len(entries), step):
            chosen = entries[first : first + step]
            made[first : first + step] = self.join(chosen[:, :, None], run[None]).min(axis=1)
        return made

    def _ends(self, filled: Floats) -> Floats:
        """The least when the last server ends at each cut and sends what is there to the client, shape (C,)."""
        back = self.join(filled, self.table.hop[1:, 0][None])
        ends: Floats = back.min(axis=(0, 1))
        return ends

    def _runs(self, filled: Floats, head: Floats, end: int) -> list[Run]:
        """The runs of the least way that ends at a cut."""
        back = self.join(filled[:, :, end], self.table.hop[1:, 0, end][None])
        state, kind = map(int, np.unravel_index(int(back.argmin()), back.shape))
        runs: list[Run] = []
        while True:
            before = state - int(self.strides[kind])
            entries = self._entries(filled, np.array([before]), head)[0, kind]
            first = int(self.join(entries, self.table.run[kind, :, end]).argmin())
            runs.append(Run(kind, first, end))
            if not before:
                return runs[::-1]
            came = self.join(filled[before, :, first], self.table.hop[1:, kind + 1, first])
            state, kind, end = before, int(came.argmin()), first


def _kinds(problem: Problem) -> list[list[int]]:
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


def _tables(sums: Sums, kinds: list[list[int]]) -> tuple[Table, Table]:
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


def _joins(counts: list[int], cuts: int) -> float:
    """How many joins a search makes."""
    states = float(np.prod(np.array(counts, dtype=np.float64) + 1.0))
    return states * len(counts) * cuts * (cuts / 2.0 + len(counts))


def _by_one_server(busy: Table) -> float:
    """The least period with one server."""
    least = INF
    for kind in range(len(busy.run)):
        stage = np.maximum(busy.run[kind], busy.head[:, None] + busy.tail)
        hops = np.maximum(busy.hop[0, kind + 1][:, None], busy.hop[kind + 1, 0])
        least = min(least, float(np.maximum(stage, hops).min()))
    return least

"""Pipelines: pieces of a network in runs, the first and the last perhaps on the client, each other on its own server.

The least of what joins along a pipeline, for sums (latency) and for maxima (the period), by

    best[used + t, t, v] = min over u and s of  best[used, s, u] . hop[s, t, u] . run[t, u, v]

where `used` are the servers that have had a run, `s` the one that had the last, and `.` joins: + or max. Servers that
nothing tells apart count as a number of one kind, so that `used` is a number of each kind. What begins and ends on the
client is one stage of it, so that its two runs do not join but add up: ends are looked at one by one, by rising bounds,
and the search is made again for those where that matters. Ways that cannot beat the best known, even if servers could
be used again, are not followed.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from layerlift.models.graph.route import CLIENT
from layerlift.models.sums import left_sum
from layerlift.planners.cost.pieces import PieceFacts, Sums
from layerlift.planners.graphs.pipeline_tables import INF, ROUNDING, Run, Table, by_one_server, kinds_of, tables_of
from layerlift.planners.problem.problem import Bools, Floats, Ints, Problem

EFFORT = 5e7
"""Joins of one search above which the least promising servers are left out."""

CHUNK = 1 << 20
"""Numbers that one operation on arrays makes."""


class Pipelines:
    """The pipelines of one problem over some pieces; a stage that is busier than the best single server is left out.

    Unless `any_stage`: for who takes a longer period for less of something else. That makes searches longer.
    """

    def __init__(self, problem: Problem, facts: PieceFacts, any_stage: bool = False) -> None:
        self.sums = Sums(problem, facts)
        self.kinds = kinds_of(problem)
        busy, lasting = tables_of(self.sums, self.kinds)
        self.local_s = float(busy.head[-1])
        self.left_out = 0
        """Servers that would have made the search too long."""
        most_s = INF if any_stage else min(self.local_s, by_one_server(busy)[0])
        self._limit(busy.within(busy, most_s), lasting)

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
        arriving, leaving = np.isfinite(busy.hop[:, 1:]), np.isfinite(busy.hop[1:])
        open_cuts: Bools = np.logical_or.reduce(arriving, axis=(0, 1)) | np.logical_or.reduce(leaving, axis=(0, 1))
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

        def together(end: int) -> Floats:
            made: Floats = table.head + table.tail[end]
            return made

        search = _Search(table, self.counts, True, together, self.local_s)
        runs = search.best(by_one_server(table)[1])
        return search.least, runs

    def fastest(self, limit_s: float) -> list[Run]:
        """The runs of least latency whose stages are busy for at most `limit_s`; none where there are none."""
        busy, table = self.busy, self.lasting.within(self.busy, limit_s)
        most = limit_s * (1.0 + ROUNDING)

        def together(end: int) -> Floats:
            made: Floats = np.where(busy.head + busy.tail[end] <= most, table.head, INF)
            return made

        return _Search(table, self.counts, False, together, INF).best()

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
    """Dynamic programming over the servers used, the last of them, and the cut; what cannot be better is not followed.

    `together(end)` is what begins on the client up to each cut when the last run ends at cut `end`: without regard to
    ends that is `head`, which is never more.
    """

    def __init__(
        self, table: Table, counts: Ints, maximum: bool, together: Callable[[int], Floats], beat: float
    ) -> None:
        self.table, self.counts, self.maximum, self.together = table, counts, maximum, together
        self.least, self.found = beat, list[Run]()
        self.strides: Ints = np.concatenate([[1], np.cumprod(counts + 1)])[:-1] if len(counts) else counts
        states = np.arange(int(np.prod(counts + 1)))
        self.digits: Ints = states[:, None] // self.strides % (counts + 1) if len(counts) else states[:, None][:, :0]
        self.home: Floats = self.join(table.hop[1:, 0], table.tail)
        """From the end of a run of each kind at each cut straight to the answer at the client, shape (K, C)."""
        self.ahead: Floats = self._ahead() if len(counts) else self.home

    def join(self, one: Floats, other: Floats) -> Floats:
        """What two things in a row come to."""
        made: Floats = np.maximum(one, other) if self.maximum else one + other
        return made

    def best(self, known: list[Run] | None = None) -> list[Run]:
        """The runs of the least pipeline, if it comes to less than what was to beat; `known` are good ones."""
        head = self.table.head
        if not len(self.counts):
            return []
        if known:
            self._take(known)
        filled = self._filled(head, look=True)
        bounds = self.join(filled, self.home).min(axis=(0, 1))
        for end in np.argsort(bounds, kind="stable").tolist():
            if not bounds[end] < self.least:
                break
            coupled = self.together(end)
            if not self._take(self._runs(filled, head, end)):
                again = self._filled(coupled, look=False)
                if self.join(again[:, :, end], self.home[:, end]).min() < self.least:
                    self._take(self._runs(again, coupled, end))
        return self.found

    def _take(self, runs: list[Run]) -> bool:
        """Keep runs that are better than the best so far; whether the client's part costs no more than was reckoned."""
        end = runs[-1].end
        coupled = self.together(end)[runs[0].first]
        worth = self._worth(runs, float(coupled))
        if worth < self.least:
            self.least, self.found = worth, runs
        return worth <= self._worth(runs, float(self.table.head[runs[0].first])) * (1.0 + ROUNDING)

    def _worth(self, runs: list[Run], head: float) -> float:
        table, before, total = self.table, 0, [head]
        for kind, first, end in runs:
            total += [float(table.hop[before, kind + 1, first]), float(table.run[kind, first, end])]
            before = kind + 1
        total.append(float(self.home[before - 1, runs[-1].end]))
        return max(total) if self.maximum else left_sum(total)

    def _ahead(self) -> Floats:
        """The least from the end of a run of each kind at each cut, as if servers could be used again; shape (K, C)."""
        table, kinds = self.table, len(self.counts)
        made = self.home.copy()
        for cut in range(made.shape[1] - 2, -1, -1):
            onward = self.join(table.run[:, cut, cut + 1 :], made[:, cut + 1 :]).min(axis=1)
            through = self.join(table.hop[1:, 1:, cut], onward[None, :kinds]).min(axis=1)
            made[:, cut] = np.minimum(made[:, cut], through)
        return made

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

    def _filled(self, head: Floats, look: bool) -> Floats:
        """The least up to each state, last kind and cut, shape (S, K, C); `look` at what is finished on the way."""
        filled = np.full((len(self.digits), len(self.counts), len(head)), INF)
        used = self.digits.sum(axis=1)
        states = np.array([0])
        for level in range(int(used.max())):
            entries = self._entries(filled, states, head)
            for kind, count in enumerate(self.counts.tolist()):
                open_ = (self.digits[states, kind] < count) & np.isfinite(entries[:, kind]).any(axis=1)
                rows = np.flatnonzero(open_)
                made = self._run(entries[rows, kind], kind)
                made[self.join(made, self.ahead[kind]) >= self.least] = INF
                filled[states[rows] + self.strides[kind], kind] = made
            states = np.flatnonzero(used == level + 1)
            states = states[np.isfinite(filled[states]).any(axis=(1, 2))]
            if not len(states):
                break
            ends = self.join(filled[states], self.home).min(axis=(0, 1))
            if look and ends.min() < self.least:
                self._take(self._runs(filled, head, int(ends.argmin())))
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

    def _runs(self, filled: Floats, head: Floats, end: int) -> list[Run]:
        """The runs of the least way that ends at a cut."""
        last = self.join(filled[:, :, end], self.home[:, end])
        state, kind = map(int, np.unravel_index(int(last.argmin()), last.shape))
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


def _joins(counts: list[int], cuts: int) -> float:
    """How many joins a search makes."""
    states = float(np.prod(np.array(counts, dtype=np.float64) + 1.0))
    return states * len(counts) * cuts * (cuts / 2.0 + len(counts))

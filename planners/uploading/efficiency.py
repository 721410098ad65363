"""Efficiency and recursive efficiency: upload what saves most query time per second of upload, in fine pieces."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from layerlift.planners.graphs.additive import Additive
from layerlift.planners.graphs.chain import Chain
from layerlift.planners.problem.plan import Plan, Upload
from layerlift.planners.problem.problem import Bools, Floats, Problem
from layerlift.planners.registry.base import PlannerBase
from layerlift.planners.uploading.ionn import planned_uploads, sent_as_divided
from layerlift.planners.uploading.sharing import regrouped

NOISE = 1e-12
"""Share of the whole query below which a gain is rounding, not a gain."""


@dataclass(frozen=True, slots=True)
class UnitRange:
    """Units `first` to `last` inclusive, and what speaks for them; the smallest is taken."""

    worth: float
    first: int
    last: int

    @property
    def rank(self) -> tuple[float, int, int]:
        """Most worth first; of equals the shortest, then the leftmost."""
        return -self.worth, self.last - self.first, self.first


@dataclass(frozen=True, slots=True)
class Gap:
    """A maximal run of wanted units that are not uploaded yet, and the worth of each of its sub-ranges.

    Arrays have shape (n, n), indexed by first and last unit less `start`; what is no range is -infinity.
    """

    start: int
    gain: Floats
    """What a query saves when the range is uploaded next."""
    upload: Floats
    """What uploading it costs."""
    bytes: Floats
    efficiency: Floats
    """Gain over upload; infinite for a gain that costs nothing."""
    first: UnitRange
    """The range of highest efficiency."""

    @property
    def units(self) -> range:
        """The units of the gap."""
        return range(self.start, self.start + len(self.gain))

    def finest(self, chosen: UnitRange) -> UnitRange:
        """Shin's recursion: within the range, the smaller one of highest positive efficiency, again and again.

        A range that moves the same number of bytes is no finer.
        """
        while True:
            low, high = chosen.first - self.start, chosen.last - self.start
            if low == high:
                return chosen
            window = slice(low, high + 1)
            sizes = self.bytes[window, window]
            inner = best_range(
                np.where(sizes == self.bytes[low, high], -np.inf, self.efficiency[window, window]), chosen.first
            )
            if not inner.worth > 0.0:
                return chosen
            chosen = inner


def best_range(worth: Floats, start: int) -> UnitRange:
    """The range of most `worth`, which has shape (n, n): row and column are its first and last unit less `start`."""
    most = worth.max()
    firsts, lasts = (worth == most).nonzero()
    if len(firsts) == 1:
        return UnitRange(float(most), start + int(firsts[0]), start + int(lasts[0]))
    at = np.lexsort((firsts, lasts - firsts))[0]
    return UnitRange(float(most), start + int(firsts[at]), start + int(lasts[at]))


class Ranker:
    """Divides wanted units into parts; what is uploaded already changes the gain of its neighbours.

    That credits hand-overs: beside an uploaded unit a range saves that unit's way back to the client. Ranges without
    bytes that are chosen one after the other share a part: they cost nothing but its confirm result.
    """

    def __init__(self, chain: Chain, recursive: bool, first_pick: bool, round_trips: bool) -> None:
        self.chain = chain
        self.recursive = recursive
        self.first_pick = first_pick
        self.round_trips = round_trips
        self._rows = np.array([chain.client, chain.planned, chain.upload, chain.bytes])
        self._onward = np.append(chain.leave, 0.0)
        self._noise = NOISE * chain.client.sum()

    def divide(self, wanted: frozenset[int]) -> list[frozenset[int]]:
        """Parts of the `wanted` units, best first; what is never worth its upload is the last part."""
        done: set[int] = set()
        gaps = [self._gap(run, done) for run in runs(wanted)]
        parts: list[frozenset[int]] = []
        while gaps:
            gap, chosen = self._pick(gaps, first=not parts)
            if not chosen.worth > 0.0:
                break
            part = frozenset(range(chosen.first, chosen.last + 1))
            if parts and self._is_free(parts[-1]) and self._is_free(part):
                parts[-1] |= part
            else:
                parts.append(part)
            done |= part
            gaps.remove(gap)
            gaps.extend(self._gap(run, done) for run in runs(frozenset(gap.units) - part))
        rest = wanted - done
        return [*parts, rest] if rest else parts

    def _is_free(self, part: frozenset[int]) -> bool:
        return not any(self.chain.bytes[unit] for unit in part)

    def _pick(self, gaps: Sequence[Gap], first: bool) -> tuple[Gap, UnitRange]:
        if first and self.first_pick:
            paying = [(gap, best_range(gap.gain - gap.upload, gap.start)) for gap in gaps]
            gap, chosen = min(paying, key=lambda each: each[1].rank)
            if chosen.worth > 0.0:
                return gap, chosen
        gap = min(gaps, key=lambda each: each.first.rank)
        chosen = gap.first
        return gap, gap.finest(chosen) if self.recursive and chosen.worth > 0.0 else chosen

    def _gap(self, run: range, done: set[int]) -> Gap:
        """Score every sub-range of `run`, whose neighbours are uploaded or not wanted."""
        chain, low, high = self.chain, run.start, run.stop
        behind, ahead = low - 1 in done, high in done
        alone, planned, upload, size = _sums(self._rows[:, low:high])
        steps = np.concatenate(([0.0], chain.hand[low + 1 : high].cumsum()))
        onward, onward_before = self._onward[low + 1 : high + 1], np.zeros(len(run))
        inward, inward_before = chain.enter[low:high], np.zeros(len(run))
        if ahead:
            onward = onward.copy()
            onward[-1], onward_before[-1] = chain.hand[high], chain.enter[high]
        if behind:
            inward = inward.copy()
            inward[0], inward_before[0] = chain.hand[low], chain.leave[low]
        before = alone + inward_before[:, None] + onward_before[None, :]
        after = planned + (steps[None, :] - steps[:, None]) + inward[:, None] + onward[None, :]
        gain = before - after
        gain[np.abs(gain) <= self._noise] = 0.0
        if self.round_trips:
            upload = upload + chain.round_trip[low:high].max()
        gain[_below(len(run))] = -np.inf
        free = np.where(gain > 0.0, np.inf, gain)
        efficiency = np.divide(gain, upload, out=free, where=upload > 0.0)
        return Gap(low, gain, upload, size, efficiency, best_range(efficiency, low))


class Efficiency(PlannerBase):
    """Shin et al.'s efficiency-based order, after the authors' released implementation.

    Of all contiguous ranges of the layers worth moving, the one with the highest efficiency (what it saves per
    query over what its upload costs) is uploaded next; then the efficiencies of its neighbours are told anew.
    Alone it plans towards the best single server, P1 being IONN's shortest path at `penalty` (the released code
    has 0.001; 0 moves everything that helps). After another planner's P1 it orders that across all its servers:
    each unit is on the client or where P1 has it, and a hand-over between servers replaces two ways to the client.
    `first_pick` begins with the upload that pays most within a single query, if any does (in the code of
    September 2019, not in the paper of June). `round_trips` charges each part for its confirm result, which the
    sources do not. With `shared`, parts that follow each other are sent as one where queries that share the link lose
    less by it (`layerlift.planners.uploading.sharing`). Branching modules move as one unit.
    """

    multi_server = False

    recursive = False

    def __init__(
        self, first_pick: bool = False, penalty: float = 0.0, round_trips: bool = False, shared: bool = False
    ) -> None:
        self.order = regrouped if shared else sent_as_divided
        self.first_pick = first_pick
        self.penalty = penalty
        self.round_trips = round_trips

    @classmethod
    def cite(cls) -> str:
        """The source of the algorithm."""
        return "Shin, Jeong, Moon, EMDL 2019, doi:10.1145/3325413.3329788"

    def plan(self, problem: Problem, rng: random.Random) -> Plan:
        """P1 on the best server, most efficient parts first."""
        return planned_uploads(problem, self.penalty, self._divide, self.order)

    def upload(self, problem: Problem, placement: Sequence[int], rng: random.Random) -> tuple[Upload, ...]:
        """The given P1, most efficient parts first, parts that never pay last."""
        chain = Chain(Additive(problem), placement)
        movable = frozenset(int(index) for index in chain.movable.nonzero()[0])
        return self.order(problem, placement, [chain.layers(part) for part in self._divide(chain, movable)])

    def _divide(self, chain: Chain, wanted: frozenset[int]) -> list[frozenset[int]]:
        return Ranker(chain, self.recursive, self.first_pick, self.round_trips).divide(wanted)


class Recursive(Efficiency):
    """Recursive efficiency: as `Efficiency`, but each chosen range shrinks to its finest useful piece first.

    Within the chosen range the strictly smaller one of highest positive efficiency is taken, and so on, so that the
    first queries profit from the first bytes.
    """

    recursive = True


def runs(units: Iterable[int]) -> list[range]:
    """The maximal runs of consecutive numbers, ascending: {1, 2, 5} -> [1..2, 5]."""
    found: list[range] = []
    for unit in sorted(units):
        if found and found[-1].stop == unit:
            found[-1] = range(found[-1].start, unit + 1)
        else:
            found.append(range(unit, unit + 1))
    return found


def _sums(rows: Floats) -> Floats:
    """Sum of `row[a..b]` at [a, b], for a <= b, of each row; shape (R, n) -> (R, n, n)."""
    ends = np.cumsum(rows, axis=1)
    made: Floats = ends[:, None, :] - (ends - rows)[:, :, None]
    return made


@lru_cache(maxsize=64)
def _below(size: int) -> Bools:
    """What lies below the diagonal of a square table: where the last unit would come before the first."""
    made: Bools = np.tri(size, k=-1, dtype=np.bool_)
    made.setflags(write=False)
    return made

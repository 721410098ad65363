"""Single cuts: the client runs a prefix of the layers, one server the rest; what all of them cost, at once.

Where every layer is allowed on the server, such a query is in two places one after the other, so that its costs are
sums over a prefix and a suffix of the layers: all cuts towards all servers take a few operations on arrays. Such sums
may differ from the cost model's in the last bits. Whoever chooses among cuts looks at those that are within `NEAR` of
the best by the cost model itself (`layerlift.planners.cost.judge`), so that rounding decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from layerlift.models.graph.graph import LayerGraph
from layerlift.models.graph.per_graph import answers, crossings, per_graph
from layerlift.planners.cost import batch
from layerlift.planners.cost.batch import BatchCosts, Placements
from layerlift.planners.cost.holdings import holdings
from layerlift.planners.cost.period import two_way_s
from layerlift.planners.cost.units import units_of
from layerlift.planners.problem.problem import Bools, Floats, Ints, Problem

NEAR = 1e-9
"""Relative distance below which two costs by sums are compared again by the cost model."""


@dataclass(frozen=True, slots=True)
class CutFacts:
    """What crosses where a network is cut in front of each layer; arrays of shape (L,)."""

    opened: Floats
    """Bytes of the network's inputs that the layers from here on read."""
    opened_count: Ints
    up: Floats
    """Bytes that the layers before make for them."""
    up_count: Ints
    down: Floats
    """Bytes of answers that they make."""
    down_count: Ints
    answered_before: Bools
    """Whether a layer before makes an answer."""


@per_graph
def cut_facts(graph: LayerGraph) -> CutFacts:
    """Count what crosses each single cut of `graph`."""
    count = len(graph)
    opened, up, down = np.zeros((count, 2)), np.zeros((count, 2)), np.zeros((count, 2))
    for first, crossing in enumerate(crossings(graph)):
        for number in crossing:
            tensor = graph.tensors[number]
            (opened if tensor.producer < 0 else up)[first] += tensor.bytes, 1
    for number in answers(graph):
        tensor = graph.tensors[number]
        down[: tensor.producer + 1] += tensor.bytes, 1
    before = down[:, 1] < len(answers(graph))
    made = CutFacts(
        opened[:, 0], opened[:, 1].astype(np.int64), up[:, 0], up[:, 1].astype(np.int64),
        down[:, 0], down[:, 1].astype(np.int64), before,
    )  # fmt: skip
    for array in (made.opened, made.opened_count, made.up, made.up_count, made.down, made.down_count, before):
        array.setflags(write=False)
    return made


def first_layers(problem: Problem, server: int) -> Ints:
    """In front of which layers the legal single cuts towards `server` lie, ascending: the longest suffix first.

    Layers of the suffix that are not allowed on the server stay on the client, so that a cut in front of one of them
    is the next cut again. Cuts that move nothing or overfill the memory are left out.
    """
    allowed, room = problem.allowed[:, server], problem.memory_bytes[server]
    if allowed.all():
        return np.flatnonzero(holdings(problem.graph).suffix <= room)
    firsts = np.flatnonzero(allowed)
    if room == np.inf:
        return firsts
    return firsts[batch.fits(problem, _rows(problem, server, firsts))]


def single_cuts(problem: Problem, server: int) -> Placements:
    """Every legal single cut towards `server`, shape (K, L), the longest suffix first (see `first_layers`)."""
    return _rows(problem, server, first_layers(problem, server))


def all_single_cuts(problem: Problem) -> Placements:
    """The single cuts towards every server, shape (K, L), servers in order."""
    parts = [single_cuts(problem, server) for server in problem.servers]
    empty = np.zeros((0, len(problem.graph)), dtype=np.int64)
    return np.concatenate([empty, *parts])


def _rows(problem: Problem, server: int, firsts: Ints) -> Placements:
    suffix = np.arange(len(problem.graph)) >= firsts[:, None]
    rows: Placements = (suffix & problem.allowed[:, server]) * np.int64(server)
    return rows


def _cuts(problem: Problem) -> tuple[Ints, Ints]:
    """Server and first layer of every legal single cut, servers in order."""
    if problem.allowed.all():
        server, first = np.nonzero(holdings(problem.graph).suffix <= problem.memory_bytes[1:, None])
        return server + 1, first
    firsts = [first_layers(problem, server) for server in problem.servers]
    servers = np.repeat(np.arange(1, len(problem.nodes)), [len(each) for each in firsts])
    return servers, np.concatenate([np.zeros(0, dtype=np.int64), *firsts])


@dataclass(frozen=True, slots=True)
class Anchored:
    """Cuts that keep layers in between on the client: which cuts are walked, and what others differ from them by.

    Before a boundary that a single tensor passes and nothing else does, all cuts take the same from there on: such a
    cut is the cut at the boundary, and what the two differ by without layers in between.
    """

    cuts: Ints
    """Those of `CutCosts` with layers in between, shape (R,)."""
    server: Ints
    """Of the cuts to walk, shape (W,)."""
    first: Ints
    walked: Ints
    """Which of these each cut hangs on, shape (R,)."""


def anchored(problem: Problem, server: Ints, first: Ints, cuts: Ints) -> Anchored:
    """Which walks settle `cuts`, given the server and first layer of every cut."""
    units = units_of(problem.graph)
    unit_of = [number for number, unit in enumerate(units) for _ in unit.layers]
    walks: dict[tuple[int, int], int] = {}
    hung: list[int] = []
    known: dict[int, list[int]] = {}
    for on, layer in zip(server[cuts].tolist(), first[cuts].tolist(), strict=True):
        if on not in known:
            known[on] = _boundaries(problem, on)
        at = known[on][unit_of[layer]]
        hung.append(walks.setdefault((on, max(at, layer)), len(walks)))
    pairs = np.array([*walks], dtype=np.int64).reshape(-1, 2)
    return Anchored(cuts, pairs[:, 0], pairs[:, 1], np.array(hung, dtype=np.int64))


def _boundaries(problem: Problem, server: int) -> list[int]:
    """By unit: in front of which layer, in a later one, the cut lies that a cut in it hangs on; -1 where it does not.

    The last boundary before the next unit of which layers stay at home. All who read what passes there are on the
    server: a client that made it itself would have it sooner than one that is sent it.
    """
    graph, facts = problem.graph, cut_facts(problem.graph)
    made, boundary = [], -1
    for unit in reversed(units_of(graph)):
        broken = not problem.allowed[unit.first : unit.last + 1, server].all()
        made.append(-1 if broken else boundary)
        if broken:
            boundary = -1
        # What passes is a tensor that was made, and no answer that was made before may still be on its way.
        at = unit.first
        alone = facts.up_count[at] and not facts.answered_before[at]
        if boundary < 0 and alone and problem.allowed[[*graph.tensors[unit.entering[0]].consumers], server].all():
            boundary = at
    return made[::-1]


class CutCosts:
    """All legal single cuts of a problem and what each costs; arrays of shape (K,), servers in order.

    Each term is computed when it is first asked for: few objectives need all.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self._all = not problem.tables.limited
        """Whether every layer may be cut in front of, towards every server."""
        self._sums = SuffixCosts(problem, np.arange(1, len(problem.nodes)))

    @cached_property
    def _cuts(self) -> tuple[Ints, Ints]:
        return _cuts(self.problem)

    @property
    def server(self) -> Ints:
        """Where each cut leads."""
        return self._cuts[0]

    @property
    def first(self) -> Ints:
        """The first layer that is there."""
        return self._cuts[1]

    @cached_property
    def _broken(self) -> Ints:
        """Which cuts have layers in between that stay on the client: no sums over a prefix and a suffix."""
        closed = ~self.problem.allowed
        if not closed.any():
            return np.zeros(0, dtype=np.int64)
        last = np.where(closed.any(axis=0), len(closed) - 1 - closed[::-1].argmax(axis=0), -1)
        return np.flatnonzero(self.first < last[self.server])

    @cached_property
    def _at(self) -> Ints:
        """Where cuts are in the tables of all layers and servers."""
        return (self.server - 1) * len(self.problem.graph) + self.first

    def __len__(self) -> int:
        return len(self.problem.graph) * len(self.problem.servers) if self._all else len(self.first)

    def placement(self, number: int) -> tuple[int, ...]:
        """The placement of one cut."""
        if self._all:
            server, first = divmod(number, len(self.problem.graph))
            return (0,) * first + (server + 1,) * (len(self.problem.graph) - first)
        return tuple(_rows(self.problem, int(self.server[number]), self.first[number : number + 1])[0].tolist())

    @cached_property
    def latency_s(self) -> Floats:
        """Seconds of a query."""
        return self._added(self._sums.latency_s, lambda walked: walked.latency_s)

    @cached_property
    def energy_j(self) -> Floats:
        """Joules of a query."""
        return self._added(self._sums.energy_j, lambda walked: walked.energy_j)

    @cached_property
    def money(self) -> Floats:
        """Money of a query (USD)."""
        if self.problem.price_per_byte_s.any():
            # What is held costs for as long as the query lasts, which does not add up.
            return self._joined(self._sums.money, lambda walked: walked.money)
        return self._added(self._sums.money, lambda walked: walked.money)

    @cached_property
    def balance(self) -> Floats:
        """Unevenness of the servers."""
        return self._joined(self._sums.balance, lambda walked: walked.balance)

    @cached_property
    def period_s(self) -> Floats:
        """Seconds of the busiest CPU, link or port."""
        return self._joined(self._sums.period_s, lambda walked: walked.period_s)

    @cached_property
    def _walked(self) -> BatchCosts:
        """All broken cuts by the cost model, layer by layer."""
        return self._walks(self.server[self._broken], self.first[self._broken])

    @cached_property
    def _anchored(self) -> tuple[Anchored, BatchCosts]:
        """What broken cuts hang on, by the cost model."""
        made = anchored(self.problem, self.server, self.first, self._broken)
        return made, self._walks(made.server, made.first)

    def _walks(self, server: Ints, first: Ints) -> BatchCosts:
        suffix = np.arange(len(self.problem.graph)) >= first[:, None]
        return batch.evaluate(self.problem, (suffix & self.problem.allowed.T[server]) * server[:, None], period=True)

    def _whole(self, grid: Floats) -> Floats | None:
        """The table as it is, where it holds all cuts and nothing else."""
        whole = self._all or (len(self._at) == grid.size and not len(self._broken))
        return grid.ravel() if whole else None

    def _joined(self, grid: Floats, column: Callable[[BatchCosts], Floats]) -> Floats:
        """The table's numbers of the cuts, those of broken ones walked."""
        if (whole := self._whole(grid)) is not None:
            return whole
        made: Floats = grid.ravel()[self._at]
        if len(self._broken):
            made[self._broken] = column(self._walked)
        return made

    def _added(self, grid: Floats, column: Callable[[BatchCosts], Floats]) -> Floats:
        """The same of a term that adds up: few of the broken cuts are walked (see `Anchored`)."""
        if (whole := self._whole(grid)) is not None:
            return whole
        flat = grid.ravel()
        made: Floats = flat[self._at]
        if len(self._broken):
            hangs, walked = self._anchored
            own = (hangs.server - 1) * len(self.problem.graph) + hangs.first
            beside = made[hangs.cuts] - flat[own][hangs.walked]
            made[hangs.cuts] = column(walked)[hangs.walked] + beside
        return made


class SuffixCosts:
    """What it costs to have all layers from each one on, on each of some servers; arrays of shape (servers, L)."""

    def __init__(self, problem: Problem, servers: Ints) -> None:
        self.problem, self.servers, facts = problem, servers, cut_facts(problem.graph)
        self.facts, header = facts, problem.header_bytes
        self.before: Floats = np.concatenate([[0.0], np.cumsum(problem.seconds[:-1, 0])])
        told = facts.up_count
        if problem.query == "serial":
            # Where no tensor tells the server that the client's piece has ended, a message of a header alone does.
            told = np.where(np.arange(len(told)) > 0, np.maximum(told, 1), told)
        self.told = told
        self.opened = facts.opened + header * facts.opened_count
        self.up = facts.up + header * told
        self.down = facts.down + header * facts.down_count
        self.rate = problem.bandwidth_bytes_s[0, servers][:, None]
        self.back_rate = problem.bandwidth_bytes_s[servers, 0][:, None]

    @cached_property
    def work_s(self) -> Floats:
        """Seconds on the server at full speed, of layers that may run there: of others nobody need know them."""
        seconds, allowed = self.problem.seconds, self.problem.allowed
        there = seconds if allowed.all() else np.where(allowed, seconds, 0.0)
        made: Floats = np.cumsum(there.T[self.servers, ::-1], axis=1)[:, ::-1]
        return made

    @cached_property
    def latency_s(self) -> Floats:
        """Seconds of a query."""
        problem, facts, servers = self.problem, self.facts, self.servers
        there_s, back_s = problem.latency_s[0, servers][:, None], problem.latency_s[servers, 0][:, None]
        client_s = self.before * problem.slowdown[0]
        made: Floats = np.where(self.told > 0, client_s, -np.inf) + there_s
        # Inputs leave when the query begins, what the client makes when its piece has ended; they share one link.
        early = np.flatnonzero(facts.opened_count)
        made[:, early] = np.maximum(made[:, early], there_s + self.opened[early] / self.rate)
        made += self.up / self.rate
        made += self.work_s * problem.slowdown[servers][:, None]
        made += back_s + self.down / self.back_rate
        if not facts.down_count[-1]:
            made[:, facts.down_count == 0] = 0.0
        done = np.flatnonzero(facts.answered_before)
        made[:, done] = np.maximum(made[:, done], client_s[done])
        return made

    @cached_property
    def energy_j(self) -> Floats:
        """Joules of a query."""
        power = self.problem.power
        radio_s = (self.opened + self.up) / self.rate + self.down / self.back_rate
        client: Floats = power.idle_w * self.latency_s + power.compute_w * self.before + power.radio_w * radio_s
        return client + self.problem.busy_w[self.servers][:, None] * self.work_s

    @cached_property
    def money(self) -> Floats:
        """Money of a query (USD)."""
        problem, servers = self.problem, self.servers
        there, back = problem.price_per_byte[0, servers][:, None], problem.price_per_byte[servers, 0][:, None]
        made: Floats = (self.opened + self.up) * there + self.down * back
        made += problem.price_per_s[0] * self.before + problem.price_per_s[servers][:, None] * self.work_s
        if problem.price_per_byte_s.any():
            held = problem.price_per_byte_s[servers][:, None] * holdings(problem.graph).suffix
            made += held * self.latency_s
        return made

    @cached_property
    def period_s(self) -> Floats:
        """Seconds of the busiest CPU, link or port."""
        problem, servers = self.problem, self.servers
        made = np.zeros_like(self.work_s)
        for row, server in enumerate(servers.tolist()):
            made[row] = two_way_s(problem, server, self.opened + self.up, self.down)
        client_s = self.before * problem.occupancy[0]
        longest: Floats = np.maximum(client_s, self.work_s * problem.occupancy[servers][:, None])
        return np.maximum(longest, made)

    @cached_property
    def balance(self) -> Floats:
        """Coefficient of variation of the servers' utilisation."""
        problem, latency = self.problem, self.latency_s
        if not len(self.servers):
            return latency
        others = problem.load[1:] / problem.cores[1:]
        own = np.divide(self.work_s, latency, out=np.zeros_like(latency), where=latency > 0)
        used = np.repeat(np.repeat(others[None, None, :], latency.shape[1], axis=1), len(self.servers), axis=0)
        for row, server in enumerate(self.servers.tolist()):
            used[row, :, server - 1] = (own[row] + problem.load[server]) / problem.cores[server]
        mean = used.mean(axis=2)
        spread = np.sqrt(((used - mean[:, :, None]) ** 2).mean(axis=2))
        made: Floats = np.divide(spread, mean, out=np.zeros_like(mean), where=mean > 0)
        return made

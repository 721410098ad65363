"""Uploads that share their link with the queries of the same user: which parts to send as one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import permutations

from layerlift.models.graph.route import CLIENT
from layerlift.planners.cost.query import latency
from layerlift.planners.problem.plan import Upload, uploads_of
from layerlift.planners.problem.problem import Problem

FEW_SERVERS = 3
"""Of so many servers every order of their parts is looked at."""

Placement = tuple[int, ...]
Part = tuple[int, ...]
Lost = tuple[float, float]
"""Of an upload: its seconds x the seconds by which queries are slower than at home, and than at the end (s x s)."""


class SharedLink:
    """Queries and uploads of one user on the same links, divided while both want one: evenly, or by their weights.

    Somebody who asks back to back sends a query's tensors at its share of the bandwidth, mostly half of it, while a
    part is on its way to the same server, behind the queue that the part keeps filled; and the part gets what they
    leave.
    Other users, and pauses between questions, are not known.
    """

    def __init__(self, problem: Problem, placement: Sequence[int]) -> None:
        self.problem, self.placement = problem, tuple(map(int, placement))
        self._slowed: dict[int, Problem] = {}
        self._states: dict[tuple[Placement, int], tuple[float, float]] = {}

    @cached_property
    def local_s(self) -> float:
        """What a query takes at home."""
        return latency(self.problem, (CLIENT,) * len(self.placement))

    @cached_property
    def final_s(self) -> float:
        """What a query takes once everything is uploaded."""
        return latency(self.problem, self.placement)

    def state(self, used: Placement, server: int) -> tuple[float, float]:
        """While a part is on its way to `server`: seconds of a query that runs as in `used`, and the part's bytes/s."""
        key = used, server
        if key not in self._states:
            bandwidth_bytes_s = self.problem.tables.bandwidth_bytes_s[CLIENT][server]
            carried = self._carried(used, server)
            if not carried:
                self._states[key] = latency(self.problem, used), bandwidth_bytes_s
            else:
                slowed_s = latency(self._shared(server), used)
                self._states[key] = slowed_s, bandwidth_bytes_s - carried / slowed_s
        return self._states[key]

    def lost(self, used: Placement, held: frozenset[int], uploads: Iterable[Upload]) -> Lost:
        """What sending some parts one after the other costs.

        `used` is where queries run when they begin, `held` the layers that are uploaded by then.
        """
        problem, graph = self.problem, self.problem.graph
        above = total = 0.0
        now, there = list(used), set(held)
        for server, own in uploads:
            known = graph.parameters_of(layer for layer in there if self.placement[layer] == server)
            size = graph.upload_bytes(own, known)
            query_s, rate_bytes_s = self.state(tuple(now), server)
            back = problem.header_bytes / problem.tables.bandwidth_bytes_s[server][CLIENT]
            delays_s = problem.upload_delay_s(server) + problem.tables.latency_s[server][CLIENT]
            built_s = float(problem.load_s_per_byte[server]) * size
            took_s = delays_s + back + built_s + (size + problem.header_bytes) / rate_bytes_s
            above += took_s * max(0.0, query_s - self.local_s)
            total += took_s * (query_s - self.final_s)
            for layer in own:
                now[layer] = server
            there.update(own)
        return above, total

    def _carried(self, used: Placement, server: int) -> int:
        """Bytes that a query sends from the client to `server`."""
        header, total = self.problem.header_bytes, 0
        for tensor in self.problem.graph.tensors:
            home = CLIENT if tensor.producer < 0 else used[tensor.producer]
            if home == CLIENT and any(used[reader] == server for reader in tensor.consumers):
                total += tensor.bytes + header
        return total

    def _shared(self, server: int) -> Problem:
        if server not in self._slowed:
            transport = self.problem.transport
            weight = 1.0 if transport is None else float(transport.query_weight[CLIENT, server])
            bandwidth_bytes_s = self.problem.bandwidth_bytes_s.copy()
            bandwidth_bytes_s[CLIENT, server] *= weight / (1.0 + weight)
            shared = replace(self.problem, bandwidth_bytes_s=bandwidth_bytes_s)
            if transport is not None and transport.queue_s[CLIENT, server]:
                latency_s = self.problem.latency_s.copy()
                latency_s[CLIENT, server] += transport.queue_s[CLIENT, server]
                shared = replace(shared, latency_s=latency_s)
            self._slowed[server] = shared
        return self._slowed[server]


def regrouped(problem: Problem, placement: Sequence[int], parts: Sequence[Iterable[int]]) -> tuple[Upload, ...]:
    """The parts in their order, neighbours sent as one where that makes the total system delay least.

    Before all, queries are not to be slower than at home, as far as that can be: one part for one server is never in
    their way, of several servers the order counts. Exact for `SharedLink` over all ways to join neighbours, by dynamic
    programming over what is uploaded: one part for everything is among them, and so are the parts as they are.
    """
    link = SharedLink(problem, placement)
    ordered: list[Part] = [upload.layers for upload in uploads_of(placement, parts)]
    if not ordered:
        return ()
    best: list[Lost] = [(0.0, 0.0)]
    came: list[tuple[int, tuple[Upload, ...]]] = [(0, ())]
    before: list[frozenset[int]] = [frozenset()]
    for part in ordered:
        before.append(before[-1] | frozenset(part))
    states = [tuple(node if layer in held else CLIENT for layer, node in enumerate(link.placement)) for held in before]
    for end in range(1, len(ordered) + 1):
        found = []
        for first in range(end):
            for uploads in _orders(uploads_of(placement, [before[end] - before[first]])):
                above, total = link.lost(states[first], before[first], uploads)
                found.append(((best[first][0] + above, best[first][1] + total), first, uploads))
        least, first, uploads = min(found)
        best.append(least)
        came.append((first, uploads))
    made: list[tuple[Upload, ...]] = []
    end = len(ordered)
    while end:
        end, uploads = came[end]
        made.append(uploads)
    return tuple(upload for uploads in reversed(made) for upload in uploads)


def _orders(uploads: tuple[Upload, ...]) -> Iterable[tuple[Upload, ...]]:
    """Orders in which one part for each of some servers may be sent: all of a few servers, one of many."""
    return permutations(uploads) if len(uploads) <= FEW_SERVERS else [uploads]

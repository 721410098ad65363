"""A query as a mixed-integer program: the makespan of semantics' "A query", with its constraints.

Times are columns in units of a horizon that no better placement exceeds. For a placement with integers the rows say
what `layerlift.planners.cost.query` computes: a segment starts when its node is free and all its inputs have arrived,
emits at its end, and each directed pair carries one tensor at a time. Left out, so that the program is then a
relaxation with a valid bound: balance; in serial mode all but the way of a token; and the queues of links, where
tensors are not numbered in the order of the layers that make them.

The rows along an edge of the graph (`_follow`) use one column per pair of nodes, so that on a chain the relaxation
to fractions is a shortest path and already exact.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from layerlift.models.graph.route import CLIENT
from layerlift.planners.exact.highs import INF, Program
from layerlift.planners.exact.linear import Linear, Paths
from layerlift.planners.problem.problem import Bools

Coefficients = list[tuple[int, float]]

ROOM = 1e-6
"""Relative slack of the horizon: rounding must not cut off a placement as good as the best."""


class QueryProgram:
    """The program of one linear objective under the problem's constraints; see the module.

    `alive` (shape (L, N)) says which layers may be on which nodes, `horizon_s` bounds the latency of every placement
    that matters, and all costs are divided by `unit`.
    """

    def __init__(self, linear: Linear, alive: Bools, horizon_s: float, unit: float) -> None:
        self.linear = linear
        self.problem, self.graph = linear.problem, linear.problem.graph
        self.horizon_s, self.unit = horizon_s, unit
        self.program = Program()
        self.nodes = range(len(self.problem.nodes))
        self.choices = [[int(node) for node in np.flatnonzero(row)] for row in alive]
        self.live = [not row.all() for row in np.isneginf(Paths(linear).after)]
        self.longest = 1.0 + ROOM if all(self.live) else self._all_one_after_another()
        self.place = [{node: self._chosen(layer, node) for node in nodes} for layer, nodes in enumerate(self.choices)]
        time = [[self.program.column(upper=self.longest) for _ in self.graph.layers] for _ in range(3)]
        self.start, self.done, self.emitted = time
        self.answer = self.program.column(linear.rate * horizon_s / unit, self.longest)
        self.stay: list[dict[int, int]] = [{}]
        self.sends: dict[tuple[int, int, int], int] = {}
        self._layers()
        self._nodes()
        for number in range(len(self.graph.tensors)):
            self._tensor(number)
        self._queues()
        self._limits()
        if linear.terms.period:
            self._period(linear.terms.period)

    def placement(self, columns: tuple[float, ...]) -> tuple[int, ...]:
        """The placement that a solution stands for."""
        return tuple(max(nodes, key=lambda node: columns[nodes[node]]) for nodes in self.place)

    def columns(self, placement: tuple[int, ...]) -> dict[int, float]:
        """The columns that `placement` sets, to begin from; none where the program leaves it out."""
        if not placement or any(node not in nodes for node, nodes in zip(placement, self.place, strict=True)):
            return {}
        return {
            column: float(chosen == node)
            for chosen, nodes in zip(placement, self.place, strict=True)
            for node, column in nodes.items()
        }

    def _chosen(self, layer: int, node: int) -> int:
        return self.program.column(float(self.linear.extra[layer, node]) / self.unit, integer=True)

    def _all_one_after_another(self) -> float:
        """A bound on times where some layers need not be done when the answer comes."""
        total = float(self.linear.lasting_s.max(axis=1).sum())
        for tensor in self.graph.tensors:
            total += float(self.linear.hops(tensor.bytes)[0].max()) * len(self.nodes)
        return max(1.0, total / self.horizon_s) + ROOM

    def _work(self, layer: int, sign: float) -> Coefficients:
        return [
            (column, sign * float(self.linear.lasting_s[layer, node]) / self.horizon_s)
            for node, column in self.place[layer].items()
        ]

    def _layers(self) -> None:
        """Each layer is on one node; a layer that stays on the node of the one before shares its segment."""
        row, far = self.program.row, self.longest
        for layer, nodes in enumerate(self.place):
            row([(column, 1.0) for column in nodes.values()], 1.0, 1.0)
            row([(self.done[layer], 1.0), (self.start[layer], -1.0), *self._work(layer, -1.0)], 0.0)
            row([(self.emitted[layer], 1.0), (self.done[layer], -1.0)], 0.0)
            if not layer:
                continue
            before, stays = self.place[layer - 1], {}
            for node in nodes:
                if node in before:
                    stays[node] = self.program.column()
                    row([(stays[node], 1.0), (nodes[node], -1.0)], high=0.0)
                    row([(stays[node], 1.0), (before[node], -1.0)], high=0.0)
                    row([(stays[node], 1.0), (nodes[node], -1.0), (before[node], -1.0)], -1.0)
            self.stay.append(stays)
            same = [(column, -far) for column in stays.values()]
            last = layer - 1
            row([(self.done[layer], 1.0), (self.done[last], -1.0), *self._work(layer, -1.0), *same], -far)
            row([(self.start[last], 1.0), (self.start[layer], -1.0), *same], -far)
            row([(self.emitted[last], 1.0), (self.emitted[layer], -1.0), *same], -far)
            if self.problem.query == "serial":
                self._in_turn(layer)

    def _in_turn(self, layer: int) -> None:
        """Serial mode: a segment starts after the one before has ended and at least a token has come over."""
        ways = self._pairs(self.place[layer - 1], self.place[layer])
        seconds = self.linear.hops(0)[0] / self.horizon_s
        come = [(column, -float(seconds[pair])) for pair, column in ways.items()]
        same = [(column, self.longest) for column in self.stay[layer].values()]
        last = layer - 1
        self.program.row([(self.start[layer], 1.0), (self.emitted[last], -1.0), *come, *same], 0.0)
        self.program.row([(self.done[layer], 1.0), (self.done[last], -1.0), *self._work(layer, -1.0), *come], 0.0)

    def _nodes(self) -> None:
        """A node works on one segment at a time: `free` is when its earlier segments have ended."""
        row, far = self.program.row, self.longest
        for node in self.nodes:
            free = -1
            for layer in range(1, len(self.place)):
                here, before = self.place[layer].get(node), self.place[layer - 1].get(node)
                later = free
                if before is not None:
                    later = self.program.column(upper=far)
                    leaves: Coefficients = [(before, -far)]
                    if node in self.stay[layer]:
                        leaves.append((self.stay[layer][node], far))
                    row([(later, 1.0), (self.done[layer - 1], -1.0), *leaves], -far)
                    if free >= 0:
                        row([(later, 1.0), (free, -1.0)], 0.0)
                free = later
                if here is not None and free >= 0:
                    row([(self.start[layer], 1.0), (free, -1.0), (here, -far)], -far)
            own = [
                (nodes[node], -float(self.linear.lasting_s[layer, node]) / self.horizon_s)
                for layer, nodes in enumerate(self.place)
                if node in nodes and self.live[layer]
            ]
            row([(self.answer, 1.0), *own], 0.0)

    def _pairs(self, source: dict[int, int], to: dict[int, int]) -> dict[tuple[int, int], int]:
        """One column per pair of nodes of two layers, which together say where both are."""
        made = {(m, n): self.program.column() for m in source for n in to}
        for m, column in source.items():
            self.program.row([*((made[m, n], 1.0) for n in to), (column, -1.0)], 0.0, 0.0)
        for n, column in to.items():
            self.program.row([*((made[m, n], 1.0) for m in source), (column, -1.0)], 0.0, 0.0)
        return made

    def _tensor(self, number: int) -> None:
        """Every reader waits for a tensor from another node; it is sent once per destination."""
        tensor = self.graph.tensors[number]
        seconds, extra = self.linear.hops(tensor.bytes)
        for reader in tensor.consumers:
            self._follow(number, reader, seconds / self.horizon_s, extra / self.unit)
        if not tensor.is_output or tensor.producer < 0:
            return
        home = self.place[tensor.producer]
        for node, column in home.items():
            if node != CLIENT:
                self.program.row([(self._send(number, node, CLIENT, extra / self.unit), 1.0), (column, -1.0)], 0.0)
        back = [(column, -float(seconds[node, CLIENT]) / self.horizon_s) for node, column in home.items()]
        self.program.row([(self.answer, 1.0), (self.emitted[tensor.producer], -1.0), *back], 0.0)

    def _follow(self, number: int, reader: int, seconds: np.ndarray, extra: np.ndarray) -> None:
        row, producer = self.program.row, self.graph.tensors[number].producer
        if producer < 0:
            for node, column in self.place[reader].items():
                if node != CLIENT:
                    row([(self._send(number, CLIENT, node, extra), 1.0), (column, -1.0)], 0.0)
            come = [(column, -float(seconds[CLIENT, node])) for node, column in self.place[reader].items()]
            row([(self.start[reader], 1.0), *come], 0.0)
            return
        ways = self._pairs(self.place[producer], self.place[reader])
        for (source, to), column in ways.items():
            if source != to:
                row([(self._send(number, source, to, extra), 1.0), (column, -1.0)], 0.0)
        come = [(column, -float(seconds[pair])) for pair, column in ways.items() if pair[0] != pair[1]]
        home = [(column, self.longest) for pair, column in ways.items() if pair[0] == pair[1]]
        row([(self.start[reader], 1.0), (self.emitted[producer], -1.0), *come, *home], 0.0)
        row([(self.done[reader], 1.0), (self.done[producer], -1.0), *self._work(reader, -1.0), *come], 0.0)

    def _send(self, number: int, source: int, to: int, extra: np.ndarray) -> int:
        key = (number, source, to)
        if key not in self.sends:
            self.sends[key] = self.program.column(float(extra[source, to]))
        return self.sends[key]

    def _queues(self) -> None:
        """On each pair the tensors go one after another, in the order in which they are numbered."""
        if any(a.producer > b.producer for a, b in pairwise(self.graph.tensors)):
            return
        row, far = self.program.row, self.longest
        behind: dict[tuple[int, int], int] = {}
        for number, source, to in sorted(self.sends):
            sent = self.sends[number, source, to]
            tensor = self.graph.tensors[number]
            whole = float(self.linear.hops(tensor.bytes)[0][source, to]) / self.horizon_s
            carried = whole - float(self.problem.latency_s[source, to]) / self.horizon_s
            arrived = self.program.column(upper=far)
            emitted = [(self.emitted[tensor.producer], -1.0)] if tensor.producer >= 0 else []
            row([(arrived, 1.0), *emitted, (sent, -whole - far)], -far)
            if (source, to) in behind:
                row([(arrived, 1.0), (behind[source, to], -1.0), (sent, -carried)], 0.0)
            behind[source, to] = arrived
            self._wait(number, source, to, arrived, sent)

    def _wait(self, number: int, source: int, to: int, arrived: int, sent: int) -> None:
        tensor, far = self.graph.tensors[number], self.longest
        for reader in tensor.consumers:
            if to in self.place[reader]:
                there = self.place[reader][to]
                self.program.row([(self.start[reader], 1.0), (arrived, -1.0), (there, -far), (sent, -far)], -2.0 * far)
        if tensor.is_output and to == CLIENT:
            home = self.place[tensor.producer][source]
            self.program.row([(self.answer, 1.0), (arrived, -1.0), (home, -far)], -far)

    def _limits(self) -> None:
        """The deadline, the budget, and the servers' memory, where shared parameters count once."""
        problem, row = self.problem, self.program.row
        if problem.objective.deadline_s is not None:
            row([(self.answer, 1.0)], high=problem.objective.deadline_s / self.horizon_s)
        budget = problem.objective.budget
        spent: Coefficients = [] if budget is None else self._spent(budget)
        for server in problem.servers:
            limit, price = float(problem.memory_bytes[server]), float(problem.price_per_byte_s[server])
            paid = price > 0 and (self.linear.terms.money > 0 or budget is not None)
            if not np.isfinite(limit) and not paid:
                continue
            held = self._held(server)
            if np.isfinite(limit):
                row([(column, size / max(1.0, limit)) for column, size in held], high=limit / max(1.0, limit))
            if paid:
                spent += self._memory_time(held, price, budget)
        if budget is not None:
            row(spent, high=1.0)

    def _period(self, weight: float) -> None:
        """No CPU, pair or medium is busy for longer than the period."""
        problem = self.problem
        longest = self.program.column(weight * self.horizon_s / self.unit, INF)
        for node in self.nodes:
            second = float(problem.occupancy[node]) / self.horizon_s
            busy = [
                (nodes[node], -second * float(problem.seconds[layer, node]))
                for layer, nodes in enumerate(self.place)
                if node in nodes
            ]
            self.program.row([(longest, 1.0), *busy], 0.0)
        for busy in self._links():
            self.program.row([(longest, 1.0), *busy], 0.0)

    def _links(self) -> list[Coefficients]:
        """What keeps each pair and each medium busy, as shares of the horizon, negative."""
        problem, shared = self.problem, self.problem.shared
        if shared is not None and not shared.queue:
            return []
        busy: dict[tuple[int, ...], Coefficients] = {}
        for (number, source, to), column in self.sends.items():
            moved = (self.graph.tensors[number].bytes + problem.header_bytes) / self.horizon_s
            rate = float(problem.bandwidth_bytes_s[source, to])
            busy.setdefault((source, to), []).append((column, -moved / rate))
            for medium, wide in enumerate(shared.bytes_s.tolist() if shared is not None else ()):
                if shared is not None and shared.carries[medium, source, to]:
                    busy.setdefault((medium,), []).append((column, -moved / wide))
        return list(busy.values())

    def _spent(self, budget: float) -> Coefficients:
        """Money for busy seconds and for bytes carried, over the budget."""
        problem = self.problem
        spent = [
            (column, float(problem.seconds[layer, node] * problem.price_per_s[node]) / budget)
            for layer, nodes in enumerate(self.place)
            for node, column in nodes.items()
        ]
        for (number, source, to), column in self.sends.items():
            moved = self.graph.tensors[number].bytes + problem.header_bytes
            spent.append((column, moved * float(problem.price_per_byte[source, to]) / budget))
        return spent

    def _held(self, server: int) -> Coefficients:
        """Columns that say which parameters the server holds, with their bytes."""
        holders: dict[int, list[int]] = {}
        for layer, nodes in enumerate(self.place):
            for parameter in sorted(set(self.graph.layers[layer].parameters)):
                if server in nodes:
                    holders.setdefault(parameter, []).append(nodes[server])
        held: Coefficients = []
        for parameter, columns in holders.items():
            column = columns[0]
            if len(columns) > 1:
                column = self.program.column()
                for each in columns:
                    self.program.row([(column, 1.0), (each, -1.0)], 0.0)
            held.append((column, float(self.graph.parameters[parameter].held_bytes)))
        return held

    def _memory_time(self, held: Coefficients, price: float, budget: float | None) -> Coefficients:
        """Charge memory for the time beyond `Linear.least_s`; returns what the budget has to bear."""
        least, money, spent = self.linear.least_s, self.linear.terms.money, Coefficients()
        for column, size in held:
            whole = price * size * self.horizon_s
            beyond = self.program.column(money * whole / self.unit, self.longest)
            far = self.longest
            self.program.row([(beyond, 1.0), (self.answer, -1.0), (column, -far)], -far - least / self.horizon_s)
            if budget is not None:
                spent += [(beyond, whole / budget), (column, price * size * least / budget)]
        return spent

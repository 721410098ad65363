"""Routes as nodes use them: compiled once per placement, named by a short text that travels in messages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import NamedTuple, cast

from layerlift.models.graph.graph import LayerGraph, Segment
from layerlift.models.graph.route import CLIENT, QueryMode, Route, RouteStep, Send, compile_route


class Parcel(NamedTuple):
    """One tensor to one node (0 = the client, k = the k-th server). `ordered`: one of several on its pair."""

    to: int
    tensor: int
    bytes: int
    ordered: bool


class Stage(NamedTuple):
    """One segment on its node."""

    step: int
    first: int
    last: int
    missing: int
    """How many tensors must arrive before it can start."""
    parcels: tuple[Parcel, ...]
    finals: int
    """Outputs of the network that it makes on the client itself."""


class Itinerary:
    """A compiled route: the stages of each node, and which of them each arriving tensor is for."""

    def __init__(self, key: str, model: int, graph: LayerGraph, route: Route, rest: tuple[RouteStep, ...] = ()) -> None:
        self.key, self.model = key, model
        if rest:
            # The steps of the base keep their numbers, so that no two pieces of a query are called alike.
            self.base_steps = len(route.steps)
            self.route = Route((*route.steps, *rest), (), (), (CLIENT,))
        else:
            self.base_steps, self.route = 0, route
        route = self.route
        shared = _ordered_pairs(route)
        self.stages: dict[int, tuple[Stage, ...]] = {}
        self.missing: dict[int, list[int]] = {}
        self.wakes: dict[int, dict[int, tuple[int, ...]]] = {}
        for node in route.nodes:
            mine = [
                (n, step) for n, step in enumerate(route.steps) if step.segment.node == node and n >= self.base_steps
            ]
            self.stages[node] = tuple(
                Stage(
                    number,
                    step.segment.first,
                    step.segment.last,
                    len(step.waits),
                    _parcels(node, step.sends, shared),
                    _finals(graph, step.segment.first, step.segment.last) if node == CLIENT else 0,
                )
                for number, step in mine
            )
            wakes: dict[int, list[int]] = {}
            for position, (_, step) in enumerate(mine):
                for tensor in step.waits:
                    wakes.setdefault(tensor, []).append(position)
            self.missing[node] = [stage.missing for stage in self.stages[node]]
            self.wakes[node] = {tensor: tuple(positions) for tensor, positions in wakes.items()}
        self.opening = _parcels(CLIENT, route.opening, shared)
        self.answers = frozenset(route.answers)
        self.outputs = len(graph.outputs)
        """Outputs of the network: the query ends when the client has them all."""
        self.given = sum(1 for tensor in graph.outputs if graph.tensors[tensor].producer < 0)
        """Outputs that are inputs as well: the client has them from the start."""
        self.segments = len(route.steps)
        """Of a rest: its own and those of its base, whether they ran or not."""
        self.remote_layers = sum(len(step.segment) for step in route.steps if step.segment.node != CLIENT)
        """Of a rest: those that its base had planned elsewhere."""

    def local_layers(self) -> list[int]:
        """Layers that run on the client."""
        return [layer for stage in self.stages[CLIENT] for layer in range(stage.first, stage.last + 1)]

    def all_parcels(self) -> list[tuple[int, Parcel]]:
        """Every (sender, parcel) of a query that is answered."""
        sent = [(CLIENT, parcel) for parcel in self.opening]
        sent += [(node, parcel) for node, stages in self.stages.items() for stage in stages for parcel in stage.parcels]
        return sent


class Routes:
    """The itineraries of one host, by name. A name says everything, so any host can compile it for itself."""

    def __init__(self, graphs: Sequence[LayerGraph]) -> None:
        self._graphs = graphs
        self._known: dict[str, Itinerary] = {}

    def __getitem__(self, key: str) -> Itinerary:
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._compile(key)
        return found

    def named(self, model: int, mode: QueryMode, placement: Sequence[int]) -> Itinerary:
        """The itinerary of a placement (0 = the client, k = the k-th server)."""
        starts = [0, *(i + 1 for i, (a, b) in enumerate(pairwise(placement)) if a != b)]
        runs = ",".join(f"{placement[start]}:{start}" for start in starts)
        return self[f"{model}/{mode}/{runs}"]

    def rest(self, base: Itinerary, held: Collection[int]) -> Itinerary:
        """The itinerary that finishes a query of `base` on the client, who holds some tensors of it.

        Its name is that of the base and the runs of layers that are left, which are numbered after the base's steps.
        """
        graph = self._graphs[base.model]
        needed: set[int] = set()
        wanted = [tensor for tensor in graph.outputs if tensor not in held]
        while wanted:
            producer = graph.tensors[wanted.pop()].producer
            if producer not in needed:
                needed.add(producer)
                wanted += [tensor for tensor in graph.layers[producer].inputs if tensor not in held]
        runs: list[list[int]] = []
        for layer in sorted(needed):
            if runs and runs[-1][1] == layer - 1:
                runs[-1][1] = layer
            else:
                runs.append([layer, layer])
        return self[f"{base.key}~{','.join(f'{first}-{last}' for first, last in runs)}"]

    def _compile(self, key: str) -> Itinerary:
        base, _, rest = key.partition("~")
        if rest:
            return self._finish(self[base], key, rest)
        number, mode, runs = key.split("/")
        graph = self._graphs[int(number)]
        starts = [tuple(map(int, run.split(":"))) for run in runs.split(",")]
        placement: list[int] = []
        for (node, start), (_, end) in pairwise([*starts, (0, len(graph))]):
            placement += [node] * (end - start)
        return Itinerary(key, int(number), graph, compile_route(graph, placement, cast(QueryMode, mode)))

    def _finish(self, base: Itinerary, key: str, rest: str) -> Itinerary:
        """What is left of a query, on the client, whose layers are runs such as `3-5,8-8`."""
        runs = [tuple(map(int, run.split("-"))) for run in rest.split(",")]
        steps = tuple(RouteStep(Segment(CLIENT, first, last), (), ()) for first, last in runs)
        return Itinerary(key, base.model, self._graphs[base.model], base.route, steps)


def _ordered_pairs(route: Route) -> frozenset[tuple[int, int]]:
    """Directed pairs that carry more than one tensor: only there can one have to wait for another."""
    carried = Counter((CLIENT, send.to) for send in route.opening)
    carried.update((step.segment.node, send.to) for step in route.steps for send in step.sends)
    return frozenset(pair for pair, count in carried.items() if count > 1)


def _parcels(node: int, sends: Sequence[Send], shared: frozenset[tuple[int, int]]) -> tuple[Parcel, ...]:
    return tuple(Parcel(send.to, send.tensor, send.bytes, (node, send.to) in shared) for send in sends)


def _finals(graph: LayerGraph, first: int, last: int) -> int:
    return sum(graph.tensors[t].is_output for layer in graph.layers[first : last + 1] for t in layer.outputs)

"""What a query costs its user, and whether the client can run its part of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from layerlift.emulator.protocol.routes import Itinerary, Parcel, Stage
from layerlift.emulator.world.world import World
from layerlift.models.graph.graph import LayerGraph
from layerlift.models.graph.route import CLIENT

if TYPE_CHECKING:
    from layerlift.emulator.nodes.client.client import Client
    from layerlift.emulator.nodes.client.query import OpenQuery

Figures = tuple[float, float, int, int, float]
"""Client work (s), server work (s), bytes sent and received by the client, money (USD)."""
NOTHING: Figures = (0.0, 0.0, 0, 0, 0.0)


class Bill:
    """What an answered query along one itinerary costs its user: fixed once, since a route says it all."""

    __slots__ = ("figures", "refusal")

    def __init__(self, client: Client, itinerary: Itinerary) -> None:
        sums = _Sums(client, itinerary)
        for place, stages in itinerary.stages.items():
            sums.work(place, stages)
        sums.carry(itinerary.all_parcels())
        self.figures = sums.figures()
        self.refusal = refusal(client, itinerary.local_layers())


def refusal(client: Client, layers: list[int]) -> str:
    """Why a client cannot run these layers of its model; empty when it can."""
    graph = client.host.model_of(client.user.index).graph
    need = graph.held_bytes(layers) + max((graph.layers[layer].run_bytes for layer in layers), default=0)
    room = client.spec.memory_bytes
    return f"client memory: {need} bytes needed, {room:.0f} there" if need > room else ""


def figures_of_fallback(client: Client, query: OpenQuery) -> Figures:
    """What a query cost that was finished on the client, as far as the client knows.

    Work of a server counts when a tensor of it reached the client; what else was done in vain elsewhere is in the
    table `segments` alone.
    """
    base, done = query.base, query.done_stages
    assert base is not None
    sums = _Sums(client, base)
    sums.work(CLIENT, base.stages[CLIENT][:done])
    sums.work(CLIENT, query.itinerary.stages[CLIENT])
    graph = client.host.model_of(client.user.index).graph
    came = set(query.received)
    sums.carry((CLIENT, parcel) for parcel in base.opening)
    sums.carry((CLIENT, parcel) for stage in base.stages[CLIENT][:done] for parcel in stage.parcels)
    for place, stages in base.stages.items():
        if place != CLIENT:
            arrived = [stage for stage in stages if came & _makes(graph, stage)]
            sums.work(place, arrived)
            sums.carry((place, p) for stage in arrived for p in stage.parcels if p.to == CLIENT and p.tensor in came)
    return sums.figures()


def _makes(graph: LayerGraph, stage: Stage) -> set[int]:
    return {tensor for layer in graph.layers[stage.first : stage.last + 1] for tensor in layer.outputs}


class _Sums:
    """Work, bytes and money of one user's query, added up."""

    def __init__(self, client: Client, itinerary: Itinerary) -> None:
        self._host, self._user, self._model = client.host, client.user.index, itinerary.model
        self._work_s: dict[int, float] = {}
        self._money = 0.0
        self._sent = self._received = 0

    @property
    def _world(self) -> World:
        return self._host.world

    def work(self, place: int, stages: Iterable[Stage]) -> None:
        node = self._host.address(self._user, place)
        seconds = self._world.seconds(self._model, node)
        work_s = sum(sum(seconds[stage.first : stage.last + 1]) for stage in stages)
        self._work_s[place] = self._work_s.get(place, 0.0) + work_s
        self._money += work_s * self._world.nodes[node].price_per_s

    def carry(self, parcels: Iterable[tuple[int, Parcel]] | Iterator[tuple[int, Parcel]]) -> None:
        for place, parcel in parcels:
            size = parcel.bytes + self._world.header_bytes
            self._sent += size if place == CLIENT else 0
            self._received += size if parcel.to == CLIENT else 0
            ends = self._host.address(self._user, place), self._host.address(self._user, parcel.to)
            self._money += size * self._world.link(*ends).price_per_byte

    def figures(self) -> Figures:
        local = self._work_s.get(CLIENT, 0.0)
        elsewhere = sum(work_s for place, work_s in self._work_s.items() if place != CLIENT)
        return local, elsewhere, self._sent, self._received, self._money

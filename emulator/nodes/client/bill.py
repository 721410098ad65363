"""What a query costs its user, and whether the client can run its part of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from layerlift.emulator.nodes.ports import HostPort
from layerlift.emulator.protocol.routes import Itinerary, Parcel, Stage
from layerlift.models.graph.route import CLIENT
from layerlift.models.sums import left_sum


class Figures(NamedTuple):
    """What a query costs, as its client knows it."""

    client_work_s: float = 0.0
    server_work_s: float = 0.0
    sent_bytes: int = 0
    """By the client."""
    received_bytes: int = 0
    money: float = 0.0
    """USD."""


NOTHING = Figures()


class Bill:
    """What an answered query along one itinerary costs its user: fixed once, since a route says it all."""

    __slots__ = ("figures", "refusal")

    def __init__(self, host: HostPort, user: int, itinerary: Itinerary) -> None:
        sums = Sums(host, user, itinerary.model)
        for place, stages in itinerary.stages.items():
            sums.work(place, stages)
        sums.carry(itinerary.all_parcels())
        self.figures = sums.figures()
        self.refusal = refusal(host, user, itinerary.local_layers())


def refusal(host: HostPort, user: int, layers: list[int]) -> str | None:
    """Why a user's client cannot run these layers of its model, in words; None when it can."""
    graph = host.model_of(user).graph
    need = graph.held_bytes(layers) + max((graph.layers[layer].run_bytes for layer in layers), default=0)
    room = host.world.nodes[host.client_of(user)].memory_bytes
    return f"client memory: {need} bytes needed, {room:.0f} there" if need > room else None


class Sums:
    """Work, bytes and money of one user's query, added up."""

    def __init__(self, host: HostPort, user: int, model: int) -> None:
        self._host, self._world, self._user, self._model = host, host.world, user, model
        self._work_s: dict[int, float] = {}
        self._money = 0.0
        self._sent = self._received = 0

    def work(self, place: int, stages: Iterable[Stage]) -> None:
        """Add the stages of a place."""
        node = self._host.address(self._user, place)
        seconds = self._world.seconds(self._model, node)
        work_s = left_sum(left_sum(seconds[stage.first : stage.last + 1]) for stage in stages)
        self._work_s[place] = self._work_s.get(place, 0.0) + work_s
        self._money += work_s * self._world.nodes[node].price_per_s

    def carry(self, parcels: Iterable[tuple[int, Parcel]]) -> None:
        """Add tensors, each with the place that sends it."""
        for place, parcel in parcels:
            size = parcel.bytes + self._world.header_bytes
            self._sent += size if place == CLIENT else 0
            self._received += size if parcel.to == CLIENT else 0
            ends = self._host.address(self._user, place), self._host.address(self._user, parcel.to)
            self._money += size * self._world.link(*ends).price_per_byte

    def figures(self) -> Figures:
        """The sums."""
        local = self._work_s.get(CLIENT, 0.0)
        elsewhere = left_sum(work_s for place, work_s in self._work_s.items() if place != CLIENT)
        return Figures(local, elsewhere, self._sent, self._received, self._money)

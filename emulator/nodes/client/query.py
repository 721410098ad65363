"""One query under way, as its client sees it; and how it is finished at home when a server fails it."""

from __future__ import annotations

from typing import Protocol

from layerlift.emulator.kernel.clock import Signal
from layerlift.emulator.nodes.client.bill import Bill, Figures, Sums
from layerlift.emulator.nodes.ports import Owner
from layerlift.emulator.nodes.visit import Visit, VisitedNode
from layerlift.emulator.protocol.routes import Itinerary, Stage
from layerlift.emulator.results.rows import FallbackCause
from layerlift.models.graph.graph import LayerGraph
from layerlift.models.graph.route import CLIENT


class Querying(Owner, VisitedNode, Protocol):
    """What a query asks of its client."""


class Fallback:
    """Where a query was to run before it was finished at home, and why it was."""

    __slots__ = ("base", "cause", "done_stages", "reason")

    def __init__(self, base: Itinerary, done_stages: int, cause: FallbackCause, reason: str) -> None:
        self.base, self.cause, self.reason = base, cause, reason
        self.done_stages = done_stages
        """How many of the client's own stages had run by then."""


class OpenQuery:
    """What a query was begun with, what of it is done, and what it still waits for."""

    __slots__ = (
        "_client", "asked_s", "begun_s", "bill", "confirmed", "done", "fallback", "itinerary", "number", "outputs",
        "received", "version", "visit",
    )  # fmt: skip

    def __init__(
        self, client: Querying, number: int, asked_s: float, itinerary: Itinerary, bill: Bill, version: int,
        confirmed: int,
    ) -> None:  # fmt: skip
        self._client = client
        self.number, self.asked_s, self.itinerary, self.bill = number, asked_s, itinerary, bill
        self.begun_s = client.kernel.now
        self.version, self.confirmed = version, confirmed
        """The plan that was in force, and how many of its parts were confirmed."""
        self.outputs = itinerary.outputs - itinerary.given
        """Outputs that the client has not got yet."""
        self.received: list[int] = []
        """Tensors that have come back."""
        self.done: Signal = client.signal()
        self.visit = Visit(client, itinerary, CLIENT, client.user.index, number)
        self.fallback: Fallback | None = None

    @property
    def planned(self) -> Itinerary:
        """Where it was to run when it was begun."""
        return self.itinerary if self.fallback is None else self.fallback.base

    @property
    def waits(self) -> bool:
        """Whether anything is still to come from elsewhere."""
        visit, answers = self.visit, self.itinerary.answers
        return any(visit.missing[visit.position :]) or not answers.issubset(self.received)

    def fall_back(self, cause: FallbackCause, reason: str) -> None:
        """Go on with what the client holds: run every unfinished layer here, and forget what is elsewhere."""
        client, base, visit = self._client, self.itinerary, self.visit
        visit.stop()
        self.fallback = Fallback(base, visit.position, cause, reason)
        self.itinerary = client.host.routes.rest(base, self._held(base, visit.position))
        # A layer that runs again makes all its outputs again, those that have come back already among them.
        self.outputs = sum(stage.finals for stage in self.itinerary.stages[CLIENT])
        self.visit = Visit(client, self.itinerary, CLIENT, client.user.index, self.number)

    def _held(self, base: Itinerary, done_stages: int) -> set[int]:
        """Tensors at the client: the inputs, what came back, and what its own finished stages made."""
        graph = self._graph
        held = {*graph.inputs, *(tensor for tensor in self.received if tensor < len(graph.tensors))}
        for stage in base.stages[CLIENT][:done_stages]:
            held.update(graph.boundary(stage.first, stage.last)[1])
        return held

    def figures(self) -> Figures:
        """Work, bytes and money of the answered query.

        Of one that was finished at home, as far as the client knows: work of a server counts when a tensor of it came
        back. What else was done in vain elsewhere is in the table `segments` alone.
        """
        if self.fallback is None:
            return self.bill.figures
        base, done = self.fallback.base, self.fallback.done_stages
        sums = Sums(self._client.host, self._client.user.index, base.model)
        sums.work(CLIENT, base.stages[CLIENT][:done])
        sums.work(CLIENT, self.itinerary.stages[CLIENT])
        came = set(self.received)
        sums.carry((CLIENT, parcel) for parcel in base.opening)
        sums.carry((CLIENT, parcel) for stage in base.stages[CLIENT][:done] for parcel in stage.parcels)
        for place, stages in base.stages.items():
            if place != CLIENT:
                arrived = [stage for stage in stages if came & self._makes(stage)]
                sums.work(place, arrived)
                back = (p for stage in arrived for p in stage.parcels if p.to == CLIENT and p.tensor in came)
                sums.carry((place, parcel) for parcel in back)
        return sums.figures()

    def _makes(self, stage: Stage) -> set[int]:
        return {tensor for layer in self._graph.layers[stage.first : stage.last + 1] for tensor in layer.outputs}

    @property
    def _graph(self) -> LayerGraph:
        return self._client.host.model_of(self._client.user.index).graph

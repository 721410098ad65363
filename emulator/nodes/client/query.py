"""One query under way, as its client sees it; and how it is finished at home when a server fails it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerlift.emulator.kernel.clock import Signal
from layerlift.emulator.nodes.client.bill import Bill, Figures, figures_of_fallback
from layerlift.emulator.nodes.visit import Visit
from layerlift.emulator.protocol.routes import Itinerary
from layerlift.models.graph.route import CLIENT

if TYPE_CHECKING:
    from layerlift.emulator.nodes.client.client import Client


class OpenQuery:
    """What a query was begun with, what of it is done, and what it still waits for."""

    __slots__ = (
        "asked_s", "base", "begun_s", "bill", "confirmed", "done", "done_stages", "fallback", "itinerary", "number",
        "outputs", "received", "version", "visit",
    )  # fmt: skip

    def __init__(self, client: Client, number: int, asked_s: float, itinerary: Itinerary, bill: Bill) -> None:
        self.number, self.asked_s, self.itinerary, self.bill = number, asked_s, itinerary, bill
        self.begun_s = client.kernel.now
        self.version, self.confirmed = client.uploader.version, client.uploader.confirmed_parts
        self.outputs = itinerary.outputs - itinerary.given
        """Outputs that the client has not got yet."""
        self.received: list[int] = []
        """Tensors that have come back."""
        self.done: Signal = client.signal()
        self.visit = Visit(client, itinerary, CLIENT, client.user.index, number)
        self.base: Itinerary | None = None
        """Where the query was to run before it fell back; None unless it did."""
        self.done_stages = 0
        """How many of the client's own stages had run when it fell back."""
        self.fallback = ""
        """Why it fell back."""

    @property
    def waits(self) -> bool:
        """Whether anything is still to come from elsewhere."""
        visit, answers = self.visit, self.itinerary.answers
        return any(visit.missing[visit.position :]) or not answers.issubset(self.received)

    def figures(self, client: Client) -> Figures:
        """Work, bytes and money of the answered query."""
        return figures_of_fallback(client, self) if self.fallback else self.bill.figures

    def fall_back(self, client: Client, reason: str) -> None:
        """Go on with what the client holds: run every unfinished layer here, and forget what is elsewhere."""
        base, visit = self.itinerary, self.visit
        visit.stop()
        self.base, self.fallback, self.done_stages = base, reason, visit.position
        self.itinerary = client.host.routes.rest(base, self._held(client))
        # A layer that runs again makes all its outputs again, those that have come back already among them.
        self.outputs = sum(stage.finals for stage in self.itinerary.stages[CLIENT])
        self.visit = Visit(client, self.itinerary, CLIENT, client.user.index, self.number)

    def _held(self, client: Client) -> set[int]:
        """Tensors at the client: the inputs, what came back, and what its own finished stages made."""
        base = self.itinerary
        graph = client.host.model_of(client.user.index).graph
        held = {*graph.inputs, *(tensor for tensor in self.received if tensor < len(graph.tensors))}
        for stage in base.stages[CLIENT][: self.done_stages]:
            held.update(graph.boundary(stage.first, stage.last)[1])
        return held

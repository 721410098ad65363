"""Edge and cloud servers: one class, other numbers. A store of uploaded parts, and visits of queries."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from emulator.messages import FILE_ENTRY_BYTES, Confirm, Hello, Leave, Prediction, QueryStep, UploadPart
from emulator.nodes.runner import Runner
from emulator.nodes.visit import Visit
from emulator.problems import predicted_seconds
from emulator.routes import Stage
from emulator.world import NodeSpec
from models.errors import RunError

if TYPE_CHECKING:
    from emulator.host import Host


class Store:
    """What one user has uploaded here."""

    __slots__ = ("building", "held_bytes", "layers", "parameters", "parts", "trusted")

    def __init__(self) -> None:
        self.layers: set[int] = set()
        self.parameters: set[int] = set()
        self.parts: set[tuple[int, int]] = set()
        self.building: dict[tuple[int, int], list[UploadPart]] = {}
        """Parts that are not ready yet: every copy of them that wants a confirm result."""
        self.held_bytes = 0
        self.trusted: set[str] = set()
        """Routes whose layers here have been checked against the store."""


class Server(Runner):
    """Predicts (Program 2), stores parts, confirms them, and runs the stages of queries."""

    __slots__ = ("_gone", "place", "stores", "visits")

    def __init__(self, host: Host, spec: NodeSpec) -> None:
        super().__init__(host, spec)
        self.place = host.world.servers.index(spec.index) + 1
        """Its number in problems and routes."""
        self.stores: dict[int, Store] = {}
        self._gone: set[int] = set()
        self.visits: dict[tuple[int, int], Visit] = {}

    def hello(self, message: Hello) -> None:
        """Answer with file_2: what each layer would cost here, as far as a regression can know."""
        seconds = predicted_seconds(self.host.world, message.model, self.index)
        store = self.stores.get(message.user)
        room = self.spec.memory_bytes - self.held_bytes + (store.held_bytes if store is not None else 0)
        reply = Prediction(message.user, self.index, seconds, room, float(len(self.cpu)), 1.0)
        size = self.host.world.header_bytes + FILE_ENTRY_BYTES * len(seconds)
        self.send(self.host.client_of(message.user), size, reply)

    def upload(self, message: UploadPart) -> None:
        """Admit a part if it fits, build it, and send the confirm result; a duplicate is only confirmed again.

        A copy that was overtaken by its user's leaving is dropped: nobody would ever free it.
        """
        if message.user in self._gone:
            return
        store, key = self.stores.setdefault(message.user, Store()), (message.version, message.part)
        if key in store.building:
            store.building[key].append(message)
            return
        if key in store.parts:
            self._confirm(message, "")
            return
        graph = self.host.model_of(message.user).graph
        fresh = sorted(set(message.parameters) - store.parameters)
        size = sum(graph.parameters[p].held_bytes for p in fresh)
        if self.held_bytes + size > self.spec.memory_bytes:
            free = self.spec.memory_bytes - self.held_bytes
            reason = f"memory: {size} bytes wanted, {free:.0f} free"
            self._allocation(message, "refused", size, reason)
            self._confirm(message, reason)
            return
        store.parts.add(key)
        store.building[key] = [message]
        store.parameters.update(fresh)
        store.held_bytes += size
        self.hold(size)
        self._allocation(message, "admitted", size, "")
        moved = sum(graph.parameters[p].upload_bytes for p in fresh)
        self.call_at(self.kernel.now + self.spec.load_s_per_byte * moved, self._built, message)

    def query(self, message: QueryStep) -> None:
        """Take a tensor of a query and run what it makes runnable."""
        key = message.user, message.query
        visit = self.visits.get(key)
        if visit is None:
            self._check(message)
            itinerary = self.host.routes[message.route]
            visit = self.visits[key] = Visit(self, itinerary, self.place, message.user, message.query)
        visit.arrive(message.tensor)

    def stage_ended(self, visit: Visit, stage: Stage) -> None:
        """Forget a visit that has nothing left to do here."""
        if visit.position == len(visit.stages):
            del self.visits[visit.user, visit.query]

    def leave(self, message: Leave) -> None:
        """Free what a user held."""
        self._gone.add(message.user)
        store = self.stores.pop(message.user, None)
        if store is not None and store.parts:
            self.hold(-store.held_bytes)
            user = self.host.user_names[message.user]
            layers = len(store.layers)
            self.row("allocations", user, "released", 0, -1, layers, store.held_bytes, self.held_bytes, "user left")
            self.host.stored(self.index, message.user, ())

    def _built(self, message: UploadPart) -> None:
        store = self.stores.get(message.user)
        if store is None:
            return
        store.layers.update(message.layers)
        store.trusted.clear()
        if message.parameters:  # none would say that all are let go
            self.host.stored(self.index, message.user, message.parameters)
        for each in store.building.pop((message.version, message.part)):
            self._confirm(each, "")

    def _confirm(self, message: UploadPart, reason: str) -> None:
        reply = Confirm(message.user, message.version, message.part, message.attempt, reason)
        self.send(self.host.client_of(message.user), self.host.world.header_bytes, reply)

    def _allocation(self, message: UploadPart, event: str, size: int, reason: str) -> None:
        user = self.host.user_names[message.user]
        self.row(
            "allocations",
            user,
            event,
            message.version,
            message.part,
            len(message.layers),
            size,
            self.held_bytes,
            reason,
        )

    def _check(self, message: QueryStep) -> None:
        """A server runs only what was uploaded to it: anything else is a fault of the emulation, not of the user."""
        store = self.stores.get(message.user)
        if store is not None and message.route in store.trusted:
            return
        for stage in self.host.routes[message.route].stages[self.place]:
            if store is None or not store.layers.issuperset(range(stage.first, stage.last + 1)):
                raise RunError(
                    f"{self.spec.name} was asked to run layers {stage.first} to {stage.last} of user "
                    f"{self.host.user_names[message.user]}, which were never confirmed there"
                )
        if store is not None:
            store.trusted.add(message.route)

    handlers: ClassVar = {Hello: hello, UploadPart: upload, QueryStep: query, Leave: leave}

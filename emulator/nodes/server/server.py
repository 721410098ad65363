"""Edge and cloud servers: one class, other numbers. A store of uploaded parts, and visits of queries."""

from __future__ import annotations

from math import inf
from typing import ClassVar

from layerlift.emulator.kernel.disciplines import AnyCpu
from layerlift.emulator.kernel.weighted_cpu import WeightedCpu
from layerlift.emulator.nodes.ports import HostPort
from layerlift.emulator.nodes.server.admission import weighs_cpu
from layerlift.emulator.nodes.server.power import Power
from layerlift.emulator.nodes.server.store import Store
from layerlift.emulator.nodes.server.storing import StoringNode
from layerlift.emulator.nodes.visit import Visit
from layerlift.emulator.planning.problems import predicted_seconds
from layerlift.emulator.protocol.messages import (
    FILE_ENTRY_BYTES,
    Abort,
    ClaimRequest,
    CopyPart,
    Evicted,
    Failed,
    Hello,
    Leave,
    Load,
    Message,
    Prediction,
    QueryStep,
    Refused,
    RoomRequest,
    RoomReturn,
    Switch,
    UploadPart,
)
from layerlift.emulator.protocol.routes import Stage
from layerlift.emulator.results.rows import ChangeKind, ChangeRow
from layerlift.emulator.world.machines import NodeSpec
from layerlift.models.errors import RunError


class Server(StoringNode):
    """Predicts (Program 2), stores parts, confirms them, and runs the stages of queries."""

    __slots__ = ("_aborted", "_predicted", "_spans", "alive", "place", "visits")

    def __init__(self, host: HostPort, spec: NodeSpec) -> None:
        super().__init__(host, spec)
        self.place = host.world.servers.index(spec.index) + 1
        """Its number in problems and routes."""
        self._aborted: dict[int, set[int]] = {}
        self.visits: dict[tuple[int, int], Visit] = {}
        self._predicted: dict[int, tuple[float, ...]] = {}
        """file_2 of each model, the same for all who ask."""
        self.alive = True
        """Whether it has not crashed."""
        self.power = next((Power(self, each) for each in host.world.scaling if spec.index in each.servers), None)
        self._spans = host.conditions.crashes(spec.index)
        self._next_crash()
        if host.world.planning.heartbeat_s < inf:
            self.call_at(host.world.planning.heartbeat_s, self._beat, 1)

    visit_class: ClassVar[type[Visit]] = Visit

    def make_cpu(self) -> AnyCpu:
        """One that knows users' weights, where the policy has them."""
        return WeightedCpu(self, self.spec.cores) if weighs_cpu(self.spec) else super().make_cpu()

    def hello(self, message: Hello) -> None:
        """Answer with file_2: what each layer would cost here, as far as a regression can know; and with an offer."""
        world = self.host.world
        seconds = self._predicted.get(message.model)
        if seconds is None:
            seconds = self._predicted[message.model] = predicted_seconds(world, message.model, self.index)
        offer = self.admission.offer(message.user)
        has = self._shelves.there(message.model, world.models[message.model].graph)
        on = self.power is None or self.power.refusal is None
        if self.power is not None and not on:
            self.power.turn_away(message.user)
        reply = Prediction(message.user, self.index, seconds, *offer, has, self._attendance(), on)
        size = world.header_bytes + FILE_ENTRY_BYTES * len(seconds)
        self.send(self.host.client_of(message.user), size, reply)

    def send(self, to: int, size: int, message: Message, stream: int = 0) -> int:
        """See `Machine`."""
        if self._book is not None:
            self._book.sent(self.kernel.now, size)
        return super().send(to, size, message, stream)

    # Parts

    def leave(self, message: Leave) -> None:
        """Free what a user held."""
        self._gone.add(message.user)
        self._stamps.pop(message.user, None)
        self._aborted.pop(message.user, None)
        for user, query in [key for key in self.visits if key[0] == message.user]:
            self._forget_visit(user, query)
        self._keep(message.user, (), "released", "user left")
        self.rooms.leave(message.user)
        if self.power is not None:
            self.power.leave(message.user)
        self.admission.leave(message.user)
        if self._book is not None:
            self._book.leave(message.user)

    def evict(self, user: int, wanted_bytes: float, reason: str) -> None:
        """Take memory back from a user, whole parts, the latest first; the client is told which layers are gone."""
        store = self._shelves.stores[user]
        left, building = list(store.parts.values()), dict(store.building)
        before, goal = set(store.layers), self.held_of(user) - wanted_bytes
        while left and self.held_of(user) > goal:
            left.pop()
            self._keep(user, {layer for own in left for layer in own}, "evicted", reason)
        after = self._shelves.stores.get(user)
        for key, copies in building.items():
            if after is None or key not in after.building:
                for each in copies:
                    self._confirm(each, "refused", reason)
        gone = before - (after.layers if after is not None else set())
        self.send(self.host.client_of(user), self.host.world.header_bytes, Evicted(user, self.index, (*sorted(gone),)))
        for key, visit in list(self.visits.items()):
            if key[0] == user and self._lacking(visit):
                self._forget_visit(*key)
                self._refuse(*key, ())

    # Queries

    def query(self, message: QueryStep) -> None:
        """Take a tensor of a query and run what it makes runnable."""
        if self._book is not None:
            size = self.host.model_of(message.user).graph.tensors[message.tensor].bytes if message.tensor >= 0 else 0
            self._book.received(self.kernel.now, size + self.host.world.header_bytes)
        key = message.user, message.query
        visit = self.visits.get(key)
        if visit is None:
            if self._aborted and message.query in self._aborted.get(message.user, ()):
                return
            if not self._ready_for(message):
                return
            itinerary = self.host.routes[message.route]
            visit = self.visits[key] = self.visit_class(self, itinerary, self.place, message.user, message.query)
        visit.arrive(message.tensor)

    def stage_ended(self, visit: Visit, stage: Stage) -> None:
        """Forget a visit that has nothing left to do here."""
        if visit.position == len(visit.stages):
            del self.visits[visit.user, visit.query]

    def abort(self, message: Abort) -> None:
        """Forget a query that is finished elsewhere, and whatever of it may still come."""
        self._forget_visit(message.user, message.query)
        if message.user not in self._gone:
            self._aborted.setdefault(message.user, set()).add(message.query)

    def _forget_visit(self, user: int, query: int) -> None:
        visit = self.visits.pop((user, query), None)
        if visit is not None:
            visit.stop()

    def _refuse(self, user: int, query: int, missing: tuple[int, ...]) -> None:
        self._aborted.setdefault(user, set()).add(query)
        message = Refused(user, query, self.index, missing)
        self.send(self.host.client_of(user), self.host.world.header_bytes, message)

    def _lacking(self, visit: Visit) -> bool:
        store = self._shelves.stores.get(visit.user, _EMPTY)
        return any(store.lacking(range(stage.first, stage.last + 1)) for stage in visit.stages[visit.position :])

    def _ready_for(self, message: QueryStep) -> bool:
        """Whether the layers of a route are here. If not, the client is told, where a world can come to that."""
        store = self._shelves.stores.get(message.user, _EMPTY)
        if message.route in store.trusted:
            return True
        for stage in self.host.routes[message.route].stages[self.place]:
            missing = store.lacking(range(stage.first, stage.last + 1))
            if not missing:
                continue
            if not self.host.world.revocable and message.user not in self._gone:
                raise RunError(
                    f"{self.spec.name} was asked to run layers {stage.first} to {stage.last} of user "
                    f"{self.host.user_names[message.user]}, which were never confirmed there"
                )
            if message.user not in self._gone:
                self._refuse(message.user, message.query, missing)
            return False
        if store is not _EMPTY:
            store.trusted.add(message.route)
        return True

    # Its own life

    def _beat(self, number: int) -> None:
        world = self.host.world
        if self.alive and (self.power is None or self.power.refusal is None):
            beat = Load(self.index, float(len(self.cpu)), self.free_bytes, self._attendance())
            self.send(world.planner, world.header_bytes, beat)
        self.call_at((number + 1) * world.planning.heartbeat_s, self._beat, number + 1)

    def _next_crash(self) -> None:
        span = next(self._spans, None)
        if span is not None:
            self.call_at(span[0], self._crash, span[1])

    def _crash(self, until_s: float) -> None:
        """Lose everything: parts, claims, and the queries that were being worked on."""
        self.alive = False
        self.change("crash")
        self.cpu.clear()
        self.switch(on=False)
        for visit in self.visits.values():
            visit.stop()
        self.visits.clear()
        self._aborted.clear()
        self._copies.clear()
        for user in list(self._shelves.stores):
            self._keep(user, (), "lost", "crash")
        self._shelves.clear()
        self.rooms.clear()
        self.admission.clear()
        if self._book is not None:
            self._book.clear()
        if until_s < inf:
            self.call_at(until_s, self._restart)

    def _restart(self, _: object) -> None:
        self.alive = True
        self.change("restart")
        self.switch(on=self.power is None or self.power.drawing)
        self._next_crash()

    def switch(self, on: bool) -> None:
        """See `Machine`; what has crashed draws nothing."""
        super().switch(on and self.alive)

    def order(self, message: Switch) -> None:
        """Be on or off; only servers of a scaled group are told."""
        if self.power is not None:
            self.power.order(message)

    def change(self, kind: ChangeKind, note: str = "") -> None:
        """Report something that happened to it."""
        self.row(ChangeRow(at_s=self.kernel.now, node=self.name, kind=kind, peer="", user="", note=note))

    def validate(self) -> None:
        """See `Machine.validate`."""
        super().validate()
        assert self.free_bytes >= 0, f"{self.name} holds and promises more than it has room for"
        self.rooms.validate()
        self._shelves.validate(self.held_bytes, lambda user: self.host.model_of(user).graph)

    handlers: ClassVar = {
        Hello: hello,
        UploadPart: StoringNode.upload,
        RoomRequest: StoringNode.ask,
        RoomReturn: lambda server, message: server.rooms.give_back(message),
        CopyPart: StoringNode.copy,
        Failed: StoringNode.failed,
        ClaimRequest: StoringNode.claim,
        QueryStep: query,
        Abort: abort,
        Leave: leave,
        Switch: order,
    }  # fmt: skip


_EMPTY = Store()

"""Edge and cloud servers: one class, other numbers. A store of uploaded parts, and visits of queries."""

from __future__ import annotations

from math import inf
from typing import ClassVar

from layerlift.emulator.kernel.disciplines import AnyCpu
from layerlift.emulator.kernel.weighted_cpu import WeightedCpu
from layerlift.emulator.nodes.ports import HostPort
from layerlift.emulator.nodes.runner import Runner
from layerlift.emulator.nodes.server.admission import Admission, weighs_cpu
from layerlift.emulator.nodes.server.attendance_book import AttendanceBook
from layerlift.emulator.nodes.server.store import Shelves, Store
from layerlift.emulator.nodes.visit import Visit
from layerlift.emulator.planning.problems import predicted_seconds
from layerlift.emulator.protocol.messages import (
    FILE_ENTRY_BYTES,
    Abort,
    Attendance,
    ClaimRequest,
    Confirm,
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
    UploadPart,
    Verdict,
)
from layerlift.emulator.protocol.routes import Stage
from layerlift.emulator.results.rows import AllocationEvent, AllocationRow, ChangeKind, ChangeRow
from layerlift.emulator.world.machines import NodeSpec
from layerlift.models.errors import RunError
from layerlift.models.sums import int_sum


class Server(Runner):
    """Predicts (Program 2), stores parts, confirms them, and runs the stages of queries."""

    __slots__ = (
        "_aborted",
        "_alive",
        "_book",
        "_copies",
        "_gone",
        "_predicted",
        "_shelves",
        "_spans",
        "_stamps",
        "admission",
        "place",
        "visits",
    )

    def __init__(self, host: HostPort, spec: NodeSpec) -> None:
        super().__init__(host, spec)
        self.place = host.world.servers.index(spec.index) + 1
        """Its number in problems and routes."""
        self._shelves = Shelves(spec.share_models)
        self.admission = Admission(self)
        self._book = AttendanceBook(host) if host.crowd_wanted else None
        self._gone: set[int] = set()
        self._aborted: dict[int, set[int]] = {}
        self._copies: dict[int, UploadPart] = {}
        self._stamps: dict[int, int] = {}
        """The highest stamp that each user's claims and parts had."""
        self.visits: dict[tuple[int, int], Visit] = {}
        self._predicted: dict[int, tuple[float, ...]] = {}
        """file_2 of each model, the same for all who ask."""
        self._alive = True
        self._spans = host.conditions.crashes(spec.index)
        self._next_crash()
        if host.world.planning.heartbeat_s < inf:
            self.call_at(host.world.planning.heartbeat_s, self._beat, 1)

    visit_class: ClassVar[type[Visit]] = Visit

    def make_cpu(self) -> AnyCpu:
        """One that knows users' weights, where the policy has them."""
        return WeightedCpu(self, self.spec.cores) if weighs_cpu(self.spec) else super().make_cpu()

    def held_of(self, user: int) -> int:
        """Bytes that a user's parts take here."""
        store = self._shelves.stores.get(user)
        return store.held_bytes if store is not None else 0

    def room_for(self, user: int) -> float:
        """Bytes that a user's parts may take in all as far as there is room, those that are there already included."""
        model, graph = self.host.world.users[user].model, self.host.model_of(user).graph
        there = self._shelves.there(model, graph)
        own = sum(graph.parameters[p].held_bytes for p in there) if there else self.held_of(user)
        return self.spec.memory_bytes - self.held_bytes + own

    def hello(self, message: Hello) -> None:
        """Answer with file_2: what each layer would cost here, as far as a regression can know; and with an offer."""
        world = self.host.world
        seconds = self._predicted.get(message.model)
        if seconds is None:
            seconds = self._predicted[message.model] = predicted_seconds(world, message.model, self.index)
        offer = self.admission.offer(message.user)
        has = self._shelves.there(message.model, world.models[message.model].graph)
        reply = Prediction(message.user, self.index, seconds, *offer, has, self._attendance())
        size = world.header_bytes + FILE_ENTRY_BYTES * len(seconds)
        self.send(self.host.client_of(message.user), size, reply)

    def send(self, to: int, size: int, message: Message, stream: int = 0) -> int:
        """See `Machine`."""
        if self._book is not None:
            self._book.sent(self.kernel.now, size)
        return super().send(to, size, message, stream)

    def _attendance(self) -> Attendance | None:
        return None if self._book is None else self._book.read(self.kernel.now)

    # Parts

    def upload(self, message: UploadPart) -> None:
        """Admit a part if it fits, build it, and send the confirm result; a duplicate is only confirmed again.

        A copy that was overtaken by its user's leaving is dropped: nobody would ever free it.
        """
        user = message.user
        if self._book is not None:
            parameters = self.host.model_of(user).graph.parameters
            moved = int_sum(parameters[each].upload_bytes for each in message.parameters)
            self._book.received(self.kernel.now, moved + self.host.world.header_bytes)
        if user in self._gone:
            return
        if message.claim is not None:
            self.claim(message.claim)
        self._stamps[user] = max(message.stamp, self._stamps.get(user, 0))
        store, key = self._shelves.of(user), (message.version, message.part)
        if key in store.building:
            store.building[key].append(message)
            return
        if key in store.parts:
            self._confirm(message, "stored")
            return
        model, graph = self.host.world.users[user].model, self.host.model_of(user).graph
        fresh = [p for p in sorted(graph.parameters_of(message.layers)) if p not in store.parameters]
        gone = set(fresh) - set(message.parameters) - set(self._shelves.there(model, graph))
        size = self._shelves.more_bytes(model, graph, fresh)
        verdict: Verdict = "gone" if gone else "refused"
        reason = f"gone: {len(gone)} shared parameters have left" if gone else self.admission.refusal(user, size)
        if reason is not None:
            self._allocation(message, "refused", size, reason)
            self._confirm(message, verdict, reason)
            return
        self.hold(self._shelves.add(user, model, graph, message, fresh))
        self._allocation(message, "admitted", size, "")
        moved = sum(graph.parameters[p].upload_bytes for p in fresh if p in message.parameters)
        self.call_at(self.kernel.now + self.spec.load_s_per_byte * moved, self._built, message)

    def copy(self, message: CopyPart) -> None:
        """Send a stored part on to the server that its user has moved to."""
        store = self._shelves.stores.get(message.part.user)
        if store is None or store.lacking(message.part.layers):
            self._confirm(message.part, "failed", f"not stored on {self.name}")
            return
        sequence = self.send(message.to, message.bytes + self.host.world.header_bytes, message.part)
        if self.host.world.revocable:
            self._copies[sequence] = message.part

    def failed(self, message: Failed) -> None:
        """A copy broke off: its user has to know."""
        part = self._copies.pop(message.sequence, None)
        if part is not None:
            wasted = max(0, message.carried_bytes - self.host.world.header_bytes)  # as `bytes` of uploads: no headers
            self._confirm(part, "failed", message.reason, wasted)

    def claim(self, message: ClaimRequest) -> None:
        """Take what a user's plan wants; let go of the rest where it says so."""
        if message.user in self._gone or message.stamp <= self._stamps.get(message.user, 0):
            return
        self._stamps[message.user] = message.stamp
        self.admission.claim(message)
        if self._book is not None:
            self._book.claim(message, self.kernel.now)
        if message.only:
            self._keep(message.user, message.layers, "released", "not wanted any more")

    def leave(self, message: Leave) -> None:
        """Free what a user held."""
        self._gone.add(message.user)
        self._stamps.pop(message.user, None)
        self._aborted.pop(message.user, None)
        for user, query in [key for key in self.visits if key[0] == message.user]:
            self._forget_visit(user, query)
        self._keep(message.user, (), "released", "user left")
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

    def _keep(self, user: int, layers: tuple[int, ...] | set[int], event: AllocationEvent, reason: str) -> None:
        """Keep only these layers of a user's; report what is freed."""
        store = self._shelves.stores.get(user)
        if store is None or not (store.parts or store.layers):
            self._shelves.stores.pop(user, None)
            return
        had, parameters = len(store.layers), tuple(store.parameters)
        model, graph = self.host.world.users[user].model, self.host.model_of(user).graph
        freed = self._shelves.keep(user, model, graph, layers)
        self.hold(-freed)
        after = self._shelves.stores.get(user)
        count = had - (len(after.layers) if after is not None else 0)
        if after is not None and tuple(after.parameters) == parameters and not count:
            return
        self._decided(user, event, 0, -1, count, freed, reason)
        self.host.stored(self.index, user, ())
        if after is not None and after.parameters:
            self.host.stored(self.index, user, tuple(after.parameters))

    def _built(self, message: UploadPart) -> None:
        store, key = self._shelves.stores.get(message.user), (message.version, message.part)
        if store is None or store.building.get(key, (None,))[0] is not message:
            return  # it was let go of meanwhile, and may have come again
        copies = store.building.pop(key)
        store.layers.update(message.layers)
        store.trusted.clear()
        graph = self.host.model_of(message.user).graph
        parameters = message.parameters if not self.spec.share_models else graph.parameters_of(message.layers)
        if parameters:  # none would say that all are let go
            self.host.stored(self.index, message.user, tuple(sorted(parameters)))
        for each in copies:
            self._confirm(each, "stored")

    def _confirm(self, message: UploadPart, verdict: Verdict, reason: str = "", wasted_bytes: int = 0) -> None:
        asked = message.user, message.version, message.part, message.attempt
        reply = Confirm(*asked, verdict, reason, wasted_bytes)
        self.send(self.host.client_of(message.user), self.host.world.header_bytes, reply)

    def _allocation(self, message: UploadPart, event: AllocationEvent, size: int, reason: str) -> None:
        self._decided(message.user, event, message.version, message.part, len(message.layers), size, reason)

    def _decided(
        self, user: int, event: AllocationEvent, version: int, part: int, layers: int, size: int, reason: str
    ) -> None:
        self.row(
            AllocationRow(
                at_s=self.kernel.now,
                server=self.name,
                user=self.host.user_names[user],
                event=event,
                plan_version=version,
                part=part,
                layers=layers,
                bytes=size,
                held_bytes=self.held_bytes,
                reason=reason,
            )
        )

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
        if self._alive:
            room = self.spec.memory_bytes - self.held_bytes
            beat = Load(self.index, float(len(self.cpu)), room, self._attendance())
            self.send(world.planner, world.header_bytes, beat)
        self.call_at((number + 1) * world.planning.heartbeat_s, self._beat, number + 1)

    def _next_crash(self) -> None:
        span = next(self._spans, None)
        if span is not None:
            self.call_at(span[0], self._crash, span[1])

    def _crash(self, until_s: float) -> None:
        """Lose everything: parts, claims, and the queries that were being worked on."""
        self._alive = False
        self._change("crash")
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
        self.admission.clear()
        if self._book is not None:
            self._book.clear()
        if until_s < inf:
            self.call_at(until_s, self._restart)

    def _restart(self, _: object) -> None:
        self._alive = True
        self._change("restart")
        self.switch(on=True)
        self._next_crash()

    def _change(self, kind: ChangeKind) -> None:
        self.row(ChangeRow(at_s=self.kernel.now, node=self.name, kind=kind, peer="", user="", note=""))

    def validate(self) -> None:
        """See `Machine.validate`."""
        super().validate()
        assert self.held_bytes <= self.spec.memory_bytes, f"{self.name} holds more than it has room for"
        self._shelves.validate(self.held_bytes, lambda user: self.host.model_of(user).graph)

    handlers: ClassVar = {
        Hello: hello, UploadPart: upload, CopyPart: copy, Failed: failed, ClaimRequest: claim, QueryStep: query,
        Abort: abort, Leave: leave,
    }  # fmt: skip


_EMPTY = Store()

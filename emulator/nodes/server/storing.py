"""A server as the place of parts: whom it has room for, what it holds for whom, and what it says of it."""

from __future__ import annotations

from abc import abstractmethod
from math import inf

from layerlift.emulator.nodes.ports import HostPort
from layerlift.emulator.nodes.runner import Runner
from layerlift.emulator.nodes.server.admission import Admission
from layerlift.emulator.nodes.server.attendance_book import AttendanceBook
from layerlift.emulator.nodes.server.power import Power
from layerlift.emulator.nodes.server.rooms import Rooms
from layerlift.emulator.nodes.server.store import Shelves
from layerlift.emulator.protocol.messages import (
    Attendance,
    ClaimRequest,
    Confirm,
    CopyPart,
    Failed,
    RoomRequest,
    UploadPart,
    Verdict,
)
from layerlift.emulator.results.rows import AllocationEvent, AllocationRow
from layerlift.emulator.world.machines import NodeSpec
from layerlift.models.sums import int_sum


class StoringNode(Runner):
    """Admits parts, builds and keeps them, and lets go of them. Queries are what a `Server` adds."""

    __slots__ = ("_book", "_copies", "_gone", "_shelves", "_stamps", "admission", "power", "rooms")

    def __init__(self, host: HostPort, spec: NodeSpec) -> None:
        super().__init__(host, spec)
        self._shelves, self.rooms = Shelves(spec.share_models), Rooms()
        self.admission = Admission(self)
        self._book = AttendanceBook(host) if host.crowd_wanted else None
        self._gone: set[int] = set()
        self._copies: dict[int, UploadPart] = {}
        self._stamps: dict[int, int] = {}
        """The highest stamp that each user's claims and parts had."""
        self.power: Power | None = None
        """None for a server that is always on."""

    def guests(self) -> list[int]:
        """Users who have something here or were promised room, ascending."""
        return sorted({*(user for user, store in self._shelves.stores.items() if store.parts), *self.rooms.users})

    def empty(self, reason: str) -> None:
        """Let go of everything; users are told as when a policy takes memory back."""
        self.rooms.clear()
        for user in sorted(self._shelves.stores):
            if self._shelves.stores[user].parts:
                self.evict(user, inf, reason)
        self.admission.clear()
        if self._book is not None:
            self._book.clear()

    @abstractmethod
    def evict(self, user: int, wanted_bytes: float, reason: str) -> None:
        """Take memory back from a user, whole parts, the latest first; the client is told which layers are gone."""

    def held_of(self, user: int) -> int:
        """Bytes that a user's parts take here."""
        store = self._shelves.stores.get(user)
        return store.held_bytes if store is not None else 0

    def room_for(self, user: int) -> float:
        """Bytes that a user's parts may take in all as far as there is room, those that are there already included."""
        model, graph = self.host.world.users[user].model, self.host.model_of(user).graph
        there = self._shelves.there(model, graph)
        own = sum(graph.parameters[p].held_bytes for p in there) if there else self.held_of(user)
        return self.free_bytes + own + self.rooms.of(user)

    @property
    def free_bytes(self) -> float:
        """Memory that nobody holds or was promised."""
        return self.spec.memory_bytes - self.held_bytes - self.rooms.promised_bytes

    def _attendance(self) -> Attendance | None:
        return None if self._book is None else self._book.read(self.kernel.now)

    def upload(self, message: UploadPart) -> None:
        """Admit a part if it fits, build it, and send the confirm result; a duplicate is only confirmed again.

        A copy that was overtaken by its user's leaving is dropped: nobody would ever free it.
        """
        user = message.user
        if self._book is not None:
            parameters = self.host.model_of(user).graph.parameters
            moved = int_sum(parameters[each].upload_bytes for each in message.parameters)
            self._book.received(self.kernel.now, moved + self.host.world.header_bytes)
        fresh = self._judged(message)
        if fresh is None:
            return
        model, graph = self.host.world.users[user].model, self.host.model_of(user).graph
        size = self._shelves.add(user, model, graph, message, fresh)
        self.hold(size)
        self._allocation(message, "admitted", size, "")
        moved = sum(graph.parameters[p].upload_bytes for p in fresh if p in message.parameters)
        self.call_at(self.kernel.now + self.spec.load_s_per_byte * moved, self._built, message)

    def ask(self, message: RoomRequest) -> None:
        """Say what would become of a part that came now; if it may come, keep room for it."""
        fresh = self._judged(message.part)
        if fresh is not None and self.rooms.wanted(message.part):
            model, graph = self.host.world.users[message.part.user].model, self.host.model_of(message.part.user).graph
            self.rooms.promise(message.part, self._shelves.more_bytes(model, graph, fresh))
            self._confirm(message.part, "room")

    def _judged(self, message: UploadPart) -> list[int] | None:
        """Parameters with which a part may come in, ascending; None when it is there already, refused or nobody's."""
        user = message.user
        if user in self._gone:
            return None
        if message.claim is not None:
            self.claim(message.claim)
        self._stamps[user] = max(message.stamp, self._stamps.get(user, 0))
        store, key = self._shelves.of(user), (message.version, message.part)
        if key in store.building:
            store.building[key].append(message)
            return None
        if key in store.parts:
            self._confirm(message, "stored")
            return None
        self.rooms.take(message)
        model, graph = self.host.world.users[user].model, self.host.model_of(user).graph
        fresh = [p for p in sorted(graph.parameters_of(message.layers)) if p not in store.parameters]
        gone = set(fresh) - set(message.parameters) - set(self._shelves.there(model, graph))
        size = self._shelves.more_bytes(model, graph, fresh)
        verdict: Verdict = "refused"
        reason = self.power.refusal if self.power is not None else None
        if reason is None and gone:
            reason, verdict = f"gone: {len(gone)} shared parameters have left", "gone"
        reason = reason or self.admission.refusal(user, size)
        if reason is None:
            return fresh
        self._allocation(message, "refused", size, reason)
        self._confirm(message, verdict, reason)
        return None

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
            self.rooms.narrow(message.user, message.layers)
            self._keep(message.user, message.layers, "released", "not wanted any more")

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

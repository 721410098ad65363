"""The upload thread: parts (P3) go out one by one, or one per server at a time, each until its confirm result."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from math import inf
from typing import TYPE_CHECKING, NamedTuple

from emulator.kernel import Signal
from emulator.messages import Cancel, Confirm, CopyPart, Failed, PlanReply, UploadPart
from emulator.routes import Itinerary
from planners.plan import Upload

if TYPE_CHECKING:
    from emulator.nodes.client import Client

_BACKOFF_DOUBLINGS = 10


class _Attempt(NamedTuple):
    """One sending of a part that has had no answer yet."""

    attempt: int
    server: int
    sequence: int
    sent_s: float
    layers: int
    size: int
    copied_from: int
    """Node index of the server that sends the part; -1: the client does."""


class _Lane:
    """Parts that are sent one after the other."""

    __slots__ = ("parts", "running")

    def __init__(self) -> None:
        self.parts: deque[int] = deque()
        self.running = False


class Uploader:
    """Belongs to one client. Knows the plan in force, and what of it is confirmed where."""

    __slots__ = (
        "_attempts", "_awaited", "_client", "_confirmed", "_copies", "_done", "_epoch", "_failures", "_former", "_full",
        "_held", "_kept", "_lanes", "_open", "_parts", "_placement", "_replans", "_roams", "_seen", "_shared",
        "_signals", "_skipped", "_tidy_s", "predicted_s", "servers", "tidies", "version",
    )  # fmt: skip

    def __init__(self, client: Client) -> None:
        self._client = client
        self._placement: tuple[int, ...] = ()
        self._parts: list[Upload] = []
        self._done: set[int] = set()
        self._confirmed: set[tuple[int, int]] = set()
        self._former: dict[int, int] = {}
        """By layer: the place that a moving user has left, where the layer still is."""
        self._copies: dict[int, int] = {}
        """By part: the place that is to send it on to its new one."""
        self._held: dict[int, set[int]] = {}
        self._kept: dict[int, int] = {}
        """By part: bytes that an attempt left at the server (`resume`)."""
        self._shared: dict[int, set[int]] = {}
        self._attempts: dict[int, int] = {}
        self._skipped: set[int] = set()
        """Parts that were refused or taken back: they are not sent again before the next plan."""
        self._failures = 0
        self._roams = False
        self._tidy_s = 0.0
        self.tidies: set[int] = set()
        """Places that have still to be told what they may let go."""
        self._signals: dict[tuple[int, int, int], Signal] = {}
        self._open: dict[int, _Attempt] = {}
        self._lanes: dict[int, _Lane] = {}
        self._epoch = self._awaited = self._replans = self.version = 0
        self._seen: dict[int, float] = {}
        self._full: Itinerary | None = None
        self.predicted_s = 0.0
        """What a query takes once all is confirmed, as the planner said."""
        self.servers: set[int] = set()
        """Node indices of the servers that were ever sent a part."""

    # What the client asks

    @property
    def confirmed_parts(self) -> int:
        """How many parts of the plan in force are confirmed."""
        return len(self._done)

    def placement(self, layers: int) -> tuple[int, ...]:
        """Where each layer of the next query runs: as planned where confirmed and within reach, else here (0)."""
        if not self._placement or len(self._done) < self._awaited:
            return (0,) * layers
        near = {
            place: self._client.reachable(self._node(place)) for place in {*self._placement, *self._former.values()}
        }
        if self._awaited and not all(near[place] for place in set(self._placement) if place):
            return (0,) * layers
        return tuple(self._place(layer, place, near) for layer, place in enumerate(self._placement))

    def _place(self, layer: int, place: int, near: dict[int, bool]) -> int:
        if (place, layer) in self._confirmed and near[place]:
            return place
        former = self._former.get(layer, 0)
        return former if former and (former, layer) in self._confirmed and near[former] else 0

    def seen(self) -> tuple[tuple[int, float], ...]:
        """Bytes per second of the last part that reached each server (node index), from sending to confirm result."""
        return tuple(sorted(self._seen.items()))

    def link_bytes(self, place: int) -> int:
        """Bytes that one query moves to and from a place once all is confirmed."""
        if self._full is None:
            return 0
        return sum(parcel.bytes for source, parcel in self._full.all_parcels() if place in (source, parcel.to))

    # What happens to it

    def follow(self, plan: PlanReply) -> None:
        """Take up a plan. Layers that an earlier plan has put on the same server need not travel again."""
        client, user = self._client, self._client.user
        self.stop("new plan")
        before = {place for place, _ in self._confirmed} | {upload.server for upload in self._parts}
        self.version, self._placement, self._parts = plan.version, plan.placement, list(plan.uploads)
        self.predicted_s = plan.predicted_s
        self._done, self._skipped, self._kept, self._attempts = set(), set(), {}, {}
        self._former, self._copies, self._roams = {}, {}, False
        self._awaited = len(plan.uploads) if plan.whole else 0
        self._full = client.host.routes.named(user.model, user.query, plan.placement)
        for place in sorted({upload.server for upload in self._parts}):
            self._claim(place)
        if plan.version > 1:
            self._tidy_later(before | {upload.server for upload in self._parts})
        self._send_later(range(len(self._parts)))

    def stop(self, reason: str) -> None:
        """Give up what is under way: transfers are cancelled, and each open part is reported with `reason`."""
        self._epoch += 1
        self._lanes = {}
        for part, tried in sorted(self._open.items()):
            self._cancel(part, tried, reason)
        self._open.clear()

    def confirm(self, message: Confirm) -> None:
        """Hand a confirm result to the part that waits for it; a late one finds nobody."""
        self._answer((message.version, message.part, message.attempt), message.reason or "confirmed")

    def failed(self, message: Failed) -> None:
        """A part broke off on its way: the failed CR of the paper. What has arrived stays there with `resume`."""
        for part, tried in self._open.items():
            if tried.sequence == message.sequence and tried.copied_from < 0:
                if message.down:
                    self._client.avoid_link(tried.server)
                kept = self._client.user.resume
                self._kept[part] = self._kept.get(part, 0) + message.carried_bytes if kept else 0
                wasted = 0 if kept else message.carried_bytes
                self._answer((self.version, part, tried.attempt), f"failed:{wasted}:{message.reason}")
                return

    def forget(self, server: int, layers: tuple[int, ...]) -> None:
        """A server (node index) has not got these layers any more; nothing is sent again before the next plan."""
        place, gone = self._client.host.place_of(server), set(layers)
        self._confirmed.difference_update((place, layer) for layer in gone)
        graph = self._client.host.model_of(self._client.user.index).graph
        left = graph.parameters_of(layer for where, layer in self._confirmed if where == place)
        self._held.get(server, set()).intersection_update(left)
        taken = {part for part in self._done if self._parts[part].server == place and self._lacks(part)}
        self._done -= taken
        self._skipped |= taken

    def lost(self, server: int) -> None:
        """A server (node index) has crashed: everything there is lost, and what was on its way has failed."""
        place = self._client.host.place_of(server)
        self._held.pop(server, None)
        self._shared.pop(server, None)
        self._confirmed = {(where, layer) for where, layer in self._confirmed if where != place}
        self._copies = {part: source for part, source in self._copies.items() if source != place}
        for part, upload in enumerate(self._parts):
            if upload.server == place:
                self._kept.pop(part, None)
                self._done.discard(part)
        name = self._client.host.world.nodes[server].name
        for part, tried in list(self._open.items()):
            if server in (tried.server, tried.copied_from):
                self._answer((self.version, part, tried.attempt), f"failed:{tried.size}:{name} is down")

    def resume(self, server: int) -> None:
        """A server (node index) can be reached again: send what the plan places there and is not confirmed."""
        place = self._client.host.place_of(server)
        if place in self._placement:
            self._claim(place)
        waiting = {part for lane in self._lanes.values() for part in lane.parts}
        self._send_later(
            part
            for part, upload in enumerate(self._parts)
            if upload.server == place and part not in {*self._done, *self._skipped, *self._open, *waiting}
        )

    def move(self, old: int, new: int, copy: bool) -> None:
        """A moving user has another edge server: what the plan places on the old (a place) belongs on the new one.

        The old one goes on serving until the new one has everything. With `copy` it sends the parts on itself.
        """
        client = self._client
        moved = [part for part, upload in enumerate(self._parts) if upload.server == old]
        for lane in self._lanes.values():
            lane.parts = deque(part for part in lane.parts if part not in moved)
        for part in moved:
            tried = self._open.pop(part, None)
            if tried is not None:
                self._cancel(part, tried, "hand-over")
                self._answer((self.version, part, tried.attempt), "moved")
            upload = self._parts[part]
            self._parts[part] = Upload(new, upload.layers)
            if copy and part in self._done:
                self._copies[part] = old
            self._done.discard(part)
            self._kept.pop(part, None)
            self._former.update((layer, old) for layer in upload.layers if (old, layer) in self._confirmed)
        self._roams = bool(moved)
        self._placement = tuple(new if place == old else place for place in self._placement)
        self._full = client.host.routes.named(client.user.model, client.user.query, self._placement)
        if moved:
            self._claim(new)
        self._send_later(part for part in moved if part not in self._skipped)
        client.changed()

    # Sending

    def _send_later(self, parts: Iterable[int]) -> None:
        one = self._client.user.uploads_at_once == "one"
        for part in parts:
            lane = self._lanes.setdefault(0 if one else self._parts[part].server, _Lane())
            lane.parts.append(part)
        for number in sorted(self._lanes):
            lane = self._lanes[number]
            if lane.parts and not lane.running:
                lane.running = True
                self._client.spawn(self._run(lane, self._epoch))

    async def _run(self, lane: _Lane, epoch: int) -> None:
        while lane.parts and epoch == self._epoch:
            if not await self._upload(epoch, lane.parts.popleft()):
                return
        lane.running = False

    async def _upload(self, epoch: int, part: int) -> bool:
        """Send one part until it is confirmed, given up or the plan is stopped; False stops the thread."""
        client, user = self._client, self._client.user
        upload = self._parts[part]
        server = self._node(upload.server)
        self._failures = 0
        for _ in range(user.retries + 1):
            if epoch != self._epoch:
                return False
            if not client.reachable(server):
                return True  # `resume` will take it up
            answer, tried = await self._try(part, upload, server)
            if epoch != self._epoch:
                return False
            if self._open.pop(part, None) is None:
                return True  # the part has another server now, and is sent there
            status, wasted, reason = _understood(answer, tried.size)
            self._report(part, tried, status, reason, wasted)
            if status == "confirmed":
                self._confirm(part, upload, server, tried)
                return True
            if status == "refused":
                if reason.startswith("gone"):
                    self._shared.pop(server, None)
                    continue
                if user.on_refusal == "replan" and self._replans < user.retries:
                    self._replans += 1
                    client.replan("refused")
                    return False
                if user.on_refusal != "wait":
                    self._skipped.add(part)
                    return True
                await client.sleep(user.retry_wait_s)
            elif status == "failed":
                self._copies.pop(part, None)
                if client.reachable(server):
                    await client.sleep(user.backoff_s * 2 ** min(self._failures, _BACKOFF_DOUBLINGS))
                    self._failures += 1
        return True

    async def _try(self, part: int, upload: Upload, server: int) -> tuple[str, _Attempt]:
        """Send a part once, and wait for what becomes of it."""
        client, user, header = self._client, self._client.user, self._client.host.world.header_bytes
        graph = client.host.model_of(user.index).graph
        wanted = graph.parameters_of(upload.layers) - self._held.setdefault(server, set())
        parameters = tuple(sorted(wanted - self._there(server)))
        size = sum(graph.parameters[p].upload_bytes for p in parameters)
        attempt = self._attempts[part] = self._attempts.get(part, 0) + 1
        message = UploadPart(user.index, self.version, part, attempt, upload.layers, parameters)
        source = self._copies.get(part, 0)
        if source:
            via = self._node(source)
            sequence = client.send(via, header, CopyPart(server, size, message))
        else:
            via = -1
            size = max(0, size - self._kept.get(part, 0))
            sequence = client.send(server, size + header, message)
        self.servers.add(server)
        tried = _Attempt(attempt, server, sequence, client.kernel.now, len(upload.layers), size, via)
        self._open[part] = tried
        return await self._wait(part, attempt), tried

    async def _wait(self, part: int, attempt: int) -> str:
        """The confirm result: `confirmed`, a reason, or nothing when it is late."""
        key = self.version, part, attempt
        signal = self._signals[key] = self._client.signal()
        timeout_s = self._client.user.cr_timeout_s
        if timeout_s < inf:
            self._client.call_at(self._client.kernel.now + timeout_s, signal.set, "")
        answer: str = await signal
        self._signals.pop(key, None)
        return answer

    def _answer(self, key: tuple[int, int, int], answer: str) -> None:
        signal = self._signals.pop(key, None)
        if signal is not None:
            signal.set(answer)

    def _confirm(self, part: int, upload: Upload, server: int, tried: _Attempt) -> None:
        graph = self._client.host.model_of(self._client.user.index).graph
        self._held[server].update(graph.parameters_of(upload.layers))
        self._confirmed.update((upload.server, layer) for layer in upload.layers)
        self._done.add(part)
        self._kept.pop(part, None)
        self._copies.pop(part, None)
        took_s = self._client.kernel.now - tried.sent_s
        if tried.size and took_s > 0.0 and tried.copied_from < 0:
            self._seen[server] = tried.size / took_s
        if self._roams and len(self._done) == len(self._parts):
            self._let_go_of_former()
        self._client.changed()

    def _let_go_of_former(self) -> None:
        """Everything is where a moving user wants it now: what lies elsewhere is let go."""
        self._former, self._roams = {}, False
        self._tidy_later({self._client.host.place_of(server) for server in self.servers} - set(self._placement))

    def _tidy_later(self, places: set[int]) -> None:
        """Let servers free what the plan does not want, once no query is under way that began before now."""
        self.tidies |= places
        self._tidy_s = self._client.kernel.now
        self.tidy()

    def tidy(self) -> None:
        """Send what `_tidy_later` has put off, if it can be done now."""
        if any(query.begun_s <= self._tidy_s for query in self._client.open.values()):
            return
        places, self.tidies = sorted(self.tidies), set()
        graph = self._client.host.model_of(self._client.user.index).graph
        for place in places:
            layers = set(self._layers(place))
            self._confirmed = {(where, layer) for where, layer in self._confirmed if where != place or layer in layers}
            self._held.setdefault(self._node(place), set()).intersection_update(graph.parameters_of(layers))
            self._claim(place, only=True)
        self._client.changed()

    def _claim(self, place: int, only: bool = False) -> None:
        """Tell a server what is wanted of it, if its policy cares or something there may be let go."""
        server = self._node(place)
        if self._client.reachable(server) and (only or self._client.host.claims(server)):
            self.servers.add(server)
            self._client.claim(place, self._layers(place), only)

    def _layers(self, place: int) -> tuple[int, ...]:
        return tuple(layer for layer, where in enumerate(self._placement) if where == place)

    def _there(self, server: int) -> set[int]:
        """Parameters that a server holds for others, as it said when last asked."""
        if server not in self._shared:
            told = self._client.prediction(server)
            self._shared[server] = set(told.has) if told is not None else set()
        return self._shared[server]

    def _lacks(self, part: int) -> bool:
        upload = self._parts[part]
        return not all((upload.server, layer) in self._confirmed for layer in upload.layers)

    def _node(self, place: int) -> int:
        return self._client.host.address(self._client.user.index, place)

    def _cancel(self, part: int, tried: _Attempt, reason: str) -> None:
        if tried.copied_from < 0:
            self._client.send(tried.server, 0, Cancel(tried.sequence))
        self._report(part, tried, "cancelled", reason, 0)

    def _report(self, part: int, tried: _Attempt, status: str, reason: str, wasted: int) -> None:
        client = self._client
        names = client.host.world.nodes
        source = client.name if tried.copied_from < 0 else names[tried.copied_from].name
        client.row(
            "uploads", client.user.name, self.version, part, tried.attempt, names[tried.server].name, tried.layers,
            tried.size, tried.sent_s, client.kernel.now, status, reason, wasted, source,
        )  # fmt: skip


def _understood(answer: str, size: int) -> tuple[str, int, str]:
    """Status, wasted bytes and reason of what became of an attempt."""
    if answer == "confirmed":
        return "confirmed", 0, ""
    if not answer:
        return "lost", size, "no confirm result in time"
    kind, _, rest = answer.partition(":")
    if kind == "failed":
        wasted, _, reason = rest.partition(":")
        return "failed", int(wasted), reason
    return "refused", size, answer

"""The upload thread: parts (P3) go out one by one, or one per server at a time, each until its confirm result."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from math import inf
from typing import TYPE_CHECKING, NamedTuple

from layerlift.emulator.kernel.clock import Signal
from layerlift.emulator.nodes.client.deployment import Deployment
from layerlift.emulator.protocol.messages import Cancel, Confirm, CopyPart, Failed, PlanReply, UploadPart
from layerlift.emulator.protocol.routes import Itinerary

if TYPE_CHECKING:
    from layerlift.emulator.nodes.client.client import Client

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
    """Belongs to one client. Sends the parts of the plan in force, and again where it must."""

    __slots__ = (
        "_attempts", "_client", "_epoch", "_full", "_lanes", "_open", "_replans", "_roams", "_seen", "_signals",
        "_strays", "_tidy_s", "deployment", "predicted_s", "servers", "tidies", "version",
    )  # fmt: skip

    def __init__(self, client: Client) -> None:
        self._client = client
        self.deployment = Deployment(client.host.model_of(client.user.index).graph)
        self._attempts: dict[int, int] = {}
        self._roams = False
        self._tidy_s = 0.0
        self.tidies: set[int] = set()
        """Places that have still to be told what they may let go."""
        self._signals: dict[tuple[int, int, int], Signal] = {}
        self._strays: dict[tuple[int, int, int], int] = {}
        """Places of copies between servers that were given up: nobody can stop them, and they may arrive yet."""
        self._open: dict[int, _Attempt] = {}
        self._lanes: dict[int, _Lane] = {}
        self._epoch = self._replans = self.version = 0
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
        return len(self.deployment.done)

    def placement(self) -> tuple[int, ...]:
        """Where each layer of the next query runs: as planned where confirmed and within reach, else here (0)."""
        near = {place: self._client.reachability.can(self._node(place)) for place in self.deployment.places()}
        return self.deployment.used(near)

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
        """Take up a plan. Layers that an earlier plan has put on the same server need not travel again.

        One that says what is being done already leaves the plan in force: what is under way goes on.
        """
        if self._does(plan):
            self.predicted_s = plan.predicted_s
            for place in sorted({upload.server for upload in plan.uploads}):
                self._claim(place)
            return
        self.stop("new plan")
        before = self.deployment.follow(plan.placement, plan.uploads, plan.whole)
        self.version, self.predicted_s = plan.version, plan.predicted_s
        self._attempts, self._roams = {}, False
        self._route_fully()
        used = {upload.server for upload in plan.uploads}
        for place in sorted(used):
            self._claim(place)
        if plan.version > 1:
            self._tidy_later(before | used)
        self._send_later(range(len(plan.uploads)))

    def _does(self, plan: PlanReply) -> bool:
        """Whether a plan is the one in force, and each of its parts confirmed, on its way or out of reach."""
        mine = self.deployment
        if (plan.placement, [*plan.uploads], plan.whole) != (mine.placement, mine.parts, mine.whole) or mine.skipped:
            return False
        going = {*mine.done, *self._open, *(part for lane in self._lanes.values() for part in lane.parts)}
        left = (upload.server for part, upload in enumerate(mine.parts) if part not in going)
        return not any(self._client.reachability.can(self._node(place)) for place in left)

    def stop(self, reason: str) -> None:
        """Give up what is under way: transfers are cancelled, and each open part is reported with `reason`."""
        self._epoch += 1
        self._lanes = {}
        for part, tried in sorted(self._open.items()):
            self._cancel(part, tried, reason)
        self._open.clear()

    def confirm(self, message: Confirm) -> None:
        """Hand a confirm result to the part that waits for it; a late one finds nobody."""
        key = message.version, message.part, message.attempt
        self._answer(key, message.reason or "confirmed")
        stray = self._strays.pop(key, None)
        if stray is not None and not message.reason and not self._client.left:
            self._tidy_later({stray})

    def failed(self, message: Failed) -> None:
        """A part broke off on its way: the failed CR of the paper. What has arrived stays there with `resume`."""
        for part, tried in self._open.items():
            if tried.sequence == message.sequence and tried.copied_from < 0:
                if message.down:
                    self._client.reachability.cut_off(tried.server)
                kept, header = self.deployment.kept, self._client.host.world.header_bytes
                kept[part] = kept.get(part, 0) + max(0, message.kept_bytes - header)
                wasted = message.carried_bytes - message.kept_bytes
                self._answer((self.version, part, tried.attempt), f"failed:{wasted}:{message.reason}")
                return

    def forget(self, server: int, layers: tuple[int, ...]) -> None:
        """A server (node index) has not got these layers any more; nothing is sent again before the next plan."""
        self.deployment.forget(self._client.host.place_of(server), layers)

    def lost(self, server: int) -> None:
        """A server (node index) has crashed: everything there is lost, and what was on its way has failed."""
        self.deployment.lose(self._client.host.place_of(server))
        self._client.installer.forget_shared(server)
        name = self._client.host.world.nodes[server].name
        for part, tried in list(self._open.items()):
            if server in (tried.server, tried.copied_from):
                self._answer((self.version, part, tried.attempt), f"failed:{tried.size}:{name} is down")

    def resume(self, server: int) -> None:
        """A server (node index) can be reached again: send what the plan places there and is not confirmed."""
        place = self._client.host.place_of(server)
        if place in self.deployment.placement:
            self._claim(place)
        busy = {*self._open, *(part for lane in self._lanes.values() for part in lane.parts)}
        self._send_later(part for part in self.deployment.missing(place) if part not in busy)

    def move(self, old: int, new: int, copy: bool) -> None:
        """A moving user has another edge server: what the plan places on the old (a place) belongs on the new one.

        The old one goes on serving until the new one has everything. With `copy` it sends the parts on itself.
        """
        moved = self.deployment.move(old, new, copy)
        if not moved:
            return
        for lane in self._lanes.values():
            lane.parts = deque(part for part in lane.parts if part not in moved)
        for part in moved:
            tried = self._open.pop(part, None)
            if tried is not None:
                self._cancel(part, tried, "hand-over")
                self._answer((self.version, part, tried.attempt), "moved")
        self._roams = True
        self._route_fully()
        self._claim(new)
        self._send_later(part for part in moved if part not in self.deployment.skipped)
        self._client.changed()

    def _route_fully(self) -> None:
        client = self._client
        self._full = client.host.routes.named(client.user.model, client.user.query, self.deployment.placement)

    # Sending

    def _send_later(self, parts: Iterable[int]) -> None:
        one = self._client.user.uploads_at_once == "one"
        for part in parts:
            lane = self._lanes.setdefault(0 if one else self.deployment.parts[part].server, _Lane())
            lane.parts.append(part)
        for number in sorted(self._lanes):
            lane = self._lanes[number]
            if lane.parts and not lane.running:
                lane.running = True
                self._client.spawn(self._run(lane, self._epoch))

    async def _run(self, lane: _Lane, epoch: int) -> None:
        while lane.parts and epoch == self._epoch:
            if not await self._upload(epoch, lane.parts.popleft()):
                break
        lane.running = False

    def go_on(self) -> None:
        """The plan that a refusal made this user ask for is none: send the other parts of the one in force."""
        self._send_later(())

    async def _upload(self, epoch: int, part: int) -> bool:
        """Send one part until it is confirmed, given up or the plan is stopped; False stops the thread."""
        client, user = self._client, self._client.user
        failures = 0
        for _ in range(user.retries + 1):
            if epoch != self._epoch:
                return False
            server = self._node(self.deployment.parts[part].server)
            if part in self.deployment.done or not client.reachability.can(server):
                return True  # what cannot be reached is taken up by `resume`
            answer, tried = await self._try(part, server)
            if epoch != self._epoch:
                return False
            if self._open.pop(part, None) is None:
                return True  # the part has another server now, and is sent there
            status, wasted, reason = _understood(answer, tried.size)
            self._report(part, tried, status, reason, wasted)
            if status == "confirmed":
                self._confirm(part, tried)
                return True
            if status == "refused" and not await self._refused(part, server, reason):
                return user.on_refusal != "replan" or part in self.deployment.skipped
            if status == "failed":
                self.deployment.copies.pop(part, None)
                if client.reachability.can(server):
                    await client.sleep(user.backoff_s * 2.0 ** min(failures, _BACKOFF_DOUBLINGS))
                    failures += 1
        return True

    async def _refused(self, part: int, server: int, reason: str) -> bool:
        """Do with a refused part as its user wants; whether it is sent again."""
        client, user = self._client, self._client.user
        if reason.startswith("gone"):
            self.deployment.shared.pop(client.host.place_of(server), None)
            client.installer.forget_shared(server)
            return True
        if user.on_refusal == "replan" and self._replans < user.retries:
            self._replans += 1
            client.installer.replan("refused")
            return False
        if user.on_refusal != "wait":
            self.deployment.skipped.add(part)
            return False
        await client.sleep(user.retry_wait_s)
        return True

    async def _try(self, part: int, server: int) -> tuple[str, _Attempt]:
        """Send a part once, and wait for what becomes of it."""
        client, header = self._client, self._client.host.world.header_bytes
        upload, mine = self.deployment.parts[part], self.deployment
        if upload.server not in mine.shared:
            mine.shared[upload.server] = client.installer.shared(server)
        parameters = mine.wanted(part)
        size = sum(mine.graph.parameters[p].upload_bytes for p in parameters)
        attempt = self._attempts[part] = self._attempts.get(part, 0) + 1
        installer, layers = client.installer, mine.layers(upload.server)
        claim = installer.claim(upload.server, layers, False) if client.host.claims(server) else None
        message = UploadPart(
            client.user.index, self.version, part, attempt, upload.layers, parameters, installer.stamp(), claim
        )
        source = mine.copies.get(part, 0)
        if source and client.reachability.can(self._node(source)):
            via = self._node(source)
            sequence = client.send(via, header, CopyPart(server, size, message))
        else:
            via = -1
            size = max(0, size - mine.kept.get(part, 0))
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

    def _confirm(self, part: int, tried: _Attempt) -> None:
        self.deployment.confirm(part)
        took_s = self._client.kernel.now - tried.sent_s
        if tried.size and took_s > 0.0 and tried.copied_from < 0:
            self._seen[tried.server] = tried.size / took_s
        if self._roams and len(self.deployment.done) == len(self.deployment.parts):
            # Everything is where a moving user wants it now: what lies elsewhere is let go.
            self.deployment.former, self._roams = {}, False
            left = {self._client.host.place_of(server) for server in self.servers}
            self._tidy_later(left - set(self.deployment.placement))
        self._client.changed()

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
        for place in places:
            self.deployment.keep_only(place)
            self._claim(place, only=True)
        self._client.changed()

    def _claim(self, place: int, only: bool = False) -> None:
        """Tell a server what is wanted of it, if its policy cares or something there may be let go."""
        server = self._node(place)
        if self._client.reachability.can(server) and (only or self._client.host.claims(server)):
            self.servers.add(server)
            claim = self._client.installer.claim(place, self.deployment.layers(place), only)
            self._client.send(server, self._client.host.world.header_bytes, claim)

    def _node(self, place: int) -> int:
        return self._client.host.address(self._client.user.index, place)

    def _cancel(self, part: int, tried: _Attempt, reason: str) -> None:
        if tried.copied_from < 0:
            self._client.send(tried.server, 0, Cancel(tried.sequence))
        else:
            self._strays[self.version, part, tried.attempt] = self._client.host.place_of(tried.server)
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

"""The upload thread: parts (P3) go out one by one, or one per server at a time, each until its confirm result.

What becomes of a part is told to `Parts`, whose table says what may happen when.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from layerlift.emulator.nodes.client.attempts import MOVED, Attempt, Attempts, Outcome
from layerlift.emulator.nodes.client.deployment import Deployment
from layerlift.emulator.nodes.client.tidying import Tidying
from layerlift.emulator.nodes.ports import Uploading
from layerlift.emulator.protocol.messages import Cancel, ClaimRequest, Confirm, CopyPart, Failed, PlanReply, UploadPart
from layerlift.emulator.protocol.routes import Itinerary

_BACKOFF_DOUBLINGS = 10
"""A thousandfold wait is long enough for any outage; more would only overflow."""


class _Lane:
    """Parts that are sent one after the other."""

    __slots__ = ("parts", "running")

    def __init__(self) -> None:
        self.parts: deque[int] = deque()
        self.running = False


class Uploader:
    """Belongs to one client. Sends the parts of the plan in force, and again where it must."""

    __slots__ = (
        "_attempts", "_client", "_epoch", "_full", "_lanes", "_replans", "_roams", "_seen", "_strays",
        "_tries", "deployment", "predicted_s", "servers", "tidies", "version",
    )  # fmt: skip

    def __init__(self, client: Uploading) -> None:
        self._client = client
        self.deployment = Deployment(client.host.model_of(client.user.index).graph)
        self._attempts = Attempts(client)
        self._tries: dict[int, int] = {}
        """How often each part of the plan in force has been sent."""
        self._roams = False
        self.tidies = Tidying(client)
        self._strays: dict[tuple[int, int, int], int] = {}
        """Places of copies between servers that were given up: nobody can stop them, and they may arrive yet."""
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
        return self.deployment.states.count("confirmed")

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
        self._tries, self._roams = {}, False
        self._route_fully()
        used = {upload.server for upload in plan.uploads}
        # Before any part: a policy divides by what it knows of everybody's wishes, not by who sends first.
        for place in sorted(used):
            self._claim(place)
        if plan.version > 1:
            self._tidy_later(before | used)
        self._send_later(range(len(plan.uploads)))

    def _does(self, plan: PlanReply) -> bool:
        """Whether a plan is the one in force, and each of its parts confirmed, on its way or out of reach."""
        mine = self.deployment
        if (plan.placement, [*plan.uploads], plan.whole) != (mine.placement, mine.parts, mine.whole):
            return False
        if mine.states.count("skipped"):
            return False
        # A part between two attempts is not on its way: a plan that wants it is a reason to begin again.
        going = {*mine.states.of("confirmed"), *self._busy()}
        left = (upload.server for part, upload in enumerate(mine.parts) if part not in going)
        return not any(self._client.reachability.can(self._node(place)) for place in left)

    def _leave_out_skipped(self) -> None:
        """A part that is skipped waits in no lane; it may, where its server came back while it waited to try again."""
        states = self.deployment.states
        for lane in self._lanes.values():
            if any(states[part] == "skipped" for part in lane.parts):
                lane.parts = deque(part for part in lane.parts if states[part] != "skipped")

    def _busy(self) -> set[int]:
        """Parts that are on their way or wait in a lane."""
        return {*self._attempts.open, *self._waiting()}

    def _waiting(self) -> list[int]:
        """Parts in lanes."""
        return [part for lane in self._lanes.values() for part in lane.parts]

    def stop(self, reason: str) -> None:
        """Give up what is under way: transfers are cancelled, and each open part is reported with `reason`."""
        # Coroutines of the old epoch find out when they wake, and touch nothing any more.
        self._epoch += 1
        self._lanes = {}
        for part, tried in sorted(self._attempts.open.items()):
            self._cancel(part, tried, reason)
        self._attempts.clear()
        self.deployment.states.tell_all("stopped")

    def confirm(self, message: Confirm) -> None:
        """Hand a confirm result to the part that waits for it; a late one finds nobody."""
        key = message.version, message.part, message.attempt
        if message.verdict == "room":
            self._attempts.go_ahead(*key)
            return
        self._attempts.answer(*key, self._attempts.outcome_of(message))
        # A copy that was given up has arrived after all, where nobody wants it any more.
        stray = self._strays.pop(key, None)
        if stray is not None and message.verdict == "stored" and not self._client.left:
            self._tidy_later({stray})

    def failed(self, message: Failed) -> None:
        """A part broke off on its way: the failed CR of the paper. What has arrived stays there with `resume`."""
        for part, tried in self._attempts.open.items():
            # Of a copy that breaks off the server that sends it is told, and it passes that on as a confirm result.
            if tried.sequence == message.sequence and tried.copied_from < 0:
                if message.down:
                    self._client.reachability.cut_off(tried.server)
                kept, header = self.deployment.kept, self._client.host.world.header_bytes
                # The header travels anew with the next attempt, so of what was kept it does not count.
                kept[part] = kept.get(part, 0) + max(0, message.kept_bytes - header)
                wasted = max(0, message.carried_bytes - message.kept_bytes - header)  # as `bytes`: without the header
                self._attempts.answer(self.version, part, tried.attempt, Outcome("failed", message.reason, wasted))
                return

    def forget(self, server: int, layers: tuple[int, ...]) -> None:
        """A server (node index) has not got these layers any more; nothing is sent again before the next plan."""
        self.deployment.forget(self._client.host.place_of(server), layers)
        self._leave_out_skipped()

    def lost(self, server: int) -> None:
        """A server (node index) has crashed: everything there is lost, and what was on its way has failed."""
        self.deployment.lose(self._client.host.place_of(server))
        self.tidies.forget(self._client.host.place_of(server))
        self._client.installer.forget_shared(server)
        # A part that had arrived and was being built is answered by nobody but the client itself.
        reason = f"{self._client.host.world.nodes[server].name} is down"
        for part, tried in list(self._attempts.open.items()):
            if server in (tried.server, tried.copied_from):
                self._attempts.answer(self.version, part, tried.attempt, Outcome("failed", reason, tried.sent_bytes))

    def resume(self, server: int) -> None:
        """A server (node index) can be reached again: send what the plan places there and is not confirmed."""
        place = self._client.host.place_of(server)
        if place in self.deployment.placement:
            self._claim(place)
        busy = self._busy()
        self._send_later(part for part in self.deployment.missing(place) if part not in busy)

    def move(self, old: int, new: int, copy: bool) -> None:
        """A moving user has another edge server: what the plan places on the old (a place) belongs on the new one.

        The old one goes on serving until the new one has everything. With `copy` it sends the parts on itself.
        """
        moved = self.deployment.move(old, new, copy)
        if not moved:
            return
        # With a lane per server a part may belong in another one now, so all of them are queued anew below.
        for lane in self._lanes.values():
            lane.parts = deque(part for part in lane.parts if part not in moved)
        for part in moved:
            tried = self._attempts.open.pop(part, None)
            if tried is not None:
                self._cancel(part, tried, "hand-over")
                self._attempts.give_back(self.version, part, tried)
                self._attempts.answer(self.version, part, tried.attempt, MOVED)
        self._roams = True
        self._route_fully()
        self._claim(new)
        self._send_later(part for part in moved if self.deployment.states[part] != "skipped")
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
            self.deployment.states.tell(part, "queued")
        # By number, not in the order in which lanes were made: a coroutine that starts first sends first.
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
        client, user, states = self._client, self._client.user, self.deployment.states
        failures = 0
        for _ in range(user.retries + 1):
            if epoch != self._epoch:
                return False
            server = self._node(self.deployment.parts[part].server)
            if states[part] == "confirmed" or not client.reachability.can(server):
                states.tell(part, "passed over")
                return True  # what cannot be reached is taken up by `resume`
            outcome = await self._try(part, server)
            if epoch != self._epoch:
                return False  # whoever stopped the plan has reported the attempt
            tried = self._attempts.open.pop(part, None)
            if tried is None:
                return True  # the part has another server now, and is sent there
            assert outcome.what != "moved", "a part that has moved is not open any more"
            self._attempts.ended(self.version, part, tried, outcome)
            if outcome.what == "confirmed":
                self._confirm(part, tried)
                return True
            states.tell(part, outcome.what)
            if outcome.what == "gone":
                self._share_nothing(part, server)
            elif outcome.what == "refused" and not await self._refused(part):
                return user.on_refusal != "replan" or states[part] == "skipped"
            elif outcome.what == "failed":
                # Whatever was wrong with the copy, the client has the part, and sends it itself.
                self.deployment.copies.pop(part, None)
                if client.reachability.can(server):
                    await client.sleep(user.backoff_s * 2.0 ** min(failures, _BACKOFF_DOUBLINGS))
                    failures += 1
        if epoch == self._epoch:
            states.tell(part, "given up")
            if part in self._waiting():
                states.tell(part, "queued")  # a server came back meanwhile: the part has another chance
        return True

    def _share_nothing(self, part: int, server: int) -> None:
        """What others held there has left with them: the part is sent again at once, with all of its parameters."""
        self.deployment.shared.pop(self.deployment.parts[part].server, None)
        self._client.installer.forget_shared(server)

    async def _refused(self, part: int) -> bool:
        """Do with a refused part as its user wants; whether it is sent again."""
        client, user, states = self._client, self._client.user, self.deployment.states
        if user.on_refusal == "replan" and self._replans < user.retries:
            # Who asks again at once is offered, and refused, the same: nothing has changed.
            epoch, again = self._epoch, self._replans
            self._replans += 1
            if again:
                await client.sleep(user.retry_wait_s * 2.0 ** min(again - 1, _BACKOFF_DOUBLINGS))
                if epoch != self._epoch or states[part] != "between":
                    return False
            states.tell(part, "given up")
            client.installer.replan("refused")
            return False
        if user.on_refusal != "wait":
            states.tell(part, "skipped")
            self._leave_out_skipped()
            return False
        await client.sleep(user.retry_wait_s)
        return True

    async def _try(self, part: int, server: int) -> Outcome:
        """Send a part once, and wait for what becomes of it."""
        client, header = self._client, self._client.host.world.header_bytes
        upload, mine = self.deployment.parts[part], self.deployment
        # Asked once a plan and server: what is shared there is a promise only until the server says `gone`.
        if upload.server not in mine.shared:
            mine.shared[upload.server] = client.installer.shared(server)
        parameters = mine.wanted(part)
        size = sum(mine.graph.parameters[p].upload_bytes for p in parameters)
        attempt = self._tries[part] = self._tries.get(part, 0) + 1
        message = UploadPart(
            client.user.index, self.version, part, attempt, upload.layers, parameters, *self._stamped(upload.server)
        )
        source = mine.copies.get(part, 0)
        if source and client.reachability.can(self._node(source)):
            via = self._node(source)
            sequence = client.send(via, header, CopyPart(server, size, message))
            tried = Attempt(attempt, server, sequence, client.kernel.now, len(upload.layers), size, via)
            self._attempts.open[part] = tried
        else:
            size = max(0, size - mine.kept.get(part, 0))
            self._attempts.send(message, server, len(upload.layers), size)
        self.servers.add(server)
        mine.states.tell(part, "sent")
        return await self._attempts.outcome(self.version, part)

    def _stamped(self, place: int) -> tuple[int, ClaimRequest | None]:
        """The stamp of a part and the claim that goes with it; the claim's own stamp is the lower one."""
        client = self._client
        claim = None
        if client.host.claims(self._node(place)):
            claim = client.installer.claim(place, self.deployment.layers(place), False)
        return client.installer.stamp(), claim

    def _confirm(self, part: int, tried: Attempt) -> None:
        self.deployment.confirm(part)
        took_s = self._client.kernel.now - tried.sent_s
        # A copy crossed a link between servers: it says nothing of the client's own.
        if tried.sent_bytes and took_s > 0.0 and tried.copied_from < 0:
            self._seen[tried.server] = tried.size / took_s
        if self._roams and self.deployment.complete:
            # Everything is where a moving user wants it now: what lies elsewhere is let go.
            self.deployment.former, self._roams = {}, False
            left = {self._client.host.place_of(server) for server in self.servers}
            self._tidy_later(left - set(self.deployment.placement))
        self._client.changed()

    def _tidy_later(self, places: set[int]) -> None:
        """Let servers free what the plan does not want, once no query is under way that began before now."""
        self.tidies.add(places)
        self.tidy()

    def tidy(self) -> None:
        """Send what `_tidy_later` has put off, if it can be done now."""
        for place in self.tidies.due():
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

    def _cancel(self, part: int, tried: Attempt, reason: str) -> None:
        # The client can stop what it sends itself, not what one server sends another.
        if tried.copied_from < 0:
            if tried.sequence >= 0:
                self._client.send(tried.server, 0, Cancel(tried.sequence))
        else:
            self._strays[self.version, part, tried.attempt] = self._client.host.place_of(tried.server)
        self._attempts.report(self.version, part, tried, "cancelled", reason, 0)

    def validate(self) -> None:
        """Hold the states of the parts against what is really under way (see `layerlift.emulator.nodes.validation`)."""
        states = self.deployment.states
        assert len(states) == len(self.deployment.parts)
        assert set(states.of("sent")) == set(self._attempts.open), "a part is sent exactly while its attempt is open"
        assert set(states.of("waiting")) <= set(self._waiting()), "a part that waits is in a lane"
        for part in states.of("confirmed"):
            place, layers = self.deployment.parts[part]
            assert all(self.deployment.has(place, layer) for layer in layers), "a confirmed part can run where it is"

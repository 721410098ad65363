"""A user's device: Program 1, the query thread and the upload thread of the paper's running phase."""

from __future__ import annotations

from math import inf
from typing import ClassVar

from layerlift.emulator.nodes.client.battery import Battery
from layerlift.emulator.nodes.client.bill import NOTHING, Bill, Figures, refusal
from layerlift.emulator.nodes.client.installer import Installer
from layerlift.emulator.nodes.client.query import OpenQuery
from layerlift.emulator.nodes.client.questions import Questions
from layerlift.emulator.nodes.client.reachability import Reachability
from layerlift.emulator.nodes.client.roaming import Roaming
from layerlift.emulator.nodes.client.uploader import Uploader
from layerlift.emulator.nodes.client.vigilance import Vigilance
from layerlift.emulator.nodes.ports import HostPort
from layerlift.emulator.nodes.runner import Runner
from layerlift.emulator.nodes.visit import Visit
from layerlift.emulator.protocol.messages import (
    Abort,
    Broken,
    Closing,
    Confirm,
    Evicted,
    Failed,
    Leave,
    LinkUp,
    Meter,
    NodeDown,
    NodeUp,
    Opened,
    PlanReply,
    Prediction,
    QueryStep,
    Refused,
    SwitchOff,
)
from layerlift.emulator.protocol.routes import Itinerary, Stage
from layerlift.emulator.results.rows import ChangeKind, ChangeRow, FallbackCause, QueryRow, QueryStatus
from layerlift.emulator.world.machines import NodeSpec
from layerlift.emulator.world.users import UserSpec
from layerlift.models.graph.route import CLIENT
from layerlift.models.sums import left_sum


class Client(Runner):
    """Asks queries while parts of its model move away, and finishes at home what others do not."""

    __slots__ = (
        "_battery", "_bill", "_itinerary", "_questions", "_stale", "installer", "left", "open", "reachability",
        "roaming", "uploader", "user", "vigilance",
    )  # fmt: skip

    def __init__(self, host: HostPort, spec: NodeSpec, user: UserSpec) -> None:
        super().__init__(host, spec)
        self.user = user
        self.left = False
        self.open: dict[int, OpenQuery] = {}
        """Queries under way, by number."""
        self.reachability = Reachability(self)
        self.installer = Installer(self)
        self.uploader = Uploader(self)
        self.vigilance = None if user.slow is None else Vigilance(self, user.slow)
        self._questions = Questions(self)
        self._battery: Battery | None = None
        self._itinerary: Itinerary | None = None
        self._stale = True
        self._bill: dict[str, Bill] = {}
        self.roaming = Roaming(self)
        self.call_at(user.arrival_s, self._arrive)

    def _arrive(self, _: object) -> None:
        self.switch(on=True)
        if self.spec.battery_j is not None:
            self._battery = Battery(self, self.spec.battery_j)
            self._battery.watch()
        if not self.left:
            self.spawn(self._live())

    async def _live(self) -> None:
        user = self.user
        self.installer.greet()
        if user.profile_runs:
            profiled = self.signal()
            self.cpu.serve(user.profile_runs * left_sum(self.seconds(user.model)), profiled.set)
            await profiled
        if self.left:
            return
        self.installer.start("arrival")
        if user.replan == "every":
            self.call_at(self.kernel.now + user.replan_s, self.installer.regularly)
        await self._questions.run()
        if not self.left:
            self._leave("user left")

    def plan(self, message: PlanReply) -> None:
        """Begin to upload what the plan moves; the query thread follows as parts are confirmed."""
        if message.accepted and not self.left:
            self.uploader.follow(message)
            self.changed()
        elif not self.left:
            self.uploader.go_on()
        self.installer.planned()
        if not self.left:
            self.uploader.tidy()
            if self.vigilance is not None:
                self.vigilance.planned()

    def charge_j(self) -> float | None:
        """What is left in the battery; None without one."""
        return None if self._battery is None else self._battery.left_j()

    def oldest_begun_s(self) -> float:
        """When the oldest query under way was begun (s); infinite when there is none."""
        return min((query.begun_s for query in self.open.values()), default=inf)

    # Asking

    def begin(self, number: int, asked_s: float) -> OpenQuery | None:
        """Begin a query: plan version and confirmed set are read now, once. None: it has failed at once."""
        itinerary = self._route()
        bill = self._bill.get(itinerary.key)
        if bill is None:
            bill = self._bill[itinerary.key] = Bill(self.host, self.user.index, itinerary)
        uploader = self.uploader
        query = OpenQuery(self, number, asked_s, itinerary, bill, uploader.version, uploader.confirmed_parts)
        if bill.refusal is not None:
            self._report(query, "failed", bill.refusal)
            return None
        self.open[number] = query
        if self.vigilance is not None:
            self.vigilance.begun(number)
        header, user = self.host.world.header_bytes, self.user.index
        for to, tensor, size, ordered in itinerary.opening:
            message = QueryStep(user, number, itinerary.key, tensor)
            self.send(self.host.address(user, to), size + header, message, number + 1 if ordered else 0)
        query.visit.go()
        if not query.outputs:
            self._answer(query)
        return query

    def query(self, message: QueryStep) -> None:
        """Take a tensor back: an answer, or an input of a stage here."""
        query = self.open.get(message.query)
        if query is None or message.route != query.itinerary.key:
            return
        query.received.append(message.tensor)
        if message.tensor in query.itinerary.answers:
            query.outputs -= 1
        query.visit.arrive(message.tensor)
        if not query.outputs:
            self._answer(query)

    def stage_ended(self, visit: Visit, stage: Stage) -> None:
        """Count the outputs that were made here."""
        if stage.finals:
            query = self.open.get(visit.query)
            if query is not None and query.visit is visit:
                query.outputs -= stage.finals
                if not query.outputs:
                    self._answer(query)

    def _answer(self, query: OpenQuery) -> None:
        if self.open.pop(query.number, None) is not None:
            self._report(query, "answered", "")
            if self.vigilance is not None:
                self.vigilance.answered(query.number, self.kernel.now - query.begun_s)
            query.done.set()
            self._ended()

    def _ended(self) -> None:
        if self.uploader.tidies.places:
            self.uploader.tidy()
        self._questions.ended()

    def fall_back(self, query: OpenQuery, cause: FallbackCause, reason: str) -> None:
        """Finish a query here that cannot be finished where it was to be; servers are told to forget it."""
        if query.fallback is not None:
            return
        base = query.itinerary
        query.fall_back(cause, reason)
        for place in base.stages:
            node = self.host.address(self.user.index, place)
            if place != CLIENT and node not in self.reachability.dead:
                self.send(node, self.host.world.header_bytes, Abort(self.user.index, query.number))
        wanting = refusal(self.host, self.user.index, query.itinerary.local_layers())
        if wanting is not None:
            self._fail(query, wanting)
        else:
            query.visit.go()

    def _fail(self, query: OpenQuery, reason: str) -> None:
        query.visit.stop()
        if self.open.pop(query.number, None) is not None:
            self._report(query, "failed", reason)
            query.done.set()
            self._ended()

    def fail_unbegun(self, number: int, asked_s: float, reason: str) -> None:
        """Report a question that was never begun."""
        now = self.kernel.now
        self.row(
            QueryRow(
                at_s=now,
                client=self.name,
                user=self.user.name,
                query=number,
                status="failed",
                reason=reason,
                asked_s=asked_s,
                begun_s=now,
                ended_s=now,
                latency_s=now - asked_s,
                plan_version=self.uploader.version,
                confirmed_parts=self.uploader.confirmed_parts,
                segments=0,
                remote_layers=0,
                **NOTHING._asdict(),
                fallback="",
                fallback_cause="",
            )
        )

    def _route(self) -> Itinerary:
        if self._stale or self._itinerary is None:
            placement = self.uploader.placement()
            self._itinerary = self.host.routes.named(self.user.model, self.user.query, placement)
            self._stale = False
        return self._itinerary

    def changed(self) -> None:
        """The plan or the confirmed set has changed: the next query takes another route."""
        self._stale = True

    def _report(self, query: OpenQuery, status: QueryStatus, reason: str) -> None:
        now, fallback = self.kernel.now, query.fallback
        answered = status == "answered"
        figures: Figures = query.figures() if answered else NOTHING
        self.row(
            QueryRow(
                at_s=now,
                client=self.name,
                user=self.user.name,
                query=query.number,
                status=status,
                reason=reason,
                asked_s=query.asked_s,
                begun_s=query.begun_s,
                ended_s=now,
                latency_s=now - query.asked_s,
                plan_version=query.version,
                confirmed_parts=query.confirmed,
                segments=query.itinerary.segments,
                remote_layers=query.planned.remote_layers,
                client_work_s=figures.client_work_s,
                server_work_s=figures.server_work_s,
                sent_bytes=figures.sent_bytes,
                received_bytes=figures.received_bytes,
                money=figures.money,
                fallback="" if fallback is None else fallback.reason,
                fallback_cause="" if fallback is None else fallback.cause,
            )
        )
        if answered:
            self.host.answered(self.user.index, query.number, query.itinerary.key)
        else:
            self.host.dropped(self.user.index, query.number)

    # What others do to it

    def broken(self, message: Broken) -> None:
        """A tensor of a query was lost: go on without whoever should have had or sent it."""
        if message.down and message.server >= 0:
            self.reachability.cut_off(message.server)
        query = self.open.get(message.query)
        if query is not None and query.itinerary.key == message.route:
            self.fall_back(query, message.cause, message.reason)

    def refused(self, message: Refused) -> None:
        """A server has not got layers that it was thought to have: they are not sent to any more."""
        self.uploader.forget(message.server, message.missing)
        self.changed()
        query = self.open.get(message.query)
        if query is not None:
            self.fall_back(query, "refused", f"refused by {self.host.world.nodes[message.server].name}")

    def evicted(self, message: Evicted) -> None:
        """A server's policy has taken memory back: those layers run here again."""
        self.uploader.forget(message.server, message.layers)
        self.changed()
        self.installer.on_change("evicted")

    def closing(self, _: Closing) -> None:
        """A server will be switched off: what is there runs on until then."""
        self.installer.on_change("closing")

    def opened(self, _: Opened) -> None:
        """A server that took nothing has been switched on."""
        self.installer.on_change("up")

    def fall_back_from(self, server: int, cause: FallbackCause, reason: str) -> None:
        """Finish here what still waits for something from elsewhere and was to be on a server (node index), too."""
        place = self.host.place_of(server)
        for query in list(self.open.values()):
            if place in query.itinerary.stages and query.waits:
                self.fall_back(query, cause, reason)

    def read_meter(self, message: Meter) -> None:
        """Pass a reading to the battery."""
        if self._battery is not None:
            self._battery.meter(message)

    def change(self, kind: ChangeKind, peer: str = "", note: str = "") -> None:
        """Report something that happened to this user's world."""
        now, user = self.kernel.now, self.user.name
        self.row(ChangeRow(at_s=now, node=self.name, kind=kind, peer=peer, user=user, note=note))

    # The end

    def die(self) -> None:
        """The device is off for good: everything open fails, and servers notice by the connection that is gone.

        The user may have left long ago: then nobody has anything open, and the device was only idle.
        """
        reason, alone = "battery empty", self.left
        self.change("battery empty")
        self.left = True
        if not alone:
            self._questions.give_up(reason)
            for query in list(self.open.values()):
                self._fail(query, reason)
        self.cpu.clear()
        self.switch(on=False)
        self.send(self.host.world.planner, 0, SwitchOff())
        if not alone:
            self._leave(reason)

    def _leave(self, reason: str) -> None:
        self.left = True
        self.uploader.stop(reason)
        for server in sorted(self.uploader.servers):
            self.send(server, self.host.world.header_bytes, Leave(self.user.index))
        self.host.leave((self.kernel.now, self.user.index))

    def finish(self, at: float) -> None:
        """An open query fails with `run ended` at its age; uploads in flight are reported as cancelled."""
        for query in list(self.open.values()):
            self._report(query, "failed", "run ended")
        if not self.left:
            self._questions.give_up("run ended")
            self.uploader.stop("run ended")
        super().finish(at)

    def validate(self) -> None:
        """See `Machine.validate`."""
        super().validate()
        self.uploader.validate()
        assert all(number == query.number for number, query in self.open.items())
        assert self.left or all(query.outputs > 0 for query in self.open.values()), "an answered query is not open"

    handlers: ClassVar = {
        PlanReply: plan,
        QueryStep: query,
        Broken: broken,
        Refused: refused,
        Evicted: evicted,
        Closing: closing,
        Opened: opened,
        Prediction: lambda client, message: client.installer.predict(message),
        Confirm: lambda client, message: client.uploader.confirm(message),
        Failed: lambda client, message: client.uploader.failed(message),
        NodeDown: lambda client, message: client.reachability.node_down(message),
        NodeUp: lambda client, message: client.reachability.node_up(message),
        LinkUp: lambda client, message: client.reachability.link_up(message),
        Meter: lambda client, message: client.read_meter(message),
    }

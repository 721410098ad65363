"""A user's device: Program 1, the query thread and the upload thread of the paper's running phase."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from emulator.messages import FILE_ENTRY_BYTES, Confirm, Hello, Leave, PlanReply, PlanRequest, Prediction, QueryStep
from emulator.nodes.runner import Runner
from emulator.nodes.uploader import Uploader
from emulator.nodes.visit import Visit
from emulator.routes import Itinerary, Stage
from emulator.world import NodeSpec, UserSpec
from models.route import CLIENT

if TYPE_CHECKING:
    from emulator.host import Host

_REFUSED_WAIT_S = 1.0
"""A query that fails at once would be asked for ever at one instant; the next one comes this much later."""


class Client(Runner):
    """Asks queries back to back while parts of its model move away."""

    __slots__ = (
        "_begun_s", "_bill", "_confirmed", "_done", "_itinerary", "_outputs", "_predicted", "_predictions", "_query",
        "_stale", "_version", "_visit", "left", "uploader", "user",
    )  # fmt: skip

    def __init__(self, host: Host, spec: NodeSpec, user: UserSpec) -> None:
        super().__init__(host, spec)
        self.user = user
        self.uploader = Uploader(self)
        self.left = False
        self._predictions: list[Prediction] = []
        self._predicted = self.signal()
        self._done = self.signal()
        self._visit: Visit | None = None
        self._itinerary: Itinerary | None = None
        self._stale = True
        self._outputs = 0
        self._query = -1
        self._begun_s = 0.0
        self._version = self._confirmed = 0
        self._bill: dict[str, Bill] = {}
        self.call_at(user.arrival_s, self._arrive)

    def _arrive(self, _: object) -> None:
        self.spawn(self._live())

    async def _live(self) -> None:
        user = self.user
        self._greet()
        if user.profile_runs:
            profiled = self.signal()
            self.cpu.serve(user.profile_runs * sum(self.seconds(user.model)), profiled.set)
            await profiled
        self.spawn(self._install())
        query = 0
        while user.queries is None or query < user.queries:
            await self._ask(query)
            query += 1
        self._leave()

    def _greet(self) -> None:
        for server in self.host.world.servers:
            self.send(server, self.host.world.header_bytes, Hello(self.user.index, self.user.model))

    def replan(self) -> None:
        """Ask every server again what it offers, and then for another plan; once at a time."""
        if self._predicted.done and not self.left:
            self._predictions, self._predicted = [], self.signal()
            self._greet()
            self.spawn(self._install())

    async def _install(self) -> None:
        """Ask for a plan once every server has said what it would cost (Program 3 needs file_1 and every file_2)."""
        await self._predicted
        world, seconds = self.host.world, self.seconds(self.user.model)
        files = 1 + len(self._predictions)
        size = world.header_bytes + files * FILE_ENTRY_BYTES * len(seconds)
        predictions = tuple(sorted(self._predictions, key=lambda p: p.server))
        at_home = world.planning.at < 0
        self.send(world.planner, 0 if at_home else size, PlanRequest(self.user.index, seconds, predictions))

    async def _ask(self, number: int) -> None:
        """One query: plan version and confirmed set are read once, at its start."""
        itinerary = self._route()
        self._query, self._begun_s = number, self.kernel.now
        self._version, self._confirmed = self.uploader.version, self.uploader.confirmed_parts
        bill = self._bill.get(itinerary.key) or self._price(itinerary)
        if bill.refusal:
            self._report("failed", bill.refusal)
            await self.sleep(max(self.user.think_s, _REFUSED_WAIT_S))
            return
        self._outputs = itinerary.outputs - itinerary.given
        self._done = self.signal()
        self._visit = visit = Visit(self, itinerary, CLIENT, self.user.index, number)
        header = self.host.world.header_bytes
        for to, tensor, size, ordered in itinerary.opening:
            message = QueryStep(self.user.index, number, itinerary.key, tensor)
            self.send(self.host.address(self.user.index, to), size + header, message, number + 1 if ordered else 0)
        visit.go()
        if self._outputs:
            await self._done
        self._visit = None
        self._report("answered", "")
        if self.user.think_s:
            await self.sleep(self.user.think_s)

    def plan(self, message: PlanReply) -> None:
        """Begin to upload what the plan moves; the query thread follows as parts are confirmed."""
        if message.accepted and not self.left:
            self.uploader.follow(message)
            self.changed()

    def changed(self) -> None:
        """The plan or the confirmed set has changed: the next query takes another route."""
        self._stale = True

    def confirm(self, message: Confirm) -> None:
        """Pass a confirm result to the upload thread."""
        self.uploader.confirm(message)

    def predict(self, message: Prediction) -> None:
        """Collect file_2 of one server."""
        self._predictions.append(message)
        if len(self._predictions) == len(self.host.world.servers):
            self._predicted.set()

    def query(self, message: QueryStep) -> None:
        """Take a tensor back: an answer, or an input of a stage here."""
        visit = self._visit
        if visit is None or message.query != self._query:
            return
        if message.tensor in visit.itinerary.answers:
            self._outputs -= 1
        visit.arrive(message.tensor)
        if not self._outputs:
            self._done.set()

    def stage_ended(self, visit: Visit, stage: Stage) -> None:
        """Count the outputs that were made here."""
        if stage.finals:
            self._outputs -= stage.finals
            if not self._outputs:
                self._done.set()

    def finish(self, at: float) -> None:
        """An open query fails with `run ended` at its age; uploads in flight are reported as cancelled."""
        if self._visit is not None:
            self._report("failed", "run ended")
        if not self.left:
            self.uploader.stop("run ended")
        super().finish(at)

    def _route(self) -> Itinerary:
        if self._stale or self._itinerary is None:
            graph = self.host.model_of(self.user.index).graph
            placement = self.uploader.placement(len(graph))
            self._itinerary = self.host.routes.named(self.user.model, self.user.query, placement)
            self._stale = False
        return self._itinerary

    def _price(self, itinerary: Itinerary) -> Bill:
        self._bill[itinerary.key] = bill = Bill(self, itinerary)
        return bill

    def _report(self, status: str, reason: str) -> None:
        itinerary = self._itinerary
        assert itinerary is not None
        bill, now = self._bill[itinerary.key], self.kernel.now
        done = status == "answered"
        self.row(
            "queries", self.user.name, self._query, status, reason, self._begun_s, self._begun_s, now,
            now - self._begun_s, self._version, self._confirmed, itinerary.segments, itinerary.remote_layers,
            *(bill.figures if done else (0.0, 0.0, 0, 0, 0.0)),
        )  # fmt: skip
        if done:
            self.host.answered(self.user.index, self._query, itinerary.key)

    def _leave(self) -> None:
        self.left = True
        self.uploader.stop("user left")
        for server in sorted(self.uploader.servers):
            self.send(server, self.host.world.header_bytes, Leave(self.user.index))
        self.host.leave((self.kernel.now, self.user.index))

    handlers: ClassVar = {Prediction: predict, PlanReply: plan, Confirm: confirm, QueryStep: query}


class Bill:
    """What an answered query along one itinerary costs its user: fixed once, since a route says it all."""

    __slots__ = ("figures", "refusal")

    def __init__(self, client: Client, itinerary: Itinerary) -> None:
        host = client.host
        graph, user = host.model_of(client.user.index).graph, client.user.index
        work_s: dict[int, float] = {}
        money = 0.0
        for place, stages in itinerary.stages.items():
            node = host.address(user, place)
            seconds = host.world.seconds(itinerary.model, node)
            work_s[place] = sum(sum(seconds[stage.first : stage.last + 1]) for stage in stages)
            money += work_s[place] * host.world.nodes[node].price_per_s
        sent = received = 0
        for place, parcel in itinerary.all_parcels():
            size = parcel.bytes + host.world.header_bytes
            sent += size if place == CLIENT else 0
            received += size if parcel.to == CLIENT else 0
            money += size * host.world.link(host.address(user, place), host.address(user, parcel.to)).price_per_byte
        local = work_s.pop(CLIENT, 0.0)
        self.figures = (local, sum(work_s.values()), sent, received, money)
        layers = itinerary.local_layers()
        need = graph.held_bytes(layers) + max((graph.layers[layer].run_bytes for layer in layers), default=0)
        room = client.spec.memory_bytes
        self.refusal = f"client memory: {need} bytes needed, {room:.0f} there" if need > room else ""

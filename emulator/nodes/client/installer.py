"""The installation phase at the client: every server's prediction, then a plan, and another one when things change."""

from __future__ import annotations

from typing import Final

from layerlift.emulator.kernel.clock import Signal
from layerlift.emulator.nodes.index_set import IndexSet
from layerlift.emulator.nodes.ports import Installing
from layerlift.emulator.protocol.messages import FILE_ENTRY_BYTES, ClaimRequest, Hello, PlanRequest, Prediction
from layerlift.emulator.results.rows import PlanCause
from layerlift.models.sums import left_sum

PATIENCE_S: Final = 2.0
"""How long predictions are waited for in a world of faults (assumed)."""


class Installer:
    """Belongs to one client: asks servers what they would cost and offer (file_2), and the planner for a plan."""

    __slots__ = ("_again", "_client", "_greeted", "_has", "_predicted", "_predictions", "_seconds", "_stamp", "_wanted")

    def __init__(self, client: Installing) -> None:
        self._client = client
        self._predictions: dict[int, Prediction | None] = {}
        """By server (node index); None once the planner has it."""
        self._seconds: dict[int, tuple[float, ...]] = {}
        self._has: dict[int, tuple[int, ...]] = {}
        self._predicted: Signal = client.signal()
        self._greeted = False
        self._again: PlanCause | None = None
        self._stamp = 0
        self._wanted = 0
        """Plans that are being asked for: a period may end while the one before it has had no answer."""

    @property
    def asking(self) -> bool:
        """Whether a plan is being asked for that has not come yet."""
        return self._wanted > 0

    def greet(self) -> None:
        """Ask every server that is up."""
        self._predictions, self._predicted, self._greeted = {}, self._client.signal(), True
        for server in self._client.host.world.servers:
            if server not in self._client.reachability.dead:
                self._hello(server)
        self.count()

    def greet_again(self, server: int) -> None:
        """Ask a server that was down when the others were asked."""
        if self._greeted and not self._client.left and server not in self._predictions:
            self._hello(server)

    def _hello(self, server: int) -> None:
        user = self._client.user
        self._client.send(server, self._client.host.world.header_bytes, Hello(user.index, user.model))

    def predict(self, message: Prediction) -> None:
        """Collect file_2 of one server."""
        self._predictions[message.server] = message
        self._seconds[message.server], self._has[message.server] = message.seconds, message.has
        self.count()

    def count(self) -> None:
        """See whether every server has answered that can."""
        dead = self._client.reachability.dead
        silent = len(dead - self._predictions.keys()) if dead else 0
        if self._greeted and len(self._predictions) + silent == len(self._client.host.world.servers):
            self._predicted.set()

    def start(self, cause: PlanCause) -> None:
        """Ask for a plan once every server has answered."""
        self._wanted += 1
        self._client.spawn(self._install(cause))

    def replan(self, cause: PlanCause) -> None:
        """Ask every server again what it offers, and then for another plan; once at a time."""
        if self._client.left or not self._greeted:
            return
        if not self._predicted.done:
            self._again = cause
            return
        self.greet()
        self.start(cause)

    def on_change(self, cause: PlanCause) -> None:
        """Something that plans rest on has changed: plan again, if this user does so on changes."""
        if self._client.vigilance is not None:
            self._client.vigilance.forget()
        if self._client.user.replan == "on_change" and self._client.uploader.version:
            self.replan(cause)

    def regularly(self, _: object) -> None:
        """Plan again every `replan_s` seconds."""
        client = self._client
        if not client.left:
            self.replan("period")
            client.call_at(client.kernel.now + client.user.replan_s, self.regularly)

    def return_to(self, version: int) -> None:
        """Ask for the plan of an earlier version, under a new number."""
        client, world = self._client, self._client.host.world
        self._wanted += 1
        size = 0 if world.planning.at < 0 else world.header_bytes
        client.send(world.planner, size, PlanRequest(client.user.index, (), (), "worse", again=version))

    def planned(self) -> None:
        """A plan has come; if another was wanted meanwhile, ask for it now."""
        self._wanted -= 1
        if self._again is not None:
            cause, self._again = self._again, None
            self.replan(cause)

    async def _install(self, cause: PlanCause) -> None:
        """Ask for a plan once every server has said what it would cost (Program 3 needs file_1 and every file_2).

        Where links can be down, not for ever: after a while those that are silent are left out.
        """
        if self._client.host.conditions.any:
            self._client.call_at(self._client.kernel.now + PATIENCE_S, self._predicted.set)
        await self._predicted
        client = self._client
        if client.left:
            return
        world, seconds = client.host.world, client.seconds(client.user.model)
        predictions = tuple(told for _, told in sorted(self._predictions.items()) if told is not None)
        self._predictions = dict.fromkeys(self._predictions)
        files = 1 + len(predictions)
        size = 0 if world.planning.at < 0 else world.header_bytes + files * FILE_ENTRY_BYTES * len(seconds)
        seen = client.uploader.seen()
        request = PlanRequest(client.user.index, seconds, predictions, cause, client.charge_j(), seen)
        client.send(world.planner, size, request)

    def shared(self, server: int) -> IndexSet:
        """Parameters that a server (node index) holds for others of this model, as it said when last asked."""
        return IndexSet(self._has.get(server, ()))

    def forget_shared(self, server: int) -> None:
        """What a server said that it holds for others is not true any more."""
        self._has.pop(server, None)

    def claim(self, place: int, layers: tuple[int, ...], only: bool) -> ClaimRequest:
        """What the plan wants of a server; with `only`, it may let go of whatever else is there."""
        client = self._client
        server = client.host.address(client.user.index, place)
        seconds = self._seconds.get(server) or client.seconds(client.user.model)
        size = client.uploader.link_bytes(place)
        period_s = max(client.uploader.predicted_s + client.user.think_s, 1e-9)
        work_s = left_sum(seconds[layer] for layer in layers)
        return ClaimRequest(client.user.index, layers, only, self.stamp(), work_s, size, period_s)

    def stamp(self) -> int:
        """A number higher than all that this client has given to claims and parts before."""
        self._stamp += 1
        return self._stamp

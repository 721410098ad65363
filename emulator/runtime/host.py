"""One kernel and the nodes that live in it. `advance` is synchronous and pure: same calls, same results.

That is why a host can be tested without Ray, packed with any others, and brought back from the dead by being fed
the deliveries that it had already had.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from layerlift.emulator import policies
from layerlift.emulator.conditions.conditions import Conditions
from layerlift.emulator.kernel.clock import Kernel
from layerlift.emulator.nodes import validation
from layerlift.emulator.nodes.client.client import Client
from layerlift.emulator.nodes.events import Answered, Dropped, Event, Piece, Stored, Together
from layerlift.emulator.nodes.machine import Machine
from layerlift.emulator.nodes.planner_node import PlannerNode
from layerlift.emulator.nodes.ports import Measurable
from layerlift.emulator.nodes.server.batch_server import BatchServer
from layerlift.emulator.nodes.server.server import Server
from layerlift.emulator.planning.crowd import crowd_wanted
from layerlift.emulator.planning.job import PlanJob
from layerlift.emulator.protocol.messages import Delivery, Departure, Message
from layerlift.emulator.protocol.routes import Routes
from layerlift.emulator.results.rows import Rows
from layerlift.emulator.world.models import ModelSpec
from layerlift.emulator.world.world import World


class Answer(NamedTuple):
    """What a host has to say after a window."""

    next_event: float
    departures: list[Departure]
    rows: Rows
    events: list[Event]
    """For the data plane, in the order in which they happened."""
    pieces: list[Piece]
    """In a halted host: what must be measured before it can go on."""
    jobs: list[PlanJob]
    left: list[tuple[float, int]]
    halted: bool


class Host:
    """Nodes `members` of `world`. Built alike anywhere: everything it does follows from its arguments."""

    def __init__(self, world: World, members: Sequence[int], execution: bool = False) -> None:
        self.world = world
        self.kernel = Kernel()
        self.routes = Routes([model.graph for model in world.models])
        self.executes = execution and world.compute == "profiled"
        self.crowd_wanted = crowd_wanted(world)
        self._answers = execution
        self.user_names = [user.name for user in world.users]
        self._costs: dict[tuple[int, int, int], float] = {}
        self._waiting: list[Measurable] = []
        self._user_of = {user.client: user for user in world.users}
        self._places = {server: place for place, server in enumerate(world.servers, start=1)}
        self._claims: dict[int, bool] = {
            server: policies.has(policies.make(world.nodes[server].policy), "claims") for server in world.servers
        }
        self.conditions = Conditions(world)
        self._joined = False
        self.depart: Callable[[Departure], object]
        self.plan: Callable[[PlanJob], object]
        self.leave: Callable[[tuple[float, int]], object]
        self._clear()
        self._nodes: dict[int, Machine] = {index: self._make(index) for index in sorted(members)}
        checked = validation.wanted()
        self._receive: dict[int, Callable[[Any], None]] = {
            index: node.receive_and_validate if checked else node.receive for index, node in self._nodes.items()
        }

    def _make(self, index: int) -> Machine:
        spec = self.world.nodes[index]
        if spec.tier == "client":
            return Client(self, spec, self._user_of[index]) if index in self._user_of else Machine(self, spec)
        if spec.tier == "planner":
            return PlannerNode(self, spec)
        return BatchServer(self, spec) if spec.discipline == "batch" else Server(self, spec)

    def join(
        self,
        depart: Callable[[Departure], object],
        plan: Callable[[PlanJob], object],
        leave: Callable[[tuple[float, int]], object],
    ) -> None:
        """Have departures, wanted plannings and (time, user) of users who leave told at once, not later."""
        self._joined = True
        self.depart, self.plan, self.leave = depart, plan, leave

    def _clear(self) -> None:
        self._departures: list[Departure] = []
        self._jobs: list[PlanJob] = []
        self._left: list[tuple[float, int]] = []
        if not self._joined:
            self.depart, self.plan, self.leave = self._departures.append, self._jobs.append, self._left.append
        self.rows: Rows = defaultdict(list)
        self._events: list[Event] = []

    def advance(
        self,
        horizon: float,
        deliveries: Sequence[Delivery] = (),
        costs: Sequence[tuple[tuple[int, int, int], float]] = (),
    ) -> Answer:
        """Run everything before `horizon` (seconds), given what arrives before it.

        `costs` are the measured seconds of pieces, by (user, query, step); a host that halted for them goes on.
        """
        kernel = self.kernel
        for delivery in deliveries:
            self.accept(*delivery)
        if costs:
            self._costs.update(costs)
            if kernel.halted:
                self._resume()
        kernel.run_before(horizon)
        return self.report()

    def accept(self, at: float, source: int, sequence: int, to: int, message: Message) -> None:
        """Take a message that arrives at a moment which this host has not passed (see `Delivery`)."""
        self.kernel.deliver(at, source, sequence, to, self._receive[to], message)

    def accept_now(self, at: float, source: int, sequence: int, to: int, message: Message) -> None:
        """The same for the present moment, whose other events are all known."""
        if self.kernel.peek() > at:
            self._receive[to](message)
        else:
            self.kernel.deliver(at, source, sequence, to, self._receive[to], message)

    def report(self) -> Answer:
        """What happened since the last answer. `advance` and `finish` end with it."""
        halted = self.kernel.halted
        next_event = self.kernel.now if halted else self.kernel.peek()
        wanted = [stage.piece() for stage in self._waiting] if halted else []
        answer = Answer(next_event, self._departures, self.rows, self._events, wanted, self._jobs, self._left, halted)
        self._clear()
        return answer

    def finish(self, at: float) -> Answer:
        """End the run at `at`: open queries fail, uploads are cancelled, the last samples are taken."""
        self.kernel.now = at
        for index in self._nodes:
            self._nodes[index].finish(at)
        return self.report()

    # What nodes ask of their host

    def address(self, user: int, place: int) -> int:
        """Node index of a place in a route of `user`: 0 is the client, k the k-th server."""
        return self.world.servers[place - 1] if place else self.world.users[user].client

    def place_of(self, server: int) -> int:
        """Number of a server (node index) in problems and routes; the inverse of `address`."""
        return self._places[server]

    def claims(self, server: int) -> bool:
        """Whether a server wants to know what users want of it: for its policy, or for planners that ask."""
        return self.crowd_wanted or self._claims[server]

    def client_of(self, user: int) -> int:
        """Node index of the user's device."""
        return self.world.users[user].client

    def model_of(self, user: int) -> ModelSpec:
        """The user's model."""
        return self.world.models[self.world.users[user].model]

    def ran(self, piece: Piece) -> None:
        """Note that a piece has run."""
        self._events.append(piece)

    def ran_together(self, pieces: tuple[Piece, ...]) -> None:
        """Note that pieces have run in one batch; one alone is a piece like any other."""
        self._events.append(Together(pieces) if len(pieces) > 1 else pieces[0])

    def measure(self, stage: Measurable) -> None:
        """Start a stage whose cost is measured: from what is known, or after the next `advance` has brought it."""
        piece = stage.piece()
        cost = self._costs.pop((piece.user, piece.query, piece.step), None)
        if cost is None:
            self._waiting.append(stage)
            self.kernel.halted = True
        else:
            stage.start(cost)

    def stored(self, node: int, user: int, parameters: tuple[int, ...]) -> None:
        """Note what a server holds for a user."""
        if self._answers:
            self._events.append(Stored(node, user, parameters))

    def answered(self, user: int, query: int, route: str) -> None:
        """Note that a query has all its outputs."""
        if self._answers:
            self._events.append(Answered(self.kernel.now, user, query, route))

    def dropped(self, user: int, query: int) -> None:
        """Note that a query has failed."""
        if self._answers:
            self._events.append(Dropped(user, query))

    def _resume(self) -> None:
        waiting, self._waiting, self.kernel.halted = self._waiting, [], False
        for stage in waiting:
            self.measure(stage)


def pack(world: World, hosts: int) -> list[list[int]]:
    """Divide the nodes of a world over at most `hosts` hosts; the result never changes what happens.

    Every server and the planner get a host of their own while there are enough, and the clients are dealt over the
    rest; below that, half the hosts are for servers and half for clients.
    """
    clients, others = list(world.clients), [*world.servers, world.planner]
    if hosts <= 1:
        return [[node.index for node in world.nodes]]
    for_others = len(others) if hosts > len(others) else max(1, hosts // 2)
    for_clients = min(len(clients), hosts - for_others)
    groups = [others[k::for_others] for k in range(for_others)]
    return groups + [clients[k::for_clients] for k in range(for_clients)]

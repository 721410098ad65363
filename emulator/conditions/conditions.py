"""What every link and machine of a world is like at every instant: its faults and its moving users, never its traffic.

All of it comes from the seed: each fault has its own stream for each pair of nodes or server, and each moving client
one, so that one fault changes no other and answers do not depend on the order of the questions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf

from layerlift.emulator.conditions.links import Carrier, LinkFaults, State, one_after_the_other
from layerlift.emulator.kernel.step_function import StepFunction, joined, outside, switched
from layerlift.emulator.world import streams
from layerlift.emulator.world.faults import MachineFault
from layerlift.emulator.world.mobility import Mobility
from layerlift.emulator.world.world import World

__all__ = ["Carrier", "Conditions", "State"]

Hop = tuple[int, int]
"""A link of the scenario, from node to node."""
_NO_WAY, _CUT = State(True, 0.0, inf), State(False, 0.0, 0.0)


class Conditions:
    """The timelines of a world, made when they are first asked for and known as far as they were asked.

    Nodes are indices. A planner is where it lives: its links and crashes are those of its place, and the way between
    a planner and the machine that it lives with never fails. Instants are at least 0 and finite.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._faults = LinkFaults(world)
        self._routes: dict[Hop, StepFunction[State]] = {}
        self._accesses: dict[tuple[int, bool], StepFunction[State]] = {}
        self._lives: dict[int, StepFunction[bool]] = {}
        self._edges: dict[int, StepFunction[int]] = {}
        self._contacts: dict[int, StepFunction[State]] = {}
        self._movers: dict[int, Mobility] = {client: spec for spec in world.mobility for client in spec.clients}
        self._crashing = {node for fault in world.faults if isinstance(fault, MachineFault) for node in fault.nodes}

    def __reduce__(self) -> tuple[type[Conditions], tuple[World]]:
        return Conditions, (self._world,)

    @property
    def any(self) -> bool:
        """Whether anything ever happens in this world."""
        return bool(self._world.faults or self._world.mobility)

    def dynamic(self, source: int, to: int) -> bool:
        """Whether anything may ever happen to a message from one node to another.

        False for a link that is always as `World.link` says and loses nothing, between nodes that never crash. True
        promises nothing.
        """
        ends = self._place(source), self._place(to)
        if not self._crashing.isdisjoint(ends):
            return True
        if self._world.loops_back(source, to):
            return False
        mover = self._mover(*ends)
        if mover is not None and (self._movers[mover].interruption_s > 0 or self._roams(mover, *ends)):
            return True
        return bool(self._faults.covering(*ends))

    def state(self, source: int, to: int, at_s: float) -> State:
        """The link from one node to another at an instant; a change at an instant holds from it on.

        Whether its ends are alive is another question (`alive`).
        """
        return self._route(source, to).at(at_s)

    def changes(self, source: int, to: int) -> Iterator[tuple[float, State]]:
        """Every change of a link after instant 0, in order, possibly endless.

        Each differs from the one before, except that after a thousand steps without effect one is told.
        """
        return self._route(source, to).changes()

    def loss(self, source: int, to: int, at_s: float) -> float:
        """The probability that a message which is on the link at an instant gets lost: at least 0, below 1."""
        lost = 0.0
        for hop in self._hops(source, to, at_s):
            for share in self._faults.losses(*hop, at_s):
                lost += share - lost * share
        return lost

    def lossy(self, source: int, to: int) -> bool:
        """Whether the link may ever lose a message."""
        faults = (fault for hop in self._hops(source, to) for _, fault in self._faults.covering(*hop))
        return any(fault.lossy for fault in faults)

    def crashes(self, node: int) -> Iterator[tuple[float, float]]:
        """When a node is dead, as (down, up) in order; `up` is infinite when it does not come back.

        Spans do not overlap; two touch only where a thousand crashes in a row fell into a dead time.
        """
        life = self._life(self._place(node))
        down = None if life.at(0.0) else 0.0
        for at_s, alive in life.changes():
            if down is not None:
                yield down, at_s
            down = None if alive else at_s
        if down is not None:
            yield down, inf

    def alive(self, node: int, at_s: float) -> bool:
        """Whether a node is not dead at an instant; it is dead from `down` on and alive again from `up` on."""
        return self._life(self._place(node)).at(at_s)

    def attachments(self, client: int) -> Iterator[tuple[float, int]]:
        """Since when a moving client is attached to which edge server (node index), the first at 0; possibly endless.

        Nothing for a client that does not move. After a thousand legs without hand-over the server is told again.
        """
        if client in self._movers:
            edges = self._edge(client)
            yield 0.0, edges.at(0.0)
            yield from edges.changes()

    def attached(self, client: int, at_s: float) -> int | None:
        """The edge server (node index) of a moving client at an instant; None for one that does not move."""
        return self._edge(client).at(at_s) if client in self._movers else None

    def handover(self, client: int) -> str:
        """What a hand-over does with what was stored: `reupload`, `copy` or `forward`; empty for one at rest."""
        return self._movers[client].handover if client in self._movers else ""

    def _place(self, node: int) -> int:
        at = self._world.planning.at
        return at if node == self._world.planner and at >= 0 else node

    def _mover(self, source: int, to: int) -> int | None:
        """The moving client at one end of a link whose other end is a server."""
        for client, server in ((source, to), (to, source)):
            if client in self._movers and self._world.nodes[server].tier != "client":
                return client
        return None

    def _roams(self, mover: int, source: int, to: int) -> bool:
        """Whether the way depends on where the client is attached: that to the cloud does not."""
        return self._world.nodes[to if mover == source else source].tier == "edge"

    def _route(self, source: int, to: int) -> StepFunction[State]:
        if (source, to) not in self._routes:
            self._routes[source, to] = self._routed(source, to)
        return self._routes[source, to]

    def _routed(self, source: int, to: int) -> StepFunction[State]:
        if self._world.loops_back(source, to):
            link = self._world.link(source, to)
            return StepFunction(State(True, link.latency_s, link.bandwidth_bytes_s))
        source, to = self._place(source), self._place(to)
        mover = self._mover(source, to)
        if mover is None:
            return self._faults.link(source, to)
        if self._roams(mover, source, to):
            parts = [self._access(mover, mover == source), self._onward(mover, source, to)]
        else:
            parts = [self._faults.link(source, to)]
        if self._movers[mover].interruption_s:
            parts.append(self._contact(mover))
        return joined(parts, one_after_the_other)

    def _access(self, client: int, outward: bool) -> StepFunction[State]:
        """Between a moving client and the server that it is attached to."""
        if (client, outward) not in self._accesses:

            def link(edge: int) -> StepFunction[State]:
                return self._faults.link(*((client, edge) if outward else (edge, client)))

            self._accesses[client, outward] = switched(self._edge(client), link)
        return self._accesses[client, outward]

    def _onward(self, client: int, source: int, to: int) -> StepFunction[State]:
        """Between the server that a moving client is attached to and the edge server at the other end."""

        def link(edge: int) -> StepFunction[State]:
            if edge in (source, to):
                return StepFunction(_NO_WAY)
            return self._faults.link(*((edge, to) if client == source else (source, edge)))

        return switched(self._edge(client), link)

    def _hops(self, source: int, to: int, at_s: float | None = None) -> Sequence[Hop]:
        """The links that a message goes over at an instant, or at any."""
        if self._world.loops_back(source, to):
            return ()
        source, to = self._place(source), self._place(to)
        mover = self._mover(source, to)
        if mover is None or not self._roams(mover, source, to):
            return ((source, to),)
        edges = self._movers[mover].reachable if at_s is None else [self._edge(mover).at(at_s)]
        return [hop for edge in edges for hop in _over(edge, source, to)]

    def _life(self, node: int) -> StepFunction[bool]:
        if node not in self._lives:
            parts = [
                fault.life(streams.fault(self._world.seed, index, self._world.nodes[node].name))
                for index, fault in enumerate(self._world.faults)
                if isinstance(fault, MachineFault) and node in fault.nodes
            ]
            self._lives[node] = joined(parts, all) if parts else StepFunction(True)
        return self._lives[node]

    def _edge(self, client: int) -> StepFunction[int]:
        if client not in self._edges:
            steps = self._movers[client].attachments(streams.walk(self._world.seed, self._world.nodes[client].name))
            self._edges[client] = StepFunction(next(steps)[1], steps)
        return self._edges[client]

    def _contact(self, client: int) -> StepFunction[State]:
        """Whether no hand-over interrupts a client, as a part of its ways."""
        if client not in self._contacts:
            spans = _interruptions(self._edge(client), self._movers[client].interruption_s)
            self._contacts[client] = outside(spans, _CUT, _NO_WAY)
        return self._contacts[client]


def _interruptions(edges: StepFunction[int], for_s: float) -> Iterator[tuple[float, float]]:
    before = edges.at(0.0)
    for at_s, edge in edges.steps():
        # Where the server stays, a span of nothing passes the time on.
        yield at_s, round(at_s + for_s, 9) if edge != before else at_s
        before = edge


def _over(edge: int, source: int, to: int) -> Sequence[Hop]:
    return ((source, to),) if edge in (source, to) else ((source, edge), (edge, to))

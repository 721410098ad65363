"""Links that change while messages cross them: outages, loss, traces, mobility, and nodes that crash.

What happens to a message on a bad link depends on what it is. Parts of models and tensors of queries (*data*) break
off: whoever has to know is told after the link's latency. Everything else (*control*) is what a reliable transport
carries: a lost copy is sent again after `resend_s`, and while the link is down it waits; only a dead node loses it.
A link's changes are looked at only while something crosses it, waits for it, or wants to be told.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import inf
from typing import TYPE_CHECKING, Final

from layerlift.emulator.conditions.conditions import Conditions, State
from layerlift.emulator.kernel.flows import Flow, Pair
from layerlift.emulator.protocol.messages import (
    BreakCause,
    Broken,
    Departure,
    Failed,
    LinkUp,
    NodeDown,
    NodeUp,
    QueryStep,
    UploadPart,
)
from layerlift.emulator.world import streams
from layerlift.emulator.world.world import World

if TYPE_CHECKING:
    from layerlift.emulator.network.fabric import Fabric

_CRASH, _CHANGE = (0,), (1,)
_DATA: Final = frozenset((UploadPart, QueryStep))


class ChangingLink:
    """One directed link that may change: its state now, what crosses it, what waits for it, and who is to be told."""

    __slots__ = (
        "_conditions", "carried", "changes", "flows", "held", "pair", "rng", "source", "state", "to", "told", "watched",
    )  # fmt: skip

    def __init__(self, conditions: Conditions, world: World, source: int, to: int, pair: Pair) -> None:
        self._conditions, self.source, self.to, self.pair = conditions, source, to, pair
        self.state: State = conditions.state(source, to, 0.0)
        self.changes: Iterator[tuple[float, State]] | None = None
        self.watched = False
        self.flows: dict[Flow, None] = {}
        self.held: list[Departure] = []
        self.told: dict[int, float] = {}
        """Clients that were told of a break here, and when each hears of it."""
        self.carried: dict[tuple[int, int], int] = {}
        """Bytes after which a message on its way is lost, by (source, sequence)."""
        lossy = conditions.lossy(source, to)
        names = world.nodes[source].name, world.nodes[to].name
        self.rng = streams.losses(world.seed, *names) if lossy else None

    def latency_s(self, at: float) -> float:
        """The latency of what leaves at a moment."""
        return self._conditions.state(self.source, self.to, at).latency_s

    def carries(self, departure: Departure) -> int:
        """How many bytes of a message will cross: fewer than it has when it is to be lost on the way."""
        return self.carried.get((departure.source, departure.sequence), departure.bytes)

    @property
    def busy(self) -> bool:
        """Whether its changes matter to anybody now."""
        return bool(self.flows or self.held or self.told)


class ChangingLinks:
    """All links of a fabric that may change, and the nodes that may die."""

    def __init__(self, fabric: Fabric, world: World, conditions: Conditions) -> None:
        self._fabric, self._world, self._conditions = fabric, world, conditions
        self._dead: set[int] = set()
        self._of: dict[int, list[ChangingLink]] = {}
        self._spans: dict[int, Iterator[tuple[float, float]]] = {}
        for node in world.servers:
            self._spans[node] = conditions.crashes(node)
            self._next_crash(node)

    def link(self, source: int, to: int, pair: Pair) -> ChangingLink | None:
        """The live link of a directed pair, made once; None for one to which nothing ever happens."""
        if not self._conditions.any or not self._conditions.dynamic(source, to):
            return None
        made = ChangingLink(self._conditions, self._world, source, to, pair)
        for end in (source, to):
            self._of.setdefault(end, []).append(made)
        return made

    # A message on its way

    def admit(self, departure: Departure, live: ChangingLink) -> bool:
        """Whether a message may begin to cross the link now; if not, it is lost or waits, and all is arranged."""
        source, to = departure.source, departure.to
        if to in self._dead or (source in self._dead and departure.bytes):
            self._lose(departure, live, "server", f"{self._name(to if to in self._dead else source)} is down", 0)
            return False
        self._look(live)
        if not live.state.up:
            if type(departure.message) in _DATA:
                self._lose(departure, live, "link", f"{self._words(live)} is down", 0)
            else:
                live.held.append(departure)
                self._watch(live)
            return False
        if live.rng is not None:
            share = self._conditions.loss(source, to, self._fabric.now)
            if live.rng.random() < share:
                live.carried[source, departure.sequence] = int(live.rng.random() * departure.bytes)
        self._watch(live)
        return True

    def perished(self, departure: Departure, live: ChangingLink) -> bool:
        """Whether a message whose crossing has ended was lost by chance, not arrived; then all is arranged."""
        carried = live.carried.pop((departure.source, departure.sequence), None)
        if carried is None:
            return False
        if type(departure.message) is UploadPart:
            self._lose(departure, live, "lost", f"lost on {self._words(live)}", carried)
        else:
            self._fabric.book("lost", departure.bytes)
            when = self._fabric.now + self._world.resend_s
            self._fabric.at(when, departure.source, departure.sequence, self._again, departure)
        return True

    def _again(self, departure: Departure) -> None:
        self._fabric.book("again", departure.bytes)
        self._fabric.transfer(departure)

    def _lose(self, departure: Departure, live: ChangingLink, cause: BreakCause, reason: str, carried: int) -> None:
        """Book a message as lost and let whoever has to know hear of it, one latency later."""
        message, kept = departure.message, 0
        if type(message) is UploadPart and self._resumes(message.user, departure):
            kept = carried
            self._fabric.part_arrived(departure, kept)
        self._fabric.book("lost", departure.bytes - kept)
        when = self._fabric.now + live.state.latency_s
        down = not live.state.up  # of a dead node the client hears by `NodeDown`, and by `NodeUp` when it is back
        if type(message) is UploadPart:
            failed = Failed(departure.sequence, cause, reason, carried, kept, down)
            self._fabric.at(when, departure.source, departure.sequence, self._tell, (departure.source, failed))
            self._promise(departure.source, live, when)
        elif type(message) is QueryStep:
            client = self._world.users[message.user].client
            server = departure.to if departure.source == client else departure.source
            end = server if client in (departure.source, departure.to) else -1
            broken = Broken(message.query, message.route, cause, reason, end, down)
            self._fabric.at(when, departure.source, departure.sequence, self._tell, (client, broken))
            self._promise(client, live, when)
        elif departure.to in self._dead and self._world.nodes[departure.source].tier == "client":
            refused = departure.source, NodeDown(departure.to)
            self._fabric.at(when, departure.source, departure.sequence, self._tell, refused)
        self._fabric.go_on(departure)

    def _promise(self, client: int, live: ChangingLink, when: float) -> None:
        """A client that was told of a break of its own link is told when that works again."""
        if not live.state.up and client in (live.source, live.to) and self._world.nodes[client].tier == "client":
            live.told[client] = max(when, live.told.get(client, 0.0))
            self._watch(live)

    def _tell(self, what: tuple[int, Failed | Broken | NodeDown | NodeUp | LinkUp]) -> None:
        self._fabric.tell(*what)

    # Changes of links

    def _look(self, live: ChangingLink) -> None:
        """Bring the state of a link that nobody watched, since nothing crossed it, up to now."""
        if not live.watched:
            live.state = self._conditions.state(live.source, live.to, self._fabric.now)
            if live.state.up and live.state.bandwidth_bytes_s != live.pair.bandwidth:
                live.pair.resize(live.state.bandwidth_bytes_s)

    def _watch(self, live: ChangingLink) -> None:
        if live.watched:
            return
        if live.changes is None:
            live.changes = self._conditions.changes(live.source, live.to)
        for when, state in live.changes:
            if when > self._fabric.now:
                live.watched = True
                order = (*_CHANGE, live.source, live.to)
                self._fabric.change_at(when, order, self._change, (live, state))
                return

    def _change(self, what: tuple[ChangingLink, State]) -> None:
        live, state = what
        was, live.state, live.watched = live.state, state, False
        if not state.up:
            self._break(live, "link", f"{self._words(live)} is down")
        else:
            if state.bandwidth_bytes_s != was.bandwidth_bytes_s:
                self._resize(live, state.bandwidth_bytes_s)
            if not was.up:
                self._open(live)
        if live.busy:
            self._watch(live)

    def _resize(self, live: ChangingLink, bandwidth: float) -> None:
        pairs = {live.pair: None} if self._world.share_links else {flow.pair: None for flow in live.flows}
        for pair in pairs:
            self._fabric.resize(pair, bandwidth)

    def _open(self, live: ChangingLink) -> None:
        """The link works again: what waited goes, who was promised is told."""
        held, live.held = live.held, []
        for departure in held:
            self._fabric.transfer(departure)
        told, live.told = live.told, {}
        for client, heard_s in told.items():
            server = live.to if live.source == client else live.source
            when = max(self._fabric.now + live.state.latency_s, heard_s)
            self._fabric.at(when, len(self._world.nodes), client, self._tell, (client, LinkUp(server)))

    def _break(self, live: ChangingLink, cause: BreakCause, reason: str) -> None:
        for flow in list(live.flows):
            flow.remaining = max(0.0, flow.remaining - flow.rate * (self._fabric.now - flow.since))
            flow.since = self._fabric.now
            departure = self._fabric.stop(flow)
            whole = live.carries(departure)
            live.carried.pop((departure.source, departure.sequence), None)
            carried = max(0, whole - int(flow.remaining + 1.0))
            if type(departure.message) in _DATA or live.to in self._dead or live.source in self._dead:
                self._lose(departure, live, cause, reason, carried)
            else:
                self._fabric.book("lost", departure.bytes)
                self._fabric.book("again", departure.bytes)
                live.held.append(departure)

    # Nodes that crash

    def _next_crash(self, node: int) -> None:
        span = next(self._spans[node], None)
        if span is not None:
            self._fabric.change_at(span[0], (*_CRASH, node), self._crash, (node, span[1]))

    def _crash(self, what: tuple[int, float]) -> None:
        node, up_s = what
        self._dead.add(node)
        for live in sorted(self._of.get(node, ()), key=lambda each: (each.source, each.to)):
            self._break(live, "server", f"{self._name(node)} is down")
            held, live.held = live.held, []
            for departure in held:
                self._lose(departure, live, "server", f"{self._name(node)} is down", 0)
        self._announce(node, NodeDown(node))
        if up_s < inf:
            self._fabric.change_at(up_s, (*_CRASH, node), self._restart, node)

    def _restart(self, node: int) -> None:
        self._dead.discard(node)
        self._announce(node, NodeUp(node))
        self._next_crash(node)

    def _announce(self, node: int, message: NodeDown | NodeUp) -> None:
        """Let every client with a user know, one latency later."""
        for user in self._world.users:
            when = self._fabric.now + self._conditions.state(node, user.client, self._fabric.now).latency_s
            self._fabric.at(when, node, user.client, self._tell, (user.client, message))

    def _resumes(self, user: int, departure: Departure) -> bool:
        """Whether what has crossed of a part is kept: a dead server keeps nothing."""
        spec = self._world.users[user]
        return spec.resume and spec.client == departure.source and departure.to not in self._dead

    def _name(self, node: int) -> str:
        return self._world.nodes[node].name

    def _words(self, live: ChangingLink) -> str:
        return f"link {self._name(live.source)} > {self._name(live.to)}"

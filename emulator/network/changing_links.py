"""Links that change while messages cross them: outages, loss, traces, mobility, and nodes that crash.

What happens to a message on a bad link depends on what it is. Parts of models and tensors of queries (*data*) break
off: whoever has to know is told after the link's latency. Everything else (*control*) is what a reliable transport
carries: a lost copy is sent again after `resend_s`, and while the link is down it waits; only a dead node loses it.
A link's changes are looked at only while something crosses it, waits for it, or wants to be told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import inf
from typing import Any, Final, Protocol

from layerlift.emulator.conditions.conditions import Carrier, Conditions, State
from layerlift.emulator.kernel.flows import Flow, Pair
from layerlift.emulator.network.byte_ledger import Book
from layerlift.emulator.protocol.messages import (
    BreakCause,
    Broken,
    Departure,
    Failed,
    LinkUp,
    Message,
    NodeDown,
    NodeUp,
    QueryStep,
    UploadPart,
)
from layerlift.emulator.world import streams
from layerlift.emulator.world.world import World

# What happens first at one instant: a crash, then changes of links. The fabric's own events come after both.
_CRASH, _CHANGE = (0,), (1,)
_DATA: Final = frozenset((UploadPart, QueryStep))


class Wires(Protocol):
    """What links that change ask of the fabric that they belong to. Times are seconds, sizes bytes."""

    @property
    def now(self) -> float:
        """The fabric's clock."""

    def at(self, when: float, source: int, sequence: int, call: Callable[[Any], object], argument: Any) -> None:
        """Do something at a later moment, among the completions of that instant."""

    def change_at(self, when: float, order: tuple[int, ...], call: Callable[[Any], object], argument: Any) -> None:
        """Do something at a later moment, before all completions of that instant."""

    def tell(self, to: int, message: Message) -> None:
        """Let node `to` know something now."""

    def book(self, book: Book, size: int) -> None:
        """Note bytes that did not arrive."""

    def part_arrived(self, departure: Departure, size: int) -> None:
        """Some bytes of a message that broke off have reached its receiver and count."""

    def transfer(self, departure: Departure) -> None:
        """Begin a transfer whose turn it is."""

    def stop(self, flow: Flow) -> Departure:
        """End a transfer before its time."""

    def resize(self, pair: Pair, bandwidth: float) -> None:
        """Give a pair another bandwidth."""

    def reroute(self, source: int, to: int, via: Sequence[Carrier]) -> None:
        """Let a pair go over these media, and have each carry what it can now."""

    def go_on(self, departure: Departure) -> None:
        """Begin the next tensor of the same query on this pair, if one waits."""


class ChangingLink:
    """One directed link that may change: its state now, what crosses it, what waits for it, and who is to be told."""

    __slots__ = (
        "_conditions", "carried", "changes", "flows", "held", "pair", "rng", "source", "state", "to", "to_tell",
        "watched",
    )  # fmt: skip

    def __init__(self, conditions: Conditions, world: World, source: int, to: int, pair: Pair) -> None:
        self._conditions, self.source, self.to, self.pair = conditions, source, to, pair
        self.state: State = conditions.state(source, to, 0.0)
        self.changes: Iterator[tuple[float, State]] | None = None
        self.watched = False
        self.flows: dict[Flow, None] = {}
        self.held: list[Departure] = []
        self.to_tell: dict[int, float] = {}
        """Clients that were told of a break here, and when each hears of it."""
        self.carried: dict[tuple[int, int], int] = {}
        """Bytes after which a message on its way is lost, by (source, sequence)."""
        # Each link has its own stream of chances, named by its ends: traffic elsewhere must not change them.
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
        return bool(self.flows or self.held or self.to_tell)


class ChangingLinks:
    """All links of a fabric that may change, and the nodes that may die."""

    def __init__(self, wires: Wires, world: World, conditions: Conditions) -> None:
        self._wires, self._world, self._conditions = wires, world, conditions
        self._dead: set[int] = set()
        self._of: dict[int, list[ChangingLink]] = {}
        self._spans: dict[int, Iterator[tuple[float, float]]] = {}
        for node in world.servers:
            self._spans[node] = conditions.crashes(node)
            self._next_crash(node)

    def link(self, source: int, to: int, pair: Pair) -> ChangingLink | None:
        """The link of a directed pair, made once; None for one to which nothing ever happens."""
        if not self._conditions.any or not self._conditions.dynamic(source, to):
            return None
        link = ChangingLink(self._conditions, self._world, source, to, pair)
        for end in (source, to):
            self._of.setdefault(end, []).append(link)
        return link

    # A message on its way

    def admit(self, departure: Departure, link: ChangingLink) -> bool:
        """Whether a message may begin to cross the link now; if not, it is lost or waits, and all is arranged."""
        source, to = departure.source, departure.to
        # What has no bytes had left its sender whole before that died; anything else is cut off with it.
        if to in self._dead or (source in self._dead and departure.bytes):
            self._lose(departure, link, "server", f"{self._name(to if to in self._dead else source)} is down", 0)
            return False
        self._look(link)
        if not link.state.up:
            if type(departure.message) in _DATA:
                self._lose(departure, link, "link", f"{self._words(link)} is down", 0)
            else:
                link.held.append(departure)
                self._watch(link)
            return False
        if link.rng is not None:
            # Its fate is drawn as it begins, so that how long it takes, or who else is there, changes no chance.
            share = self._conditions.loss(source, to, self._wires.now)
            if link.rng.random() < share:
                link.carried[source, departure.sequence] = int(link.rng.random() * departure.bytes)
        self._watch(link)
        return True

    def perished(self, departure: Departure, link: ChangingLink) -> bool:
        """Whether a message whose crossing has ended was lost by chance, not arrived; then all is arranged."""
        carried = link.carried.pop((departure.source, departure.sequence), None)
        if carried is None:
            return False
        if type(departure.message) is UploadPart:
            self._lose(departure, link, "lost", f"lost on {self._words(link)}", carried)
        else:
            # A lost tensor goes on blocking its stream: the order holds for whole tensors, not for copies.
            self._wires.book("lost", departure.bytes)
            when = self._wires.now + self._world.resend_s
            self._wires.at(when, departure.source, departure.sequence, self._again, departure)
        return True

    def _again(self, departure: Departure) -> None:
        # Booked only now: between the loss and this moment nothing is under way.
        self._wires.book("again", departure.bytes)
        self._wires.transfer(departure)

    def _lose(self, departure: Departure, link: ChangingLink, cause: BreakCause, reason: str, carried: int) -> None:
        """Book a message as lost and let whoever has to know hear of it, one latency later."""
        message, kept = departure.message, 0
        if type(message) is UploadPart and self._resumes(message.user, departure):
            kept = carried
            self._wires.part_arrived(departure, kept)
        self._wires.book("lost", departure.bytes - kept)
        when = self._wires.now + link.state.latency_s
        down = not link.state.up  # of a dead node the client hears by `NodeDown`, and by `NodeUp` when it is back
        if type(message) is UploadPart:
            failed = Failed(departure.sequence, cause, reason, carried, kept, down)
            self._wires.at(when, departure.source, departure.sequence, self._tell, (departure.source, failed))
            self._promise(departure.source, link, when)
        elif type(message) is QueryStep:
            client = self._world.users[message.user].client
            server = departure.to if departure.source == client else departure.source
            # Between two servers the client cannot tell which is to blame, and goes on reaching both.
            end = server if client in (departure.source, departure.to) else -1
            broken = Broken(message.query, message.route, cause, reason, end, down)
            self._wires.at(when, departure.source, departure.sequence, self._tell, (client, broken))
            self._promise(client, link, when)
        elif departure.to in self._dead and self._world.nodes[departure.source].tier == "client":
            refused = departure.source, NodeDown(departure.to)
            self._wires.at(when, departure.source, departure.sequence, self._tell, refused)
        self._wires.go_on(departure)  # whatever waited behind it has its turn, and is lost likewise if nothing goes

    def _promise(self, client: int, link: ChangingLink, when: float) -> None:
        """A client that was told of a break of its own link is told when that works again."""
        if not link.state.up and client in (link.source, link.to) and self._world.nodes[client].tier == "client":
            # The latest news counts: that the link is up must not come before that it was down.
            link.to_tell[client] = max(when, link.to_tell.get(client, 0.0))
            self._watch(link)

    def _tell(self, what: tuple[int, Failed | Broken | NodeDown | NodeUp | LinkUp]) -> None:
        self._wires.tell(*what)

    # Changes of links

    def _look(self, link: ChangingLink) -> None:
        """Bring the state of a link that nobody watched, since nothing crossed it, up to now."""
        if not link.watched:
            link.state = self._conditions.state(link.source, link.to, self._wires.now)
            # Nothing crosses a link that nobody watches, so there is nothing to settle; a link that is down has no
            # bandwidth to take over.
            if link.state.up:
                self._reroute(link)
                if link.state.bandwidth_bytes_s != link.pair.bandwidth:
                    link.pair.resize(link.state.bandwidth_bytes_s)

    def _watch(self, link: ChangingLink) -> None:
        if link.watched:
            return
        if link.changes is None:
            link.changes = self._conditions.changes(link.source, link.to)
        for when, state in link.changes:  # those of the time when nobody looked are passed over
            if when > self._wires.now:
                link.watched = True
                order = (*_CHANGE, link.source, link.to)
                self._wires.change_at(when, order, self._change, (link, state))
                return

    def _change(self, what: tuple[ChangingLink, State]) -> None:
        link, state = what
        was, link.state, link.watched = link.state, state, False
        if not state.up:
            self._break(link, "link", f"{self._words(link)} is down")
        else:
            self._reroute(link)
            if state.bandwidth_bytes_s != was.bandwidth_bytes_s:
                self._resize(link, state.bandwidth_bytes_s)
            if not was.up:
                self._open(link)
        if link.busy:  # a link at rest costs no events: traces and outages may have no end
            self._watch(link)

    def _reroute(self, link: ChangingLink) -> None:
        # Whoever crosses a medium is watched, and so whoever looks first at what it can carry now says it for all.
        if self._world.media and self._world.share_links:
            self._wires.reroute(link.source, link.to, link.state.via)

    def _resize(self, link: ChangingLink, bandwidth: float) -> None:
        # On independent links every transfer has a pair of its own.
        pairs = {link.pair: None} if self._world.share_links else {flow.pair: None for flow in link.flows}
        for pair in pairs:
            self._wires.resize(pair, bandwidth)

    def _open(self, link: ChangingLink) -> None:
        """The link works again: what waited goes, who was promised is told."""
        held, link.held = link.held, []
        for departure in held:
            self._wires.transfer(departure)
        to_tell, link.to_tell = link.to_tell, {}
        for client, heard_s in to_tell.items():
            server = link.to if link.source == client else link.source
            when = max(self._wires.now + link.state.latency_s, heard_s)
            self._wires.at(when, len(self._world.nodes), client, self._tell, (client, LinkUp(server)))

    def _break(self, link: ChangingLink, cause: BreakCause, reason: str) -> None:
        for flow in list(link.flows):  # a copy: stopping one takes it out
            # A flow's bytes are brought up to date only when its rate changes.
            remaining = max(0.0, flow.remaining - flow.rate * (self._wires.now - flow.since))
            departure = self._wires.stop(flow)
            whole = link.carries(departure)
            link.carried.pop((departure.source, departure.sequence), None)
            # Rounded down: a byte that is on its way has not crossed, and no message breaks off when all of it has.
            carried = max(0, whole - int(remaining + 1.0))
            if type(departure.message) in _DATA or link.to in self._dead or link.source in self._dead:
                self._lose(departure, link, cause, reason, carried)
            else:
                # The copy is lost and the next one waits for the link: bytes of every copy count.
                self._wires.book("lost", departure.bytes)
                self._wires.book("again", departure.bytes)
                link.held.append(departure)

    # Nodes that crash

    def _next_crash(self, node: int) -> None:
        span = next(self._spans[node], None)  # one at a time: there may be no last one
        if span is not None:
            self._wires.change_at(span[0], (*_CRASH, node), self._crash, (node, span[1]))

    def _crash(self, what: tuple[int, float]) -> None:
        node, up_s = what
        self._dead.add(node)
        # In the order of their ends, not of their first use, which depends on the traffic.
        for link in sorted(self._of.get(node, ()), key=lambda each: (each.source, each.to)):
            self._break(link, "server", f"{self._name(node)} is down")
            held, link.held = link.held, []
            for departure in held:
                self._lose(departure, link, "server", f"{self._name(node)} is down", 0)
        self._announce(node, NodeDown(node))
        if up_s < inf:
            self._wires.change_at(up_s, (*_CRASH, node), self._restart, node)

    def _restart(self, node: int) -> None:
        self._dead.discard(node)
        self._announce(node, NodeUp(node))
        self._next_crash(node)

    def _announce(self, node: int, message: NodeDown | NodeUp) -> None:
        """Let every client with a user know, one latency later."""
        for user in self._world.users:
            # A latency even where the link is down: the news finds another way.
            when = self._wires.now + self._conditions.state(node, user.client, self._wires.now).latency_s
            self._wires.at(when, node, user.client, self._tell, (user.client, message))

    def _resumes(self, user: int, departure: Departure) -> bool:
        """Whether what has crossed of a part is kept: a dead server keeps nothing."""
        spec = self._world.users[user]
        return spec.resume and spec.client == departure.source and departure.to not in self._dead

    def _name(self, node: int) -> str:
        return self._world.nodes[node].name

    def _words(self, link: ChangingLink) -> str:
        return f"link {self._name(link.source)} > {self._name(link.to)}"

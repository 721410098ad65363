"""What client and servers of a validation have in common: connections, an inbox, and the steps of a query."""

from __future__ import annotations

import hmac
import queue
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from layerlift.emulator.studies.validate.bucket import Bucket
from layerlift.emulator.studies.validate.messages import Broken, packed, received
from layerlift.emulator.studies.validate.pieces import Arrays, Described, Piece, Spent, together
from layerlift.emulator.studies.validate.wire import Outbox, Wire

HANDSHAKE_S: Final = 5.0
_ROOM: Final = 1 << 16


class Arrived(NamedTuple):
    """A tensor of a query, from another node."""

    query: int
    up: int
    """How many parts were confirmed when the query began: which says on which route it is."""
    tensor: int
    array: np.ndarray


class Node:
    """One machine of a validation. `setup` is what the study told it, `models` the pieces without weights."""

    def __init__(self, index: int, setup: Mapping[str, Any], models: Sequence[bytes], failed: Callable[..., None]):
        self.index, self.failed = index, failed
        self.tensors = [Described.of(each) for each in setup["tensors"]]
        self.situations: Sequence[Mapping[str, Any]] = setup["situations"]
        self.models = models
        self.limit_s = float(setup["limit_s"])
        self.token = str(setup["token"])
        self._setup = setup
        self.pieces: dict[int, Piece] = {}
        self.situation: Mapping[str, Any] = {}
        self.inbox: queue.SimpleQueue[Arrived] = queue.SimpleQueue()
        self._outboxes: dict[int, Outbox] = {}

    def wire(self, bucket: Bucket | None = None) -> Wire:
        """One direction from here, over a link of its own or over `bucket`."""
        paced = bool(self._setup["paced"])
        return Wire((bucket or self.bucket()) if paced else None, float(self._setup["latency_s"]) if paced else 0.0)

    def bucket(self) -> Bucket:
        """A link of the bandwidth that is tried."""
        return Bucket(float(self._setup["bytes_s"]))

    def connect(self, place: Sequence[Any], purpose: str) -> socket.socket:
        """Connect to a server, and say who comes. Raises `OSError`."""
        made = socket.create_connection((str(place[0]), int(place[1])), HANDSHAKE_S)
        self.tune(made, purpose)
        made.sendall(packed({"token": self.token, "from": self.index, "for": purpose}))
        return made

    def greeted(self, made: socket.socket) -> tuple[int, str] | None:
        """Who has connected, and for what; None for a stranger."""
        made.settimeout(HANDSHAKE_S)
        try:
            head, _ = received(made, 0)
            known = hmac.compare_digest(str(head.get("token", "")).encode(), self.token.encode())
            return (int(head["from"]), str(head["for"])) if known else None
        except (Broken, KeyError, ValueError, TypeError):
            return None

    def tune(self, made: socket.socket, purpose: str) -> None:
        """Messages leave at once, nobody waits for ever, and the system's network knows what it carries."""
        made.settimeout(self.limit_s)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._setup["congestion"]:
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, self._setup["congestion"].encode())
        if self._setup["priorities"]:
            uploads, queries = self._setup["priorities"]
            made.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, uploads if purpose == "uploads" else queries)

    def join(self, to: int, made: socket.socket, wire: Wire) -> None:
        """Exchange tensors with a node over a connection."""
        self._outboxes[to] = Outbox(wire, made, self.failed)
        threading.Thread(target=self._listen, args=(made,), daemon=True).start()

    def begin(self, situation: int) -> Mapping[str, Any]:
        """Forget what was, and turn to a situation."""
        self.situation, self.pieces = self.situations[situation], {}
        while not self.inbox.empty():
            self.inbox.get()
        return self.situation

    def built(self, unit: int, weights: Arrays) -> Piece:
        """Make a unit ready to run, from its weights."""
        told = self.situation["units"][unit]
        own = {name: weights[name] for name in told["weights"]}
        return Piece(self.models[told["model"]], own, [Described.of(each) for each in told["inputs"]])

    def put(self, query: int, up: int, sends: Sequence[Sequence[int]], have: Arrays) -> None:
        """Send tensors of a query, each (to, tensor)."""
        for to, tensor in sends:
            described = self.tensors[tensor]
            payload = together([have[described.name]])
            if len(payload) != described.bytes:
                raise Broken(f"{described.name[:60]!r} has {len(payload)} bytes, expected {described.bytes}")
            self._outboxes[to].put(packed({"query": query, "up": up, "tensor": tensor}, len(payload)), payload)

    def walk(
        self, query: int, up: int, have: Arrays, take: Callable[[], Arrived], wanted: Sequence[int] = ()
    ) -> list[Spent]:
        """Run this node's steps of a query in their order; `take` gives what arrives, until `wanted` is there too."""
        spent = []
        route = self.situation["routes"][up]

        def until(tensors: Sequence[int]) -> None:
            while any(self.tensors[tensor].name not in have for tensor in tensors):
                arrived = take()
                have[self.tensors[arrived.tensor].name] = arrived.array

        for step in route["steps"]:
            if step["node"] == self.index:
                until(step["waits"])
                for unit in step["units"]:
                    made, took = self.pieces[unit].run(have)
                    have.update(made)
                    spent.append(took)
                self.put(query, up, step["sends"], have)
        until(wanted)
        return spent

    def _listen(self, source: socket.socket) -> None:
        try:
            most = max(each.bytes for each in self.tensors) + _ROOM
            while True:
                head, payload = received(source, most)
                tensor = int(head["tensor"])
                array = self.tensors[tensor].array(payload)
                self.inbox.put(Arrived(int(head["query"]), int(head["up"]), tensor, array))
        except Exception as error:
            self.failed(error)

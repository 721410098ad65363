"""The real side: processes on this machine, set up once, and a round of queries and uploads at a time."""

from __future__ import annotations

import math
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from layerlift.emulator.scenario.schema.fields import MBIT
from layerlift.emulator.studies.validate.processes.children import Child, Children
from layerlift.emulator.studies.validate.records import Round
from layerlift.emulator.studies.validate.situations import Situation
from layerlift.emulator.studies.validate.told import Told, tensors
from layerlift.models.running.network import Network
from layerlift.models.sums import int_sum, left_sum

LOOPBACK: Final = "127.0.0.1"
WARM: Final = 5
"""Queries at the beginning of a round that count for nothing."""
_SETUP_S: Final = 90.0
_ROUND_S: Final = 240.0
MEASURED_S: Final = 50.0
"""What `layerlift link` is told for both ways; one takes about half of it."""


@dataclass(frozen=True, slots=True)
class Way:
    """What connects the processes."""

    bytes_s: float
    latency_s: float
    paced: bool = True
    """Whether senders pace themselves; else the system's network does."""
    hosts: tuple[str, ...] = ()
    """The address of each server; loopback where there is none."""
    within: tuple[tuple[str, ...], ...] = ()
    """The command that starts the client and each server where they belong; none: here."""
    congestion: str = ""
    """The congestion control of TCP; empty: the system's."""
    priorities: tuple[int, ...] = ()
    """Of packets of uploads, and of queries; none: all alike."""

    def host(self, server: int) -> str:
        """Where server 1, 2 ... listens."""
        return self.hosts[server - 1] if self.hosts else LOOPBACK

    def start(self, node: int) -> tuple[str, ...]:
        """What comes before a node's command; 0 is the client."""
        return self.within[node] if self.within else ()


@dataclass
class Books:
    """What is known of the machine after rounds."""

    built_s: float = 0.0
    built_bytes: float = 0.0
    crossing_s: float = 0.0
    granted: int = 0
    uploaded: int = 0
    upload_s: float = 0.0

    @property
    def load_s_per_byte(self) -> float:
        """How long a server takes to build what has come."""
        return self.built_s / self.built_bytes if self.built_bytes else 0.0

    def rate_error(self, bytes_s: float) -> float:
        """By how much the link was faster (slower: below 0) than it should be while it was busy; NaN: nobody paces."""
        return self.granted / self.crossing_s / bytes_s - 1 if self.granted else math.nan

    def add(self, parts: Sequence[Mapping[str, float]], built: Sequence[Sequence[float]]) -> None:
        """Note the parts of a round, and what servers built of them."""
        self.crossing_s += left_sum(part["crossing_s"] for part in parts)
        self.granted += int_sum(int(part["granted"]) for part in parts)
        self.uploaded += int_sum(int(part["bytes"]) for part in parts)
        self.upload_s += left_sum(part["ended_s"] - part["sent_s"] for part in parts)
        self.built_bytes += left_sum(each[0] for each in built)
        self.built_s += left_sum(each[1] for each in built)


@dataclass
class Machines:
    """A client and servers that are connected."""

    client: Child
    servers: list[Child]
    books: Books = field(default_factory=Books)

    def round(self, number: int, before: int, after: int) -> Round:
        """Carry out situation `number`: so many queries before and after the upload. Raises `RunError`."""
        for server in self.servers:
            server.ask({"begin": number}, _SETUP_S)
        asked = {"situation": number, "warm": WARM, "before": before, "after": after}
        told = self.client.ask({"round": asked}, _ROUND_S)
        reports = [server.ask({"report": True}, _SETUP_S) for server in self.servers]
        self.books.add(told["parts"], [each for report in reports for each in report["built"]])
        return Round.really(told, [each for report in reports for each in report["ran"]])


def measured_transport(children: Children, way: Way) -> dict[str, Any]:
    """The fields of a link in a scenario, as `layerlift link` finds them between client and server. Raises `RunError`.

    The way up alone is measured, for nothing fills the other one.
    """
    there, here = children.start("transport", way.start(1)), children.start("transport", way.start(0))
    found = there.ask({"serve": way.host(1)}, _SETUP_S)
    told = {"host": way.host(1), "congestion": way.congestion, "seconds": MEASURED_S}
    seen = here.ask({"measure": {**found, **told}}, _SETUP_S)
    return {
        "efficiency": min(1.0, seen["goodput_mbit_s"] * MBIT / way.bytes_s),
        "latency_ms": seen["latency_ms"],
        "queue_ms": seen["queue_ms"],
        "query_weight": seen["query_weight"],
        "slow_start": seen["slow_start"],
    }


def started(
    children: Children,
    network: Network,
    source: Mapping[str, Any],
    chosen: Sequence[Situation],
    way: Way,
    limit_s: float,
) -> Machines:
    """Start what situations need: servers first, then the client. Nothing outlives `limit_s`. Raises `RunError`."""
    told = Told.of(network, chosen)
    count = max(situation.servers for situation in chosen)
    setup: dict[str, Any] = {
        "token": secrets.token_hex(16),
        "tensors": tensors(network),
        "situations": told.situations,
        "bytes_s": way.bytes_s,
        "latency_s": way.latency_s,
        "paced": way.paced,
        "congestion": way.congestion,
        "priorities": list(way.priorities),
        "limit_s": limit_s,
    }
    servers = [children.start("server", way.start(number)) for number in range(1, count + 1)]
    client = children.start("client", way.start(0))
    places = []
    for number, server in enumerate(servers, 1):
        own = {"index": number, "host": way.host(number), "connections": number + 1}
        port = server.ask({"setup": {**setup, **own}}, _SETUP_S, told.models)["port"]
        places.append([way.host(number), port])
    client.ask({"setup": {**setup, "servers": places, "network": dict(source)}}, _SETUP_S, told.models)
    for number, server in enumerate(servers, 1):
        server.ask({"fellows": [[to, places[to - 1]] for to in range(number + 1, count + 1)]}, _SETUP_S)
    return Machines(client, servers)

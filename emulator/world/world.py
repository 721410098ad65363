"""A resolved scenario: every machine, link, user and model as plain numbers in SI units.

A `World` is what the time plane runs on. It is immutable, holds no weights, and is the same object for every
packing of nodes into hosts. Scenarios (YAML, ranges, counts, units) are resolved into it by
`layerlift.emulator.scenario.scenario`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np

from layerlift.emulator.policies import takes_back
from layerlift.emulator.world.faults import Fault, Mobility, traced_latencies_s
from layerlift.emulator.world.laws import Asks, Draw, Fixed
from layerlift.models.errors import ScenarioError
from layerlift.models.graph.graph import LayerGraph
from layerlift.models.graph.route import QueryMode
from layerlift.planners.problem.problem import Floats, Objective

Tier = Literal["client", "edge", "cloud", "planner"]
INF = math.inf


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """One emulated machine. A server is edge or cloud by its tier, which is data."""

    index: int
    name: str
    tier: Tier
    ghz: float = 1.0
    """Total over all cores; one piece of work uses at most `ghz / cores`."""
    cores: int = 1
    profile: str = "reference"
    """Which profile of a model its layer seconds come from (its device class)."""
    discipline: Literal["sharing", "fifo"] = "sharing"
    memory_bytes: float = INF
    load_s_per_byte: float = 0.0
    max_batch: int = 1
    policy: str = "first_come"
    share_models: bool = False
    """Whether users of one model share what is stored of it."""
    idle_w: float = 0.0
    compute_w: float = 0.0
    """Increment while computing (client), or what a busy core draws (server)."""
    radio_w: float = 0.0
    price_per_s: float = 0.0
    """Money (USD) per core-second of busy time."""
    price_per_byte_s: float = 0.0
    """Money (USD) per byte of parameters held for one second."""
    uplink_bytes_s: float = INF
    downlink_bytes_s: float = INF
    battery_j: float | None = None


@dataclass(frozen=True, slots=True)
class LinkSpec:
    """One direction between two nodes."""

    latency_s: float
    bandwidth_bytes_s: float
    price_per_byte: float = 0.0


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A network and what its layers cost. `seconds[profile][layer]` are reference seconds."""

    name: str
    source: str
    """What `models.load` takes: a zoo name or a path."""
    graph: LayerGraph
    seconds: Mapping[str, tuple[float, ...]]
    reference_ghz: Mapping[str, float]
    """The speed that `seconds[profile]` stands for: a node of `ghz / cores` takes reference_ghz / that times longer."""
    digest: str = ""
    floor_s: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Seconds that no clock makes shorter, by profile: moving a layer's bytes through that device class's memory."""
    predicted_s: tuple[float, ...] = ()
    """What a regression says of each layer, in seconds at `predicted_ghz`; empty unless predictions are regressions."""
    predicted_ghz: float = 1.0


@dataclass(frozen=True, slots=True)
class UserSpec:
    """Somebody with a client, a model and questions."""

    index: int
    name: str
    client: int
    """Node index of the user's device; one user per client."""
    model: int
    planner: str = "local"
    """What `planners.make` takes."""
    objective: Objective = field(default_factory=Objective)
    arrival_s: float = 0.0
    queries: int | None = None
    """How many are asked before the user leaves; None: until it has stayed `stay`, its trace or the run ends."""
    think_s: float = 0.0
    """Pause between an answer and the next question; its mean where `think_law` is given."""
    kind: str = "user"
    """The scenario entry that made this user: users of one kind differ only in drawn numbers."""
    profile_runs: int = 1
    """How often Program 1 runs each layer on arrival; 0 skips it."""
    query: QueryMode = "dataflow"
    uploads_at_once: Literal["one", "per_server"] = "one"
    cr_timeout_s: float = INF
    retries: int = 5
    on_refusal: Literal["wait", "skip", "replan"] = "skip"
    retry_wait_s: float = 1.0
    """How long the upload thread waits before a refused part is sent again (`on_refusal: wait`)."""
    think_law: Draw | None = None
    """What each pause is drawn from; None: always `think_s`."""
    asks: Asks | None = None
    """When questions come, in seconds from the user's start of asking; None: back to back with pauses."""
    in_flight: int = 1
    """How many queries may be under way at once."""
    queue: int | None = None
    """How many questions may wait; one more fails with `queue full`. None: any number."""
    late: Literal["keep", "drop"] = "keep"
    """drop: a new question takes the place of all that wait, which fail with `late`."""
    stay: Draw | None = None
    """Seconds from its arrival until it asks nothing new; resolved scenarios hold the drawn number (`Fixed`)."""
    weight: float = 1.0
    """Priority, for policies that know one."""
    backoff_s: float = 0.5
    """Before an upload that failed is tried again; doubles with each failure in a row."""
    resume: bool = False
    """Whether such an upload goes on at the byte where it stopped."""
    replan: Literal["never", "on_change", "every"] = "never"
    replan_s: float = INF
    """Seconds between plans (`replan: every`)."""

    @property
    def think(self) -> Draw:
        """What each pause between an answer and the next question is drawn from."""
        return self.think_law or Fixed(self.think_s)


@dataclass(frozen=True, slots=True)
class PlanningSpec:
    """Where plans are made, what making one costs and what a planner is told."""

    at: int = -1
    """Node index of the planner's place; -1: with each client (the paper's)."""
    plan_s: float = 0.0
    """Declared planning time on the emulated clock; never less than the lookahead."""
    loopback_s: float = 0.001
    """Latency between a client and the planner that lives with it."""
    bias: float = 0.0
    """Relative error of every prediction of server seconds."""
    sigma: float = 0.0
    """Relative standard deviation of the error of a layer's prediction."""
    predictions: Literal["exact", "regression", "error"] = "exact"
    gather_s: float | None = None
    """How long a planner that can plan users jointly waits for others after a request; None: it plans each alone."""
    plan_timeout_s: float = INF
    """Wall-clock limit of one planning; later plans leave the user local."""
    heartbeat_s: float = INF
    """How often each server tells the planner its load."""
    knows_load: bool = True
    """Whether problems carry the servers' load and offers; else the planner plans as if they were idle."""
    bandwidth_known: Literal["true", "nominal", "measured"] = "true"
    """What bandwidth a planner is told: that of the instant, that of the scenario, or what transfers have shown."""


@dataclass(frozen=True)
class World:
    """Everything that the emulation needs to know before the first event.

    Raises `ScenarioError` for worlds that cannot run: no lookahead (a zero latency), no clients.
    """

    name: str
    seed: int
    nodes: tuple[NodeSpec, ...]
    """Clients, servers, then the planner last; `nodes[i].index == i`."""
    links: Mapping[tuple[str, str], LinkSpec]
    """By pair of tiers, directed."""
    models: tuple[ModelSpec, ...]
    users: tuple[UserSpec, ...]
    planning: PlanningSpec = field(default_factory=PlanningSpec)
    pairs: Mapping[tuple[int, int], LinkSpec] = field(default_factory=dict)
    """Directed pairs of nodes that differ from their tiers."""
    share_links: bool = True
    until_s: float = INF
    sample_s: float = 1.0
    """Sampling period of the usage table; infinite: one row a node at the end."""
    header_bytes: int = 0
    compute: Literal["profiled", "measured"] = "profiled"
    faults: tuple[Fault, ...] = ()
    """What breaks, see `layerlift.emulator.conditions.conditions.Weather`; a fault's place in the list names its
    stream of the seed.
    """
    mobility: tuple[Mobility, ...] = ()
    """Which clients move; each is in one entry at most."""
    resend_s: float = 0.2
    """After which a reliable transport sends a lost message again."""

    def __post_init__(self) -> None:
        if not self.users:
            raise ScenarioError("the scenario has no users: expected at least one under `users`")
        if not self.servers:
            raise ScenarioError("the scenario has no servers: expected at least one node of tier edge or cloud")
        for node in self.nodes:
            if self.nodes[node.index] is not node:
                raise ScenarioError(f"node {node.name!r} has index {node.index}, which is not its position")
        if not self.lookahead_s > 0:
            raise ScenarioError(
                "a link has zero latency: the emulation needs a positive latency on every link (try latency_ms: 0.1)"
            )

    @cached_property
    def revocable(self) -> bool:
        """Whether a query may find that what it was begun with is gone: faults, moving users, policies that evict."""
        return bool(
            self.faults or self.mobility or any(takes_back(self.nodes[server].policy) for server in self.servers)
        )

    @cached_property
    def clients(self) -> tuple[int, ...]:
        """Node indices of the clients."""
        return tuple(node.index for node in self.nodes if node.tier == "client")

    @cached_property
    def servers(self) -> tuple[int, ...]:
        """Node indices of the edge and cloud servers, ascending: node k of a `Problem` is `servers[k - 1]`."""
        return tuple(node.index for node in self.nodes if node.tier in ("edge", "cloud"))

    @cached_property
    def server_links(self) -> tuple[Floats, Floats, Floats]:
        """Latency (s), bandwidth (bytes/s) and price (USD per byte) among the servers, in the order of `servers`.

        Each of shape (servers, servers); on the diagonal 0, infinity and 0.
        """
        links = [[LinkSpec(0.0, INF) if a == b else self.link(a, b) for b in self.servers] for a in self.servers]
        return (
            np.array([[link.latency_s for link in row] for row in links], dtype=np.float64),
            np.array([[link.bandwidth_bytes_s for link in row] for row in links], dtype=np.float64),
            np.array([[link.price_per_byte for link in row] for row in links], dtype=np.float64),
        )

    @cached_property
    def planner(self) -> int:
        """Node index of the planner."""
        return next(node.index for node in self.nodes if node.tier == "planner")

    @cached_property
    def lookahead_s(self) -> float:
        """The smallest latency that any message can have, ever: the width of a lockstep window."""
        used = [link.latency_s for link in (*self.links.values(), *self.pairs.values())]
        used += traced_latencies_s(self.faults)
        at = self.planning.at
        if at < 0 or self.nodes[at].tier == "client" or self.planning.heartbeat_s < INF:
            used.append(self.planning.loopback_s)
        return min(used)

    def loops_back(self, source: int, to: int) -> bool:
        """Whether a message between the two never leaves a machine: one of them is the planner that lives there."""
        return self.planner in (source, to) and self.planning.at in (-1, source, to)

    def link(self, source: int, to: int) -> LinkSpec:
        """The link from one node to another; the planner's are those of its place.

        Raises `ScenarioError` when the scenario names no link for the pair's tiers.
        """
        if self.loops_back(source, to):
            return LinkSpec(self.planning.loopback_s, INF)
        source = self.planning.at if source == self.planner else source
        to = self.planning.at if to == self.planner else to
        found = self.pairs.get((source, to)) or self.links.get((self.nodes[source].tier, self.nodes[to].tier))
        if found is None:
            raise ScenarioError(
                f"no link from {self.nodes[source].name} to {self.nodes[to].name}: "
                f"expected `{self.nodes[source].tier}-{self.nodes[to].tier}` under `links`"
            )
        return found

    def seconds(self, model: int, node: int) -> tuple[float, ...]:
        """Seconds of each layer of a model, alone on a node: reference x reference_ghz / (ghz / cores).

        Where the node's profile knows how fast its memory is, no layer is faster than that allows.
        """
        spec, machine = self.models[model], self.nodes[node]
        if machine.profile not in spec.seconds:
            raise ScenarioError(
                f"node {machine.name} names profile {machine.profile!r}, which {spec.name} has not: "
                f"known are {', '.join(sorted(spec.seconds))}"
            )
        factor = spec.reference_ghz[machine.profile] * machine.cores / machine.ghz
        scaled = tuple(second * factor for second in spec.seconds[machine.profile])
        floor = spec.floor_s.get(machine.profile)
        return tuple(map(max, scaled, floor)) if floor else scaled

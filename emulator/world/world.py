"""A resolved scenario: every machine, link, user and model as plain numbers in SI units.

A `World` is what the time plane runs on. It is immutable, holds no weights, and is the same object for every
packing of nodes into hosts. Scenarios (YAML, ranges, counts, units) are resolved into it by
`layerlift.emulator.scenario.scenario`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import fsum
from typing import Literal

import numpy as np

from layerlift.emulator.world.faults import Fault, LinkFault, Pairs
from layerlift.emulator.world.links import Crossing, LinkSpec, MediumSpec, one_behind_the_other
from layerlift.emulator.world.machines import INF, NodeSpec
from layerlift.emulator.world.mobility import Mobility
from layerlift.emulator.world.models import ModelSpec
from layerlift.emulator.world.scaling import Scaling
from layerlift.emulator.world.users import PlanningSpec, UserSpec
from layerlift.models.errors import ScenarioError
from layerlift.models.sums import left_sum
from layerlift.models.timing.batch_sizes import between
from layerlift.planners.problem.problem import Floats


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
    media: tuple[MediumSpec, ...] = ()
    """Shared media, each after the one that it is behind."""
    share_links: bool = True
    until_s: float = INF
    sample_s: float = 1.0
    """Sampling period of the usage table; infinite: one row a node at the end."""
    header_bytes: int = 0
    compute: Literal["profiled", "measured"] = "profiled"
    faults: tuple[Fault, ...] = ()
    """What breaks, see `layerlift.emulator.conditions.conditions.Conditions`; a fault's place in the list names its
    stream of the seed.
    """
    mobility: tuple[Mobility, ...] = ()
    """Which clients move; each is in one entry at most."""
    resend_s: float = 0.2
    """After which a reliable transport sends a lost message again."""
    scaling: tuple[Scaling, ...] = ()
    """Which servers are switched on and off; each is in one entry at most."""

    def __post_init__(self) -> None:
        if not self.users:
            raise ScenarioError("the scenario has no users: expected at least one under `users`")
        if not self.servers:
            raise ScenarioError("the scenario has no servers: expected at least one node of tier edge or cloud")
        for node in self.nodes:
            if self.nodes[node.index] is not node:
                raise ScenarioError(f"node {node.name!r} has index {node.index}, which is not its position")
        batching = next((node for node in self.nodes if node.discipline == "batch"), None)
        if batching is not None and self.compute == "measured":
            raise ScenarioError(
                f"node {batching.name} batches, and compute is measured, which takes the seconds of each query alone: "
                "expected compute: profiled, or another discipline"
            )
        for place, medium in enumerate(self.media):
            if not -1 <= medium.behind < place:
                raise ScenarioError(f"medium {medium.name!r} comes before the one that it is behind")
        if not self.lookahead_s > 0:
            raise ScenarioError(
                "a link has zero latency: the emulation needs a positive latency on every link (try latency_ms: 0.1)"
            )

    @cached_property
    def revocable(self) -> bool:
        """Whether a query may find that what it was begun with is gone.

        By faults, moving users, policies that evict, and servers that are switched off.
        """
        evicting = any(self.nodes[server].revokes for server in self.servers)
        return bool(self.faults or self.mobility or self.scaling or evicting)

    @cached_property
    def begin_off(self) -> frozenset[int]:
        """Node indices of what is off at the start: clients with a battery, and servers that are not needed yet."""
        batteries = (node.index for node in self.nodes if node.battery_j is not None)
        return frozenset(batteries).union(*(group.servers[group.least :] for group in self.scaling))

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
    def server_paths(self) -> tuple[tuple[tuple[Crossing, ...], ...], ...]:
        """The media that a message crosses among the servers, from and to, in the order of `servers`."""
        return tuple(tuple(() if a == b else self.path(a, b) for b in self.servers) for a in self.servers)

    @cached_property
    def planner(self) -> int:
        """Node index of the planner."""
        return next(node.index for node in self.nodes if node.tier == "planner")

    @cached_property
    def lookahead_s(self) -> float:
        """The smallest latency that any message can have, ever: the width of a lockstep window."""
        used = [link.latency_s for link in (*self.links.values(), *self.pairs.values())]
        # Who moves adds latencies up; only faults of links may make one smaller than the scenario's.
        # What media add, under faults or not, is on top of a link's own latency.
        links = (fault for fault in self.faults if isinstance(fault, LinkFault) and isinstance(fault.pairs, Pairs))
        used += [latency_s for fault in links for latency_s in fault.latencies_s]
        at = self.planning.at
        if at < 0 or self.nodes[at].tier == "client" or self.planning.heartbeat_s < INF or self.scaling:
            used.append(self.planning.loopback_s)
        return min(used)

    def loops_back(self, source: int, to: int) -> bool:
        """Whether a message between the two never leaves a machine: one of them is the planner that lives there."""
        return self.planner in (source, to) and self.planning.at in (-1, source, to)

    def link(self, source: int, to: int) -> LinkSpec:
        """What lies between two nodes as a whole: their link and all media on the way; the planner's is its place's.

        Latencies and prices add up, and the bandwidth is the smallest of all: what a lone transfer has. Raises
        `ScenarioError` when the scenario names no link for the pair's tiers.
        """
        if not self.media:
            return self.own_link(source, to)
        if (source, to) not in self._wholes:
            self._wholes[source, to] = self._whole(source, to)
        return self._wholes[source, to]

    @cached_property
    def _wholes(self) -> dict[tuple[int, int], LinkSpec]:
        """What `link` has said: a query's bill asks for the same few again and again."""
        return {}

    def _whole(self, source: int, to: int) -> LinkSpec:
        own = self.own_link(source, to)
        crossed = [(self.media[medium], way) for medium, way in self.path(source, to)]
        return LinkSpec(
            left_sum((own.latency_s, *(medium.latency_s for medium, _ in crossed))),
            min(own.bandwidth_bytes_s, *(medium.bytes_s(way) for medium, way in crossed), INF),
            left_sum((own.price_per_byte, *(medium.price_per_byte for medium, _ in crossed))),
            own.via,
            one_behind_the_other([own.transport, *(medium.transport for medium, _ in crossed)]),
        )

    @cached_property
    def fluid(self) -> bool:
        """Whether no link or medium has a transport that does more than take headers off its bandwidth."""
        links = (*self.links.values(), *self.pairs.values(), *self.media)
        return all(each.transport.fluid for each in links)

    def own_link(self, source: int, to: int) -> LinkSpec:
        """The link from one node to another as if there were no media; else as `link`."""
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

    def path(self, source: int, to: int) -> tuple[Crossing, ...]:
        """The media that a message crosses from one node to another, in order, each at most once a way.

        Up through what only the sender is behind, over what the link itself says, and down through what only the
        receiver is behind: what both are behind is not crossed.
        """
        if not self.media or self.loops_back(source, to):
            return ()
        source = self.planning.at if source == self.planner else source
        to = self.planning.at if to == self.planner else to
        out, back = self.before(source), self.before(to)
        both = set(out) & set(back)
        up = [Crossing(medium, "up") for medium in out if medium not in both]
        down = [Crossing(medium, "down") for medium in reversed(back) if medium not in both]
        return tuple(dict.fromkeys((*up, *self.own_link(source, to).via, *down)))

    def before(self, node: int) -> list[int]:
        """The media that a node is behind, the nearest first."""
        found, medium = [], self.nodes[node].behind
        while medium >= 0:
            found.append(medium)
            medium = self.media[medium].behind
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

    def batch_seconds(self, model: int, node: int, size: int) -> tuple[float, ...]:
        """Seconds of each layer of a model for `size` queries at once on one core of a node; for one as `seconds`.

        See `layerlift.models.timing.batch_sizes.between` for sizes that were not measured. Raises `ScenarioError` where
        nothing is known of several queries at once.
        """
        if size == 1:
            return self.seconds(model, node)
        spec, machine = self.models[model], self.nodes[node]
        known = spec.batches.get(machine.profile)
        if not known:
            raise ScenarioError(
                f"node {machine.name} batches, but profile {machine.profile!r} of {spec.name} knows nothing of several "
                "queries at once: measure it with layerlift profile --batch"
            )
        factor = spec.reference_ghz[machine.profile] * machine.cores / machine.ghz
        scaled = tuple(second * factor for second in between(spec.seconds[machine.profile], known, size))
        floor, more = spec.floor_s.get(machine.profile), spec.floor_more_s.get(machine.profile)
        if not floor or not more:
            return scaled
        return tuple(max(s, one + (size - 1) * each) for s, one, each in zip(scaled, floor, more, strict=True))

    def full_speed_pieces(self, model: int, node: int) -> int:
        """How many pieces of a model a node serves at the rate of one alone, each on a core of its own.

        Its cores; at a server that batches as many as its full batches of the whole network come to, rounded down.
        What planners and policies take for its cores.
        """
        machine = self.nodes[node]
        if machine.discipline != "batch" or machine.max_batch == 1:
            return machine.cores
        if (model, node) not in self._full_speed:
            self._full_speed[model, node] = self._full_batches(model, node)
        return self._full_speed[model, node]

    @cached_property
    def _full_speed(self) -> dict[tuple[int, int], int]:
        return {}

    def _full_batches(self, model: int, node: int) -> int:
        machine = self.nodes[node]
        alone = fsum(self.seconds(model, node))
        full = fsum(self.batch_seconds(model, node, machine.max_batch))
        gain = machine.max_batch * alone / full if full > 0.0 else float(machine.max_batch)
        return max(machine.cores, int(machine.cores * gain))

    def company_s(self, node: int) -> float:
        """How long a lone query waits at a node for company that does not come, before each of its pieces there."""
        machine = self.nodes[node]
        return machine.batch_wait_s if machine.discipline == "batch" and machine.max_batch > 1 else 0.0

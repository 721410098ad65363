"""What a planner is given: one user's network, the machines within reach, and what is wanted."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from layerlift.models.errors import PlanError
from layerlift.models.graph.graph import LayerGraph
from layerlift.models.graph.route import QueryMode
from layerlift.planners.problem.arrays import Bools, Floats, Ints
from layerlift.planners.problem.crowd_news import CrowdNews
from layerlift.planners.problem.shared_links import SharedLinks
from layerlift.planners.problem.stay_news import StayNews
from layerlift.planners.problem.transport_news import TransportNews

__all__ = ["Bools", "ClientPower", "Floats", "Ints", "Objective", "Problem", "ProblemTables", "simple_problem"]


@dataclass(frozen=True, slots=True)
class Objective:
    """What a plan is judged by. Weights are relative; a deadline and a budget are constraints, not costs.

    Each weighted term is divided by the larger of its all-local and best-single-cut values (semantics: "Planning").
    """

    latency: float = 1.0
    energy: float = 0.0
    money: float = 0.0
    balance: float = 0.0
    deadline_s: float | None = None
    budget: float | None = None
    """Money per query (USD)."""
    period: float = 0.0
    """Of the seconds in which the busiest CPU, link or port is busy with a query (semantics: "Period")."""
    coordination: float = 0.0
    """Of what the coupling coordination degree of latency, energy and money lacks of 1 (semantics: "Planning")."""

    @property
    def adds_up(self) -> bool:
        """Whether all that is wanted is a sum over layers and messages: what a maximum or a ratio is has no weight."""
        return not (self.balance or self.period or self.coordination)

    @property
    def words(self) -> str:
        """All of it as one text, for digests; what came later and has no weight is left out, as if there were none."""
        if self.coordination:
            return repr(self)
        later = ", coordination=" if self.period else ", period="
        return f"{repr(self).partition(later)[0]})"


@dataclass(frozen=True, slots=True)
class ClientPower:
    """Watts of a client: idle all the time, plus an increment while it computes and while its radio works."""

    idle_w: float
    compute_w: float
    radio_w: float


@dataclass(frozen=True, eq=False)
class ProblemTables:
    """The problem's arrays as plain lists of Python floats: what the scalar cost model reads, many times over."""

    by_layer: Floats
    """`Problem.seconds`."""
    latency_s: list[list[float]]
    bandwidth_bytes_s: list[list[float]]
    slowdown: list[float]
    price_per_byte: list[list[float]]
    price_per_s: list[float]
    busy_w: list[float]
    memory_bytes: list[float]
    load: list[float]
    cores: list[int]
    occupancy: list[float]
    limited: bool
    """Whether a layer is forbidden on a server, or a server's memory has an end."""

    @cached_property
    def seconds(self) -> list[list[float]]:
        """By node, then layer: the transpose of `Problem.seconds`, so that a segment is a slice."""
        return [self.seconds_on(node) for node in range(self.by_layer.shape[1])]

    def seconds_on(self, node: int) -> list[float]:
        """Those of one node, which may be all that are asked for."""
        if node not in self._asked:
            self._asked[node] = self.by_layer[:, node].tolist()
        return self._asked[node]

    @cached_property
    def _asked(self) -> dict[int, list[float]]:
        return {}


@dataclass(frozen=True)
class Problem:
    """One user's question. Node 0 is the client who asks; the others are servers. Nothing in it may be written to.

    With L layers and N nodes:
    """

    graph: LayerGraph
    nodes: tuple[str, ...]
    """Names, shape (N,)."""
    tiers: tuple[str, ...]
    """`client`, `edge` or `cloud`, shape (N,)."""
    seconds: Floats
    """Seconds that a layer takes alone on a node, shape (L, N): measured for the client, predicted for servers."""
    latency_s: Floats
    """Propagation delay from node to node, shape (N, N), zero on the diagonal; with the wait for company at its end
    (`company_s`), which a query's tensors meet there and uploads do not (`upload_delay_s`).
    """
    bandwidth_bytes_s: Floats
    """From node to node, shape (N, N), infinite on the diagonal."""
    memory_bytes: Floats
    """What each node offers this user to hold parameters in, shape (N,); may be infinite."""
    load: Floats
    """Pieces of work running on each node when last heard of, shape (N,); zero when idle or unknown."""
    share: Floats
    """Share of each node's CPU that is offered to this user, shape (N,), in (0, 1]."""
    price_per_s: Floats
    """Money (USD) per second of busy time, shape (N,)."""
    price_per_byte: Floats
    """Money per byte carried from node to node, shape (N, N)."""
    price_per_byte_s: Floats
    """Money per byte held for one second, shape (N,)."""
    power: ClientPower
    busy_w: Floats
    """Watts that a busy node draws, shape (N,); the client's entry is idle + compute."""
    load_s_per_byte: Floats
    """Seconds to build an uploaded part, per byte, shape (N,)."""
    cores: Ints
    """Pieces that a node runs at full speed at once, shape (N,)."""
    allowed: Bools
    """Whether a layer may be on a node (pins, privacy, memory), shape (L, N); column 0 is always True."""
    objective: Objective = field(default_factory=Objective)
    query: QueryMode = "dataflow"
    uploads_at_once: Literal["one", "per_server"] = "one"
    header_bytes: int = 0
    battery_j: float | None = None
    """What the client's battery holds now, not when it was full; None: it has mains, or nobody knows."""
    link_share: Floats | None = None
    """Share of each server's link that is offered to this user, shape (N,), in (0, 1]; None: nobody shares it out.

    For planners that want to know: `bandwidth_bytes_s` is what the user gets, the share accounted for.
    """
    crowd: CrowdNews | None = None
    """What is known of the others, and the user's own number; None for planners that do not say `wants_crowd`.

    So that problems which are equal but for it stay equal for those who do not look.
    """
    shared: SharedLinks | None = None
    """What several links share, for whoever weighs the period; None: nothing but what queries share of each link."""
    company_s: Floats | None = None
    """How long a lone query's piece waits on each node for others to run with, shape (N,); None: nowhere."""
    stay: StayNews | None = None
    """How long the user will stay; None: nobody knows, for ever, or the planner does not say `wants_stay`."""
    transport: TransportNews | None = None
    """What transports do beside taking headers off `bandwidth_bytes_s`; None: nothing, links are fluid and fair."""

    def __post_init__(self) -> None:
        nodes = len(self.nodes)
        for name, (array, shape) in self._arrays().items():
            if array.shape != shape:
                raise PlanError(f"problem.{name} has shape {array.shape}, expected {shape} (layers, nodes)")
            array.setflags(write=False)
        if self.link_share is not None:
            if self.link_share.shape != (nodes,) or not bool(((self.link_share > 0) & (self.link_share <= 1)).all()):
                raise PlanError(
                    f"problem.link_share is {self.link_share.tolist()}, expected {nodes} shares above 0 and at most 1"
                )
            self.link_share.setflags(write=False)
        if self.company_s is not None:
            if self.company_s.shape != (nodes,) or not bool((self.company_s >= 0).all()):
                raise PlanError(
                    f"problem.company_s is {self.company_s.tolist()}, expected {nodes} waits of 0 s or more"
                )
            self.company_s.setflags(write=False)
        if self.crowd is not None and self.crowd.age_s.shape != (nodes,):
            raise PlanError(f"problem.crowd knows {len(self.crowd.age_s)} nodes, expected the problem's {nodes}")
        if self.shared is not None and self.shared.nodes not in (0, nodes):
            raise PlanError(f"problem.shared knows {self.shared.nodes} nodes, expected the problem's {nodes}")
        if self.transport is not None and self.transport.nodes != nodes:
            raise PlanError(f"problem.transport knows {self.transport.nodes} nodes, expected the problem's {nodes}")
        if not bool(self.allowed[:, 0].all()):
            raise PlanError("problem.allowed forbids the client a layer: the client must be able to run everything")

    @property
    def servers(self) -> range:
        """Indices of the nodes other than the client."""
        return range(1, len(self.nodes))

    def upload_delay_s(self, server: int) -> float:
        """Propagation delay of what is uploaded from the client to a server, where nothing of it waits for company."""
        delay_s = self.tables.latency_s[0][server]
        return delay_s if self.company_s is None else delay_s - float(self.company_s[server])

    @cached_property
    def slowdown(self) -> Floats:
        """By how much a piece is longer than alone, shape (N,), at least 1.

        The worse of the share that is offered, 1 / share, and of processor sharing with the pieces that were
        reported running, (load + 1) / cores: a share already accounts for the others, so they do not multiply.
        """
        made = np.maximum(np.maximum(1.0 / self.share, (self.load + 1.0) / self.cores), 1.0)
        made.setflags(write=False)
        return made

    @cached_property
    def occupancy(self) -> Floats:
        """Seconds for which a second of work occupies a node when queries follow each other closely, shape (N,).

        As `slowdown` has it, when as many of the user's own pieces are there as the node has cores: a node with c
        cores that nobody else uses is occupied for 1 / c seconds.
        """
        made = occupied(self)
        made.setflags(write=False)
        return made

    @cached_property
    def tables(self) -> ProblemTables:
        """The arrays that the scalar cost model reads, as lists."""
        return ProblemTables(
            self.seconds, self.latency_s.tolist(), self.bandwidth_bytes_s.tolist(), self.slowdown.tolist(),
            self.price_per_byte.tolist(), self.price_per_s.tolist(), self.busy_w.tolist(), self.memory_bytes.tolist(),
            self.load.tolist(), self.cores.tolist(), self.occupancy.tolist(),
            not bool(self.allowed.all()) or bool(np.isfinite(self.memory_bytes[1:]).any()),
        )  # fmt: skip

    def __getstate__(self) -> dict[str, object]:
        """Leave what is computed on demand out of pickles and copies."""
        return {key: value for key, value in self.__dict__.items() if key not in ("tables", "slowdown", "occupancy")}

    def __setstate__(self, state: dict[str, object]) -> None:
        """Come out of a pickle as read-only as before: unpickled arrays are writable."""
        self.__dict__.update(state)
        for value in state.values():
            if isinstance(value, np.ndarray):
                value.setflags(write=False)

    @cached_property
    def digest(self) -> str:
        """Names the problem: equal problems, whoever asks, have equal digests and are planned once."""
        hasher = hashlib.sha256(self.graph.digest.encode())
        hasher.update(
            f"({self.nodes[1:]!r}, {self.tiers!r}, {self.objective.words}, {self.power!r}, {self.query!r})".encode()
        )
        hasher.update(repr((self.uploads_at_once, self.header_bytes, self.battery_j)).encode())
        for array, _ in self._arrays().values():
            hasher.update(np.ascontiguousarray(array).tobytes())
        if self.link_share is not None:
            hasher.update(b"link_share")
            hasher.update(np.ascontiguousarray(self.link_share).tobytes())
        if self.company_s is not None:
            hasher.update(b"company_s")
            hasher.update(np.ascontiguousarray(self.company_s).tobytes())
        if self.crowd is not None:
            hasher.update(repr(("crowd", self.crowd.user, self.crowd.asking)).encode())
            for told in self.crowd.arrays().values():
                hasher.update(np.ascontiguousarray(told).tobytes())
            if self.crowd.media is not None:
                hasher.update(self.crowd.media.label())
        if self.shared is not None:
            hasher.update(b"shared")
            self.shared.told(hasher)
        if self.stay is not None:
            hasher.update(repr(("stay", self.stay)).encode())
        if self.transport is not None:
            hasher.update(b"transport")
            self.transport.told(hasher)
        return hasher.hexdigest()

    def _arrays(self) -> dict[str, tuple[NDArray[Any], tuple[int, ...]]]:
        """The arrays by name, each with the shape that it must have; their order is part of the digest."""
        layers, nodes = len(self.graph), len(self.nodes)
        return {
            "seconds": (self.seconds, (layers, nodes)),
            "latency_s": (self.latency_s, (nodes, nodes)),
            "bandwidth_bytes_s": (self.bandwidth_bytes_s, (nodes, nodes)),
            "memory_bytes": (self.memory_bytes, (nodes,)),
            "load": (self.load, (nodes,)),
            "share": (self.share, (nodes,)),
            "price_per_s": (self.price_per_s, (nodes,)),
            "price_per_byte": (self.price_per_byte, (nodes, nodes)),
            "price_per_byte_s": (self.price_per_byte_s, (nodes,)),
            "busy_w": (self.busy_w, (nodes,)),
            "load_s_per_byte": (self.load_s_per_byte, (nodes,)),
            "cores": (self.cores, (nodes,)),
            "allowed": (self.allowed, (layers, nodes)),
        }


def occupied(problem: Problem, others: Floats | float = 0.0) -> Floats:
    """`Problem.occupancy` when `others` pieces of other users run beside the reported load; shapes (..., N)."""
    pieces = (problem.load + others + problem.cores) / problem.cores
    made: Floats = np.maximum(np.maximum(1.0 / problem.share, pieces), 1.0) / problem.cores
    return made


def simple_problem(
    graph: LayerGraph,
    seconds: Sequence[Sequence[float]] | Floats,
    *,
    bandwidth_bytes_s: float | Floats,
    latency_s: float | Floats = 0.001,
    objective: Objective | None = None,
    query: QueryMode = "dataflow",
    header_bytes: int = 0,
) -> Problem:
    """A problem with free, unlimited servers: what a test or a first experiment needs.

    `seconds` has shape (L, N); a scalar bandwidth or latency holds between all pairs of distinct nodes.
    Raises `PlanError` when shapes do not fit.
    """
    table = np.array(seconds, dtype=np.float64)
    if table.ndim != 2:
        raise PlanError(f"seconds has {table.ndim} dimensions, expected 2: (layers, nodes)")
    count = table.shape[1]
    bandwidth = np.array(np.broadcast_to(bandwidth_bytes_s, (count, count)), dtype=np.float64)
    latency = np.array(np.broadcast_to(latency_s, (count, count)), dtype=np.float64)
    np.fill_diagonal(bandwidth, np.inf)
    np.fill_diagonal(latency, 0.0)
    return Problem(
        graph=graph,
        nodes=("client", *(f"s{i}" for i in range(1, count))),
        tiers=("client", *("edge" for _ in range(1, count))),
        seconds=table,
        latency_s=latency,
        bandwidth_bytes_s=bandwidth,
        memory_bytes=np.full(count, np.inf),
        load=np.zeros(count),
        share=np.ones(count),
        price_per_s=np.zeros(count),
        price_per_byte=np.zeros((count, count)),
        price_per_byte_s=np.zeros(count),
        power=ClientPower(idle_w=3.977, compute_w=3.262, radio_w=2.634),
        busy_w=np.zeros(count),
        load_s_per_byte=np.zeros(count),
        cores=np.ones(count, dtype=np.int64),
        allowed=np.ones((len(graph), count), dtype=np.bool_),
        objective=objective or Objective(),
        query=query,
        header_bytes=header_bytes,
    )

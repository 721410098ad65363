"""Small random worlds, planners that only tests want, and a way to run a world in this process."""

from __future__ import annotations

import os
import random
from collections.abc import Mapping, Sequence
from math import inf
from typing import Any, Literal

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy
from strategies import layer_graphs

from layerlift.emulator.planning.answer import answer
from layerlift.emulator.planning.job import PlanJob
from layerlift.emulator.policies import takes_back
from layerlift.emulator.protocol.messages import Delivery, Departure, PlanOutcome
from layerlift.emulator.results.tables import TABLES
from layerlift.emulator.runtime.conductor import Conductor, Ending, LocalHosts
from layerlift.emulator.runtime.host import Answer, pack
from layerlift.emulator.world.links import LinkSpec
from layerlift.emulator.world.machines import NodeSpec
from layerlift.emulator.world.models import ModelSpec
from layerlift.emulator.world.users import PlanningSpec, UserSpec
from layerlift.emulator.world.world import World
from layerlift.models.graph.graph import Layer, LayerGraph, Parameter, Tensor
from layerlift.planners.cost.query import fits
from layerlift.planners.problem.plan import Plan, Upload, in_one_piece, uploads_of
from layerlift.planners.problem.problem import Problem
from layerlift.planners.registry.base import PlannerBase

Tables = dict[str, list[dict[str, Any]]]


SOAK = int(os.environ.get("LAYERLIFT_SOAK", "0"))
"""When set, properties try this many times their examples, and other ones in each run."""


def examples(count: int) -> settings:
    """Settings of a property over worlds: always the same `count` examples, however slow."""
    return settings(
        max_examples=count * (SOAK or 1),
        deadline=None,
        derandomize=not SOAK,
        database=None,
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
    )


class RandomPlanner(PlannerBase):
    """Any legal plan: random nodes, random parts in random order, now and then used only when whole."""

    optimises = "nothing"

    def plan(self, problem: Problem, rng: random.Random) -> Plan:
        placement: list[int] = []
        for layer in range(len(problem.graph)):
            free = [node for node in range(len(problem.nodes)) if problem.allowed[layer, node]]
            again = placement and placement[-1] in free and rng.random() < 0.4
            placement.append(placement[-1] if again else rng.choice(free))
        while not fits(problem, placement):
            placement[rng.choice([layer for layer, node in enumerate(placement) if node])] = 0
        parts = [[] for _ in range(rng.randint(1, 4))]
        for layer in range(len(placement)):
            rng.choice(parts).append(layer)
        return Plan(tuple(placement), uploads_of(placement, parts), whole=rng.random() < 0.2)


class Fixed(PlannerBase):
    """The plan that a test wrote down: `Fixed:placement=0/1/2,parts=0/1/0` (part number of each layer)."""

    optimises = "nothing"

    def __init__(self, placement: tuple[int, ...], parts: tuple[int, ...] = (), whole: bool = False) -> None:
        self.placement, self.parts, self.whole = placement, parts, whole

    def plan(self, problem: Problem, rng: random.Random) -> Plan:
        if not self.parts:
            return Plan(self.placement, in_one_piece(self.placement), whole=self.whole)
        order = [[n for n, part in enumerate(self.parts) if part == k] for k in range(max(self.parts) + 1)]
        return Plan(self.placement, uploads_of(self.placement, order), whole=self.whole)


class RandomCrowd(RandomPlanner):
    """Any legal plans for users who are planned together."""

    multi_user = True

    def plan_all(self, problems: Sequence[Problem], rng: random.Random) -> list[Plan]:
        return [self.plan(problem, rng) for problem in problems]


class Strange(PlannerBase):
    """A planner that answers something else: `Strange:what=floats`."""

    def __init__(self, what: str = "nothing") -> None:
        self.what = what

    def plan(self, problem: Problem, rng: random.Random) -> Any:
        count = len(problem.graph)
        answers: dict[str, Any] = {
            "nothing": None,
            "floats": Plan((1.0,) * count, (Upload(1, tuple(range(count))),)),  # type: ignore[arg-type]
            "text": Plan("1" * count, ()),  # type: ignore[arg-type]
            "pairs": Plan((1,) * count, ((1, 2, 3),)),  # type: ignore[arg-type]
        }
        return answers[self.what]


class Unmakeable(PlannerBase):
    """A planner that cannot even be made."""

    def __init__(self) -> None:
        raise KeyError("missing")

    def plan(self, problem: Problem, rng: random.Random) -> Plan:
        raise AssertionError("it was never made")


class Raising(PlannerBase):
    """A planner with a bug."""

    def plan(self, problem: Problem, rng: random.Random) -> Plan:
        raise ZeroDivisionError("a bug of mine")


class Illegal(PlannerBase):
    """A planner whose uploads leave a layer out."""

    def plan(self, problem: Problem, rng: random.Random) -> Plan:
        return Plan((1,) * len(problem.graph), (Upload(1, tuple(range(1, len(problem.graph)))),))


def fixed(placement: Sequence[int], parts: Sequence[int] = (), whole: bool = False) -> str:
    """The text that makes a `Fixed` planner."""
    text = "worlds:Fixed:placement=" + "/".join(map(str, placement))
    if parts:
        text += ",parts=" + "/".join(map(str, parts))
    return text + (",whole=true" if whole else "")


def chain_graph(tensors: Sequence[int], parameters: Sequence[int]) -> LayerGraph:
    """A chain whose layer k reads tensor k (bytes) and makes k + 1, with a parameter of its own."""
    count = len(parameters)
    made = tuple(Tensor(f"t{k}", size, k - 1, (k,) if k < count else (), k == count) for k, size in enumerate(tensors))
    layers = tuple(Layer(k, f"l{k}", "Conv", (k,), (k + 1,), (k,)) for k in range(count))
    weights = tuple(Parameter(f"w{k}", size, size) for k, size in enumerate(parameters))
    return LayerGraph("chain", layers, made, weights, (0,), (count,))


def small_world(
    graph: LayerGraph,
    seconds: Sequence[float],
    planner: str = "local",
    *,
    clients: int = 1,
    servers: int = 1,
    server_ghz: float = 1.0,
    link: LinkSpec | None = None,
    share_links: bool = False,
    client: Mapping[str, Any] | None = None,
    server: Mapping[str, Any] | None = None,
    user: Mapping[str, Any] | None = None,
    **world: Any,
) -> World:
    """Equal clients of 1 GHz, equal servers, one link for all pairs, and a layer's seconds as given at 1 GHz.

    Plans are taken literally: a test that writes one down means its parts.
    """
    nodes = [NodeSpec(k, f"c{k}", "client", **(client or {})) for k in range(clients)]
    machine = {"ghz": server_ghz, "policy": "first_come", **(server or {})}
    machine["revokes"] = takes_back(machine["policy"])
    nodes += [NodeSpec(clients + k, f"s{k + 1}", "edge", **machine) for k in range(servers)]
    nodes.append(NodeSpec(len(nodes), "planner", "planner"))
    one = link or LinkSpec(0.01, 1e6)
    links = dict.fromkeys((("client", "edge"), ("edge", "client"), ("edge", "edge")), one)
    model = ModelSpec("net", "net", graph, {"reference": tuple(seconds)}, {"reference": 1.0})
    told = {"planner": planner, "profile_runs": 0, "queries": 3, **(user or {})}
    users = tuple(UserSpec(k, f"u{k}", k, 0, **told) for k in range(clients))
    settings = {"sample_s": inf, "planning": PlanningSpec(literal=True), **world}
    return World("small", 1, tuple(nodes), links, (model,), users, share_links=share_links, **settings)


PLANNERS = (
    "local", "direct", "ionn", "worlds:RandomPlanner", "worlds:RandomPlanner", "worlds:RandomCrowd", "worlds:Illegal",
)  # fmt: skip

_latencies = st.one_of(st.sampled_from((0.001, 0.002, 0.005)), st.floats(0.0007, 0.02))
_rates = st.one_of(st.sampled_from((1e6, 1.25e7, 1e8)), st.floats(2e6, 2e8))


def _maybe(strategy: SearchStrategy[Any], otherwise: Any) -> SearchStrategy[Any]:
    return st.one_of(st.just(otherwise), strategy)


@st.composite
def _links(draw: DrawFn) -> LinkSpec:
    return LinkSpec(draw(_latencies), draw(_rates), draw(st.sampled_from((0.0, 1e-9))))


@st.composite
def _model(draw: DrawFn, name: str, chain: bool | None, max_layers: int) -> ModelSpec:
    graph = draw(layer_graphs(max_layers=max_layers, chain=chain))
    each = _maybe(st.floats(0.0005, 0.03), 0.0)
    slow = [draw(st.floats(0.004, 0.03)), *(draw(each) for _ in range(len(graph) - 1))]
    fast = tuple(second * draw(st.sampled_from((0.05, 0.5, 1.5))) for second in slow)
    profiles = {"reference": tuple(slow), "device": fast}
    return ModelSpec(name, name, graph, profiles, {"reference": draw(st.sampled_from((1.0, 2.6))), "device": 1.0})


@st.composite
def _machine(draw: DrawFn, index: int, tier: Literal["client", "edge", "cloud"], held: int, limits: bool) -> NodeSpec:
    small = tier == "client"
    speed = st.sampled_from((0.5, 1.0, 2.0)) if small else st.sampled_from((1.0, 8.0, 33.3))
    memory: Any = inf
    if limits and draw(st.integers(0, 7 if small else 1)) == 0:
        memory = draw(st.integers(held // 3, 2 * held if small else held + held // 2))
    rate = _maybe(_rates, inf)
    return NodeSpec(
        index, f"{tier[0]}{index}", tier,
        ghz=draw(speed),
        cores=draw(st.sampled_from((1, 1, 2, 4))),
        profile=draw(st.sampled_from(("reference", "device"))),
        discipline=draw(st.sampled_from(("sharing", "fifo"))),
        memory_bytes=memory,
        load_s_per_byte=0.0 if small else draw(st.sampled_from((0.0, 0.0, 1e-9, 3e-8))),
        idle_w=1.5, compute_w=3.0, radio_w=2.0,
        price_per_s=0.0 if small else 0.01, price_per_byte_s=1e-12,
        uplink_bytes_s=draw(rate), downlink_bytes_s=draw(rate),
    )  # fmt: skip


@st.composite
def _user(draw: DrawFn, index: int, models: int, planners: Sequence[str], endless: bool) -> UserSpec:
    return UserSpec(
        index, f"u{index}", index, draw(st.integers(0, models - 1)),
        planner=draw(st.sampled_from(planners)),
        arrival_s=draw(st.one_of(st.sampled_from((0.0, 0.0, 0.25)), st.floats(0.0, 0.7))),
        queries=draw(_maybe(st.integers(0, 12), None)) if endless else draw(st.integers(0, 12)),
        think_s=draw(st.one_of(st.sampled_from((0.0, 0.0, 0.05)), st.floats(0.0, 0.4))),
        profile_runs=draw(st.sampled_from((0, 0, 1))),
        query=draw(st.sampled_from(("dataflow", "serial"))),
        uploads_at_once=draw(st.sampled_from(("one", "per_server"))),
        cr_timeout_s=draw(st.sampled_from((inf, inf, inf, 0.01, 0.05, 0.5))),
        retries=draw(st.integers(0, 3)),
        on_refusal=draw(st.sampled_from(("wait", "skip", "replan"))),
        retry_wait_s=0.11,
    )  # fmt: skip


@st.composite
def worlds(
    draw: DrawFn,
    *,
    max_clients: int = 6,
    max_servers: int = 4,
    max_layers: int = 6,
    chain: bool | None = None,
    share_links: bool | None = None,
    planners: Sequence[str] = PLANNERS,
    cut: bool | None = None,
    limits: bool = True,
) -> World:
    """Anything that a scenario can say, small. `cut`: whether `until_s` ends the run; `limits`: memory may refuse."""
    clients, servers = draw(st.integers(1, max_clients)), draw(st.integers(1, max_servers))
    models = tuple(draw(_model(f"m{k}", chain, max_layers)) for k in range(draw(st.integers(1, 2))))
    held = max(sum(p.held_bytes for p in model.graph.parameters) for model in models)
    tiers: list[Literal["client", "edge", "cloud"]] = ["client"] * clients
    tiers += [draw(st.sampled_from(("edge", "cloud"))) for _ in range(servers)]
    nodes = [draw(_machine(index, tier, held, limits)) for index, tier in enumerate(tiers)]
    nodes.append(NodeSpec(len(nodes), "planner", "planner"))
    named = ("client", "edge", "cloud")
    links = {(a, b): draw(_links()) for a in named for b in named}
    pairs = {}
    for _ in range(draw(st.integers(0, 3))):
        source, to = draw(st.integers(0, len(tiers) - 1)), draw(st.integers(clients, len(tiers) - 1))
        pairs[(source, to) if draw(st.booleans()) else (to, source)] = draw(_links())
    until_s = draw(st.sampled_from((0.3, 0.75, 1.0))) if (draw(st.booleans()) if cut is None else cut) else inf
    users = tuple(draw(_user(k, len(models), planners, until_s < inf)) for k in range(clients))
    planning = PlanningSpec(
        at=draw(st.sampled_from((-1, -1, *range(len(tiers))))),
        plan_s=draw(st.sampled_from((0.0, 0.03))),
        gather_s=draw(st.sampled_from((None, 0.0, 0.07))),
        loopback_s=draw(st.sampled_from((0.0002, 0.001))),
        bias=0.1, sigma=0.2, predictions=draw(st.sampled_from(("exact", "error"))),
    )  # fmt: skip
    return World(
        "random", draw(st.integers(0, 9)), tuple(nodes), links, models, users, planning, pairs,
        share_links=draw(st.booleans()) if share_links is None else share_links,
        until_s=until_s,
        sample_s=draw(st.sampled_from((inf, 0.25, 1.0))),
        header_bytes=draw(st.sampled_from((0, 40, 1500))),
    )  # fmt: skip


@st.composite
def groupings(draw: DrawFn, world: World) -> list[list[int]]:
    """The nodes of a world dealt over hosts in any way."""
    count = draw(st.integers(1, len(world.nodes)))
    groups: list[list[int]] = [[] for _ in range(count)]
    for node in world.nodes:
        groups[draw(st.integers(0, count - 1))].append(node.index)
    return [group for group in groups if group]


class InlinePlans:
    """Plans as they are asked for, in this process; keeps every job."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._known: dict[tuple[str, str], tuple[PlanOutcome, ...]] = {}
        self.jobs: list[PlanJob] = []

    def submit(self, job: PlanJob) -> None:
        self.jobs.append(job)

    def result(self, job: PlanJob) -> PlanOutcome:
        if job.key not in self._known:
            self._known[job.key] = answer(job, self._world.seed).outcomes
        return self._known[job.key][job.place]


class WatchedHosts(LocalHosts):
    """Hosts whose every call and answer is kept."""

    def __init__(self, world: World, groups: Sequence[Sequence[int]]) -> None:
        super().__init__(world, groups)
        self.groups = [list(group) for group in groups]
        self.calls: list[tuple[int, float, list[Delivery]]] = []
        self.answers: list[Answer] = []
        self.ended_at = inf

    @property
    def deliveries(self) -> list[Delivery]:
        """What reached a node from the network."""
        return [each for _, _, arrived in self.calls for each in arrived]

    @property
    def departures(self) -> list[Departure]:
        """What left a node for the network."""
        return [each for answer in self.answers for each in answer.departures]

    def advance(self, calls: Sequence[Any]) -> list[Answer]:
        self.calls += [(host, horizon, list(arrived)) for host, horizon, arrived, _ in calls]
        answers = super().advance(calls)
        self.answers += answers
        return answers

    def finish(self, at: float) -> list[Answer]:
        self.ended_at = at
        return super().finish(at)


class Run:
    """A world that has been run: its tables (a dictionary a row), its ending, and who ran it."""

    def __init__(self, world: World, groups: Sequence[Sequence[int]]) -> None:
        self.world = world
        self.hosts = WatchedHosts(world, groups)
        self.plans = InlinePlans(world)
        self.rows: dict[str, list[tuple[Any, ...]]] = {table: [] for table in TABLES}
        self.ending: Ending = Conductor(world, self.hosts, self.plans, self._write).run()

    def _write(self, table: str, rows: list[tuple[Any, ...]]) -> None:
        self.rows[table].extend(rows)

    @property
    def tables(self) -> Tables:
        """Rows by column name."""
        return {
            table: [dict(zip((name for name, _ in TABLES[table]), row, strict=True)) for row in rows]
            for table, rows in self.rows.items()
        }


def run_world(world: World, groups: Sequence[Sequence[int]] | None = None) -> Run:
    """Run a world; all nodes in one host unless `groups` says otherwise."""
    return Run(world, pack(world, 1) if groups is None else groups)


def run_local(world: World, hosts: int = 1, groups: Sequence[Sequence[int]] | None = None) -> tuple[Tables, Ending]:
    """Run a world over `hosts` hosts (or in `groups`): its tables, a dictionary a row, and how it ended."""
    run = run_world(world, pack(world, hosts) if groups is None else groups)
    return run.tables, run.ending

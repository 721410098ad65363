"""Worlds in which everything goes wrong: faults, moving users, policies that evict, open loops, batteries."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import Any

from batching import batching
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from worlds import worlds

from layerlift.emulator.policies import takes_back
from layerlift.emulator.world.faults import Crash, Fault, LinkFault, Loss, OnOff, Outage, Pairs, Through, Trace
from layerlift.emulator.world.laws import Bursts, Exponential, Fixed, Regular, Steady, Uniform
from layerlift.emulator.world.links import Crossing, LinkSpec, MediumSpec, Transport
from layerlift.emulator.world.machines import NodeSpec
from layerlift.emulator.world.mobility import Journey, Mobility, Waypoint
from layerlift.emulator.world.scaling import Scaling
from layerlift.emulator.world.users import Slow, UserSpec
from layerlift.emulator.world.world import World
from layerlift.planners.problem.problem import Objective

POLICIES = (
    "drf", "equal", "max_min", "priority", "dynamic_drf:disruptions=1", "proportional", "alpha_fair:alpha=2",
    "dynamic_drf", "greedy:cores=0.3", "greedy", "first_come",
)  # fmt: skip

MOVING = ("direct", "ionn", "worlds:RandomPlanner", "worlds:RandomPlanner", "worlds:RandomCrowd")
"""Planners that mostly move something."""

_spans = st.sampled_from((0.02, 0.1, 0.3))
_moments = st.floats(0.0, 0.9)


@st.composite
def _pairs(draw: DrawFn, nodes: int) -> Pairs:
    end = st.one_of(st.sampled_from(("client", "edge", "cloud", None)), st.integers(0, nodes - 2))
    return Pairs(draw(end), draw(end), draw(st.booleans()))


@st.composite
def _fault(draw: DrawFn, world: World) -> Fault:
    kind = draw(st.sampled_from(("outage", "on_off", "loss", "trace", "crash", "crash")))
    if kind == "crash":
        nodes = tuple(draw(st.sets(st.sampled_from(world.servers), min_size=1)))
        if draw(st.booleans()):
            return Crash(tuple(sorted(nodes)), mean_up_s=0.3, mean_down_s=draw(_spans))
        return Crash(tuple(sorted(nodes)), draw(_moments), draw(st.one_of(_spans, st.just(inf))))
    pairs = draw(_pairs(len(world.nodes)))
    if kind == "outage":
        for_s = draw(_spans)
        return Outage(pairs, draw(_moments), for_s, draw(st.sampled_from((None, 2 * for_s, 0.9))))
    if kind == "on_off":
        return OnOff(pairs, draw(_spans), draw(st.sampled_from((0.01, 0.1))))
    if kind == "loss":
        bursts: Any = draw(st.sampled_from(({}, {"bad_share": 0.8, "good_s": 0.2, "bad_s": 0.05})))
        return Loss(pairs, draw(st.sampled_from((0.02, 0.3))), **bursts)
    point = st.tuples(st.sampled_from((None, 0.0, 2e6, 3e8)), st.sampled_from((None, 0.0009, 0.03)))
    points = tuple((0.1 * k, *draw(point)) for k in range(draw(st.integers(1, 4))))
    return Trace(pairs, points, draw(st.sampled_from((None, 0.5))))


@st.composite
def _mobility(draw: DrawFn, world: World) -> Mobility | None:
    edges = [node.index for node in world.nodes if node.tier == "edge"]
    clients = world.clients[: draw(st.integers(1, len(world.clients)))]
    how: Any = {
        "handover": draw(st.sampled_from(("copy", "copy", "reupload", "forward"))),
        "interruption_s": draw(st.sampled_from((0.0, 0.0, 0.03))),
    }
    if not edges:
        return None
    if draw(st.booleans()):
        stops = [(0.0, draw(st.sampled_from(edges)))]
        for _ in range(draw(st.integers(2, 8))):
            stops.append((round(stops[-1][0] + draw(st.floats(0.05, 0.4)), 6), draw(st.sampled_from(edges))))
        return Journey(clients, tuple(stops), **how)
    places = tuple((edge, 40.0 * k, 30.0 * (k % 2)) for k, edge in enumerate(edges))
    return Waypoint(clients, (120.0, 60.0), (100.0, 300.0), (0.0, 0.05), places, draw(st.sampled_from((0, 5))), **how)


@st.composite
def _wild_user(draw: DrawFn, user: UserSpec, ends: bool) -> UserSpec:
    laws = (None, None, Regular(40.0), Steady(20.0), Bursts(2.0, 80.0, 0.2, 0.1, 0.0))
    asks = draw(st.sampled_from(laws))
    stays = (None, None, Fixed(0.5), Exponential(0.4), Uniform(0.0, 0.8))
    stay = draw(st.sampled_from(stays))
    queries = user.queries
    if queries is None and not ends and stay is None:
        queries = 6
    return replace(
        user,
        asks=asks,
        queries=queries,
        in_flight=draw(st.sampled_from((1, 1, 2, 5))),
        queue=draw(st.sampled_from((None, 0, 2))) if asks is not None else None,
        late=draw(st.sampled_from(("keep", "drop"))) if asks is not None else "keep",
        stay=stay,
        think_law=draw(st.sampled_from((None, None, Exponential(0.05), Uniform(0.0, 0.1)))) if asks is None else None,
        weight=draw(st.sampled_from((1.0, 1.0, 3.0))),
        backoff_s=draw(st.sampled_from((0.01, 0.05))),
        resume=draw(st.booleans()),
        replan=(replan := draw(st.sampled_from(("never", "on_change", "on_change", "every")))),
        replan_s=0.21 if replan == "every" else inf,
    )


def _wild_node(draw: DrawFn, node: NodeSpec, policy: str, held: int) -> NodeSpec:
    if node.tier == "client":
        return replace(node, battery_j=draw(st.sampled_from((None, None, None, 1e6, 3.0, 1.0))))
    if node.tier == "planner":
        return node
    return replace(
        node,
        policy=policy,
        revokes=takes_back(policy),
        share_models=draw(st.sampled_from((False, False, True))),
        off_w=draw(st.sampled_from((0.0, 0.5))),
        memory_bytes=draw(st.sampled_from((held, 2 * held, held // 2 + 1, inf))),
    )


@st.composite
def looping_worlds(draw: DrawFn, **options: Any) -> World:
    """A wild world in which users ask anew when their plans are slow, and servers come and go."""
    world = draw(wild_worlds(**options))
    slow = st.builds(Slow, st.sampled_from((1.0, 1.2, 3.0)), st.sampled_from((0.02, 0.2)), st.sampled_from((0.01, 0.3)))
    users = [draw(slow) if draw(st.sampled_from((True, True, False))) else None for _ in world.users]
    told = tuple(
        user if each is None else replace(user, replan="slow", replan_s=inf, slow=each)
        for user, each in zip(world.users, users, strict=True)
    )
    servers = world.servers[: draw(st.integers(1, len(world.servers)))]
    least = draw(st.integers(1, len(servers)))
    scaling = Scaling(
        servers, least, draw(st.integers(least, len(servers))),
        target_use=draw(st.sampled_from((0.01, 0.3, 0.9))),
        start_s=draw(st.sampled_from((0.0, 0.04))),
        stop_s=draw(st.sampled_from((0.0, 0.02, 0.2))),
        check_s=draw(st.sampled_from((0.05, 0.13))),
        calm_s=draw(st.sampled_from((0.0, 0.2))),
    )  # fmt: skip
    at = world.planning.at
    planning = replace(world.planning, at=at if at >= 0 else draw(st.sampled_from(world.servers)))
    return replace(world, users=told, scaling=(scaling,), planning=planning)


@st.composite
def wild_worlds(draw: DrawFn, *, faults: bool = True, **options: Any) -> World:
    """A world of `worlds` in which what is stored may be lost or taken back, and users do as they like."""
    options = {"max_clients": 6, "max_servers": 4, "planners": MOVING, "limits": False, **options}
    world = draw(worlds(**options))
    held = max(sum(p.held_bytes for p in model.graph.parameters) for model in world.models)
    policy = draw(st.sampled_from(POLICIES))
    nodes = tuple(_wild_node(draw, node, policy, held) for node in world.nodes)
    if draw(st.sampled_from((True, True, False))):
        world = replace(
            world,
            until_s=draw(st.sampled_from((1.0, 2.0))),
            users=tuple(
                replace(user, queries=None, think_s=max(user.think_s, 0.02), cr_timeout_s=max(user.cr_timeout_s, 0.2))
                for user in world.users
            ),
        )
    users = tuple(draw(_wild_user(user, world.until_s < inf)) for user in world.users)
    planning = replace(
        world.planning,
        heartbeat_s=draw(st.sampled_from((inf, 0.1))) if world.planning.at >= 0 else inf,
        knows_load=draw(st.sampled_from((False, True))),
        bandwidth_known=draw(st.sampled_from(("true", "true", "nominal", "measured"))),
    )
    world = replace(world, nodes=nodes, users=users, planning=planning, resend_s=0.02)
    if not faults:
        return world
    broken = tuple(draw(_fault(world)) for _ in range(draw(st.integers(0, 3))))
    moving = draw(_mobility(world)) if draw(st.booleans()) else None
    return replace(world, faults=broken, mobility=() if moving is None else (moving,))


_capacities = st.one_of(st.sampled_from((inf, 1e6, 1.25e7)), st.floats(5e5, 1e8))
_ways = st.sampled_from(("up", "down"))


@st.composite
def with_media(draw: DrawFn, world: World) -> World:
    """The same world, its nodes behind shared media, its links over some more, and some faults those of media."""
    count = draw(st.integers(1, 4))
    media = tuple(
        MediumSpec(
            f"m{place}",
            draw(_capacities),
            draw(_capacities),
            draw(st.sampled_from((0.0, 0.0, 0.003))),
            draw(st.sampled_from((0.0, 1e-9))),
            draw(st.integers(-1, place - 1)),
        )
        for place in range(count)
    )

    def over(link: LinkSpec) -> LinkSpec:
        crossed = draw(st.sampled_from(((), (), (0,), (count - 1,), tuple(range(count)))))
        return replace(link, via=tuple(Crossing(medium, draw(_ways)) for medium in crossed))

    def through(fault: Fault) -> Fault:
        if not isinstance(fault, LinkFault) or draw(st.booleans()):
            return fault
        return replace(fault, pairs=Through(draw(st.integers(0, count - 1)), draw(st.one_of(st.none(), _ways))))

    behind = st.integers(-1, count - 1)
    nodes = tuple(node if node.tier == "planner" else replace(node, behind=draw(behind)) for node in world.nodes)
    return replace(
        world,
        media=media,
        nodes=nodes,
        links={tiers: over(link) for tiers, link in world.links.items()},
        pairs={ends: over(link) for ends, link in world.pairs.items()},
        faults=tuple(through(fault) for fault in world.faults),
    )


STREAMING = ("pipeline", "pipeline+recursive", "pipeline+ionn", "units", "gibbs")


_transports = st.one_of(
    st.just(Transport()),
    st.builds(
        Transport,
        st.sampled_from((1.0, 0.956)),
        st.sampled_from((0.0, 0.004, 0.03)),
        st.sampled_from((1.0, 0.6, 1.3)),
        st.booleans(),
    ),
)


@st.composite
def with_transports(draw: DrawFn, world: World) -> World:
    """The same world, its links and media used by transports of all kinds."""

    def used(link: LinkSpec) -> LinkSpec:
        transport = draw(_transports)
        carried_bytes_s = link.bandwidth_bytes_s * transport.efficiency
        # A slow start is seen where a round trip is long, and not all links need be short.
        longer_s = draw(st.sampled_from((0.0, 0.0, 0.05)))
        return replace(
            link, latency_s=link.latency_s + longer_s, bandwidth_bytes_s=carried_bytes_s, transport=transport
        )

    return replace(
        world,
        links={tiers: used(link) for tiers, link in world.links.items()},
        pairs={ends: used(link) for ends, link in world.pairs.items()},
        media=tuple(replace(medium, transport=draw(_transports)) for medium in world.media),
    )


@st.composite
def wild_streams(draw: DrawFn) -> World:
    """Wild worlds whose users weigh the period and have several queries in flight."""
    return draw(streaming(draw(wild_worlds(planners=STREAMING))))


@st.composite
def everything(draw: DrawFn) -> World:
    """All of it in one world: slow plans, servers that come and go and batch, shared media, streams, faults."""
    world = draw(looping_worlds(planners=(*MOVING, *STREAMING)))
    if draw(st.booleans()):
        world = draw(streaming(world))
    return draw(with_media(draw(batching(world))))


@st.composite
def streaming(draw: DrawFn, world: World) -> World:
    """The world, whose users weigh the period and have several queries in flight."""
    users = tuple(
        replace(
            user,
            objective=Objective(latency=draw(st.sampled_from((0.0, 1.0))), period=1.0),
            in_flight=draw(st.sampled_from((2, 3, 6))),
        )
        for user in world.users
    )
    return replace(world, users=users)

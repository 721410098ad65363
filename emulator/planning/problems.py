"""From a plan request to the problem that its planner gets, in a run and without one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from layerlift.emulator.conditions.conditions import Conditions
from layerlift.emulator.planning.crowd import NOBODY, crowd_news, plans_jointly, wants_crowd, wants_stay
from layerlift.emulator.planning.period import shared_links, weighs_period
from layerlift.emulator.planning.transports import transport_news
from layerlift.emulator.protocol.messages import FILE_ENTRY_BYTES, Load, PlanRequest, Prediction
from layerlift.emulator.world import streams
from layerlift.emulator.world.links import LinkSpec
from layerlift.emulator.world.machines import INF
from layerlift.emulator.world.world import World
from layerlift.models.sums import left_sum
from layerlift.planners.cost.holdings import layer_bytes
from layerlift.planners.problem.problem import ClientPower, Floats, Problem


def predicted_seconds(world: World, model: int, server: int) -> tuple[float, ...]:
    """What a server says that each layer of a model would take there (file_2 of the paper)."""
    planning, machine, spec = world.planning, world.nodes[server], world.models[model]
    name = machine.name
    if planning.predictions == "regression":
        factor = spec.predicted_ghz * machine.cores / machine.ghz
        return tuple(round(second * factor, 9) for second in spec.predicted_s)
    seconds = world.seconds(model, server)
    if planning.predictions != "error":
        return seconds
    rng = streams.predictions(world.seed, name, model)
    off = 1.0 + planning.bias
    if planning.server_sigma:
        off *= max(0.0, 1.0 + planning.server_sigma * streams.misjudged(world.seed, name).gauss(0.0, 1.0))
    return tuple(round(max(0.0, second * off * (1.0 + planning.sigma * rng.gauss(0.0, 1.0))), 9) for second in seconds)


class Known(NamedTuple):
    """What a planner's place knows when it makes a problem, beside what the request says."""

    now_s: float
    conditions: Conditions
    heard: Mapping[int, Load]
    """The last heartbeat of each server (node index) that has sent any."""
    wants_crowd: bool = False
    """Whether the planner that gets the problem wants to know the crowd."""
    wants_stay: bool = False
    """Whether it wants to know how long the user will stay."""
    off: frozenset[int] = frozenset()
    """Servers (node indices) that are switched off, or are about to be, or are not on yet."""


def build_problem(world: World, request: PlanRequest, known: Known | None = None) -> Problem:
    """What the planner is told: the client's own profile, the servers' predictions and offers, links and prices.

    A server that has not answered, or cannot be reached, is allowed nothing. Without `known`: before anything happened.
    """
    user = world.users[request.user]
    spec = world.models[user.model]
    indices = (user.client, *world.servers)
    nodes = [world.nodes[index] for index in indices]
    client = nodes[0]
    told = {prediction.server: prediction for prediction in request.predictions}
    offers = [_offer(world, request, told.get(server), server, known) for server in world.servers]
    latency_s, bandwidth_bytes_s, price_per_byte, closed = _links(world, user.client, request, known, offers)
    company = np.array([0.0, *(world.company_s(index) for index in world.servers)])
    if company.any():
        latency_s = latency_s + np.where(np.eye(len(nodes), dtype=np.bool_), 0.0, company[None, :])
    memory = [client.memory_bytes, *(offer.memory_bytes for offer in offers)]
    columns = [request.seconds, *(offer.seconds for offer in offers)]
    closed |= {server for server in told if not told[server].on} | (known.off if known is not None else frozenset())
    there = np.array([True, *(server in told and server not in closed for server in world.servers)])
    allowed = (layer_bytes(spec.graph)[:, None] <= np.array(memory, dtype=np.float64)) & there
    allowed[:, 0] = True
    shares = [offer.link_share for offer in offers]
    curious = known.wants_crowd if known is not None else wants_crowd(world, user.planner)
    staying = known.wants_stay if known is not None else wants_stay(user.planner)
    now_s = known.now_s if known is not None else 0.0
    return Problem(
        graph=spec.graph,
        nodes=("client", *(node.name for node in nodes[1:])),
        tiers=tuple(node.tier for node in nodes),
        seconds=np.array(columns, dtype=np.float64).T.copy(),
        latency_s=latency_s,
        bandwidth_bytes_s=bandwidth_bytes_s,
        memory_bytes=np.array(memory, dtype=np.float64),
        load=np.array([0.0, *(offer.load for offer in offers)]),
        share=np.array([1.0, *(offer.share for offer in offers)]),
        price_per_s=np.array([node.price_per_s for node in nodes]),
        price_per_byte=price_per_byte,
        price_per_byte_s=np.array([node.price_per_byte_s for node in nodes]),
        power=ClientPower(client.idle_w, client.compute_w, client.radio_w),
        busy_w=np.array([client.idle_w + client.compute_w, *(node.compute_w for node in nodes[1:])]),
        load_s_per_byte=np.array([node.load_s_per_byte for node in nodes]),
        cores=np.array(
            [client.cores, *(world.full_speed_pieces(user.model, index) for index in world.servers)], dtype=np.int64
        ),
        allowed=allowed,
        objective=user.objective,
        query=user.query,
        uploads_at_once=user.uploads_at_once,
        header_bytes=world.header_bytes,
        battery_j=client.battery_j if request.charge_j is None else request.charge_j,
        link_share=np.array([1.0, *shares]) if min(shares) < 1.0 else None,
        company_s=company if company.any() else None,
        crowd=crowd_news(world, user.index, [offer.attendance for offer in offers], now_s) if curious else None,
        shared=shared_links(world, user.client) if weighs_period(user) else None,
        stay=user.staying(now_s if known is not None else user.arrival_s) if staying else None,
        transport=transport_news(world, user.client),
    )


def _offer(world: World, request: PlanRequest, told: Prediction | None, server: int, known: Known | None) -> Prediction:
    """What a problem says of a server: its own words, with the load that the planner has heard of it since."""
    if told is None:
        return Prediction(request.user, server, request.seconds, 0.0, 0.0, 1.0)
    if not world.planning.knows_load:
        room = world.nodes[server].memory_bytes
        return told._replace(load=0.0, share=1.0, link_share=1.0, memory_bytes=room, attendance=None)
    if known is None or world.planning.heartbeat_s == INF:
        return told
    # Heartbeats are all that a planner hears of a server's work, from the start on, when nothing runs: before the first
    # one the answer to hello would be fresher than all that comes later, and rarer beats would be better news.
    heard = known.heard.get(server)
    if heard is None:
        return told._replace(load=0.0, attendance=NOBODY)
    return told._replace(load=heard.running, attendance=heard.attendance)


def _links(
    world: World, client: int, request: PlanRequest, known: Known | None, offers: list[Prediction]
) -> tuple[Floats, Floats, Floats, set[int]]:
    """Latency, bandwidth and price between the nodes of a client's problem, the client first; and closed servers."""
    there = [world.link(client, server) for server in world.servers]
    back = [world.link(server, client) for server in world.servers]
    among_latency, among_bandwidth, among_price = world.server_links
    latency = _bordered(among_latency, 0.0, [link.latency_s for link in there], [link.latency_s for link in back])
    bandwidth = _bordered(
        among_bandwidth, INF, [link.bandwidth_bytes_s for link in there], [link.bandwidth_bytes_s for link in back]
    )
    price = _bordered(among_price, 0.0, [link.price_per_byte for link in there], [link.price_per_byte for link in back])
    closed: set[int] = set()
    if known is not None and world.planning.bandwidth_known == "true" and known.conditions.any:
        closed = _now(world, client, known, latency, bandwidth)
    elif world.planning.bandwidth_known == "measured":
        seen = dict(request.seen_bytes_s)
        for place, server in enumerate(world.servers, start=1):
            if server in seen:
                bandwidth[0, place] = bandwidth[place, 0] = seen[server]
    for place, offer in enumerate(offers, start=1):
        if offer.link_share < 1.0:
            spec = world.nodes[offer.server]
            bandwidth[0, place] = min(bandwidth[0, place], spec.downlink_bytes_s * offer.link_share)
            bandwidth[place, 0] = min(bandwidth[place, 0], spec.uplink_bytes_s * offer.link_share)
    return latency, bandwidth, price, closed


def _now(world: World, client: int, known: Known, latency: Floats, bandwidth: Floats) -> set[int]:
    """Write the links of this moment into the tables; returns the servers whose links to the client are down."""
    nodes, closed = (client, *world.servers), set()
    for row, source in enumerate(nodes):
        for column, to in enumerate(nodes):
            if source == to or not known.conditions.dynamic(source, to):
                continue
            state = known.conditions.state(source, to, known.now_s)
            latency[row, column] = state.latency_s
            if state.up:
                bandwidth[row, column] = state.bandwidth_bytes_s
            elif client in (source, to):
                closed.add(to if source == client else source)
    return closed


def _bordered(inner: Floats, corner: float, row: list[float], column: list[float]) -> Floats:
    """`inner` with a first row and a first column."""
    table = np.empty((len(row) + 1, len(row) + 1), dtype=np.float64)
    table[0, 0], table[0, 1:], table[1:, 0], table[1:, 1:] = corner, row, column, inner
    return table


def problem_of(world: World, user: int) -> Problem:
    """The problem of a user's first plan while no server holds or runs anything, as when the first users arrive."""
    model = world.users[user].model
    offers = tuple(
        Prediction(
            user,
            server,
            predicted_seconds(world, model, server),
            world.nodes[server].memory_bytes,
            0.0,
            1.0,
            attendance=NOBODY,
        )
        for server in world.servers
    )
    return build_problem(world, PlanRequest(user, world.seconds(model, world.users[user].client), offers))


def planned_with(world: World, user: int) -> tuple[int, ...]:
    """The users whose first plans are made in one go with `user`'s, ascending; only itself unless planning is joint.

    Requests are taken to be on the way as long as they are on idle links.
    """
    spec, span_s = world.users[user], world.planning.gather_s
    if span_s is None or not plans_jointly(world, spec.planner):
        return (user,)
    asked = sorted(
        (_asked_at_s(world, other.index), other.index) for other in world.users if other.planner == spec.planner
    )
    while True:
        together = tuple(sorted(index for at_s, index in asked if at_s <= asked[0][0] + span_s))
        if user in together:
            return together
        asked = [each for each in asked if each[1] not in together]


def _asked_at_s(world: World, user: int) -> float:
    """When the planner gets a user's first request: after its profiling and every server's prediction."""
    spec, header = world.users[user], world.header_bytes
    seconds = world.seconds(spec.model, spec.client)
    file = FILE_ENTRY_BYTES * len(seconds)
    told_s = [
        _carried_s(world.link(spec.client, server), header) + _carried_s(world.link(server, spec.client), header + file)
        for server in world.servers
    ]
    size = 0 if world.planning.at < 0 else header + (1 + len(world.servers)) * file
    asked_s = spec.arrival_s + max(spec.profile_runs * left_sum(seconds), *told_s)
    return asked_s + _carried_s(world.link(spec.client, world.planner), size)


def _carried_s(link: LinkSpec, size: int) -> float:
    return link.latency_s + size / link.bandwidth_bytes_s

"""From a plan request to the problem that its planner gets, in a run and without one."""

from __future__ import annotations

import random

import numpy as np

from emulator.messages import FILE_ENTRY_BYTES, PlanRequest, Prediction
from emulator.world import INF, LinkSpec, World
from planners.problem import ClientPower, Floats, Problem
from planners.registry import make


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
    rng = random.Random(f"{world.seed}/prediction/{name}/{model}")
    return tuple(
        round(max(0.0, second * (1.0 + planning.bias) * (1.0 + planning.sigma * rng.gauss(0.0, 1.0))), 9)
        for second in seconds
    )


def build_problem(world: World, request: PlanRequest) -> Problem:
    """What the planner is told: the client's own profile, the servers' predictions and offers, links and prices."""
    user = world.users[request.user]
    spec = world.models[user.model]
    indices = (user.client, *world.servers)
    nodes = [world.nodes[index] for index in indices]
    client = nodes[0]
    latency_s, bandwidth_bytes_s, price_per_byte = _links(world, user.client)
    offered = {prediction.server: prediction for prediction in request.predictions}
    columns = [request.seconds, *(offered[index].seconds for index in world.servers)]
    memory = [client.memory_bytes, *(offered[index].memory_bytes for index in world.servers)]
    sizes = [spec.graph.held_bytes([layer]) for layer in range(len(spec.graph))]
    return Problem(
        graph=spec.graph,
        nodes=("client", *(node.name for node in nodes[1:])),
        tiers=tuple(node.tier for node in nodes),
        seconds=np.array(columns, dtype=np.float64).T.copy(),
        latency_s=latency_s,
        bandwidth_bytes_s=bandwidth_bytes_s,
        memory_bytes=np.array(memory, dtype=np.float64),
        load=np.array([0.0, *(offered[index].load for index in world.servers)]),
        share=np.array([1.0, *(offered[index].share for index in world.servers)]),
        price_per_s=np.array([node.price_per_s for node in nodes]),
        price_per_byte=price_per_byte,
        price_per_byte_s=np.array([node.price_per_byte_s for node in nodes]),
        power=ClientPower(client.idle_w, client.compute_w, client.radio_w),
        busy_w=np.array([client.idle_w + client.compute_w, *(node.compute_w for node in nodes[1:])]),
        load_s_per_byte=np.array([node.load_s_per_byte for node in nodes]),
        cores=np.array([node.cores for node in nodes], dtype=np.int64),
        allowed=np.array([[True, *(size <= room for room in memory[1:])] for size in sizes], dtype=np.bool_),
        objective=user.objective,
        query=user.query,
        uploads_at_once=user.uploads_at_once,
        header_bytes=world.header_bytes,
        battery_j=client.battery_j,
    )


def _links(world: World, client: int) -> tuple[Floats, Floats, Floats]:
    """Latency, bandwidth and price between the nodes of a client's problem, the client first."""
    there = [world.link(client, server) for server in world.servers]
    back = [world.link(server, client) for server in world.servers]
    among_latency, among_bandwidth, among_price = world.server_links
    return (
        _bordered(among_latency, 0.0, [link.latency_s for link in there], [link.latency_s for link in back]),
        _bordered(
            among_bandwidth, INF, [link.bandwidth_bytes_s for link in there], [link.bandwidth_bytes_s for link in back]
        ),
        _bordered(among_price, 0.0, [link.price_per_byte for link in there], [link.price_per_byte for link in back]),
    )


def _bordered(inner: Floats, corner: float, row: list[float], column: list[float]) -> Floats:
    """`inner` with a first row and a first column."""
    table = np.empty((len(row) + 1, len(row) + 1), dtype=np.float64)
    table[0, 0], table[0, 1:], table[1:, 0], table[1:, 1:] = corner, row, column, inner
    return table


def problem_of(world: World, user: int) -> Problem:
    """The problem of a user's first plan while no server holds or runs anything, as when the first users arrive."""
    model = world.users[user].model
    offers = tuple(
        Prediction(user, server, predicted_seconds(world, model, server), world.nodes[server].memory_bytes, 0.0, 1.0)
        for server in world.servers
    )
    return build_problem(world, PlanRequest(user, world.seconds(model, world.users[user].client), offers))


def planned_with(world: World, user: int) -> tuple[int, ...]:
    """The users whose first plans are made in one go with `user`'s, ascending; only itself unless planning is joint.

    Requests are taken to be on the way as long as they are on idle links.
    """
    spec, span_s = world.users[user], world.planning.gather_s
    if span_s is None or not getattr(make(spec.planner), "multi_user", False):
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
    asked_s = spec.arrival_s + max(spec.profile_runs * sum(seconds), *told_s)
    return asked_s + _carried_s(world.link(spec.client, world.planner), size)


def _carried_s(link: LinkSpec, size: int) -> float:
    return link.latency_s + size / link.bandwidth_bytes_s

"""The worlds that benchmarks run: a crowd of chain networks on shared links, without ONNX files."""

from __future__ import annotations

import random

from layerlift.emulator.planning.job import PlanJob
from layerlift.emulator.protocol.messages import PlanOutcome
from layerlift.emulator.world.links import LinkSpec
from layerlift.emulator.world.machines import NodeSpec
from layerlift.emulator.world.models import ModelSpec
from layerlift.emulator.world.users import PlanningSpec, UserSpec
from layerlift.emulator.world.world import World
from layerlift.models.graph.graph import Layer, LayerGraph, Parameter, Tensor
from layerlift.planners import Upload

LAYERS = 6
KEPT = 2
"""Layers that stay on the client."""


def chain(parameter_bytes: int, tensor_bytes: int = 400_000) -> LayerGraph:
    """Six layers in a row with equal tensors and a small answer."""
    tensors = [Tensor("input", tensor_bytes, -1, (0,))]
    for index in range(LAYERS):
        last = index == LAYERS - 1
        readers = () if last else (index + 1,)
        tensors.append(Tensor(f"t{index}", 4_000 if last else tensor_bytes, index, readers, last))
    layers = tuple(Layer(i, f"layer{i}", "Conv", (i,), (i + 1,), (i,)) for i in range(LAYERS))
    parameters = tuple(Parameter(f"w{i}", parameter_bytes, parameter_bytes) for i in range(LAYERS))
    return LayerGraph("chain", layers, tuple(tensors), parameters, (0,), (LAYERS,))


def crowd(users: int, servers: int, queries: int, *, parameter_bytes: int = 1_000, sample_s: float = 10.0) -> World:
    """`users` clients and `servers` servers of four cores; pairs of 10 MB/s, ports of 60 MB/s, latency 2 ms.

    With 25 users a server, CPUs are about three quarters busy and ports about half: a crowd that contends.
    """
    rng = random.Random("crowd")
    nodes = [
        NodeSpec(i, f"client-{i}", "client", ghz=1.0 + rng.random(), idle_w=3.977, compute_w=3.262, radio_w=2.634)
        for i in range(users)
    ]
    nodes += [
        NodeSpec(
            users + i, f"server-{i}", "edge", ghz=2.6, cores=4, compute_w=10.0, price_per_s=1e-5,
            uplink_bytes_s=60e6, downlink_bytes_s=60e6,
        )
        for i in range(servers)
    ]  # fmt: skip
    nodes.append(NodeSpec(users + servers, "planner", "planner"))
    link = LinkSpec(0.002, 10e6)
    people = tuple(
        UserSpec(
            i, f"user-{i}", i, 0, planner="round-robin", queries=queries, arrival_s=10 * rng.random(), think_s=0.3,
            profile_runs=0,
        )
        for i in range(users)
    )  # fmt: skip
    return World(
        name="crowd",
        seed=1,
        nodes=tuple(nodes),
        links={(a, b): link for a in ("client", "edge") for b in ("client", "edge")},
        models=(
            ModelSpec("chain", "chain", chain(parameter_bytes), {"reference": (0.004,) * LAYERS}, {"reference": 2.0}),
        ),
        users=people,
        planning=PlanningSpec(loopback_s=0.002),
        share_links=True,
        sample_s=sample_s,
    )


class RoundRobin:
    """Plans without thinking: the first layers stay, the rest goes to the servers in turn."""

    def __init__(self, world: World) -> None:
        self._servers = len(world.servers)

    def submit(self, job: PlanJob) -> None:
        """See `Plans`."""

    def result(self, job: PlanJob) -> PlanOutcome:
        """See `Plans`."""
        server = (job.request - 1) % self._servers + 1
        placement = (0,) * KEPT + (server,) * (LAYERS - KEPT)
        return PlanOutcome(True, placement, (Upload(server, tuple(range(KEPT, LAYERS))),), False, "", 1.0, 1.0, "")

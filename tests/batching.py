"""Random worlds whose servers batch."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from worlds import fixed

from layerlift.emulator.world.machines import NodeSpec
from layerlift.emulator.world.models import ModelSpec
from layerlift.emulator.world.world import World

Batches = tuple[tuple[int, tuple[float, ...]], ...]


def growing(seconds: tuple[float, ...], sizes: tuple[int, ...], each: float) -> Batches:
    """Batches in which every further query costs `each` of the first."""
    return tuple((size, tuple(second * (1.0 + (size - 1) * each) for second in seconds)) for size in sizes)


def with_batches(model: ModelSpec, each: float = 0.25, sizes: tuple[int, ...] = (2, 8)) -> ModelSpec:
    """The model, with batches in every profile."""
    return replace(model, batches={name: growing(seconds, sizes, each) for name, seconds in model.seconds.items()})


@st.composite
def batching(draw: DrawFn, world: World, every: bool = False) -> World:
    """The world, its servers batching: most of them, some one by one; with `every` all, of two and more."""
    models = tuple(
        with_batches(model, draw(st.sampled_from((0.0, 0.1, 0.5, 1.2))), draw(st.sampled_from(((2,), (2, 8), (4, 5)))))
        for model in world.models
    )

    def server(node: NodeSpec) -> NodeSpec:
        if node.tier not in ("edge", "cloud") or (not every and draw(st.integers(0, 4)) == 0):
            return node
        told: dict[str, Any] = {
            "max_batch": draw(st.sampled_from((2, 3, 16) if every else (1, 2, 3, 16))),
            "batch_wait_s": draw(st.sampled_from((0.0, 0.001, 0.02, 0.1))),
        }
        return replace(node, discipline="batch", **told)

    return replace(world, nodes=tuple(server(node) for node in world.nodes), models=models)


@st.composite
def meeting(draw: DrawFn, world: World) -> World:
    """The same where users have one network and one plan, and ask without pause, so that their pieces can meet.

    Something is placed on the first server, and there is room for it.
    """
    layers = len(world.models[0].graph)
    places = st.integers(0, min(2, len(world.servers)))
    placement = draw(st.lists(places, min_size=layers, max_size=layers))
    placement[draw(st.integers(0, layers - 1))] = 1
    planner = fixed(placement)
    query = draw(st.sampled_from(("dataflow", "serial")))
    users = tuple(
        replace(user, model=0, planner=planner, query=query, think_s=min(user.think_s, 0.02), in_flight=3,
                queries=(user.queries or 8) + 6)
        for user in world.users
    )  # fmt: skip
    nodes = tuple(replace(node, memory_bytes=inf) for node in world.nodes)
    return draw(batching(replace(world, users=users, nodes=nodes, until_s=inf), every=True))

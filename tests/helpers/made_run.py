"""A small run written by hand: two users of a four-layer network, every number small enough to check on paper.

bob on p1 uploads nothing (plan `local`). ann on c1 uploads two parts to e1: sent at 2 and 4, confirmed at 3 and 6.
"""

from __future__ import annotations

from layerlift.emulator.world.links import LinkSpec
from layerlift.emulator.world.machines import NodeSpec
from layerlift.emulator.world.models import ModelSpec
from layerlift.emulator.world.users import PlanningSpec, UserSpec
from layerlift.emulator.world.world import World
from layerlift.models.graph.graph import Layer, LayerGraph, Tensor


def chain(*names: str) -> LayerGraph:
    """A chain of layers with these names."""
    count = len(names)
    tensors = [Tensor("in", 10, -1, (0,))]
    tensors += [
        Tensor(f"t{i}", 10, i, (i + 1,) if i + 1 < count else (), is_output=i + 1 == count) for i in range(count)
    ]
    layers = tuple(Layer(i, name, "Relu", (i,), (i + 1,), ()) for i, name in enumerate(names))
    return LayerGraph("tiny", layers, tuple(tensors), (), (0,), (count,))


def made_world(kind: str = "phone") -> World:
    """Clients c1 and p1, edge server e1 (USD 0.001 a byte from clients, 0.0001 a byte-second), cloud k1."""
    layers = chain("conv1", "relu1", "fc2", "fc3")
    nodes = (
        NodeSpec(0, "c1", "client", idle_w=2.0, compute_w=3.0, radio_w=1.0),
        NodeSpec(1, "p1", "client"),
        NodeSpec(2, "e1", "edge", cores=2, price_per_byte_s=0.0001),
        NodeSpec(3, "k1", "cloud"),
        NodeSpec(4, "planner", "planner"),
    )
    tiers = ("client", "edge", "cloud")
    links = {
        (a, b): LinkSpec(0.001, 1000.0, 0.001 if (a, b) == ("client", "edge") else 0.0) for a in tiers for b in tiers
    }
    model = ModelSpec("tiny", "tiny.onnx", layers, {"reference": (0.1, 0.2, 0.3, 0.4)}, {"reference": 1.0})
    users = (UserSpec(0, "ann", 0, 0, "ionn", kind=kind), UserSpec(1, "bob", 1, 0, "local", kind=kind))
    return World("made", 7, nodes, links, (model,), users, PlanningSpec())


def query(at: float, user: str, number: int, asked: float, latency: float, reason: str = "", money: float = 0.0):
    """A row of queries."""
    client = {"ann": "c1", "bob": "p1"}.get(user, "c1")
    status = "failed" if reason else "answered"
    return (
        at,
        client,
        user,
        number,
        status,
        reason,
        asked,
        asked,
        at,
        latency,
        1,
        0,
        1,
        0,
        0.1,
        0.0,
        10,
        20,
        money,
        "",
        "",
    )


def made_rows() -> dict[str, list[tuple]]:
    """Every table of the run, which lasts 20 virtual seconds."""
    return {
        "queries": [
            query(1.0, "ann", 0, 0.0, 1.0, money=0.5),
            query(2.5, "ann", 1, 1.0, 1.5, money=0.25),
            query(5.0, "ann", 2, 2.5, 2.5),
            query(6.5, "ann", 3, 5.0, 1.5),
            query(7.0, "ann", 4, 6.5, 0.5),
            query(8.0, "ann", 5, 7.0, 0.7),
            query(9.0, "ann", 6, 8.0, 0.9),
            query(10.0, "bob", 0, 0.0, 10.0),
            query(20.0, "bob", 1, 10.0, 10.0, reason="run ended"),
        ],
        "segments": [(0.9, "c1", "ann", 0, 0, 0, 3, 0.0, 0.0, 0.9, 0.9)],
        "batches": [(0.9, "e1", "squeezenet", 0, 3, 2, 0, 0.4, 0.1, 0.5, 0.4)],
        "uploads": [
            (3.0, "c1", "ann", 1, 0, 0, "e1", 1, 100, 2.0, 3.0, "confirmed", "", 0, "c1"),
            (3.5, "c1", "ann", 1, 1, 0, "e1", 1, 200, 3.0, 3.5, "lost", "link down", 200, "c1"),
            (6.0, "c1", "ann", 1, 1, 1, "e1", 1, 200, 4.0, 6.0, "confirmed", "", 0, "c1"),
        ],
        "plans": [
            (
                1.5,
                "c1",
                "ann",
                1,
                "ionn",
                "accepted",
                "",
                1.0,
                2,
                2,
                2,
                300,
                1.0,
                0.7,
                "c1:0-1 e1:2-3",
                "cheap",
                "arrival",
            ),
            (1.6, "p1", "bob", 1, "local", "accepted", "", 1.0, 0, 4, 0, 0, 10.0, 10.0, "p1:0-3", "", "arrival"),
        ],
        "usage": [
            (10.0, "c1", 10.0, 4.0, 0, 0.0, 400, 40, 3.0, 35.0, 0.0),
            (10.0, "e1", 10.0, 3.0, 300, 1000.0, 50, 400, 0.0, 5.0, 0.5),
            (20.0, "c1", 10.0, 1.0, 0, 0.0, 0, 10, 0.0, 23.0, 0.0),
            (20.0, "e1", 10.0, 5.0, 200, 1000.0, 0, 0, 0.0, 7.0, 0.25),
            (20.0, "k1", 20.0, 0.0, 0, 0.0, 0, 0, 0.0, 0.0, 0.0),
        ],
        "allocations": [
            (3.0, "e1", "ann", "admitted", 1, 0, 1, 100, 100, ""),
            (6.0, "e1", "ann", "admitted", 1, 1, 1, 200, 300, ""),
            (16.0, "e1", "ann", "released", 1, 0, 1, 100, 200, ""),
        ],
        "changes": [(7.5, "c1", "link down", "e1", "ann", ""), (8.0, "c1", "link up", "e1", "ann", "")],
        "measured": [
            (1.5, "planner", "planning_s", "ann", 0, 0, "ionn", 0.25, 0.0),
            (1.6, "planner", "planning_s", "bob", 0, 0, "local", 0.5, 0.0),
            (5.0, "e1", "output_error", "ann", 2, 0, "out", 1e-7, 1e-5),
            (6.0, "e1", "output_error", "ann", 3, 0, "out", 3e-7, 1e-5),
            (6.0, "e1", "execution_s", "ann", 3, 0, "", 0.02, 0.03),
        ],
    }


def made_run(kind: str = "phone") -> dict:
    """What the engine hands to `close`."""
    from layerlift.emulator.world.describe import describe_world

    return {
        "world": describe_world(made_world(kind)),
        "wall_s": 4.0,
        "virtual_s": 20.0,
        "executed_pieces": 12,
        "assumptions": [{"path": "links.latency_ms", "value": 1, "source": "ours"}],
    }

"""A branching network with a weight too big to be inside its pieces, and worlds that run it for real."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from worlds import InlinePlans, small_world

from layerlift.emulator.execution.backends import Backend, LocalBackend
from layerlift.emulator.execution.dataplane import DataPlane
from layerlift.emulator.nodes.events import Piece
from layerlift.emulator.runtime.conductor import Conductor, LocalHosts
from layerlift.emulator.world.world import World
from layerlift.models import Network, from_model

LAYERS = ("Conv", "Relu", "Conv", "Conv", "Concat", "Flatten", "Gemm")
SECONDS = (0.02, 0.001, 0.01, 0.01, 0.0005, 0.0, 0.03)


def branching() -> Network:
    """conv, relu, two convolutions side by side, joined; then a fully connected layer of 192 KiB."""
    rng = np.random.default_rng(5)
    shapes = {"w0": (4, 3, 3, 3), "w1": (4, 4, 3, 3), "w2": (4, 4, 3, 3), "w3": (512, 96), "b3": (96,)}
    weights = [
        numpy_helper.from_array(rng.standard_normal(shape).astype(np.float32), name) for name, shape in shapes.items()
    ]
    nodes = [
        helper.make_node("Conv", ["x", "w0"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "w1"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["b", "w2"], ["d"], pads=[1, 1, 1, 1]),
        helper.make_node("Concat", ["c", "d"], ["e"], axis=1),
        helper.make_node("Flatten", ["e"], ["f"]),
        helper.make_node("Gemm", ["f", "w3", "b3"], ["y"]),
    ]
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])
    made = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 96])
    graph = helper.make_graph(nodes, "branching", [given], [made], weights)
    opset = [helper.make_opsetid("", 17)]
    return from_model(helper.make_model(graph, opset_imports=opset, ir_version=8), name="branching")


def split_world(network: Network, planner: str, queries: int = 3, **world: Any) -> World:
    """One client and two servers ten times as fast."""
    seconds = SECONDS if len(network.graph) == len(SECONDS) else (0.01,) * len(network.graph)
    return small_world(network.graph, seconds, planner, servers=2, server_ghz=10.0, user={"queries": queries}, **world)


class Recorded(DataPlane):
    """A data plane that remembers what it was told to run."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.told: list[Piece] = []

    def execute(self, piece: Piece) -> None:
        self.told.append(piece)
        super().execute(piece)


class Lived:
    """A world that was run with its data plane, and the rows of `measured` that came of it."""

    def __init__(self, world: World, networks: Sequence[Network], backend: Backend | None = None, **settings: Any):
        told = {"execution": "every", "inputs": 2, "optimization": "off", **settings}
        self.rows: dict[str, list[tuple[Any, ...]]] = {}
        backend = backend or LocalBackend(networks, told["optimization"])
        self.data = Recorded(world, networks, backend, self._write, **told)
        hosts = LocalHosts(world, [[node.index for node in world.nodes]], execution=True)
        Conductor(world, hosts, InlinePlans(world), self._write, self.data).run()
        self.data.close()

    def _write(self, table: str, rows: list[tuple[Any, ...]]) -> None:
        self.rows.setdefault(table, []).extend(rows)

    def measured(self, kind: str) -> list[tuple[Any, ...]]:
        """(user, query, step, name, value, expected) of each row of one kind."""
        return [row[3:] for row in self.rows.get("measured", []) if row[2] == kind]

    @property
    def errors(self) -> list[float]:
        """Output errors, one per answered query."""
        return [row[4] for row in self.measured("output_error")]

"""AlexNet on a board and a server, over links of many bandwidths: cuts by arithmetic, and emulated."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import isinf, sqrt
from typing import Any, Final

from layerlift.emulator.studies.reproduce.ionn.rows import CLASSES, mapped, rows
from layerlift.emulator.studies.reproduce.neurosurgeon.cuts import Line, Stretch, best, lines, stretches
from layerlift.emulator.studies.reproduce.reproduction import Emulator, settled
from layerlift.models.graph.graph import LayerGraph
from layerlift.models.loading.load import load

NETWORK: Final = "alexnet"
"""The only chain whose rows are published."""
NAMED_MBIT_S: Final = {"3G": 1.1, "4G": 5.85, "Wi-Fi": 18.88}
"""Typical uplinks, as JointDNN's Table 3 prints them of Huang et al. (MobiSys 2012)."""
LATENCY_S: Final = 1e-3
NEAR_A_CROSSING: Final = 1e-3
"""How far from a crossing point, relatively, both sides of it are emulated."""
MBIT: Final = 1e6
AGREES: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Input:
    """What a query's input weighs."""

    name: str
    graph: LayerGraph
    bytes: int | None
    """None: the network's own, single precision."""
    cuts: tuple[Line, ...]
    stretches: tuple[Stretch, ...]


@dataclass(frozen=True, slots=True)
class Point:
    """One bandwidth, emulated."""

    input: str
    place: str
    """3G, 4G, Wi-Fi; or where in a stretch."""
    mbit_s: float
    layers: int
    """On the device, as the planner chose."""
    latency_s: float
    server_s: float
    """CPU seconds of the query on the server."""
    foretold: Line
    """The best of all cuts, by looking at each."""

    @property
    def agrees(self) -> bool:
        """Whether planner and emulation agree with the arithmetic."""
        told_s = self.foretold.at(self.mbit_s * MBIT)
        return self.layers == self.foretold.layers and abs(self.latency_s - told_s) <= AGREES * told_s


def world(mbit_s: float, planner: str, input_bytes: int | None) -> dict[str, Any]:
    """A board and a server that has the network already: its parameters are charged next to nothing."""
    model: dict[str, Any] = {"source": NETWORK, "parameters_mb": 1e-6}
    if input_bytes is not None:
        model["input_bytes"] = input_bytes
    user = {
        "device": {"ghz": 2.0, "profile": CLASSES["client"]},
        "model": "network",
        "planner": planner,
        "queries": 2,
        "asks": {"every_ms": 1_000_000},
        "profile_runs": 0,
    }
    return {
        "nodes": [{"tier": "edge", "name": "server", "ghz": 1.0, "profile": CLASSES["server"]}],
        "links": {"client-edge": {"bandwidth_mbit_s": mbit_s, "latency_ms": 1e3 * LATENCY_S}},
        "models": {"network": model},
        "users": [user],
    }


def inputs() -> list[Input]:
    """The network's own input, and one byte for each of its numbers, as an image without compression has."""
    network = load(NETWORK)
    told = mapped(network).seconds
    whole = network.graph.tensors[network.graph.inputs[0]].bytes
    made = []
    for name, sent in (("floats", None), ("bytes", whole // 4)):
        graph = network.graph if sent is None else network.graph.with_input_bytes(sent)
        cuts = lines(graph, told["client"], told["server"], LATENCY_S)
        made.append(Input(name, graph, sent, tuple(cuts), tuple(stretches(cuts))))
    return made


def places(given: Input) -> Iterator[tuple[str, float]]:
    """Bandwidths to emulate (Mbit/s): the named ones, the middle of every stretch, both sides of every crossing."""
    yield from NAMED_MBIT_S.items()
    for stretch in given.stretches:
        low, high = stretch.above / MBIT, stretch.up_to / MBIT
        middle = high / 2 if low == 0 else 2 * low if isinf(high) else sqrt(low * high)
        yield "middle", middle
    for stretch in given.stretches[1:]:
        yield "below", stretch.above / MBIT * (1 - NEAR_A_CROSSING)
        yield "above", stretch.above / MBIT * (1 + NEAR_A_CROSSING)


def point(emulate: Emulator, given: Input, place: str, mbit_s: float) -> Point:
    """Plan and emulate a query at one bandwidth."""
    result = emulate(f"one_step, {given.name}, {mbit_s:.9g} Mbit/s", world(mbit_s, "one_step", given.bytes))
    row = settled(result)
    count = len(given.graph)
    return Point(
        given.name,
        place,
        mbit_s,
        count - row["remote_layers"],
        row["latency_s"],
        row["server_work_s"],
        best(given.cuts, mbit_s * MBIT),
    )


def place_of(layers: int) -> str:
    """Where a cut is, in Caffe's names: `pool5`; at the ends `the input` (all on the server) or `the device alone`."""
    graph = load(NETWORK).graph
    names = iter(row.name for row in rows(NETWORK)[1:])
    by_layer = [layer.op_type if layer.op_type == "Reshape" else next(names) for layer in graph.layers]
    if layers == 0:
        return "the input"
    return "the device alone" if layers == len(graph) else by_layer[layers - 1]

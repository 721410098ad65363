"""Single cuts of a chain by arithmetic: each as a line in seconds per bit, and where the best of them changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from layerlift.models.errors import RunError
from layerlift.models.graph.graph import LayerGraph
from layerlift.models.sums import left_sum


@dataclass(frozen=True, slots=True)
class Line:
    """One cut: so many layers on the device, the rest on the server. Latency is `fixed_s + bits / bit_s`."""

    layers: int
    """On the device; all of them: nothing is sent."""
    fixed_s: float
    bits: float

    def at(self, bit_s: float) -> float:
        """Seconds of a query at a bandwidth (bits a second)."""
        return self.fixed_s + self.bits / bit_s


def lines(graph: LayerGraph, device_s: Sequence[float], server_s: Sequence[float], latency_s: float) -> list[Line]:
    """All cuts of a chain, in the order of the layers on the device. Raises `RunError` for a network that branches."""
    if not graph.is_chain:
        raise RunError(
            f"{graph.name} branches, so that no single tensor crosses a cut: expected a chain, such as alexnet"
        )
    count = len(graph)
    answer_bytes = left_sum([float(graph.tensors[number].bytes) for number in graph.outputs])
    made = []
    for layers in range(count):
        crossing = graph.inputs if layers == 0 else graph.layers[layers - 1].outputs
        sent_bytes = left_sum([float(graph.tensors[number].bytes) for number in crossing])
        fixed_s = left_sum([*device_s[:layers], *server_s[layers:], 2 * latency_s])
        made.append(Line(layers, fixed_s, 8.0 * (sent_bytes + answer_bytes)))
    return [*made, Line(count, left_sum(device_s), 0.0)]


def best(cuts: Sequence[Line], bit_s: float) -> Line:
    """The cheapest, by looking at all; of equal ones the one with fewest layers on the device."""
    return min(cuts, key=lambda line: (line.at(bit_s), line.layers))


@dataclass(frozen=True, slots=True)
class Stretch:
    """The bandwidths (bits a second) in which one cut is best."""

    line: Line
    above: float
    """The crossing with the cut that is best on slower links; 0 for none."""
    up_to: float
    """The crossing with the one that is best on faster links; infinite for none."""


def stretches(cuts: Sequence[Line]) -> list[Stretch]:
    """Which cut is best where, from slow links to fast, with exact crossing points.

    Two lines cross where `bit_s = (bits - bits') / (fixed' - fixed)`. From the fastest link, where the least fixed time
    decides, one goes to the line that crosses first on the way to slower ones.
    """
    here = min(cuts, key=lambda line: (line.fixed_s, line.bits))
    up_to, made = inf, list[Stretch]()
    while True:
        crossed = [
            ((here.bits - other.bits) / (other.fixed_s - here.fixed_s), -other.bits, other)
            for other in cuts
            if other.bits < here.bits and other.fixed_s > here.fixed_s
        ]
        if not crossed:
            return [Stretch(here, 0.0, up_to), *reversed(made)]
        at, _, following = max(crossed, key=lambda each: (each[0], each[1]))
        made.append(Stretch(here, at, up_to))
        here, up_to = following, at

"""A scenario of a dozen fields, and a catalog without a zoo: what scenario tests start from."""

from __future__ import annotations

import copy
from typing import Any

from layerlift.emulator.scenario.resolving.catalog import Priced
from layerlift.emulator.scenario.schema.sections import ModelSection
from layerlift.models.errors import ModelError, PlanError, near
from layerlift.models.graph.graph import Layer, LayerGraph, Parameter, Tensor

SMALL: dict[str, Any] = {
    "nodes": [
        {"tier": "client", "count": 2, "ghz": [1, 2]},
        {"tier": "edge", "count": 3, "ghz": [4, 8]},
        {"tier": "cloud", "name": "far", "ghz": 40},
    ],
    "links": {
        "client-edge": {"bandwidth_mb_s": 10, "latency_ms": 2},
        "client-cloud": {"bandwidth_mb_s": 1, "latency_ms": 20},
        "edge-cloud": {"bandwidth_mb_s": 5, "latency_ms": 20},
        "edge-edge": {"bandwidth_mb_s": 100, "latency_ms": 0.5},
    },
    "users": [{"model": "small", "queries": 3}],
}


def small(**changes: Any) -> dict[str, Any]:
    """The small scenario as plain values, with whole top-level fields replaced."""
    return copy.deepcopy(SMALL) | copy.deepcopy(changes)


def chain(name: str, sizes: tuple[int, ...]) -> LayerGraph:
    """A chain whose layer i holds `sizes[i]` bytes and hands 100 bytes on."""
    count = len(sizes)
    return LayerGraph(
        name,
        tuple(Layer(i, f"l{i}", "Conv", (i,), (i + 1,), (i,)) for i in range(count)),
        tuple(Tensor(f"t{i}", 100, i - 1, (i,) if i < count else (), is_output=i == count) for i in range(count + 1)),
        tuple(Parameter(f"w{i}", size, size) for i, size in enumerate(sizes)),
        (0,),
        (count,),
    )


class Few:
    """A catalog of two networks and two planners; measured at 2 GHz."""

    graphs = {"small": chain("small", (1000, 3000, 7)), "large": chain("large", (10**6, 5))}  # noqa: RUF012

    def price(self, source: str, options: ModelSection, classes: tuple[str, ...]) -> Priced:
        if source not in self.graphs:
            raise ModelError(f"there is no network {source!r}{near(source, self.graphs)}")
        graph = self.graphs[source]
        seconds = tuple(0.25 * (i + 1) for i in range(len(graph)))
        return Priced(graph, f"digest of {source}", dict.fromkeys(classes, seconds), dict.fromkeys(classes, 2.0))

    def planner(self, text: str) -> None:
        if text not in ("local", "ionn"):
            raise PlanError(f"no planner {text!r}{near(text, ('local', 'ionn'))}")

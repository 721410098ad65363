"""What is tried: where a network is cut, which part goes to which server, and what a query does as parts arrive."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from layerlift.models.errors import RunError
from layerlift.models.graph.cuts import cuts
from layerlift.models.graph.graph import LayerGraph
from layerlift.models.graph.route import Route, compile_route
from layerlift.models.sums import int_sum, left_sum

MOST_PLACES: Final = 28
"""Among so many cuts, those that the fewest bytes cross, is chosen."""
_SPLIT_S: Final = 3.0
"""Where only some layers move they shall take about so long at most."""


@dataclass(frozen=True, slots=True)
class Unit:
    """Layers `first` to `last` that stay together, and the node that they end on: 0 is the client."""

    first: int
    last: int
    node: int


@dataclass(frozen=True, slots=True)
class Situation:
    """A placement: units in the order of their layers. Those of servers are uploaded in that order, a part each."""

    name: str
    units: tuple[Unit, ...]

    @property
    def parts(self) -> tuple[Unit, ...]:
        """What is uploaded, in order."""
        return tuple(unit for unit in self.units if unit.node)

    @property
    def servers(self) -> int:
        """How many servers it needs."""
        return max(unit.node for unit in self.units)

    def placement(self, up: int) -> list[int]:
        """The node of each layer once `up` parts are confirmed."""
        there = set(self.parts[:up])
        return [unit.node if unit in there else 0 for unit in self.units for _ in range(unit.first, unit.last + 1)]

    def routes(self, graph: LayerGraph) -> list[Route]:
        """How a query travels when none, one, ... all parts are confirmed."""
        return [compile_route(graph, self.placement(up)) for up in range(len(self.parts) + 1)]

    def moved(self, graph: LayerGraph) -> list[list[int]]:
        """Of each part the parameters that have to travel: what a server holds already is not sent again."""
        held: dict[int, set[int]] = {}
        found = []
        for part in self.parts:
            wanted = graph.parameters_of(range(part.first, part.last + 1))
            found.append(sorted(wanted - held.setdefault(part.node, set())))
            held[part.node] |= wanted
        return found

    def bytes(self, graph: LayerGraph) -> list[int]:
        """Bytes of each part."""
        return [int_sum(graph.parameters[p].upload_bytes for p in parameters) for parameters in self.moved(graph)]


def situations(graph: LayerGraph, seconds: Sequence[float], bytes_s: float) -> list[Situation]:
    """What there is to try with a network, the first of them the whole network in three parts on one server.

    The others leave the first layers with the client, and the last ones where they are heavy; the layers between go to
    one server in two parts, or to two servers. Of all such cuts those are chosen during whose uploads most queries end.
    Raises `RunError` for a network that cannot be cut like that.
    """
    check(graph)
    places = _places(graph)
    ends = [*places, len(graph)]
    whole = _best(
        "plain", graph, seconds, bytes_s, ((0, *inner, len(graph)) for inner in _rising(places, 2)), (1, 1, 1)
    )
    if whole is None:
        raise RunError(
            f"{graph.name} has {len(places)} places where it can be cut between weights, expected 2 at least: name a "
            "network with more layers that have weights"
        )
    found = [whole]
    for name, nodes in (("split", (1, 1)), ("two servers", (1, 2))):
        best = _best(name, graph, seconds, bytes_s, _rising(ends, 3), nodes, _SPLIT_S * bytes_s)
        if best is not None:
            found.append(best)
    return found


def check(graph: LayerGraph) -> None:
    """Raise `RunError` for weights that do not travel as they are held: their bytes would not be those emulated."""
    for parameter in graph.parameters:
        if parameter.also or parameter.held_bytes != parameter.upload_bytes:
            raise RunError(
                f"{graph.name} has the weight {parameter.name!r}, which is read in several forms or sent in fewer "
                "bytes than it takes: expected a network without such, for its bytes are really sent here"
            )


def _places(graph: LayerGraph) -> list[int]:
    """Layers that a unit may begin with: the narrowest cuts, ascending."""
    found = sorted((cut.width > 1, cut.bytes, cut.after + 1) for cut in cuts(graph))
    return sorted(place for _, _, place in found[:MOST_PLACES])


def _rising(places: Sequence[int], count: int) -> Iterator[tuple[int, ...]]:
    return itertools.combinations(places, count)


def _best(
    name: str,
    graph: LayerGraph,
    seconds: Sequence[float],
    bytes_s: float,
    borders: Iterable[tuple[int, ...]],
    nodes: Sequence[int],
    most_bytes: float = float("inf"),
) -> Situation | None:
    """The situation with the most queries in the phase that has the fewest."""
    crossing = [0.0, *(float(cut.bytes) for cut in cuts(graph)), 0.0]
    crossing[0] = float(int_sum(graph.tensors[t].bytes for t in graph.inputs))
    total_s, best, most = left_sum(seconds), None, 0.0
    held = cache(lambda begin, end: graph.upload_bytes(range(begin, end)))
    for border in borders:
        sizes = [held(begin, end) for begin, end in itertools.pairwise(border)]
        if min(sizes) == 0 or int_sum(sizes) > most_bytes:
            continue
        queries = []
        for up in range(1, len(sizes)):
            # Beside an upload a query has half of the link upwards, and what comes back has all of it.
            latency_s = total_s + (2 * crossing[border[0]] + crossing[border[up]]) / bytes_s
            queries.append(sizes[up] / bytes_s / latency_s)
        if min(queries) > most:
            best, most = border, min(queries)
    return None if best is None else Situation(name, tuple(_units(best, nodes, len(graph))))


def _units(border: Sequence[int], nodes: Sequence[int], layers: int) -> Iterator[Unit]:
    if border[0]:
        yield Unit(0, border[0] - 1, 0)
    for (begin, end), node in zip(itertools.pairwise(border), nodes, strict=True):
        yield Unit(begin, end - 1, node)
    if border[-1] < layers:
        yield Unit(border[-1], layers - 1, 0)

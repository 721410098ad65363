"""Modules: what lies between two layers that every path passes (an inception module, a residual block).

Where a cache or a mask reaches past every layer there are no such two, and a module would be the whole network: one of
many layers is taken apart where a person would, at the borders of its blocks.

The collapse of modules is IONN's (Jeong et al. 2018, 10.1145/3267809.3267828, section 5.3): "everything after one
dominator up to and including the next" becomes one layer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from layerlift.models.graph import borders
from layerlift.models.graph.graph import LayerGraph
from layerlift.models.preprocess.coarse import regroup
from layerlift.models.running.network import Network


@dataclass(frozen=True, slots=True)
class Module:
    """Layers `first` to `last`, both inclusive; every path through the network passes `last`, or it is a block."""

    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first + 1

    @property
    def layers(self) -> range:
        """Its layers."""
        return range(self.first, self.last + 1)


def dominators(graph: LayerGraph) -> tuple[int, ...]:
    """Layers that every path from an input to an output passes, ascending: those that no tensor jumps over.

    A path that avoided such a layer would hold a tensor made before it and read after it, in any topological order.
    """
    jumps = [0] * (len(graph) + 2)
    for tensor in graph.tensors:
        ends = list(tensor.consumers) + ([len(graph)] if tensor.is_output else [])
        if ends and max(ends) > tensor.producer + 1:
            jumps[tensor.producer + 1] += 1
            jumps[max(ends)] -= 1
    found: list[int] = []
    over = 0
    for layer in range(len(graph)):
        over += jumps[layer]
        if over == 0 and _on_a_path(graph, layer):
            found.append(layer)
    return tuple(found)


def units(graph: LayerGraph) -> tuple[Module, ...]:
    """All layers, in runs that end at each dominator; a run of one layer is that layer alone."""
    found: list[Module] = []
    first = 0
    for last in (*dominators(graph), len(graph) - 1):
        if last >= first:
            found.append(Module(first, last))
            first = last + 1
    return tuple(found)


def modules(graph: LayerGraph) -> tuple[Module, ...]:
    """The units of more than one layer, which branch; of one of more than 64 layers its blocks (`borders.blocks`)."""
    found = units(graph)
    blocks = borders.blocks(graph) if any(len(unit) > borders.LONG for unit in found) else ()
    return tuple(part for unit in found for part in _apart(unit, blocks) if len(part) > 1)


def collapse(network: Network) -> Network:
    """Every module as one layer. Lossless: the nodes and their answers stay the same."""
    return regroup(network, [unit.layers for unit in modules(network.graph)])


def _apart(unit: Module, blocks: Iterable[borders.Block]) -> Iterator[Module]:
    """A long unit in blocks, any other as it is."""
    if len(unit) <= borders.LONG:
        yield unit
        return
    for first, last in blocks:
        if last >= unit.first and first <= unit.last:
            yield Module(max(first, unit.first), min(last, unit.last))


def _on_a_path(graph: LayerGraph, layer: int) -> bool:
    """Whether anything of what the layer makes is used."""
    made = graph.layers[layer].outputs
    return any(graph.tensors[t].consumers or graph.tensors[t].is_output for t in made)

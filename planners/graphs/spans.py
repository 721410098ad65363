"""What crosses between client and server for every interval of a network: facts of the graph alone.

An interval is a run of layers on one server, the rest on the client. Which tensors then travel does not depend on
speeds or links, so it is counted once per network, for all intervals together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from layerlift.models.graph.graph import LayerGraph
from layerlift.planners.graphs.chain import Unit
from layerlift.planners.problem.problem import Bools, Floats, Ints


@dataclass(frozen=True, slots=True)
class Spans:
    """All intervals of a network in order of first and last grain; every array has shape (K,).

    Bytes include a header per tensor. `..._any` says whether anything travels at all: a tensor may have no bytes.
    """

    first: Ints
    """First layer of each interval."""
    last: Ints
    """Last layer, inclusive."""
    held: Floats
    """Bytes of parameters, shared ones counted once."""
    opened: Floats
    """Network inputs that the client sends when the query begins."""
    opened_any: Bools
    up: Floats
    """What the client's first layers make for the interval."""
    up_any: Bools
    down: Floats
    """What the server sends back: for the client's last layers, and answers."""
    down_any: Bools
    waited: Floats
    """The part of `down` up to the last tensor that the client's last layers read, in the order of sending."""
    waited_any: Bools
    answered: Floats
    """The part of `down` up to the last answer."""
    answered_any: Bools


def spans_of(graph: LayerGraph, parts: Sequence[Unit], header_bytes: int) -> Spans:
    """Count for every interval that begins and ends with one of `parts` (see
    `layerlift.planners.graphs.intervals.grains`).
    """
    grid = _IntervalTables(parts)
    for tensor in graph.tensors:
        size = tensor.bytes + header_bytes
        grid.sent_up(size, tensor.producer, tensor.consumers)
        if tensor.producer >= 0:
            grid.sent_down(size, tensor.producer, tensor.consumers, tensor.is_output)
    readers: dict[int, list[int]] = {}
    for layer in graph.layers:
        for parameter in set(layer.parameters):
            readers.setdefault(parameter, []).append(layer.index)
    for parameter, layers in readers.items():
        for box in grid.boxes(-1, layers):
            grid.held[box] += graph.parameters[parameter].held_bytes
    return grid.spans()


class _IntervalTables:
    """Square tables: row = first grain, column = last grain; what is below the diagonal means nothing.

    The intervals for which a tensor crosses are rectangles of the table, so each tensor costs a few slices.
    """

    def __init__(self, parts: Sequence[Unit]) -> None:
        self.starts = np.array([part.first for part in parts])
        self.ends = np.array([part.last for part in parts])
        shape = len(parts), len(parts)
        self.held, self.opened, self.up, self.down, self.waited, self.answered = (np.zeros(shape) for _ in range(6))
        none = (np.zeros(shape, dtype=np.bool_) for _ in range(5))
        self.opened_any, self.up_any, self.down_any, self.waited_any, self.answered_any = none

    def boxes(self, made: int, readers: Sequence[int]) -> list[tuple[slice, slice]]:
        """The intervals that begin after layer `made` and contain at least one of `readers`, ascending."""
        found, before = [], made
        for reader in readers:
            rows = slice(self._from(before + 1), self._from(reader + 1))
            found.append((rows, slice(self._until(reader), None)))
            before = reader
        return found

    def sent_up(self, size: int, producer: int, readers: Sequence[int]) -> None:
        """A tensor that is made before the interval and read in it; a network input has producer -1."""
        for box in self.boxes(producer, readers):
            if producer < 0:
                self.opened[box] += size
                self.opened_any[box] = True
            else:
                self.up[box] += size
                self.up_any[box] = True

    def sent_down(self, size: int, producer: int, readers: Sequence[int], is_output: bool) -> None:
        """A tensor that is made in the interval and wanted by the client; tensors come in their order of sending."""
        rows = slice(0, self._from(producer + 1))
        made, read = self._until(producer), self._until(readers[-1]) if readers else 0
        behind = slice(made, max(made, read))
        wanted = (rows, slice(made, None) if is_output else behind)
        self.down[wanted] += size
        self.down_any[wanted] = True
        self.waited[rows, behind] = self.down[rows, behind]
        self.waited_any[rows, behind] = True
        if is_output:
            self.answered[wanted] = self.down[wanted]
            self.answered_any[wanted] = True

    def spans(self) -> Spans:
        """The tables' upper triangles, row by row."""
        rows, columns = upper = np.triu_indices(len(self.starts))
        return Spans(
            self.starts[rows], self.ends[columns], self.held[upper],
            self.opened[upper], self.opened_any[upper], self.up[upper], self.up_any[upper],
            self.down[upper], self.down_any[upper], self.waited[upper], self.waited_any[upper],
            self.answered[upper], self.answered_any[upper],
        )  # fmt: skip

    def _from(self, layer: int) -> int:
        """The first row whose intervals begin at `layer` or later."""
        return int(np.searchsorted(self.starts, layer, side="left"))

    def _until(self, layer: int) -> int:
        """The first column whose intervals end at `layer` or later."""
        return int(np.searchsorted(self.ends, layer, side="left"))

"""`If` and `Loop`, written out where constants decide them; where they do not, a sentence says what would."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NoReturn

import numpy as np
import onnx
from onnx import helper, numpy_helper

from layerlift.models.errors import ModelError, Undecided
from layerlift.models.loading.naming import renamed
from layerlift.models.loading.walking import Expand, Step, Walk
from layerlift.models.onnx_files import ordering, untrusted

_MOST_TURNS: Final = 2_000
_FEW: Final = 16
"""Elements of an input that somebody could give by hand."""


def expand_if(walk: Walk, node: onnx.NodeProto) -> Iterable[Step]:
    """The operators of the branch that is taken."""
    taken = _decided(walk, node, node.input[0])
    branch = _graph(walk, node, "then_branch" if taken else "else_branch")
    if len(branch.output) != len(node.output):
        _malformed(walk, node)
    ends = dict(zip((value.name for value in branch.output), node.output, strict=True))
    steps, found = _spliced(walk, branch, {}, ends)
    for name, tensor in zip(node.output, found, strict=True):
        walk.names.call(name, tensor)
    return steps


def expand_loop(walk: Walk, node: onnx.NodeProto) -> Iterable[Step]:
    """The operators of every turn, one after another."""
    return _Turns(walk, node).turn(0, node.input[1] if len(node.input) > 1 else "", tuple(node.input[2:]))


def refuse_scan(walk: Walk, node: onnx.NodeProto) -> Iterable[Step]:
    """A scan has a body that stays."""
    raise ModelError(
        f"{walk.origin} has the control-flow operator {_where(node)}; export it unrolled or as a Loop; {walk.remedy()}"
    )


class _Turns:
    """A Loop that is being written out."""

    def __init__(self, walk: Walk, node: onnx.NodeProto) -> None:
        self.walk, self.node = walk, node
        self.body = _graph(walk, node, "body")
        states = len(node.input) - 2
        self.scanned = len(self.body.output) - 1 - states
        fits = len(self.body.input) == 2 + states and len(node.output) <= len(self.body.output) - 1
        if states < 0 or self.scanned < 0 or not fits:
            _malformed(walk, node)
        self.most: int | None = None
        if node.input[0]:
            self.most = walk.integer(node.input[0])
            if self.most is None:
                _undecided(walk, node, node.input[0])
        self.rows: list[tuple[str, ...]] = []

    def turn(self, number: int, condition: str, states: tuple[str, ...]) -> Iterable[Step]:
        """The operators of turn `number` and what comes after it; or of the end."""
        walk, node = self.walk, self.node
        if number > _MOST_TURNS:
            raise ModelError(
                f"{walk.origin}: {_where(node)} takes more than {_MOST_TURNS} turns, too many layers to cut; "
                f"{walk.remedy()}"
            )
        if self.most is not None and number >= self.most:
            return self._end(states)
        if condition and not _decided(walk, node, condition):
            return self._end(states)
        if not condition and self.most is None:
            raise ModelError(f"{walk.origin}: {_where(node)} never ends; no option helps, export the model again")
        counted, goes_on = walk.names.fresh(f"{node.output[0]}_turn"), walk.names.fresh(f"{node.output[0]}_goes_on")
        walk.constants.hold(counted, np.asarray(number, np.int64))
        walk.constants.hold(goes_on, np.asarray(True))
        given = dict(zip((value.name for value in self.body.input), (counted, goes_on, *states), strict=True))
        # The last turn, where it is known to be, makes the answers by their names.
        last = number + 1 == self.most
        ends = dict(zip((value.name for value in self.body.output[1:]), node.output[: len(states)], strict=False))
        steps, found = _spliced(walk, self.body, given, ends if last else {})
        kept = len(states) + 1

        def after() -> Iterable[Step]:
            self.rows.append(tuple(map(walk.names.of, found[kept:])))
            # A trip count alone decides where the file leaves the condition out.
            return self.turn(number + 1, found[0], tuple(map(walk.names.of, found[1:kept])))

        return [*steps, after]

    def _end(self, states: tuple[str, ...]) -> list[Step]:
        walk, node = self.walk, self.node
        for name, tensor in zip(node.output, states, strict=False):
            walk.names.call(name, tensor)
        stacked = list(node.output)[len(states) :]
        if stacked and not self.rows:
            raise ModelError(f"{walk.origin}: {_where(node)} makes nothing in no turns; no option helps, export again")
        return [step for at, name in enumerate(stacked) if name for step in self._stacked(at, name)]

    def _stacked(self, at: int, name: str) -> Iterable[Step]:
        """What turns have made, one upon another along a new first axis."""
        rows = [row[at] for row in self.rows]
        lifted = [self.walk.names.fresh(f"{name}_row") for _ in rows]
        for row, up in zip(rows, lifted, strict=True):
            yield on_axis(self.walk, "Unsqueeze", row, up, 0)
        yield helper.make_node("Concat", lifted, [name], axis=0)


def on_axis(walk: Walk, operator: str, name: str, made: str, axis: int) -> onnx.NodeProto:
    """`Unsqueeze` or `Squeeze` of the tensor `name` at `axis`, in the way of the model's opset."""
    if walk.version < 13:
        return helper.make_node(operator, [name], [made], axes=[axis])
    axes = walk.names.fresh(f"{made}_axes")
    walk.constants.hold(axes, np.asarray([axis], np.int64))
    return helper.make_node(operator, [name, axes], [made])


def _spliced(
    walk: Walk, graph: onnx.GraphProto, given: Mapping[str, str], ends: Mapping[str, str]
) -> tuple[list[Step], list[str]]:
    """The operators of a subgraph as the model's own, and the names of its outputs.

    `given` says which tensors its inputs are; `ends` what those of its outputs are called that it makes itself.
    """
    scope = dict(given)
    untrusted.refuse_stored(graph, walk.origin)
    for tensor in graph.initializer:
        scope[tensor.name] = held = walk.names.fresh(tensor.name)
        walk.constants.hold(held, numpy_helper.to_array(tensor), tensor.data_type)
    steps: list[Step] = []
    for node in ordering.sorted_nodes(ordering.needed(graph.node, (value.name for value in graph.output)), walk.origin):
        untrusted.refuse_inner(node, walk.version, walk.origin, walk.remedy)
        fresh = {name: ends.get(name) or walk.names.fresh(name) for name in node.output if name}
        steps.append(renamed(node, scope, fresh))
        scope.update(fresh)
    return steps, [walk.names.of(scope.get(value.name, value.name)) for value in graph.output]


def _decided(walk: Walk, node: onnx.NodeProto, condition: str) -> bool:
    value = walk.integer(condition)
    if value is None:
        _undecided(walk, node, condition)
    return bool(value)


def _undecided(walk: Walk, node: onnx.NodeProto, by: str) -> NoReturn:
    inputs = _deciding(walk, by)
    what = f"{walk.origin} has the control-flow operator {_where(node)}"
    if not inputs or walk.fed() <= set(inputs):
        raise ModelError(f"{what}, which {by!r} decides when the network runs; {walk.remedy()}")
    raise Undecided(f"{what}, which the input decides", "fix", {name: _likely(walk, by, name) for name in inputs})


def _deciding(walk: Walk, by: str) -> list[str]:
    """The inputs that decide the value `by`, where all of them are small enough to be given by hand."""
    waiting, seen, found = [by], {by}, dict[str, None]()
    while waiting:
        name = waiting.pop()
        node = walk.maker.get(name)
        if node is None and name not in walk.constants:
            found[name] = None
        for read in node.input if node is not None else ():
            if read and read not in seen:
                seen.add(read)
                waiting.append(read)
    shapes = [walk.types.get(name, (0, None))[1] for name in found]
    return list(found) if all(shape is not None and np.prod(shape, dtype=object) <= _FEW for shape in shapes) else []


def _likely(walk: Walk, by: str, name: str) -> int:
    """A value of the input `name` that the model itself names, where it compares with one; else 1."""
    node = walk.maker.get(by)
    if node is not None and node.op_type in ("Equal", "Less", "Greater") and name in node.input:
        for read in node.input:
            value = walk.integer(read) if read in walk.constants else None
            if value is not None:
                return value
    return 1


def _graph(walk: Walk, node: onnx.NodeProto, name: str) -> onnx.GraphProto:
    found: list[onnx.GraphProto] = [each.g for each in node.attribute if each.name == name and each.HasField("g")]
    if not found:
        _malformed(walk, node)
    return found[0]


def _malformed(walk: Walk, node: onnx.NodeProto) -> NoReturn:
    raise ModelError(f"{walk.origin}: {_where(node)} is not what ONNX says of it; no option helps, export it again")


def _where(node: onnx.NodeProto) -> str:
    return f"{node.op_type} ({node.name or node.output[0]!r})"


EXPANDED: Final[Mapping[str, Expand]] = {"If": expand_if, "Loop": expand_loop, "Scan": refuse_scan}
"""What stands for each operator that holds operators."""

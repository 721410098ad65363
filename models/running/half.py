"""Half-precision tensors that stay what they are: onnxruntime keeps more digits between two layers than a cut hands on.

It computes most half-precision operators in single precision, and leaves out the rounding between two of them; others
it computes in half precision only beside others of the kind. With two copies before and after each of them every
operator is alone between roundings, whatever it is cut with.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import onnx
from onnx import TensorProto, helper


def bordered(
    nodes: Sequence[onnx.NodeProto], types: Mapping[str, tuple[int, tuple[int, ...]]], parameters: Collection[str]
) -> list[onnx.NodeProto]:
    """`nodes`, with each half-precision activation that they read or make copied twice on its way.

    `types` are those of all tensors; without half-precision ones the nodes are as they were.
    """
    made = {name for node in nodes for name in node.output}
    given = dict.fromkeys(
        name for node in nodes for name in node.input if _is_half(name, types) and name not in {*made, *parameters}
    )
    copied = {name: _free(f"{name}/read", types) for name in given}
    found = [node for name, copy in copied.items() for node in _copies(name, copy, types)]
    for node in nodes:
        halves = {name: _free(f"{name}/made", types) for name in node.output if _is_half(name, types)}
        if not halves and not any(name in copied for name in node.input):
            found.append(node)
            continue
        moved = onnx.NodeProto()
        moved.CopyFrom(node)
        del moved.input[:], moved.output[:]
        moved.input.extend(copied.get(name, name) for name in node.input)
        moved.output.extend(halves.get(name, name) for name in node.output)
        found.append(moved)
        found.extend(copy for name, own in halves.items() for copy in _copies(own, name, types))
    return found


def _copies(name: str, copy: str, types: Mapping[str, tuple[int, tuple[int, ...]]]) -> list[onnx.NodeProto]:
    # One alone would be computed in single precision like any other operator, and with it the rounding goes.
    between = _free(f"{copy}/between", types)
    return [helper.make_node("Identity", [name], [between]), helper.make_node("Identity", [between], [copy])]


def _is_half(name: str, types: Mapping[str, tuple[int, tuple[int, ...]]]) -> bool:
    return name in types and types[name][0] == TensorProto.FLOAT16


def _free(name: str, types: Mapping[str, tuple[int, tuple[int, ...]]]) -> str:
    while name in types:
        name += "_"
    return name

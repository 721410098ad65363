"""Mutants of small ONNX models: each breaks a valid file a little, in what it says or in its bytes.

A mutant is named by a number; the same number gives the same file.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from small_nets import model, node, normal, tensor

INTEGERS = (0, 1, -1, 2, 3, 7, 64, 65, 255, 4096, 2**31 - 1, 2**31, -(2**31), 2**40, 2**62, 2**63 - 1, -(2**63))
NAMES = ("", "x", "y", "a", "w", "\0", "a b", "</script>", "[/x]", "n" * 5000, "\N{SNOWMAN}", "../../x")


def convolutional() -> onnx.ModelProto:
    """Quantized weights, a split, shape constants, a resize."""
    weights = {
        "q": np.arange(-54, 54, dtype=np.int8).reshape(4, 3, 3, 3),
        "scale": np.asarray(0.1, np.float32),
        "zero": np.asarray(0, np.int8),
        "parts": np.asarray([2, 2], np.int64),
        "pads": np.asarray([0, 0, 1, 1, 0, 0, 1, 1], np.int64),
        "starts": np.asarray([0, 0], np.int64),
        "ends": np.asarray([1, 2], np.int64),
        "scales": np.asarray([1, 1, 2, 2], np.float32),
    }
    nodes = [
        node("DequantizeLinear", ["q", "scale", "zero"], ["w"]),
        node("Conv", ["x", "w"], ["c"], strides=[1, 1], group=1),
        node("Split", ["c", "parts"], ["a", "b"], axis=1),
        node("Sigmoid", ["a"], ["s"]),
        node("Mul", ["s", "b"], ["m"]),
        node("Pad", ["m", "pads"], ["p"]),
        node("Slice", ["p", "starts", "ends"], ["l"]),
        node("Resize", ["l", "", "scales"], ["y"], mode="nearest"),
    ]
    return model(nodes, [tensor("x", 1, 3, 6, 6)], ["y"], weights)


def recurrent() -> onnx.ModelProto:
    """An LSTM with two outputs, and a reduction by an attribute."""
    weights = {"w": normal(1, 12, 4), "r": normal(1, 12, 3), "axis": np.asarray([1], np.int64)}
    nodes = [
        node("LSTM", ["x", "w", "r"], ["all", "last"], hidden_size=3),
        node("Squeeze", ["all", "axis"], ["z"]),
        node("ReduceMean", ["z"], ["y"], axes=[0], keepdims=0),
    ]
    return model(nodes, [tensor("x", 5, 1, 4)], ["y", "last"], weights)


def attention() -> onnx.ModelProto:
    """Shape arithmetic of an exporter, a table that is looked up, and a softmax."""
    weights = {"table": normal(16, 8), "w": normal(8, 8), "head": np.asarray([1, 4, 2, 4], np.int64)}
    nodes = [
        node("Gather", ["table", "ids"], ["e"]),
        node("MatMul", ["e", "w"], ["k"]),
        node("Reshape", ["k", "head"], ["h"]),
        node("Transpose", ["h"], ["t"], perm=[0, 2, 1, 3]),
        node("Softmax", ["t"], ["p"], axis=-1),
        node("Shape", ["e"], ["shape"]),
        node("Reshape", ["p", "shape"], ["f"]),
        node("Constant", [], ["half"], value=numpy_helper.from_array(np.asarray([0.5], np.float32))),
        node("Mul", ["f", "half"], ["u"]),
        node("Add", ["u", "e"], ["y"]),
    ]
    return model(nodes, [tensor("ids", 1, 4, kind=TensorProto.INT64)], ["y", "u"], weights)


def pooled() -> onnx.ModelProto:
    """Grouped and transposed convolutions, normalisation, pooling, a fully connected end, declared inner shapes."""
    weights = {
        "w": normal(4, 2, 3, 3),
        "t": normal(4, 2, 2, 2),
        **{name: np.ones(2, np.float32) for name in ("g", "o", "m", "v")},
        "f": normal(8, 5),
        "c": normal(5),
    }
    nodes = [
        node("Conv", ["x", "w"], ["a"], group=2, pads=[1, 1, 1, 1], dilations=[1, 1]),
        node("ConvTranspose", ["a", "t"], ["b"], strides=[2, 2]),
        node("BatchNormalization", ["b", "g", "o", "m", "v"], ["d"], epsilon=1e-5),
        node("MaxPool", ["d"], ["e"], kernel_shape=[4, 4], strides=[4, 4]),
        node("Flatten", ["e"], ["h"], axis=1),
        node("Gemm", ["h", "f", "c"], ["i"], alpha=1.0, transB=0),
        node("TopK", ["i", "k"], ["j", "at"], axis=1),
        node("LogSoftmax", ["j"], ["y"], axis=1),
    ]
    made = model(nodes, [tensor("x", 1, 4, 4, 4)], ["y"], {**weights, "k": np.asarray([2], np.int64)})
    made.graph.value_info.append(tensor("a", 1, 4, 4, 4))
    return made


PARENTS: Sequence[Callable[[], onnx.ModelProto]] = (convolutional, recurrent, attention, pooled)


def mutant(number: int) -> bytes:
    """The file of mutant `number`: a change or two to what a parent says, or to its bytes, or both."""
    rng = random.Random(number)
    made = PARENTS[number % len(PARENTS)]()
    in_bytes = rng.random() < 0.2
    for _ in range(rng.choice((0, 1)) if in_bytes else rng.choice((1, 1, 1, 2))):
        rng.choice(CHANGES)(made, rng)
    body = made.SerializeToString()
    for _ in range(rng.choice((1, 1, 2, 4)) if in_bytes else 0):
        body = rng.choice(BYTES)(body, rng)
    return body


def _node(made: onnx.ModelProto, rng: random.Random) -> onnx.NodeProto:
    return rng.choice(made.graph.node) if made.graph.node else made.graph.node.add()


def _tensor(made: onnx.ModelProto, rng: random.Random) -> TensorProto:
    return rng.choice(made.graph.initializer) if made.graph.initializer else made.graph.initializer.add()


def _value(made: onnx.ModelProto, rng: random.Random) -> onnx.ValueInfoProto:
    every = [*made.graph.input, *made.graph.output, *made.graph.value_info]
    return rng.choice(every) if every else made.graph.input.add()


def _names(made: onnx.ModelProto) -> list[str]:
    graph = made.graph
    known = [name for made_by in graph.node for name in (*made_by.input, *made_by.output)]
    return [*known, *(held.name for held in graph.initializer), *NAMES]


def change_dim(made: onnx.ModelProto, rng: random.Random) -> None:
    """An extent of an input or output."""
    dims = _value(made, rng).type.tensor_type.shape.dim
    if dims:
        rng.choice(dims).dim_value = rng.choice(INTEGERS)


def swap_dims(made: onnx.ModelProto, rng: random.Random) -> None:
    """Two extents of a stored tensor."""
    dims = _tensor(made, rng).dims
    if len(dims) > 1:
        first, second = rng.sample(range(len(dims)), 2)
        dims[first], dims[second] = dims[second], dims[first]


def add_dims(made: onnx.ModelProto, rng: random.Random) -> None:
    """More dimensions than there were."""
    for _ in range(rng.choice((1, 3, 70, 3000))):
        _value(made, rng).type.tensor_type.shape.dim.add().dim_value = 1


def change_attribute(made: onnx.ModelProto, rng: random.Random) -> None:
    """The value of an attribute, or its type."""
    found = _node(made, rng).attribute
    if not found:
        return
    attribute = rng.choice(found)
    if attribute.ints and rng.random() < 0.8:
        attribute.ints[rng.randrange(len(attribute.ints))] = rng.choice(INTEGERS)
    elif rng.random() < 0.2:
        attribute.type = rng.randrange(15)
    else:
        attribute.i, attribute.f, attribute.s = rng.choice(INTEGERS), rng.choice((0.0, -1e38, 1e38)), b"\xff"


def drop_attribute(made: onnx.ModelProto, rng: random.Random) -> None:
    """An attribute, or an element of one."""
    found = _node(made, rng).attribute
    if found:
        at = rng.randrange(len(found))
        if found[at].ints and rng.random() < 0.5:
            del found[at].ints[0]
        else:
            del found[at]


def drop_node(made: onnx.ModelProto, rng: random.Random) -> None:
    """A node."""
    if made.graph.node:
        del made.graph.node[rng.randrange(len(made.graph.node))]


def double_node(made: onnx.ModelProto, rng: random.Random) -> None:
    """A node again, with the same outputs or with new ones."""
    copy = made.graph.node.add()
    copy.CopyFrom(_node(made, rng))
    if rng.random() < 0.7:
        renamed = [f"{name}_again" for name in copy.output]
        del copy.output[:]
        copy.output.extend(renamed)
        made.graph.output.extend(onnx.ValueInfoProto(name=name) for name in renamed)


def move_node(made: onnx.ModelProto, rng: random.Random) -> None:
    """The order of nodes."""
    nodes = list(made.graph.node)
    rng.shuffle(nodes)
    del made.graph.node[:]
    made.graph.node.extend(nodes)


def retarget(made: onnx.ModelProto, rng: random.Random) -> None:
    """What a node reads or makes."""
    target = _node(made, rng)
    field = target.input if rng.random() < 0.6 else target.output
    if field:
        field[rng.randrange(len(field))] = rng.choice(_names(made))


def change_arity(made: onnx.ModelProto, rng: random.Random) -> None:
    """How many inputs or outputs a node has."""
    target = _node(made, rng)
    field = target.input if rng.random() < 0.6 else target.output
    if field and rng.random() < 0.5:
        del field[rng.randrange(len(field))]
    else:
        field.append(rng.choice(_names(made)))


def repeat_output(made: onnx.ModelProto, rng: random.Random) -> None:
    """An output or input of the network again."""
    values = made.graph.output if rng.random() < 0.7 else made.graph.input
    if values:
        values.add().CopyFrom(rng.choice(values))


def rename(made: onnx.ModelProto, rng: random.Random) -> None:
    """A value, a tensor, a node or the network."""
    thing = rng.choice((_value(made, rng), _tensor(made, rng), _node(made, rng), made.graph))
    thing.name = rng.choice(_names(made))


def change_operator(made: onnx.ModelProto, rng: random.Random) -> None:
    """What a node does."""
    every = ("Range", "Tile", "Expand", "Loop", "Einsum", "OneHot", "Pad", "ConstantOfShape", "Identity", "Cast", "If")
    _node(made, rng).op_type = rng.choice((*every, *(held.op_type for held in made.graph.node)))


def change_type(made: onnx.ModelProto, rng: random.Random) -> None:
    """An element type."""
    if rng.random() < 0.5:
        _tensor(made, rng).data_type = rng.randrange(28)
    else:
        _value(made, rng).type.tensor_type.elem_type = rng.randrange(28)


def change_integers(made: onnx.ModelProto, rng: random.Random) -> None:
    """A stored shape, axis or length."""
    held = [stored for stored in made.graph.initializer if stored.data_type == TensorProto.INT64 and stored.raw_data]
    if held:
        chosen = rng.choice(held)
        array = np.frombuffer(chosen.raw_data, np.int64).copy()
        if array.size:
            array[rng.randrange(array.size)] = rng.choice(INTEGERS)
            chosen.raw_data = array.tobytes()


def change_external(made: onnx.ModelProto, rng: random.Random) -> None:
    """A weight that lies elsewhere."""
    chosen = _tensor(made, rng)
    chosen.ClearField("raw_data")
    chosen.data_location = TensorProto.EXTERNAL
    places = ("/etc/passwd", "../x", "a\0b", "n" * 5000, "", ".", "/dev/zero", "x.onnx", "mutant.onnx")
    chosen.external_data.add(key="location", value=rng.choice(places))
    if rng.random() < 0.5:
        chosen.external_data.add(key=rng.choice(("offset", "length")), value=rng.choice(("-1", "x", str(2**70))))


def change_opset(made: onnx.ModelProto, rng: random.Random) -> None:
    """The operator set, or the version of the file's own format."""
    if rng.random() < 0.5 and made.opset_import:
        made.opset_import[0].version = rng.choice((*range(5, 28), *INTEGERS))
    else:
        made.ir_version = rng.choice(INTEGERS)


def nest(made: onnx.ModelProto, rng: random.Random) -> None:
    """A graph within an attribute, some levels deep."""
    inner = helper.make_graph([node("Identity", ["x"], ["i"])], "inner", [], [])
    for _ in range(rng.choice((1, 5, 20))):
        inner = helper.make_graph([helper.make_node("If", ["x"], ["i"], then_branch=inner)], "inner", [], [])
    _node(made, rng).attribute.append(helper.make_attribute("body", inner))


def flip(body: bytes, rng: random.Random) -> bytes:
    """A bit."""
    held = bytearray(body)
    if held:
        held[rng.randrange(len(held))] ^= 1 << rng.randrange(8)
    return bytes(held)


def overwrite(body: bytes, rng: random.Random) -> bytes:
    """A few bytes."""
    at = rng.randrange(len(body) + 1)
    return body[:at] + rng.randbytes(rng.choice((1, 4, 9))) + body[at + 4 :]


def truncate(body: bytes, rng: random.Random) -> bytes:
    """The end."""
    return body[: rng.randrange(len(body) + 1)]


def splice(body: bytes, rng: random.Random) -> bytes:
    """A piece of the file again, elsewhere."""
    start, at = rng.randrange(len(body) + 1), rng.randrange(len(body) + 1)
    return body[:at] + body[start : start + rng.choice((1, 8, 64))] + body[at:]


CHANGES: Sequence[Callable[[onnx.ModelProto, random.Random], None]] = (
    change_dim, swap_dims, add_dims, change_attribute, drop_attribute, drop_node, double_node, move_node, retarget,
    change_arity, repeat_output, rename, change_operator, change_type, change_integers, change_integers,
    change_external, change_opset, nest,
)  # fmt: skip
BYTES: Sequence[Callable[[bytes, random.Random], bytes]] = (flip, flip, flip, flip, overwrite, truncate, splice)

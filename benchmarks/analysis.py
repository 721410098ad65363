"""What it takes to open a large graph: `python -m benchmarks.analysis [BLOCKS]` (45 blocks are 2,000 operators).

The file is what an exporter writes of a transformer: attention and normalisation in single operators, sizes worked out
by `Shape`, `Gather` and `Concat`, a dynamic batch and length. It is opened in a process of its own, as every
file is; the time is that process's CPU time, and stands beside what onnx's own shape inference takes of the same file.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

WIDTH: Final = 64
HEADS: Final = 4
BLOCKS: Final = 45


class _Writer:
    """Writes operators one after another, and gives each answer a name."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.stored: list[onnx.TensorProto] = []
        self._random = np.random.default_rng(1)

    def op(self, kind: str, *reads: str, **attributes: Any) -> str:
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(reads), [name], **attributes))
        return name

    def held(self, value: object, dtype: type = np.float32) -> str:
        name = f"w{len(self.stored)}"
        self.stored.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def weight(self, *shape: int) -> str:
        return self.held(self._random.standard_normal(shape) * 0.05)

    def length_of(self, x: str) -> str:
        """The second extent of `x`, as exporters write it."""
        at = self.op("Gather", self.op("Shape", x), self.held(1, np.int64), axis=0)
        return self.op("Unsqueeze", at, self.held([0], np.int64))

    def heads(self, x: str) -> str:
        flat = self.op("Add", self.op("MatMul", x, self.weight(WIDTH, WIDTH)), self.weight(WIDTH))
        batch, rest = self.held([-1], np.int64), self.held([HEADS, WIDTH // HEADS], np.int64)
        shape = self.op("Concat", batch, self.length_of(flat), rest, axis=0)
        return self.op("Transpose", self.op("Reshape", flat, shape), perm=[0, 2, 1, 3])

    def normalized(self, x: str) -> str:
        centred = self.op("Sub", x, self.op("ReduceMean", x, axes=[-1]))
        square = self.op("ReduceMean", self.op("Pow", centred, self.held(2.0)), axes=[-1])
        scaled = self.op("Div", centred, self.op("Sqrt", self.op("Add", square, self.held(1e-5))))
        return self.op("Add", self.op("Mul", scaled, self.weight(WIDTH)), self.weight(WIDTH))

    def block(self, x: str) -> str:
        query, key, value = self.heads(x), self.heads(x), self.heads(x)
        weights = self.op("MatMul", query, self.op("Transpose", key, perm=[0, 1, 3, 2]))
        mixed = self.op("MatMul", self.op("Softmax", weights, axis=-1), value)
        back = self.op("Concat", self.held([-1], np.int64), self.length_of(x), self.held([WIDTH], np.int64), axis=0)
        joined = self.op("Reshape", self.op("Transpose", mixed, perm=[0, 2, 1, 3]), back)
        x = self.normalized(self.op("Add", x, self.op("MatMul", joined, self.weight(WIDTH, WIDTH))))
        inner = self.op("MatMul", x, self.weight(WIDTH, 2 * WIDTH))
        gelu = self.op("Mul", inner, self.op("Erf", inner))
        return self.normalized(self.op("Add", x, self.op("MatMul", gelu, self.weight(2 * WIDTH, WIDTH))))


def transformer(blocks: int = BLOCKS) -> onnx.ModelProto:
    """A transformer of `blocks` blocks, as an exporter writes it; its weights take some 100 KiB a block."""
    writer, x = _Writer(), "tokens"
    for _ in range(blocks):
        x = writer.block(x)
    given = helper.make_tensor_value_info("tokens", TensorProto.FLOAT, ["batch", "seq", WIDTH])
    answer = helper.make_tensor_value_info(x, TensorProto.FLOAT, None)
    graph = helper.make_graph(writer.nodes, "transformer", [given], [answer], writer.stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


OPENING: Final = """
import resource, sys, time
from pathlib import Path
from layerlift.models.loading import reading
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start = time.process_time()
found = reading.opened(Path(sys.argv[1]), {"batch": 1, "seq": 64}, {}, lambda held_bytes: None)
spent = time.process_time() - start
print(spent, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, len(found.graph.layers))
"""


def opened(path: Path) -> tuple[float, float, int]:
    """CPU seconds, MiB beyond the libraries' own, and layers of opening the file at `path` in a process of its own."""
    told = subprocess.run([sys.executable, "-c", OPENING, str(path)], check=True, capture_output=True, text=True)
    spent_s, kib, layers = told.stdout.split()
    return float(spent_s), int(kib) / 1024, int(layers)


def main(arguments: Sequence[str] | None = None) -> None:
    given = sys.argv[1:] if arguments is None else arguments
    model = transformer(int(given[0]) if given else BLOCKS)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "transformer.onnx"
        onnx.save(model, path)
        spent_s, mib, layers = opened(path)
        start = time.process_time()
        onnx.shape_inference.infer_shapes(onnx.load(path), data_prop=True)
        onnx_s = time.process_time() - start
        file_mib = path.stat().st_size / 2**20
    print(
        f"{len(model.graph.node)} operators, {layers} layers, {file_mib:.1f} MiB of file: {spent_s:.2f} s of CPU, "
        f"{mib:.0f} MiB; {spent_s / onnx_s:.1f} times what onnx's own shape inference takes ({onnx_s:.3f} s)"
    )


if __name__ == "__main__":
    main()

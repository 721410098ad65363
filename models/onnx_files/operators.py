"""What onnxruntime knows of operators, those included that onnx has no schema for: shapes, opsets, kernels."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from layerlift.models.errors import ModelError
from layerlift.models.onnx_files import protos
from layerlift.models.onnx_files.runtime import ort

Kind = tuple[int, tuple[int, ...] | None]
"""Element type and shape; 0 where a value is no tensor, None where the shape is not known."""

_TYPES: Final = {
    "float": TensorProto.FLOAT,
    **{
        name.lower().replace("_", ""): number
        for name, number in TensorProto.DataType.items()
        if name not in ("UNDEFINED", "FLOAT")
    },
}
_IR: Final = 10
"""An IR version that every supported onnxruntime reads; what came later holds nothing that is kept of a file."""


def is_known(kind: Kind | None) -> bool:
    """Whether it is the kind of a tensor whose shape is known."""
    return kind is not None and kind[0] != 0 and kind[1] is not None


def runs_opset(version: int) -> bool:
    """Whether onnxruntime takes models of this version of the standard operator set."""
    return version > 0 and _runs_opset(version)


@cache
def _runs_opset(version: int) -> bool:
    node = helper.make_node("Identity", ["x"], ["y"])
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    graph = helper.make_graph([node], "opset", value[:1], value[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", version)], ir_version=8)
    try:
        _session(model)
    except MemoryError:
        raise
    except Exception:
        return False
    return True


def newest_opset() -> int:
    """The newest version of the standard operator set that onnxruntime takes, for messages."""
    version = onnx.defs.onnx_opset_version()
    while version > 1 and not runs_opset(version):
        version -= 1
    while runs_opset(version + 1):
        version += 1
    return version


def runnable(light: onnx.ModelProto, origin: str) -> onnx.ModelProto:
    """`light` as onnxruntime takes it: itself where that is so, else with the oldest versions that mean the same.

    An onnxruntime may lack what an operator set or an IR version brought, while the operators of this model are older.
    Raises `ModelError`, with the reason, when it takes neither.
    """
    reason = _refusal(light)
    if not reason:
        return light
    older = _oldest_equal(light)
    if older != light and not _refusal(older):
        return older
    raise ModelError(
        f"{origin}: onnxruntime {ort.__version__} cannot run it ({reason}); export it with operators that this "
        "onnxruntime has, or install a newer one"
    )


def _refusal(model: onnx.ModelProto) -> str:
    try:
        _session(model)
    except MemoryError:
        raise
    except Exception as error:
        return said(error)
    return ""


def said(error: Exception) -> str:
    """What onnxruntime says of a model, without its codes and source lines."""
    return protos.one_line(error).rstrip(" .")


def _oldest_equal(light: onnx.ModelProto) -> onnx.ModelProto:
    older = onnx.ModelProto()
    older.CopyFrom(light)
    older.ir_version = min(light.ir_version, _IR)
    for entry in older.opset_import:
        if entry.domain in ("", "ai.onnx"):
            since = [
                onnx.defs.get_schema(node.op_type, entry.version, "").since_version
                for node in light.graph.node
                if protos.has_schema(node, entry.version)
            ]
            entry.version = max(since, default=entry.version)
    return older


class Asked:
    """Answers about the operators of one model; one that is asked twice of equal operators is worked out once."""

    def __init__(self, imports: Sequence[onnx.OperatorSetIdProto], ir_version: int) -> None:
        self._imports = list(imports)
        self._ir = min(ir_version, _IR)
        self._version = max((entry.version for entry in imports if entry.domain in ("", "ai.onnx")), default=0)
        self._known: dict[bytes, tuple[Kind, ...]] = {}
        self.refused: dict[tuple[str, str], str] = {}
        """By domain and type of operators that onnxruntime did not take: what it says of them."""

    def outputs_of(
        self, nodes: Sequence[onnx.NodeProto], types: Mapping[str, Kind], values: Mapping[str, np.ndarray]
    ) -> dict[str, Kind]:
        """Types and shapes of what `nodes`, in order, make and what `types` lacks, as far as they can be known.

        `values` are constants that shapes may depend on.
        """
        known, found = dict(types), dict[str, Kind]()
        for node in nodes:
            read = {name: known.get(name, (0, None)) for name in node.input if name}
            made = [name for name in node.output if name]
            if all(is_known(known.get(name)) for name in made) or not all(map(is_known, read.values())):
                continue
            # A standard operator whose shape onnx does not know depends on data: no run may speak for the others.
            kinds = self._outputs_of(node, read, values, not protos.has_schema(node, self._version))
            told = {name: kind for name, kind in zip(node.output, kinds, strict=True) if name and is_known(kind)}
            known.update(told)
            found.update(told)
        return found

    def _outputs_of(
        self, node: onnx.NodeProto, types: Mapping[str, Kind], values: Mapping[str, np.ndarray], run: bool
    ) -> tuple[Kind, ...]:
        """With `run`, a shape that onnxruntime does not infer is that of its results on several inputs."""
        names = list(dict.fromkeys(name for name in node.input if name))
        model = self._alone(node, {name: types[name] for name in names}, values)
        key = model.SerializeToString(deterministic=True) + bytes([run])
        if key not in self._known:
            self._known[key] = self._ask(model, [bool(name) for name in node.output], run)
        return self._known[key]

    def _alone(
        self, node: onnx.NodeProto, types: Mapping[str, Kind], values: Mapping[str, np.ndarray]
    ) -> onnx.ModelProto:
        """A model of `node` alone, with names that equal operators share."""
        number = {name: f"i{at}" for at, name in enumerate(types)}
        alone = onnx.NodeProto()
        alone.CopyFrom(node)
        alone.name = ""
        del alone.input[:], alone.output[:]
        alone.input.extend(number[name] if name else "" for name in node.input)
        alone.output.extend(f"o{at}" if name else "" for at, name in enumerate(node.output))
        graph = helper.make_graph(
            [alone],
            "alone",
            [
                helper.make_tensor_value_info(number[n], kind[0], kind[1])
                for n, kind in types.items()
                if n not in values
            ],
            [onnx.ValueInfoProto(name=name) for name in alone.output if name],
            [numpy_helper.from_array(values[name], number[name]) for name in types if name in values],
        )
        return helper.make_model(graph, opset_imports=self._imports, ir_version=max(4, self._ir))

    def _ask(self, model: onnx.ModelProto, written: Sequence[bool], run: bool) -> tuple[Kind, ...]:
        try:
            session = _session(model)
        except MemoryError:
            raise
        except Exception as error:
            self._refuse(model, error)
            return tuple((0, None) for _ in written)
        told = [_kind(value) for value in session.get_outputs()]
        if run and any(shape is None for dtype, shape in told if dtype):
            told = self._seen(session, model, told)
        kinds = iter(told)
        return tuple(next(kinds) if there else (0, None) for there in written)

    def _refuse(self, model: onnx.ModelProto, error: Exception) -> None:
        node = model.graph.node[0]
        self.refused[node.domain, node.op_type] = said(error)

    def _seen(self, session: Any, model: onnx.ModelProto, told: Sequence[Kind]) -> list[Kind]:
        """`told`, with the shapes that several runs agree about."""
        runs: list[list[tuple[int, ...]]] = []
        for feeds in _samples(model):
            try:
                found = session.run_with_ort_values([value.name for value in session.get_outputs()], feeds)
            except MemoryError:
                raise
            except Exception as error:
                # What one input cannot be given (an index beyond a table) another can.
                self._refuse(model, error)
                continue
            runs.append([tuple(value.shape()) if dtype else () for value, (dtype, _) in zip(found, told, strict=True)])
        if not runs:
            return list(told)
        return [
            (dtype, shape if shape is not None or len({run[at] for run in runs}) > 1 else runs[0][at])
            for at, (dtype, shape) in enumerate(told)
        ]


def _samples(model: onnx.ModelProto) -> Iterator[dict[str, Any]]:
    """Inputs of a model of one operator that differ in whatever a shape could depend on."""
    kinds = {value.name: protos.type_of(value) for value in model.graph.input}
    rng = np.random.default_rng(0)
    for most in (0, 1, 3):
        feeds: dict[str, Any] = {}
        for name, (dtype, shape) in kinds.items():
            kind = helper.tensor_dtype_to_np_dtype(dtype)
            drawn = rng.integers(0, most + 1, shape) if most else np.zeros(shape or (), np.int8)
            array = np.asarray(drawn).astype(kind)
            feeds[name] = protos.ort_value(array, dtype)
        yield feeds


def _kind(value: Any) -> Kind:
    matched = re.fullmatch(r"tensor\((\w+)\)", value.type)
    dtype = _TYPES.get(matched[1], 0) if matched else 0
    shape = tuple(value.shape)
    # A shape that is not known at all looks like that of a scalar.
    if not shape or not all(isinstance(extent, int) and extent >= 0 for extent in shape):
        return dtype, None
    return dtype, shape


def _session(model: onnx.ModelProto) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    options.enable_cpu_mem_arena = False
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])

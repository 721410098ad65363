"""Policies in files: ONNX models, written operator by operator, and read as a stranger's.

Of a file that is read only its whole numbers are taken. Its operators must be the very ones that would be written for
these numbers: what is run is never what somebody else drew up.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Final

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto, helper, numpy_helper

from layerlift.models.errors import ModelError, PlanError, sentence, shortened
from layerlift.models.files import bytes_digest, read_regular
from layerlift.models.onnx_files import untrusted
from layerlift.planners.learned.features import OF_NODE, OF_PIECE, OF_STEP, VERSION
from layerlift.planners.learned.policy import MOST_INSIDE, MOST_SCORE, SHIFTS, Policy, Table

MOST_BYTES: Final = 2**20
"""Of a policy file; those that ship have a hundredth of it."""
MOST_NOTES: Final = 50
MOST_WORDS: Final = 4000
FEATURES: Final = "layerlift_features"
_OPSET: Final = 17
_IR: Final = 8
_NAMES: Final = ("piece", "target", "source", "step", "first", "inner", "second", "outer", "third")
_WORD: Final = re.compile(r"[a-z_]{1,40}")
_AGAIN: Final = "train it again with layerlift train"


def model_of(policy: Policy) -> onnx.ModelProto:
    """The policy as an ONNX model, its notes as metadata."""
    made = [numpy_helper.from_array(table.astype(np.float32), name) for name, table in policy.tables.items()]
    shaped = {"axes_1": [1], "axes_2": [2], "axes_12": [1, 2], "axes_3": [3]}
    made += [numpy_helper.from_array(np.array(axes, dtype=np.int64), name) for name, axes in shaped.items()]
    bounds = {"nothing": 0, "most_inside": MOST_INSIDE, "least_score": -MOST_SCORE, "most_score": MOST_SCORE}
    scalars = {name: float(value) for name, value in bounds.items()}
    scalars |= {f"scale_{number}": 2.0**-shift for number, shift in enumerate(SHIFTS, start=1)}
    made += [numpy_helper.from_array(np.array(value, dtype=np.float32), name) for name, value in scalars.items()]
    graph = helper.make_graph(_operators(), "policy", _inputs(), _outputs(), made)
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR, producer_name="layerlift"
    )
    helper.set_model_props(model, {FEATURES: str(VERSION), **dict(sorted(policy.notes.items()))})
    return model


def _operators() -> list[onnx.NodeProto]:
    def op(kind: str, inputs: str, output: str) -> onnx.NodeProto:
        return helper.make_node(kind, inputs.split(), [output])

    def layer(number: int, summed: str, bounds: str) -> list[onnx.NodeProto]:
        return [
            op("Mul", f"{summed} scale_{number}", f"scaled_{number}"),
            op("Floor", f"scaled_{number}", f"whole_{number}"),
            op("Clip", f"whole_{number} {bounds}", f"made_{number}"),
        ]

    return [
        op("MatMul", "of_piece piece", "piece_sum"),
        op("Add", "piece_sum first", "piece_part"),
        op("Unsqueeze", "piece_part axes_12", "piece_wide"),
        op("MatMul", "of_node target", "target_sum"),
        op("Unsqueeze", "target_sum axes_1", "target_wide"),
        op("MatMul", "of_node source", "source_sum"),
        op("Unsqueeze", "source_sum axes_2", "source_wide"),
        op("MatMul", "of_step step", "step_wide"),
        op("Add", "target_wide source_wide", "nodes_wide"),
        op("Add", "nodes_wide piece_wide", "seen_wide"),
        op("Add", "seen_wide step_wide", "sum_1"),
        *layer(1, "sum_1", "nothing most_inside"),
        op("MatMul", "made_1 inner", "inner_sum"),
        op("Add", "inner_sum second", "sum_2"),
        *layer(2, "sum_2", "nothing most_inside"),
        op("MatMul", "made_2 outer", "outer_sum"),
        op("Add", "outer_sum third", "sum_3"),
        *layer(3, "sum_3", "least_score most_score"),
        op("Squeeze", "made_3 axes_3", "scores"),
    ]


def _inputs() -> list[onnx.ValueInfoProto]:
    shapes: dict[str, list[str | int | None]] = {
        "of_piece": ["pieces", OF_PIECE],
        "of_node": ["pieces", "nodes", OF_NODE],
        "of_step": ["pieces", "nodes", "nodes", OF_STEP],
    }
    return [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]


def _outputs() -> list[onnx.ValueInfoProto]:
    return [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["pieces", "nodes", "nodes"])]


def written(policy: Policy) -> bytes:
    """The content of the policy's file: equal policies give equal bytes."""
    content: bytes = model_of(policy).SerializeToString(deterministic=True)
    return content


def read(path: str | Path) -> bytes:
    """The content of a policy's file, which `parsed` takes. Raises `PlanError` for one that cannot be used."""
    origin = shortened(str(path), 80)
    try:
        content = read_regular(path, MOST_BYTES)
    except OSError as error:
        why = error.strerror or str(error)
        raise PlanError(f"policy {origin} cannot be read ({why}); name a file of layerlift train") from None
    parsed(content, origin)
    return content


@lru_cache(maxsize=16)
def shipped(name: str) -> bytes:
    """The content of the file of the policy that ships for a planner."""
    return (resources.files("layerlift.planners.learned") / f"{name}.onnx").read_bytes()


def label(policy: Policy) -> str:
    """Names its numbers: equal policies have equal labels, whatever their files say beside."""
    return bytes_digest(b"".join(table.tobytes() for table in policy.tables.values()))


def parsed(content: bytes, origin: str = "that ships") -> Policy:
    """The policy that a file's content holds; `origin` names the file. Raises `PlanError`."""
    try:
        model = onnx.ModelProto.FromString(content)
        untrusted.refuse(model, f"policy {origin}")
    except (DecodeError, ModelError, ValueError, UnicodeError) as error:
        raise PlanError(sentence(f"policy {origin} is no ONNX model that can be trusted: {error}; {_AGAIN}")) from None
    notes = _notes(model, origin)
    if (version := notes.pop(FEATURES, "none")) != str(VERSION):
        raise PlanError(
            f"policy {origin} was trained on features of version {shortened(version, 20)}, expected {VERSION}; {_AGAIN}"
        )
    policy = Policy(**_tables(model, origin), notes=notes)
    policy.check(origin)
    if model_of(policy).graph.SerializeToString(deterministic=True) != model.graph.SerializeToString(
        deterministic=True
    ):
        raise PlanError(f"policy {origin} has other operators than a policy has; {_AGAIN}")
    return policy


def _notes(model: onnx.ModelProto, origin: str) -> dict[str, str]:
    notes = {entry.key: entry.value for entry in model.metadata_props}
    odd = [key for key, value in notes.items() if not _WORD.fullmatch(key) or len(value) > MOST_WORDS]
    if odd or len(notes) > MOST_NOTES or len(model.metadata_props) > len(notes):
        raise PlanError(f"policy {origin} says more of itself than a policy does; {_AGAIN}")
    return notes


def _tables(model: onnx.ModelProto, origin: str) -> dict[str, Table]:
    held: Mapping[str, TensorProto] = {tensor.name: tensor for tensor in model.graph.initializer}
    tables = {}
    for name in _NAMES:
        tensor = held.get(name)
        if tensor is None or tensor.data_type != TensorProto.FLOAT or tensor.external_data:
            raise PlanError(f"policy {origin} has no table {name!r} of float32; {_AGAIN}")
        values = numpy_helper.to_array(tensor).astype(np.float64)
        whole = np.rint(np.nan_to_num(values, nan=0.5, posinf=0.5, neginf=0.5))
        if not np.array_equal(values, whole) or not (np.abs(whole) < 2.0**24).all():
            raise PlanError(f"policy {origin}: its table {name!r} holds what is no whole number below 2^24; {_AGAIN}")
        tables[name] = whole.astype(np.int64)
    return tables

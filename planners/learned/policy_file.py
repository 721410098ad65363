"""Policies in files: ONNX models, written operator by operator, and read as a stranger's.

Of a file that is read only its numbers are taken. Its operators must be the very ones that would be written for these
numbers: what is run is never what somebody else drew up.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from layerlift.models.errors import ModelError, PlanError, sentence, shortened
from layerlift.models.files import bytes_digest, read_regular
from layerlift.models.onnx_files import untrusted

MOST_BYTES: Final = 2**23
"""Of a policy file; those that ship have a thousandth of it."""
MOST_NOTES: Final = 50
MOST_WORDS: Final = 4000
KIND: Final = "layerlift_kind"
FEATURES: Final = "layerlift_features"
OPSET: Final = 17
IR: Final = 8
_WORD: Final = re.compile(r"[a-z_]{1,40}")
AGAIN: Final = "train it again with layerlift train"
Tables = Mapping[str, NDArray[Any]]
"""The numbers of a policy by name: int64 where they are whole, float32 where they are not."""


@dataclass(frozen=True)
class Kind:
    """How the numbers of a policy make a network."""

    name: str
    features: int
    """The version of what it sees: a policy is used with the features that it was trained on."""
    whole: bool
    """Whether its numbers are whole ones below 2^24, so that it says the same on every processor."""
    tables: re.Pattern[str]
    """The names that its tables have."""
    check: Callable[[Tables, str], None]
    """Raises `PlanError` for tables that make no network; the text names their origin."""
    graph: Callable[[Tables], onnx.GraphProto]
    """The network of tables that have been checked."""


@dataclass(frozen=True)
class Weights:
    """What a policy's file holds."""

    kind: Kind
    tables: Tables
    notes: Mapping[str, str] = field(default_factory=dict)
    """What it says of itself beside: worlds, networks, seeds, versions."""

    @property
    def parameters(self) -> int:
        """How many numbers it consists of."""
        return int(np.add.reduce([table.size for table in self.tables.values()]))

    @property
    def label(self) -> str:
        """Names its numbers: equal policies have equal labels, whatever their files say beside."""
        return bytes_digest(b"".join(table.tobytes() for table in self.tables.values()))


def initializers(tables: Tables) -> list[onnx.TensorProto]:
    """Tables as a graph holds them, in float32."""
    return [numpy_helper.from_array(table.astype(np.float32), name) for name, table in tables.items()]


def model_of(weights: Weights) -> onnx.ModelProto:
    """The policy as an ONNX model, its notes as metadata."""
    model = helper.make_model(
        weights.kind.graph(weights.tables),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR,
        producer_name="layerlift",
    )
    said = {KIND: weights.kind.name, FEATURES: str(weights.kind.features)}
    helper.set_model_props(model, said | dict(sorted(weights.notes.items())))
    return model


def written(weights: Weights) -> bytes:
    """The content of the policy's file: equal policies give equal bytes."""
    content: bytes = model_of(weights).SerializeToString(deterministic=True)
    return content


def read(path: str | Path, kinds: Sequence[Kind]) -> bytes:
    """The content of a policy's file, which `parsed` takes. Raises `PlanError` for one that cannot be used."""
    origin = shortened(str(path), 80)
    try:
        content = read_regular(path, MOST_BYTES)
    except OSError as error:
        why = error.strerror or str(error)
        raise PlanError(f"policy {origin} cannot be read ({why}); name a file of layerlift train") from None
    parsed(content, kinds, origin)
    return content


@lru_cache(maxsize=16)
def shipped(name: str) -> bytes:
    """The content of the file of the policy that ships for a planner."""
    return (resources.files("layerlift.planners.learned") / f"{name}.onnx").read_bytes()


def parsed(content: bytes, kinds: Sequence[Kind], origin: str = "that ships") -> Weights:
    """The policy that a file's content holds, of one of some kinds; `origin` names the file. Raises `PlanError`."""
    try:
        model = onnx.ModelProto.FromString(content)
        if not model.graph.node:  # an empty file is a model without anything, to protobuf
            raise ModelError("it holds no operators")
        untrusted.refuse_broken(model, f"policy {origin}")
        untrusted.refuse(model, f"policy {origin}")
    except (DecodeError, ModelError, ValueError, UnicodeError) as error:
        raise PlanError(sentence(f"policy {origin} is no ONNX model that can be trusted: {error}; {AGAIN}")) from None
    notes = _notes(model, origin)
    kind = _kind(notes, kinds, origin)
    tables = _tables(model, kind, origin)
    kind.check(tables, origin)
    expected = kind.graph(tables).SerializeToString(deterministic=True)
    if expected != model.graph.SerializeToString(deterministic=True):
        raise PlanError(f"policy {origin} has other operators than a policy has; {AGAIN}")
    return Weights(kind, tables, notes)


def _kind(notes: dict[str, str], kinds: Sequence[Kind], origin: str) -> Kind:
    """The kind that a file says it is of; what it says is taken out of its notes."""
    name, version = notes.pop(KIND, "none"), notes.pop(FEATURES, "none")
    found = [kind for kind in kinds if kind.name == name]
    if not found:
        wanted = " or ".join(repr(kind.name) for kind in kinds)
        raise PlanError(f"policy {origin} is of kind {shortened(name, 20)!r}, expected {wanted}; {AGAIN}")
    if version != str(found[0].features):
        raise PlanError(
            f"policy {origin} was trained on features of version {shortened(version, 20)}, "
            f"expected {found[0].features}; {AGAIN}"
        )
    return found[0]


def _notes(model: onnx.ModelProto, origin: str) -> dict[str, str]:
    notes = {entry.key: entry.value for entry in model.metadata_props}
    odd = [key for key, value in notes.items() if not _WORD.fullmatch(key) or len(value) > MOST_WORDS]
    if odd or len(notes) > MOST_NOTES or len(model.metadata_props) > len(notes):
        raise PlanError(f"policy {origin} says more of itself than a policy does; {AGAIN}")
    return notes


def _tables(model: onnx.ModelProto, kind: Kind, origin: str) -> Tables:
    tables: dict[str, NDArray[Any]] = {}
    for tensor in model.graph.initializer:
        if not kind.tables.fullmatch(tensor.name):
            continue
        if tensor.data_type != TensorProto.FLOAT or tensor.external_data:
            raise PlanError(f"policy {origin} has no table {tensor.name!r} of float32; {AGAIN}")
        values: NDArray[np.float32] = numpy_helper.to_array(tensor)
        tables[tensor.name] = _whole(values, tensor.name, origin) if kind.whole else _real(values, tensor.name, origin)
    return tables


def _whole(values: NDArray[np.float32], name: str, origin: str) -> NDArray[np.int64]:
    with np.errstate(invalid="ignore"):  # some of what is no number is announced when it is converted
        doubles = values.astype(np.float64)
    whole = np.rint(np.nan_to_num(doubles, nan=0.5, posinf=0.5, neginf=0.5))
    if not np.array_equal(values, whole) or not (np.abs(whole) < 2.0**24).all():
        raise PlanError(f"policy {origin}: its table {name!r} holds what is no whole number below 2^24; {AGAIN}")
    return whole.astype(np.int64)


def _real(values: NDArray[np.float32], name: str, origin: str) -> NDArray[np.float32]:
    if not (np.abs(values) < 2.0**40).all():
        raise PlanError(f"policy {origin}: its table {name!r} holds what no training gives; {AGAIN}")
    return values

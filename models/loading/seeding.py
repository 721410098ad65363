"""Seeded weights that behave like a network's: He scale, calibrated normalisation, no two channels alike."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import onnx
from onnx import helper, numpy_helper

from layerlift.models.graph import features, from_onnx
from layerlift.models.onnx_files.protos import run_once

VERSION = 1
"""Part of every seeded network's identity; raise it when the numbers made here change."""

_NORMALISATIONS = frozenset({"BatchNormalization", "LayerNormalization"})
_RANK = 256
"""Ranks that get their exact singular value under a spectrum; the rest is noise at the level of the last."""


@dataclass(frozen=True, slots=True)
class _Role:
    """How a parameter is read: by which operator, in which input slot."""

    node: onnx.NodeProto
    slot: int


def weights(
    light: onnx.ModelProto,
    parameters: Sequence[str],
    seed: int,
    spectrum: float | None,
    constants: Mapping[str, np.ndarray] = MappingProxyType({}),
) -> dict[str, np.ndarray]:
    """Every parameter of `light` by name, from `seed` alone (each has its own stream, so order never matters).

    Convolution and fully connected weights are normal with variance 2 / fan-in (He), those of recurrent cells with half
    of that (Xavier), tables of words with variance 1; biases, and scales and shifts after a normalisation, vary around
    0 and 1; batch-normalisation means and variances come from one pass over a seeded input, so that every layer's
    output keeps the scale of its input. `constants` are values that no seed decides.
    """
    types = from_onnx.types_of(light)
    roles: dict[str, _Role] = {}
    for node in light.graph.node:
        for slot, name in enumerate(node.input):
            roles.setdefault(name, _Role(node, slot))
    fixed = {**constants, **{tensor.name: numpy_helper.to_array(tensor) for tensor in light.graph.initializer}}
    made: dict[str, np.ndarray] = {}
    for name in parameters:
        rng = np.random.Generator(np.random.SFC64([seed, zlib.crc32(name.encode())]))
        made[name] = fixed[name] if name in fixed else _draw(rng, roles[name], types[name][1], spectrum)
    made.update(_statistics(light, made, seed))
    return made


def _draw(rng: np.random.Generator, role: _Role, shape: tuple[int, ...], spectrum: float | None) -> np.ndarray:
    operator, slot = role.node.op_type, role.slot
    if operator in ("Conv", "ConvTranspose", "Gemm", "MatMul") and slot < 2 and len(shape) > 1:
        transposed = operator == "Conv" or (operator == "Gemm" and features.integer(role.node, "transB", 0) == 1)
        fan_in = math.prod(shape[1:]) if transposed else shape[0]
        scale = math.sqrt(2.0 / fan_in)
        if spectrum is None:
            return _normal(rng, shape, scale)
        return _decaying(rng, shape, scale, spectrum)
    if operator == "BatchNormalization" and slot in (3, 4):
        return np.full(shape, slot - 3, np.float32)
    if (operator == "Gather" and slot == 0) or (operator == "LSTM" and slot in (1, 2)):
        return _normal(rng, shape, 1.0 if operator == "Gather" else math.sqrt(1.0 / shape[-1]))
    scales = (operator in _NORMALISATIONS and slot == 1) or operator == "Mul"
    spread = 0.1 * rng.standard_normal(shape, np.float32)
    return np.asarray(spread + np.float32(scales), np.float32)


def _normal(rng: np.random.Generator, shape: tuple[int, ...], scale: float) -> np.ndarray:
    drawn: np.ndarray = rng.standard_normal(shape, np.float32)
    drawn *= np.float32(scale)
    return drawn


def _decaying(rng: np.random.Generator, shape: tuple[int, ...], scale: float, spectrum: float) -> np.ndarray:
    """A matrix (first axis against the rest) with singular values ~ rank^-spectrum and the energy of a normal one."""
    rows, columns = shape[0], math.prod(shape[1:])
    rank = min(rows, columns, _RANK)
    values = np.arange(1, min(rows, columns) + 1, dtype=np.float64) ** -spectrum
    left, _ = np.linalg.qr(rng.standard_normal((rows, rank)))
    right, _ = np.linalg.qr(rng.standard_normal((columns, rank)))
    matrix = ((left * values[:rank]) @ right.T).astype(np.float32)
    tail = float(np.sum(values[rank:] ** 2))
    if tail > 0:
        matrix += _normal(rng, (rows, columns), math.sqrt(tail / (rows * columns)))
    matrix = matrix * np.float32(scale * math.sqrt(rows * columns / float(np.sum(values**2))))
    return np.asarray(matrix.reshape(shape), np.float32)


def _statistics(light: onnx.ModelProto, made: dict[str, np.ndarray], seed: int) -> dict[str, np.ndarray]:
    """Mean and variance of every batch normalisation's input, in one pass.

    For a single image, normalising each channel by its own mean and variance is exactly InstanceNormalization, so one
    run with that operator in place of each BatchNormalization shows every input as the calibrated network will see it.
    """
    norms = [node for node in light.graph.node if node.op_type == "BatchNormalization"]
    if not norms:
        return {}
    model = onnx.ModelProto()
    model.CopyFrom(light)
    for node in model.graph.node:
        if node.op_type == "BatchNormalization":
            epsilon = next((a.f for a in node.attribute if a.name == "epsilon"), 1e-5)
            standing_in = helper.make_node(
                "InstanceNormalization", list(node.input[:3]), list(node.output), node.name, epsilon=epsilon
            )
            node.CopyFrom(standing_in)
    seen = list(dict.fromkeys(node.input[0] for node in norms))
    del model.graph.output[:]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in seen)
    names = {value.name for value in model.graph.input}
    feeds = {name: array for name, array in made.items() if name in names}
    rng = np.random.Generator(np.random.SFC64([seed, 1]))
    for value in model.graph.input:
        if value.name not in feeds:
            shape = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
            feeds[value.name] = rng.standard_normal(shape, np.float32)
    inputs = run_once(model, feeds, seen, "calibration")
    found: dict[str, np.ndarray] = {}
    for node in norms:
        values = inputs[node.input[0]].astype(np.float64)
        axes = (0, *range(2, values.ndim))
        found[node.input[3]] = values.mean(axes).astype(np.float32)
        found[node.input[4]] = np.maximum(values.var(axes), 1e-4).astype(np.float32)
    return found

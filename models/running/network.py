"""A network: what it looks like (always known) and what it weighs (fetched when somebody runs it)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import onnx
from onnx import numpy_helper

from layerlift.models.errors import ModelError
from layerlift.models.graph import from_onnx
from layerlift.models.graph.graph import Form, LayerGraph
from layerlift.models.running import limits, samples

_VIEWS = frozenset({"Softmax", "LogSoftmax", "Reshape", "Flatten", "Identity", "Dropout", "Squeeze", "Unsqueeze"})

_MADE_AGAIN = frozenset({"_cache", "types", "logits", "_ranges"})
"""What a copy in another process works out for itself."""


class WeightSource(Protocol):
    """Where the weights of a network come from. Must be picklable, so that a network can travel to another process."""

    def fetch(self, light: onnx.ModelProto) -> Mapping[str, np.ndarray]:
        """Every parameter of `light` by name, arrays of its shape and type; they may be read-only."""


@dataclass(frozen=True, slots=True)
class MemorySource:
    """Weights that are already there."""

    arrays: Mapping[str, np.ndarray]

    def fetch(self, light: onnx.ModelProto) -> Mapping[str, np.ndarray]:
        """The arrays given at construction."""
        return self.arrays


@dataclass(frozen=True, eq=False)
class Network:
    """One network. Its graph is built without weights; `weights()` fetches them once per object."""

    name: str
    digest: str
    """Identity of topology and weights: equal digests give equal answers."""
    topology: str
    """Identity of the topology alone: what a timing profile belongs to, whatever the weights are."""
    graph: LayerGraph
    light: onnx.ModelProto
    """Topology, shapes and small integer constants; its graph inputs are activations, then parameters."""
    source: WeightSource = field(repr=False)
    synthetic: bool = False
    """Whether the weights are seeded rather than trained: errors on them say nothing about accuracy."""
    base: Network | None = field(default=None, repr=False)
    """The network before its layers were merged (`layerlift.models.preprocess`); None when every layer is one ONNX
    node.
    """
    given: Mapping[str, np.ndarray] | None = field(default=None, repr=False)
    """Inputs that a user has given, samples along the first axis (`layerlift.models.running.given`); None: made up."""

    @property
    def unmerged(self) -> Network:
        """The same network with one layer per ONNX node: itself unless layers were merged."""
        return self if self.base is None else self.base

    def weights(self) -> dict[str, np.ndarray]:
        """Every parameter by name, small and large; fetched at the first call and kept. Do not write to them.

        Raises `ModelError` when the source does not fit the topology, and when a query would hold more tensors at once
        than `layerlift.models.running.limits` allows.
        """
        if self.base is not None:
            return self.base.weights()
        held = self._cache.get("weights")
        if held is None:
            limits.check_live(self.graph)
            found = self.source.fetch(self.light)
            held = {name: _fitting(found, form, self.name) for name, form in self.graph.forms.items()}
            self._cache["weights"] = held
        return held

    def sample_inputs(self, number: int) -> dict[str, np.ndarray]:
        """Inputs number `number`: equal numbers give equal arrays, those given or made up (`samples.made`)."""
        if self.given is not None:
            return {name: array[number % len(array)] for name, array in self.given.items()}
        return {self.graph.tensors[t].name: self._sample(t, number) for t in self.graph.inputs}

    def model(self) -> onnx.ModelProto:
        """The whole network as one ordinary ONNX model with its weights inside; `ModelError` above 2 GiB."""
        if sum(p.held_bytes for p in self.graph.parameters) >= onnx.checker.MAXIMUM_PROTOBUF - 2**20:
            raise ModelError(f"{self.name} has more than 2 GiB of weights, which one ONNX file cannot hold")
        whole = onnx.ModelProto()
        whole.CopyFrom(self.light)
        inside = {tensor.name for tensor in whole.graph.initializer}
        whole.graph.initializer.extend(
            numpy_helper.from_array(array, name) for name, array in self.weights().items() if name not in inside
        )
        activations = {self.graph.tensors[t].name for t in self.graph.inputs}
        kept = [value for value in whole.graph.input if value.name in activations]
        del whole.graph.input[:]
        whole.graph.input.extend(kept)
        return whole

    @cached_property
    def types(self) -> dict[str, from_onnx.TypeAndShape]:
        """ONNX element type and shape of every tensor and parameter."""
        return from_onnx.types_of(self.light)

    @cached_property
    def logits(self) -> tuple[str, ...]:
        """Per output, the tensor to compare when two runs are compared: what goes into a final softmax, or the output.

        A softmax over seeded weights saturates and would hide a wrong split.
        """
        if self.base is not None:
            return self.base.logits
        return tuple(self._logit(tensor) for tensor in self.graph.outputs)

    def _logit(self, output: int) -> str:
        tensor = output
        while True:
            made = self.graph.tensors[tensor]
            if made.producer < 0 or self.graph.layers[made.producer].op_type not in _VIEWS:
                return self.graph.tensors[output].name
            layer = self.graph.layers[made.producer]
            tensor = layer.inputs[0]
            if layer.op_type in ("Softmax", "LogSoftmax"):
                return self.graph.tensors[tensor].name

    @cached_property
    def _cache(self) -> dict[str, dict[str, np.ndarray]]:
        return {}

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key not in _MADE_AGAIN}

    def _sample(self, tensor: int, number: int) -> np.ndarray:
        wanted = self.graph.tensors[tensor]
        entries, span = self._ranges
        dtype = self.types[wanted.name][0]
        seed = [number, tensor]
        return samples.made(wanted.name, dtype, wanted.shape, seed, entries.get(wanted.name), span.get(wanted.name))

    @cached_property
    def _ranges(self) -> tuple[dict[str, int], dict[str, tuple[float, float] | None]]:
        span = {value.name: samples.pixels(value) for value in self.light.graph.input}
        return samples.below(self.light, self.types), span


def assemble(
    name: str,
    light: onnx.ModelProto,
    parameters: Sequence[str],
    source: WeightSource,
    weights_id: str,
    *,
    input_bytes: int | None = None,
    upload_bytes: Mapping[str, int] | None = None,
    tied: Mapping[str, str] | None = None,
    synthetic: bool = False,
) -> Network:
    """Make a `Network` of a light model and the names of its `parameters` (see
    `layerlift.models.loading.preparing.Prepared`).

    `weights_id` says which weights `source` gives (a file's hash, a seed). `input_bytes` overrides what the first input
    costs to send, `upload_bytes` what uploading a parameter costs where that is less than it holds; `tied` names what
    parameters are forms of (`from_onnx.build`). Raises `ModelError` for an impossible graph or a negative
    `input_bytes`.
    """
    graph = from_onnx.build(name, light, parameters, upload_bytes, tied)
    topology = hashlib.sha256(light.SerializeToString(deterministic=True)).hexdigest()[:16]
    digest = hashlib.sha256(f"{topology} {weights_id}".encode()).hexdigest()[:16]
    if input_bytes is not None:
        if input_bytes < 0:
            raise ModelError(f"input_bytes is {input_bytes}; expected the size of one input in bytes, 0 or more")
        graph = graph.with_input_bytes(input_bytes)
    return Network(name, digest, topology, graph, light, source, synthetic)


def _fitting(found: Mapping[str, np.ndarray], form: Form, of: str) -> np.ndarray:
    array = found.get(form.name)
    if array is None:
        raise ModelError(f"{of}: its weights lack the parameter {form.name!r}")
    if array.shape != form.shape or array.dtype.name != form.dtype:
        raise ModelError(
            f"{of}: parameter {form.name!r} is {array.dtype.name}{list(array.shape)}, expected "
            f"{form.dtype}{list(form.shape)}"
        )
    return array

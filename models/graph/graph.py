"""A network as a planner sees it: layers in one fixed order, named parameters, sized tensors."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import groupby, pairwise

from layerlift.models.errors import ModelError


@dataclass(frozen=True, slots=True)
class Form:
    """How layers read a weight: its name in the model, its shape and its element type there."""

    name: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True, slots=True)
class Parameter:
    """A named weight. Layers may share one: a set of layers costs the union of its parameters."""

    name: str
    held_bytes: int
    """Memory that a node needs to hold it."""
    upload_bytes: int
    """What an upload of it moves; less than `held_bytes` where a sparse format is used."""
    shape: tuple[int, ...] = ()
    dtype: str = "float32"
    also: tuple[Form, ...] = ()
    """Other forms in which layers read the same bytes: a transposed embedding, a copy that an exporter has written."""

    @property
    def names(self) -> tuple[str, ...]:
        """What the model calls it, in each of its forms."""
        return (self.name, *(form.name for form in self.also))


@dataclass(frozen=True, slots=True)
class Tensor:
    """An activation: the input of the network or what one layer hands to others."""

    name: str
    bytes: int
    producer: int
    """Index of the layer that makes it, or -1 for an input of the network."""
    consumers: tuple[int, ...]
    """Indices of the layers that read it, ascending, each once."""
    is_output: bool = False
    shape: tuple[int, ...] = ()
    dtype: str = "float32"


@dataclass(frozen=True, slots=True)
class Layer:
    """One operator (or one merged group of operators). Tensors and parameters are indices into the graph."""

    index: int
    name: str
    op_type: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    parameters: tuple[int, ...]
    flops: int = 0
    run_bytes: int = 0
    """Memory that running it needs beside its parameters: its inputs, outputs and scratch."""
    features: Mapping[str, float] = field(default_factory=dict)
    """What a predictor regresses over (kernel, stride, channels ...)."""
    nodes: tuple[str, ...] = ()
    """Names of the ONNX nodes that it stands for; one unless layers were merged."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A maximal run of consecutive layers on one node, `first` to `last` inclusive (semantics: "A query")."""

    node: int
    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first + 1


@dataclass(frozen=True)
class LayerGraph:
    """Layers in one fixed topological order; every other module speaks of layers by that index.

    Raises `ModelError` when the order is not topological, an index is out of range or a layer reads no activation.
    """

    name: str
    layers: tuple[Layer, ...]
    tensors: tuple[Tensor, ...]
    parameters: tuple[Parameter, ...]
    inputs: tuple[int, ...]
    """Tensor indices of the network's inputs."""
    outputs: tuple[int, ...]
    """Tensor indices of the network's outputs."""

    def __post_init__(self) -> None:
        if not self.layers:
            raise ModelError(f"{self.name} has no layers: expected a network with at least one operator")
        if not self.outputs:
            raise ModelError(f"{self.name} has no outputs: expected a network that answers something")
        for position, layer in enumerate(self.layers):
            if layer.index != position:
                raise ModelError(f"{self.name}: layer {layer.name!r} has index {layer.index} at position {position}")
            if not layer.inputs:
                raise ModelError(
                    f"{self.name}: layer {layer.name!r} reads no activation, so that nothing could start it on a "
                    f"server: expected what depends on constants alone to be folded"
                )
            for tensor in layer.inputs:
                if self.tensors[tensor].producer >= position:
                    raise ModelError(
                        f"{self.name}: layer {layer.name!r} reads {self.tensors[tensor].name!r} before it is made"
                    )

    def __len__(self) -> int:
        return len(self.layers)

    @cached_property
    def digest(self) -> str:
        """A short hash of everything that costs and plans depend on; equal graphs have equal digests."""
        hasher = hashlib.sha256()
        for layer in self.layers:
            hasher.update(repr((layer.op_type, layer.inputs, layer.outputs, layer.parameters)).encode())
        for tensor in self.tensors:
            hasher.update(repr((tensor.bytes, tensor.producer, tensor.consumers, tensor.is_output)).encode())
        for parameter in self.parameters:
            hasher.update(repr((parameter.name, parameter.held_bytes, parameter.upload_bytes)).encode())
        return hasher.hexdigest()[:16]

    @cached_property
    def forms(self) -> dict[str, Form]:
        """Every weight in every form in which layers read it, by name."""
        found = [form for p in self.parameters for form in (Form(p.name, p.shape, p.dtype), *p.also)]
        return {form.name: form for form in found}

    def parameters_of(self, layers: Iterable[int]) -> frozenset[int]:
        """The union of the parameter indices of `layers`."""
        return frozenset(parameter for layer in layers for parameter in self.layers[layer].parameters)

    def held_bytes(self, layers: Iterable[int]) -> int:
        """Bytes of memory that hold the parameters of `layers`, shared ones counted once."""
        return sum(self.parameters[p].held_bytes for p in self.parameters_of(layers))

    def upload_bytes(self, layers: Iterable[int], already: Iterable[int] = ()) -> int:
        """Bytes that an upload of `layers` moves to a server that holds the parameters `already`."""
        return sum(self.parameters[p].upload_bytes for p in self.parameters_of(layers) - frozenset(already))

    @cached_property
    def is_chain(self) -> bool:
        """Whether every layer feeds the next one only: what the classic planners assume."""
        if len(self.inputs) != 1 or len(self.outputs) != 1:
            return False
        for earlier, later in pairwise(self.layers):
            read = [t for o in earlier.outputs for t in self.tensors[o].consumers]
            if read != [later.index] or list(later.inputs) != [o for o in earlier.outputs if self.tensors[o].consumers]:
                return False
        first_inputs_only = all(self.tensors[t].consumers == (0,) for t in self.inputs)
        return first_inputs_only and self.tensors[self.outputs[0]].producer == len(self) - 1

    def segments(self, placement: Sequence[int]) -> tuple[Segment, ...]:
        """Cut the layers into maximal runs on one node.

        `placement[layer]` is a node index; shape (layers,). Raises `ModelError` when its length differs.
        """
        if len(placement) != len(self.layers):
            raise ModelError(
                f"{self.name}: a placement of {len(placement)} layers was given, expected {len(self.layers)}"
            )
        found: list[Segment] = []
        first = 0
        for node, run in groupby(placement):
            last = first + len(list(run))
            found.append(Segment(int(node), first, last - 1))
            first = last
        return tuple(found)

    def boundary(self, first: int, last: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Tensors that enter and leave the run of layers `first..last`, each ascending.

        A tensor leaves when a later layer reads it or the network answers it, whatever node that layer is on:
        so a run has one subgraph, however the rest is placed.
        """
        inputs: set[int] = set()
        outputs: set[int] = set()
        for layer in self.layers[first : last + 1]:
            inputs.update(t for t in layer.inputs if self.tensors[t].producer < first)
            for tensor in layer.outputs:
                made = self.tensors[tensor]
                if made.is_output or (made.consumers and made.consumers[-1] > last):
                    outputs.add(tensor)
        return tuple(sorted(inputs)), tuple(sorted(outputs))

    def with_input_bytes(self, input_bytes: int) -> LayerGraph:
        """The same network whose first input is charged `input_bytes` (a camera sends a JPEG, not floats)."""
        tensors = list(self.tensors)
        tensors[self.inputs[0]] = replace(tensors[self.inputs[0]], bytes=input_bytes)
        return replace(self, tensors=tuple(tensors))

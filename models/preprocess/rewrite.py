"""Rewriting a network: nodes give way to others, weights are derived from the old ones when somebody runs it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, Protocol

import numpy as np
import onnx
from onnx import helper, numpy_helper

from layerlift.models.errors import ModelError
from layerlift.models.graph import from_onnx
from layerlift.models.graph.graph import LayerGraph
from layerlift.models.loading import disk_cache
from layerlift.models.onnx_files import protos, untrusted
from layerlift.models.preprocess.coarse import regroup
from layerlift.models.preprocess.codecs import Codec
from layerlift.models.running.network import Network, assemble

VERSION = 1
"""Part of every derived weight's identity; raise it when the numbers made here change."""


class Recipe(Protocol):
    """Makes new parameters from old ones. A frozen dataclass: its repr is its identity, and it can be pickled."""

    costly: ClassVar[bool]
    """Whether the result is worth keeping on disk."""

    @property
    def makes(self) -> tuple[str, ...]:
        """Names of the parameters that it makes; an old name means new values for that parameter."""

    def make(self, weights: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        """The parameters `makes`, from all parameters of the network before."""


@dataclass
class Edit:
    """What changes: every other node, parameter and tensor name of the network stays."""

    nodes: dict[str, Sequence[onnx.NodeProto]] = field(default_factory=dict)
    """Per node that goes, what stands in its place in the order; the same tensors must enter and leave."""
    parameters: dict[str, from_onnx.TypeAndShape] = field(default_factory=dict)
    """Element type and shape of each new parameter."""
    constants: dict[str, np.ndarray] = field(default_factory=dict)
    """Small integer parameters whose values shapes depend on."""
    recipes: list[Recipe] = field(default_factory=list)
    codecs: dict[str, Codec] = field(default_factory=dict)
    """Per parameter, the format in which it is uploaded."""
    dissolve: bool = False
    """Whether merged layers that hold a node that goes fall apart; otherwise they hold its substitutes."""


@dataclass(frozen=True, eq=False)
class DerivedSource:
    """Weights that recipes make from those of `parent`; costly ones are kept in the cache folder."""

    parent: Network
    recipes: tuple[Recipe, ...]
    codecs: tuple[tuple[str, Codec], ...]

    def fetch(self, light: onnx.ModelProto) -> Mapping[str, np.ndarray]:
        """Every parameter of `light`; those that no recipe makes are the parent's own arrays."""
        old = self.parent.weights()
        found = {**old, **{t.name: numpy_helper.to_array(t) for t in light.graph.initializer}}
        for recipe in self.recipes:
            found.update(self._made(recipe, old))
        return found

    def _made(self, recipe: Recipe, old: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        if not recipe.costly:
            return recipe.make(old)
        return kept(f"{self.parent.digest} {recipe!r}", recipe.makes, lambda: recipe.make(old))


def kept(key: str, names: Sequence[str], make: Callable[[], Mapping[str, np.ndarray]]) -> Mapping[str, np.ndarray]:
    """The arrays `names` that `make` gives, from the cache folder when they were made before under `key`."""
    short = hashlib.sha256(f"{VERSION} {np.__version__} {key}".encode()).hexdigest()[:32]
    path = folder() / f"{short}.bin"
    held = disk_cache.read_arrays(path)
    if held is None or set(held) != set(names):
        held = dict(make())
        disk_cache.write_arrays(path, held)
    return held


def folder() -> Path:
    """Where costly results are kept."""
    return disk_cache.cache_dir() / "derived"


def codecs_of(network: Network) -> dict[str, Codec]:
    """The upload format of every parameter that has one."""
    source = network.unmerged.source
    if not isinstance(source, DerivedSource):
        return {}
    held = set(network.graph.forms)
    remade = {name for recipe in source.recipes for name in recipe.makes}
    before = {name: codec for name, codec in codecs_of(source.parent).items() if name in held - remade}
    return {**before, **dict(source.codecs)}


def rewrite(network: Network, edit: Edit, step: str) -> Network:
    """`network` after `edit`; `step` says which preprocessing it is, for identity and errors.

    Merged layers stay merged (see `Edit.dissolve`). Nothing is computed: weights come when they are fetched.
    Raises `ModelError` when the rewritten graph is not valid or a tensor that stays changes its shape.
    """
    base = network.unmerged
    light, parameters = _light(base, edit, step)
    weights_id = f"{base.digest} {step} {VERSION} {edit.recipes!r}"
    source = DerivedSource(base, tuple(edit.recipes), tuple(sorted(edit.codecs.items())))
    made = assemble(
        base.name,
        light,
        parameters,
        source,
        weights_id,
        input_bytes=base.graph.tensors[base.graph.inputs[0]].bytes,
        tied=_still_tied(base, edit),
        synthetic=base.synthetic,
    )
    made = replace(made, graph=_priced(made.graph, codecs_of(made)), given=base.given)
    return _regrouped(network, made, edit)


def _still_tied(base: Network, edit: Edit) -> dict[str, str]:
    """Forms of one weight before that are so afterwards: none that a recipe makes anew."""
    remade = {name for recipe in edit.recipes for name in recipe.makes}
    return {name: p.name for p in base.graph.parameters for name in p.names if name not in remade}


class FreshNames:
    """Names that a network does not use yet."""

    def __init__(self, network: Network) -> None:
        graph = network.light.graph
        self._taken = {value.name for value in (*graph.input, *graph.value_info, *graph.output, *graph.initializer)}
        self._taken.update(node.name for node in graph.node)

    def fresh(self, wanted: str) -> str:
        """`wanted`, numbered if it is taken; taken from now on."""
        name, number = wanted, 1
        while name in self._taken:
            number += 1
            name = f"{wanted}_{number}"
        self._taken.add(name)
        return name


def _light(base: Network, edit: Edit, step: str) -> tuple[onnx.ModelProto, list[str]]:
    old = base.light.graph
    nodes = [new for node in old.node for new in edit.nodes.get(node.name, (node,))]
    kinds = {**{name: base.types[name] for name in base.graph.forms}, **edit.parameters}
    kinds.update({name: (onnx.TensorProto.INT64, array.shape) for name, array in edit.constants.items()})
    fixed = {tensor.name: tensor for tensor in old.initializer}
    fixed.update({name: numpy_helper.from_array(array, name) for name, array in edit.constants.items()})
    parameters = list(dict.fromkeys(name for node in nodes for name in node.input if name in kinds))
    activations = {base.graph.tensors[t].name for t in base.graph.inputs}
    graph = helper.make_graph(
        nodes,
        old.name,
        [
            *(value for value in old.input if value.name in activations),
            *(_info(name, kinds[name]) for name in parameters if name not in fixed),
        ],
        list(old.output),
        [fixed[name] for name in parameters if name in fixed],
    )
    light = helper.make_model(graph, opset_imports=base.light.opset_import, ir_version=base.light.ir_version)
    _declare(light, base, step)
    return light, parameters


def _declare(light: onnx.ModelProto, base: Network, step: str) -> None:
    """Add the shapes of all inner tensors, and check them against those that were known before."""
    try:
        protos.check(light)
        inferred = onnx.shape_inference.infer_shapes(_with_foreign(light, base), data_prop=True)
    except Exception as error:
        raise ModelError(f"{step} makes no valid model of {base.name}: {protos.one_line(error)}") from None
    found = {value.name: protos.type_of(value) for value in (*inferred.graph.value_info, *inferred.graph.output)}
    outputs = {value.name for value in light.graph.output}
    for name in (made for node in light.graph.node for made in node.output if made):
        dtype, shape = found.get(name, (0, None))
        known = base.types.get(name)
        if known is not None and shape is not None and (dtype, shape) != known:
            raise ModelError(f"{step} changes the shape of {name!r} of {base.name} from {known[1]} to {shape}")
        if known is None and (shape is None or not dtype):
            raise ModelError(f"{step}: the shape of {name!r}, new in {base.name}, cannot be inferred")
        if name not in outputs:
            light.graph.value_info.append(_info(name, known or (dtype, shape or ())))


def _with_foreign(light: onnx.ModelProto, base: Network) -> onnx.ModelProto:
    """`light` with the shapes of what those operators make that onnx does not know; a step leaves them as they are."""
    told = onnx.ModelProto()
    told.CopyFrom(protos.without_strange(light))
    outputs = {value.name for value in light.graph.output}
    version = untrusted.opset_of(light)
    for node in light.graph.node:
        if not protos.has_schema(node, version):
            made = [name for name in node.output if name in base.types and name not in outputs]
            told.graph.value_info.extend(_info(name, base.types[name]) for name in made)
    return told


def _info(name: str, kind: from_onnx.TypeAndShape) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind[0], list(kind[1]))


def _priced(graph: LayerGraph, codecs: Mapping[str, Codec]) -> LayerGraph:
    """Charge the upload of a parameter as its codec's bytes, where that is less than the parameter itself."""
    sizes = {name: codec.size(graph.forms[name].shape, graph.forms[name].dtype) for name, codec in codecs.items()}
    parameters = tuple(
        replace(p, upload_bytes=min([p.held_bytes, *(sizes[name] for name in p.names if name in sizes)]))
        if sizes.keys() & set(p.names)
        else p
        for p in graph.parameters
    )
    return replace(graph, parameters=parameters)


def _regrouped(before: Network, made: Network, edit: Edit) -> Network:
    if before.base is None:
        return made
    index = {layer.name: layer.index for layer in made.graph.layers}
    groups = [
        [index[new] for node in layer.nodes for new in _standing(node, edit)]
        for layer in before.graph.layers
        if len(layer.nodes) > 1 and not (edit.dissolve and any(node in edit.nodes for node in layer.nodes))
    ]
    return regroup(made, groups)


def _standing(node: str, edit: Edit) -> list[str]:
    return [new.name for new in edit.nodes[node]] if node in edit.nodes else [node]

"""Convolutions that give way to chains of cheaper ones: what the decompositions share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import onnx
from onnx import helper

from layerlift.models.graph import features
from layerlift.models.graph.features import Shape
from layerlift.models.preprocess.choosing import choose, numbers
from layerlift.models.preprocess.rewrite import Edit, FreshNames, Recipe, rewrite
from layerlift.models.preprocess.windows import Window, windows
from layerlift.models.running.network import Network

_WHAT = "a two-dimensional convolution with weights of its own and a kernel that has something to separate"


class KernelChain(Recipe, Protocol):
    """A recipe whose parameters are the kernels of convolutions that follow each other."""

    def shapes(self, shape: Shape) -> tuple[Shape, ...]:
        """Shapes of the parameters that it makes of a weight of `shape`."""


RecipeFor = Callable[[str, int, FreshNames], KernelChain]
"""From a weight's name and its number of groups to the recipe that replaces it."""
NodesFor = Callable[[onnx.NodeProto, Sequence[str], tuple[Window, Window], FreshNames], list[onnx.NodeProto]]
"""From a convolution, the new kernels' names and its windows to the convolutions in its place."""


def decompose(
    network: Network,
    step: str,
    layers: Sequence[str] | None,
    grow: bool,
    able: Callable[[onnx.NodeProto], bool],
    plan: RecipeFor,
    build: NodesFor,
) -> Network:
    """Replace the convolutions that are `able` (see `choosing.choose`) where that makes kernels smaller, or `grow`.

    Convolutions that share a weight share its decomposition.
    """
    base = network.unmerged
    names, edit = FreshNames(base), Edit()
    made: dict[tuple[str, int], KernelChain | None] = {}
    for node in choose(base, step, layers, able, _WHAT):
        weight, group = node.input[1], features.integer(node, "group", 1)
        dtype, shape = base.types[weight]
        if (weight, group) not in made:
            recipe = plan(weight, group, names)
            smaller = numbers(recipe.shapes(shape)) < numbers([shape])
            made[weight, group] = recipe if smaller or grow else None
            if smaller or grow:
                edit.recipes.append(recipe)
                edit.parameters.update(zip(recipe.makes, ((dtype, s) for s in recipe.shapes(shape)), strict=True))
        found = made[weight, group]
        if found is not None:
            axes = windows(node, base.types[node.input[0]][1], base.types[node.output[0]][1], shape)
            edit.nodes[node.name] = build(node, found.makes, axes, names)
    return rewrite(network, edit, step) if edit.nodes else network


def convolution(
    node: onnx.NodeProto,
    part: str,
    inputs: Sequence[str],
    output: str,
    rows: Window | None,
    columns: Window | None,
    names: FreshNames,
) -> onnx.NodeProto:
    """A convolution of `node`'s groups that slides along the given axes and is one wide along the others."""
    none = Window(1, 1, 1, 0, 0, 1)
    vertical, horizontal = rows or none, columns or none
    return helper.make_node(
        "Conv",
        inputs,
        [output],
        names.fresh(f"{node.name}/{part}"),
        kernel_shape=[vertical.kernel, horizontal.kernel],
        strides=[vertical.stride, horizontal.stride],
        dilations=[vertical.dilation, horizontal.dilation],
        pads=[vertical.begin, horizontal.begin, vertical.end, horizontal.end],
        group=features.integer(node, "group", 1),
    )

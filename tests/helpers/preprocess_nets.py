"""Networks to preprocess, and two ways to run them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import onnx
import pytest
from small_nets import model, node, tensor

from layerlift import models
from layerlift.models.preprocess import rewrite
from layerlift.models.running.network import Network
from layerlift.models.running.session import Session, uncut_session


def fresh_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """For an autouse fixture: factors are made anew, not those that an earlier version kept."""
    folder = tmp_path_factory.mktemp("derived")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rewrite, "folder", lambda: folder)
        yield


def whole(network: Network, inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """The logits of the uncut network, exactly."""
    found = uncut_session(network, exact=True, alias=True).run(inputs)
    return [found[name] for name in network.logits]


def in_pieces(network: Network, cuts: Iterable[int], inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """The logits when the network is cut after each layer of `cuts`, exactly."""
    ends = sorted({*cuts, len(network.graph) - 1})
    held = {**network.weights(), **inputs}
    first = 0
    for last in ends:
        piece = models.subgraph(network, first, last)
        held.update(Session(piece.model, exact=True).run(held))
        first = last + 1
    return [held[name] for name in network.logits]


def network(made: onnx.ModelProto, name: str = "small") -> Network:
    return models.from_model(made, name)


def chain(nodes: list[onnx.NodeProto], weights: dict[str, np.ndarray], *shape: int, opset: int = 17) -> Network:
    """A network of `nodes` from the input `x` of `shape` to the output `y`."""
    return network(model(nodes, [tensor("x", *shape)], ["y"], weights, opset))


@dataclass(frozen=True)
class Untouchable:
    """Weights that must not be asked for."""

    def fetch(self, light: onnx.ModelProto) -> Mapping[str, np.ndarray]:
        raise AssertionError("an analysis step asked for weights")


def weightless(of: Network) -> Network:
    return replace(of, source=Untouchable())


def inception(size: int = 9) -> Network:
    """A stem, a module of three branches, and a head: 13 layers."""
    rng = np.random.default_rng(1)

    def weight(*shape: int) -> np.ndarray:
        return rng.integers(-2, 3, shape).astype(np.float32)

    weights = {"stem": weight(4, 3, 3, 3), "a": weight(2, 4, 1, 1), "b1": weight(3, 4, 1, 1), "b2": weight(3, 3, 3, 3)}
    weights |= {"c": weight(2, 4, 1, 1), "head": weight(5, 7, 1, 1)}
    nodes = [
        node("Conv", ["x", "stem"], ["s"], name="stem", pads=[1, 1, 1, 1]),
        node("Relu", ["s"], ["r"], name="stem_relu"),
        node("Conv", ["r", "a"], ["a_out"], name="a"),
        node("Conv", ["r", "b1"], ["b_mid"], name="b1"),
        node("Relu", ["b_mid"], ["b_act"], name="b1_relu"),
        node("Conv", ["b_act", "b2"], ["b_out"], name="b2", pads=[1, 1, 1, 1]),
        node("MaxPool", ["r"], ["p"], name="pool", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        node("Conv", ["p", "c"], ["c_out"], name="c"),
        node("Concat", ["a_out", "b_out", "c_out"], ["joined"], name="join", axis=1),
        node("Relu", ["joined"], ["joined_act"], name="join_relu"),
        node("Conv", ["joined_act", "head"], ["h"], name="head"),
        node("GlobalAveragePool", ["h"], ["g"], name="pool_all"),
        node("Flatten", ["g"], ["y"], name="flat"),
    ]
    return network(model(nodes, [tensor("x", 1, 3, size, size)], ["y"], weights), "inception")

"""The rows that IONN's authors published, and the layers of the zoo's networks that they speak of."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from math import fsum
from typing import Any, Final, NamedTuple

from layerlift.models.errors import RunError
from layerlift.models.running.network import Network
from layerlift.models.timing.profile import Profile, described

CLASSES: Final = {"client": "odroid_xu4", "server": "gtx1080ti"}
"""The device classes that ship: IONN's board, and its server with the graphics card."""
CLOCKS_GHZ: Final = {"client": 2.0, "server": 1.0}
"""The board's clock as the publication prints it; all of the graphics card counts as one core of 1 GHz."""
_HOSTS: Final = {"client": "Odroid XU4, 2.0 GHz, Caffe", "server": "GTX 1080 Ti, Caffe"}
_DAY: Final = "2018-10-11"
"""When the publication appeared; the rows have no date of their own."""
_PLAIN: Final = ("Reshape",)
"""Operators that Caffe has no layer for: they move nothing."""


class Row(NamedTuple):
    """A Caffe layer: its name, and its milliseconds on the board and on the server."""

    name: str
    client_ms: float
    server_ms: float


@dataclass(frozen=True, slots=True)
class Mapping:
    """Which row a layer has."""

    seconds: dict[str, tuple[float, ...]]
    """By side (`client`, `server`): of each layer of the network; 0 for one without a row."""
    strange: tuple[Row, ...]
    """Rows that are no layer of the network."""
    without: tuple[str, ...]
    """Operators of the layers without a row."""

    def lost(self, side: str) -> float:
        """What share of the published total is in rows that found no layer."""
        lost_s = fsum(getattr(row, f"{side}_ms") for row in self.strange) / 1e3
        return lost_s / (lost_s + fsum(self.seconds[side]))


@cache
def published() -> dict[str, Any]:
    """The file of rows: `source`, `commit`, and `networks` by their names in the zoo."""
    file = resources.files("layerlift.emulator.studies.reproduce").joinpath("published", "ionn.json")
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def rows(network: str) -> tuple[Row, ...]:
    """The rows of one network, in Caffe's order. Raises `RunError` for one that has none."""
    known = published()["networks"]
    if network not in known:
        raise RunError(f"IONN published no rows of {network!r} that can be mapped, expected {', '.join(known)}")
    return tuple(Row(*each) for each in known[network])


def mapped(network: Network) -> Mapping:
    """The rows of `network`, layer by layer.

    Both sides list layers in the order of execution, but that Caffe's ResNet has the branch that skips a block before
    the other one. A row of scaling belongs to the normalisation before it, which ONNX does in one layer; copies
    (`split`) and the input are no layers. Raises `RunError` where a row is of another kind than its layer.
    """
    graph = network.graph
    client, server = [0.0] * len(graph), [0.0] * len(graph)
    strange = []
    layers = iter([layer for layer in graph.layers if layer.op_type not in _PLAIN])
    at = 0
    for row in _in_order(rows(network.name)):
        kind = _kind(row.name)
        if not kind:
            strange.append(row)
            continue
        if kind != ("Scale",):
            layer = next(layers, None)
            if layer is None or layer.op_type not in kind:
                raise RunError(
                    f"row {row.name} of {network.name} is a {kind[0]}, but the layer in its place is not: expected "
                    "the zoo's own network"
                )
            at = layer.index
        client[at] += row.client_ms / 1e3
        server[at] += row.server_ms / 1e3
    if (left := next(layers, None)) is not None:
        raise RunError(f"layer {left.name} of {network.name} has no published row: expected the zoo's own network")
    without = tuple(layer.op_type for layer in graph.layers if layer.op_type in _PLAIN)
    seconds = {"client": _whole(client), "server": _whole(server)}
    return Mapping(seconds, tuple(strange), without)


def profile(network: Network, side: str) -> Profile:
    """The profile of `network` on the board (`client`) or the server, as it ships."""
    seconds = mapped(network).seconds[side]
    total_s = round(fsum(seconds), 9)
    return Profile(
        network=network.name,
        digest=network.topology,
        ghz=CLOCKS_GHZ[side],
        host=f"{_HOSTS[side]} (github.com/jinevening/IONN-client)",
        **described(network.graph),
        seconds=seconds,
        spread_s=(0.0,) * len(seconds),
        blocks=(),
        uncut_s=total_s,
        fused_s=total_s,
        coverage=1.0,
        runs=1,
        date=_DAY,
        method=f"published rows of Caffe's layers, commit {published()['commit'][:8]}",
    )


def _in_order(found: Sequence[Row]) -> Iterator[Row]:
    """With the branch that skips a block (`branch1`) behind the block's other layers."""
    held: list[Row] = []
    for row in found:
        if "_branch1" in row.name:
            held.append(row)
            continue
        if held and "_branch2" not in row.name:
            yield from held
            held = []
        yield row


_KINDS: Final = {
    "bn": ("BatchNormalization",), "prob": ("Softmax",), "fc": ("Gemm",), "drop": ("Dropout",), "norm": ("LRN",),
    "pool": ("MaxPool", "AveragePool"), "output": ("Concat",), "classifier": ("Gemm",), "scale": ("Scale",),
    "relu": ("Relu",),
}  # fmt: skip


def _kind(name: str) -> tuple[str, ...]:
    """What operators a Caffe layer may be here, by the word that its name has; none for what is no layer."""
    last = name.rsplit("/", 1)[-1]
    if last in ("data", "input") or last.endswith("_split"):
        return ()
    if "relu" in last:
        return _KINDS["relu"]
    if last.startswith("res"):
        return ("Conv",) if "_branch" in last else ("Sum",)
    if last == "pool_proj":
        return ("Conv",)
    if name.startswith("pool") and not last.startswith(("norm", "drop")):
        return _KINDS["pool"]
    return next((kind for word, kind in _KINDS.items() if last.startswith(word)), ("Conv",))


def _whole(seconds: Sequence[float]) -> tuple[float, ...]:
    return tuple(round(value, 9) for value in seconds)

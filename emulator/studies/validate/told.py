"""What the processes of a validation are told: situations in plain values, and the models of their pieces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx

from layerlift.emulator.studies.validate.situations import Situation, Unit
from layerlift.models.errors import RunError
from layerlift.models.graph.route import Route
from layerlift.models.running.cutting import subgraph
from layerlift.models.running.network import Network


@dataclass
class Told:
    """Situations as JSON, and models by number: what a frame carries."""

    situations: list[dict[str, Any]] = field(default_factory=list)
    models: list[bytes] = field(default_factory=list)

    @classmethod
    def of(cls, network: Network, chosen: Sequence[Situation]) -> Told:
        """Cut a network for situations. Models have no weights: those travel. Raises `LayerliftError`."""
        told = cls()
        numbers: dict[tuple[int, int], int] = {}
        for situation in chosen:
            units = [told._unit(network, unit, numbers) for unit in situation.units]
            routes = [_route(route, situation) for route in situation.routes(network.graph)]
            parts = [
                {"node": part.node, "unit": situation.units.index(part), "weights": _weights(network, parameters)}
                for part, parameters in zip(situation.parts, situation.moved(network.graph), strict=True)
            ]
            told.situations.append({"name": situation.name, "units": units, "routes": routes, "parts": parts})
        return told

    def _unit(self, network: Network, unit: Unit, numbers: dict[tuple[int, int], int]) -> dict[str, Any]:
        span = unit.first, unit.last
        piece = subgraph(network, *span, big_bytes=0)
        if span not in numbers:
            numbers[span] = len(self.models)
            self.models.append(piece.model)
        return {
            "node": unit.node,
            "model": numbers[span],
            "inputs": [described(network, name) for name in piece.inputs],
            "weights": list(piece.big),
        }


def described(network: Network, name: str) -> list[Any]:
    """Name, element type and shape of a tensor or weight. Raises `RunError` for a type that has no plain bytes."""
    dtype, shape = network.types[name]
    kind = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(dtype))
    if kind.kind not in "biuf":
        raise RunError(f"{network.name} has the tensor {name!r} of {kind}, expected numbers of whole bytes")
    return [name, kind.str, list(shape)]


def _weights(network: Network, parameters: Sequence[int]) -> list[list[Any]]:
    return [described(network, network.graph.parameters[p].name) for p in parameters]


def _route(route: Route, situation: Situation) -> dict[str, Any]:
    steps = [
        {
            "node": step.segment.node,
            "units": [
                number
                for number, unit in enumerate(situation.units)
                if step.segment.first <= unit.first and unit.last <= step.segment.last
            ],
            "waits": list(step.waits),
            "sends": [[send.to, send.tensor] for send in step.sends],
        }
        for step in route.steps
    ]
    opening = [[send.to, send.tensor] for send in route.opening]
    return {"opening": opening, "answers": list(route.answers), "steps": steps}


def tensors(network: Network) -> list[list[Any]]:
    """What each tensor of the graph is, by its index."""
    return [described(network, tensor.name) for tensor in network.graph.tensors]

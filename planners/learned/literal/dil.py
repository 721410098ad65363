"""The network of Yu et al.: a whole chain's features at once to a label of each unit, local, edge or cloud.

The chain has at most `UNITS` units, a longer one as many groups of units; a shorter one is filled up with nothing. The
edge and the cloud are the servers of these tiers with the cheapest single cut. How many layers there are inside, and
how wide, is not public: two, of `WIDTHS`.
"""

from __future__ import annotations

import re
from typing import Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from layerlift.planners.cost.pieces import Sums
from layerlift.planners.learned.features import LARGEST, told
from layerlift.planners.learned.literal.dense import ADDED, check_shapes, dense, dense_shapes, value
from layerlift.planners.learned.literal.groups import Grouped, best_server, grouped, legal
from layerlift.planners.learned.policy_file import Kind, Tables, Weights, initializers, model_of
from layerlift.planners.learned.priced import Priced
from layerlift.planners.learned.scorer import session_of
from layerlift.planners.problem.problem import Floats, Ints

UNITS: Final = 96
PLACES: Final = 3
"""The device, the edge, the cloud."""
WIDTHS: Final = (256, 128)
_STEPS: Final = ((0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1))
OF_UNIT: Final = PLACES + len(_STEPS) + 1
"""Numbers that are told of a unit: its costs, those of steps in front of it, and that it is there."""
LAYERS: Final = (
    ("inner", UNITS * OF_UNIT, WIDTHS[0]),
    ("middle", WIDTHS[0], WIDTHS[1]),
    ("outer", WIDTHS[1], UNITS * PLACES),
)


def units_of(costs: Priced, tiers: tuple[str, ...]) -> Grouped:
    """The units of a problem on the device, the best server that is no cloud, and the best that is one."""
    servers = range(1, len(tiers))
    edge = best_server(costs, [node for node in servers if tiers[node] != "cloud"])
    cloud = best_server(costs, [node for node in servers if tiers[node] == "cloud"])
    return grouped(costs, UNITS, [edge, cloud])


def numbers_of(units: Grouped) -> NDArray[np.float32]:
    """What the network is told, shape (UNITS * OF_UNIT,): from 0 to 1, nothing of units that are not there."""
    made = np.zeros((UNITS, OF_UNIT), dtype=np.float32)
    steps = [units.steps[:, before, after] for before, after in _STEPS]
    seen = np.concatenate([units.pieces, np.stack(steps, axis=1)], axis=1)
    made[: len(seen), :-1] = told(seen) / LARGEST
    made[: len(seen), -1] = 1.0
    return made.reshape(-1)


class LabelsWalker:
    """The one way of the likeliest labels."""

    def __init__(self, weights: Weights) -> None:
        self._session = session_of(model_of(weights))

    def ways(self, sums: Sums, seen: Priced, count: int, draws: np.random.Generator, room: Floats) -> Ints:
        """See `Walker`; nothing is drawn, and there is one way."""
        units = units_of(seen, tuple(sums.problem.tiers[node] for node in seen.nodes))
        (said,) = self._session.run(None, {"units": numbers_of(units)[None]})
        labels = said.reshape(1, UNITS, PLACES)[:, : len(units.first)].argmax(axis=2)
        return legal(units.spread(labels, len(seen.pieces)), seen, sums.facts.held, room)


SHAPES: Final = {
    name: shape for layer, *sizes in LAYERS for name, shape in dense_shapes(layer, sizes[0], sizes[1]).items()
}


def _graph(tables: Tables) -> onnx.GraphProto:
    operators = [
        *dense("inner", "units", "inside", relu=True),
        *dense("middle", "inside", "between", relu=True),
        *dense("outer", "between", "labels"),
    ]
    seen, said = value("units", "problems", UNITS * OF_UNIT), value("labels", "problems", UNITS * PLACES)
    return helper.make_graph(operators, "policy", [seen], [said], initializers(tables))


LABELS: Final = Kind(
    "dil_literal",
    1,
    whole=False,
    tables=re.compile(rf"(inner|middle|outer)({ADDED})?"),
    check=lambda tables, origin: check_shapes(tables, SHAPES, origin),
    graph=_graph,
)
"""One network of labels."""

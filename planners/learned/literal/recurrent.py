"""The network of IDRQN: an LSTM that says, unit after unit, what each node is worth.

(Lu et al., Future Gener. Comput. Syst. 102: DQN, improved by an LSTM layer and a set of candidate networks. Its
constants are not public; those here, and the set's use in training, are ours.)
"""

from __future__ import annotations

import re
from typing import Final

import numpy as np
import onnx
from onnx import helper, numpy_helper

from layerlift.planners.cost.pieces import Sums
from layerlift.planners.learned.features import LARGEST
from layerlift.planners.learned.literal.dense import ADDED, check_shapes, dense, dense_shapes, value
from layerlift.planners.learned.literal.journey import ACTIONS, OF_UNIT, Journey
from layerlift.planners.learned.policy_file import Kind, Tables, Weights, initializers, model_of
from layerlift.planners.learned.priced import Priced
from layerlift.planners.learned.scorer import session_of
from layerlift.planners.problem.problem import Floats, Ints

INSIDE: Final = 64
"""Numbers that the LSTM hands on, and as many that it keeps to itself."""
SHAPES: Final = {
    "gates_seen": (1, 4 * INSIDE, OF_UNIT),
    "gates_kept": (1, 4 * INSIDE, INSIDE),
    "gates" + ADDED: (1, 8 * INSIDE),
    **dense_shapes("worth", INSIDE, ACTIONS),
}
"""Gates in the order of ONNX: input, output, forget, cell."""


class RecurrentWalker:
    """The one way of the best worth."""

    def __init__(self, weights: Weights) -> None:
        self._session = session_of(model_of(weights))

    def ways(self, sums: Sums, seen: Priced, count: int, draws: np.random.Generator, room: Floats) -> Ints:
        """See `Walker`; nothing is drawn, and there is one way."""
        journey = Journey(sums, seen, room)
        told = cell = np.zeros((1, 1, INSIDE), dtype=np.float32)
        while not journey.over:
            looked = (journey.seen() / np.float32(LARGEST)).astype(np.float32)[None, None]
            worth, told, cell = self._session.run(None, {"seen": looked, "told_before": told, "cell_before": cell})
            journey.go(int(worth.argmax()))
        return np.array([journey.way])


def _graph(tables: Tables) -> onnx.GraphProto:
    gates = ["seen", "gates_seen", "gates_kept", "gates" + ADDED, "", "told_before", "cell_before"]
    operators = [
        helper.make_node("LSTM", gates, ["", "told", "cell"], hidden_size=INSIDE),
        helper.make_node("Squeeze", ["told", "axes"], ["said"]),
        *dense("worth", "said", "worths"),
    ]
    inputs = [value("seen", 1, 1, OF_UNIT), value("told_before", 1, 1, INSIDE), value("cell_before", 1, 1, INSIDE)]
    outputs = [value("worths", 1, ACTIONS), value("told", 1, 1, INSIDE), value("cell", 1, 1, INSIDE)]
    axes = numpy_helper.from_array(np.array([0], dtype=np.int64), "axes")
    return helper.make_graph(operators, "policy", inputs, outputs, [*initializers(tables), axes])


def _check(tables: Tables, origin: str) -> None:
    check_shapes(tables, SHAPES, origin)


RECURRENT: Final = Kind("recurrent", 1, whole=False, tables=re.compile("|".join(SHAPES)), check=_check, graph=_graph)

"""MRLCO's policy as its public code has it: a network from sequence to sequence says home or away, unit by unit.

Two layers of 128 LSTM cells read all units; two more, which look back at what was read (Luong's attention) and at their
own last answer, say of each unit whether it goes to the server. The answers follow each other within the network, by a
Scan. (Wang et al., Fast adaptive task offloading by meta reinforcement learning, IEEE TPDS 32(1), 2021.)
"""

from __future__ import annotations

import re
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from layerlift.models.errors import PlanError
from layerlift.models.graph.route import CLIENT
from layerlift.planners.cost.pieces import Sums
from layerlift.planners.learned.policy_file import AGAIN, Kind, Tables, Weights, initializers, model_of
from layerlift.planners.learned.priced import Priced
from layerlift.planners.learned.scorer import session_of
from layerlift.planners.problem.problem import Bools, Floats, Ints

CELLS: Final = 128
NEIGHBOURS: Final = 6
"""Places for the units before one, and for those after it."""
SEEN: Final = 5 + 2 * NEIGHBOURS
ANSWERS: Final = 2
"""Home, and away."""
NOBODY: Final = -1.0
"""Where there is no neighbour."""
DEAREST: Final = 100.0
"""No cost is told as more, in shares of what a unit costs at home on average."""
_FEATURES: Final = 1
_LSTM: Final = {"in_1": CELLS, "in_2": CELLS, "out_1": 2 * CELLS, "out_2": CELLS}
"""The layers by name, and how much comes into each: `in` reads units, `out` answers."""
SHAPES: Final[dict[str, tuple[int, ...]]] = {
    "embed": (SEEN, CELLS),
    "embed_added": (CELLS,),
    "words": (ANSWERS, CELLS),
    "keys": (CELLS, CELLS),
    "attend": (2 * CELLS, CELLS),
    "answer": (CELLS, ANSWERS),
} | {
    name: shape
    for layer, size in _LSTM.items()
    for name, shape in (
        (f"{layer}_w", (1, 4 * CELLS, size)),
        (f"{layer}_r", (1, 4 * CELLS, CELLS)),
        (f"{layer}_b", (1, 8 * CELLS)),
    )
}
"""Of all tables, LSTMs as ONNX has them."""


def embedding(seen: Priced, server: int) -> NDArray[np.float32]:
    """What is seen of each unit where one server is at hand, shape (P, SEEN).

    Its number, what it costs at home, going up, on the server and going down again, the numbers of the units before and
    of those after it: of a chain there is one each. Numbers are shares of P; costs shares of a unit's at home.
    """
    count = len(seen.pieces)
    number = np.arange(count)
    made = np.full((count, SEEN), NOBODY)
    down = np.append(seen.steps[1:, server, CLIENT], 0.0)
    costs = [seen.pieces[:, CLIENT], seen.steps[:, CLIENT, server], seen.pieces[:, server], down]
    made[:, 0] = number / count
    made[:, 1:5] = np.minimum(np.stack(costs, axis=1) * count, DEAREST)
    made[1:, 5] = number[:-1] / count
    made[:-1, 5 + NEIGHBOURS] = number[1:] / count
    return made.astype(np.float32)


def best_server(seen: Priced) -> int:
    """The node where all units together would cost least, the first of equals; the client where there is no server."""
    if seen.pieces.shape[1] == 1:
        return CLIENT
    whole = np.cumsum(seen.pieces[:, 1:], axis=0)[-1] + seen.steps[0, CLIENT, 1:]
    return 1 + int(whole.argmin())


def legal(away: Bools, server: int, seen: Priced, held: Floats, room: Floats) -> Ints:
    """The node of each unit, by whether it should be away: what may not be there, or has no room, stays home."""
    made, used = np.full(len(away), CLIENT, dtype=np.int64), 0.0
    for number in np.flatnonzero(away & ~seen.forbidden[:, server]).tolist():
        if used + held[number] <= room[server]:
            used += held[number]
            made[number] = server
    return made


class Seq2seqWalker:
    """Says where units go by the likelier answer each time, as one way."""

    def __init__(self, weights: Weights) -> None:
        self._session = session_of(model_of(weights))

    def ways(self, sums: Sums, seen: Priced, count: int, draws: np.random.Generator, room: Floats) -> Ints:
        """See `Walker`: one way, whatever `count` says, and no chance in it."""
        server = best_server(seen)
        said = self.answers(embedding(seen, server))
        return legal(said.argmax(axis=1) == 1, server, seen, sums.facts.held, room)[None]

    def answers(self, units: NDArray[np.float32]) -> NDArray[np.float32]:
        """How likely each answer to each unit is, in logarithms, shape (P, ANSWERS)."""
        made: NDArray[np.float32] = self._session.run(["answers"], {"units": units})[0]
        return made


def _check(tables: Tables, origin: str) -> None:
    if list(tables) != list(SHAPES):
        raise PlanError(f"policy {origin} has other tables than a policy of MRLCO has; {AGAIN}")
    for name, table in tables.items():
        if table.shape != SHAPES[name]:
            raise PlanError(
                f"policy {origin}: its table {name!r} has shape {table.shape}, expected {SHAPES[name]}; {AGAIN}"
            )


_STATES: Final = ("h_1", "c_1", "h_2", "c_2", "attention", "word")
"""What one answer hands on to the next."""


def _graph(tables: Tables) -> onnx.GraphProto:
    fixed: dict[str, NDArray[Any]] = {
        "axis_0": np.array([0]),
        "axis_1": np.array([1]),
        "no_attention": np.zeros((1, CELLS), dtype=np.float32),
        "first_word": np.zeros(1, dtype=np.int64),
    }
    scan = helper.make_node(
        "Scan",
        ["h_1_read", "c_1_read", "h_2_read", "c_2_read", "no_attention", "first_word", "units"],
        [*(f"{state}_last" for state in _STATES), "answers"],
        body=_answer(),
        num_scan_inputs=1,
    )
    return helper.make_graph(
        [*_reading(), scan],
        "policy",
        [helper.make_tensor_value_info("units", TensorProto.FLOAT, ["pieces", SEEN])],
        [helper.make_tensor_value_info("answers", TensorProto.FLOAT, ["pieces", ANSWERS])],
        [*initializers(tables), *(numpy_helper.from_array(array, name) for name, array in fixed.items())],
    )


def _lstm(layer: str, inputs: str, states: tuple[str, str], outputs: list[str]) -> onnx.NodeProto:
    given = [inputs, f"{layer}_w", f"{layer}_r", f"{layer}_b", "", *states]
    return helper.make_node("LSTM", given, outputs, hidden_size=CELLS)


def _reading() -> list[onnx.NodeProto]:
    """From units to what is remembered of each, and the states in which answering begins."""
    op = helper.make_node
    return [
        op("MatMul", ["units", "embed"], ["embedded_sum"]),
        op("Add", ["embedded_sum", "embed_added"], ["embedded"]),
        op("Unsqueeze", ["embedded", "axis_1"], ["sequence"]),
        _lstm("in_1", "sequence", ("", ""), ["read_1_wide", "h_1_read", "c_1_read"]),
        op("Squeeze", ["read_1_wide", "axis_1"], ["read_1"]),
        _lstm("in_2", "read_1", ("", ""), ["read_2_wide", "h_2_read", "c_2_read"]),
        op("Squeeze", ["read_2_wide", "axis_1"], ["read_2"]),
        op("Squeeze", ["read_2", "axis_1"], ["memory"]),
        op("MatMul", ["memory", "keys"], ["keyed"]),
        op("Transpose", ["keyed"], ["keyed_across"], perm=[1, 0]),
    ]


def _answer() -> onnx.GraphProto:
    """One answer: from the last one and what was attended to, to the next."""
    op = helper.make_node
    nodes = [
        op("Gather", ["words", "word"], ["said"]),
        op("Concat", ["said", "attention"], ["fed"], axis=1),
        op("Unsqueeze", ["fed", "axis_0"], ["fed_sequence"]),
        _lstm("out_1", "fed_sequence", ("h_1", "c_1"), ["out_1_wide", "h_1_next", "c_1_next"]),
        op("Squeeze", ["out_1_wide", "axis_1"], ["out_1_made"]),
        _lstm("out_2", "out_1_made", ("h_2", "c_2"), ["out_2_wide", "h_2_next", "c_2_next"]),
        op("Squeeze", ["h_2_next", "axis_0"], ["asked"]),
        op("MatMul", ["asked", "keyed_across"], ["fitting"]),
        op("Softmax", ["fitting"], ["looked"], axis=1),
        op("MatMul", ["looked", "memory"], ["recalled"]),
        op("Concat", ["asked", "recalled"], ["both"], axis=1),
        op("MatMul", ["both", "attend"], ["attention_next"]),
        op("MatMul", ["attention_next", "answer"], ["answered"]),
        op("ArgMax", ["answered"], ["word_next"], axis=1, keepdims=0),
        op("Squeeze", ["answered", "axis_0"], ["answers_row"]),
    ]
    shapes: dict[str, tuple[int, list[int]]] = {state: (TensorProto.FLOAT, [1, 1, CELLS]) for state in _STATES}
    shapes |= {"attention": (TensorProto.FLOAT, [1, CELLS]), "word": (TensorProto.INT64, [1])}
    row = helper.make_tensor_value_info("units_row", TensorProto.FLOAT, [SEEN])
    told = helper.make_tensor_value_info("answers_row", TensorProto.FLOAT, [ANSWERS])
    return helper.make_graph(
        nodes,
        "answer_to_a_unit",
        [*(helper.make_tensor_value_info(state, *shape) for state, shape in shapes.items()), row],
        [*(helper.make_tensor_value_info(f"{state}_next", *shape) for state, shape in shapes.items()), told],
    )


SEQ2SEQ: Final = Kind("seq2seq", _FEATURES, False, re.compile("|".join(SHAPES)), _check, _graph)
"""Answers, home or away, to the units of a network in turn."""

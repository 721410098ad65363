"""The networks of Huang et al.: nine numbers, of nine tasks, to nine decisions; three networks of the same shape.

Nine tasks are here the network in nine groups of units that cost about the same on the device. A task's number is what
it would gain at the server if it went there alone, as a multiple of a ninth of staying local: in the publication the
size of a task says that much, for tasks hang on nobody else there. The server is that of the cheapest single cut.
"""

from __future__ import annotations

import re
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from layerlift.models.graph.route import CLIENT
from layerlift.planners.cost.pieces import Sums
from layerlift.planners.learned.literal.dense import ADDED, check_shapes, dense, dense_shapes, value
from layerlift.planners.learned.literal.groups import Grouped, best_server, grouped, legal
from layerlift.planners.learned.policy_file import Kind, Tables, Weights, initializers, model_of
from layerlift.planners.learned.priced import Priced
from layerlift.planners.learned.scorer import session_of
from layerlift.planners.problem.problem import Floats, Ints

TASKS: Final = 9
MEMBERS: Final = 3
LAYERS: Final = (("inner", TASKS, 120), ("middle", 120, 80), ("outer", 80, TASKS))
"""Of each network."""
FURTHEST: Final = 3.0
"""A task's number is no more than that, nor less than its negative."""


def tasks_of(costs: Priced) -> Grouped:
    """The tasks of a problem, on the client and the best server."""
    return grouped(costs, TASKS, [best_server(costs, list(range(1, len(costs.nodes))))])


def numbers_of(tasks: Grouped) -> NDArray[np.float32]:
    """What the networks are told of some tasks, shape (TASKS,); 0 of tasks that are not there, or may not leave."""
    back = np.append(tasks.steps[1:, 1, CLIENT], 0.0)
    alone = tasks.pieces[:, 1] + tasks.steps[:, CLIENT, 1] + back
    gain = np.clip(TASKS * (tasks.pieces[:, CLIENT] - alone), -FURTHEST, FURTHEST)
    made = np.zeros(TASKS, dtype=np.float32)
    made[: len(gain)] = np.where(tasks.closed[:, 1], 0.0, gain)
    return made


class DecisionsWalker:
    """One way of each network: what its decisions say."""

    def __init__(self, weights: Weights) -> None:
        self._session = session_of(model_of(weights))

    def ways(self, sums: Sums, seen: Priced, count: int, draws: np.random.Generator, room: Floats) -> Ints:
        """See `Walker`; nothing is drawn, and there are as many ways as networks."""
        tasks = tasks_of(seen)
        said = self._session.run(None, {"tasks": numbers_of(tasks)[None]})
        chosen = np.concatenate(said)[:, : len(tasks.first)] > 0.0
        return legal(tasks.spread(chosen.astype(np.int64), len(seen.pieces)), seen, sums.facts.held, room)


def _shapes() -> dict[str, tuple[int, ...]]:
    made: dict[str, tuple[int, ...]] = {}
    for number in range(1, MEMBERS + 1):
        for name, inputs, outputs in LAYERS:
            made |= dense_shapes(f"{name}_{number}", inputs, outputs)
    return made


SHAPES: Final = _shapes()


def _graph(tables: Tables) -> onnx.GraphProto:
    numbers = range(1, MEMBERS + 1)
    operators = [operator for number in numbers for operator in _operators(number)]
    outputs: list[Any] = [value(f"decisions_{number}", "problems", TASKS) for number in numbers]
    return helper.make_graph(operators, "policy", [value("tasks", "problems", TASKS)], outputs, initializers(tables))


def _operators(number: int) -> list[onnx.NodeProto]:
    return [
        *dense(f"inner_{number}", "tasks", f"inside_{number}", relu=True),
        *dense(f"middle_{number}", f"inside_{number}", f"between_{number}", relu=True),
        *dense(f"outer_{number}", f"between_{number}", f"decisions_{number}"),
    ]


DECISIONS: Final = Kind(
    "ddlo_literal",
    1,
    whole=False,
    tables=re.compile(rf"(inner|middle|outer)_[1-{MEMBERS}]({ADDED})?"),
    check=lambda tables, origin: check_shapes(tables, SHAPES, origin),
    graph=_graph,
)
"""Three networks of decisions."""

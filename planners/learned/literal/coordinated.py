"""The network of DDPQN: what a state is worth, and what each node adds to that, unit after unit.

It is rewarded by how well latency, energy and money go together, less how unevenly servers are used. Its constants are
not public; those here are ours.
"""

from __future__ import annotations

import re
from typing import Final

import numpy as np
import onnx
from onnx import helper

from layerlift.models.graph.route import CLIENT
from layerlift.planners.cost.coordination import Spans, spans_of
from layerlift.planners.cost.crowd import evenness
from layerlift.planners.cost.pieces import LATENCY, Sums
from layerlift.planners.learned.features import LARGEST
from layerlift.planners.learned.literal.dense import check_shapes, dense, dense_shapes, value
from layerlift.planners.learned.literal.journey import ACTIONS, OF_UNIT, Journey, Seen
from layerlift.planners.learned.policy_file import Kind, Tables, Weights, initializers, model_of
from layerlift.planners.learned.priced import Priced
from layerlift.planners.learned.scorer import session_of
from layerlift.planners.problem.problem import Floats, Ints

WIDTHS: Final = (128, 64)
OF_STATE: Final = OF_UNIT + 3
"""Numbers that are seen: of the unit that comes next, and how much is gained in each term, were the rest done here."""
SHAPES: Final = {
    **dense_shapes("inner", OF_STATE, WIDTHS[0]),
    **dense_shapes("middle", WIDTHS[0], WIDTHS[1]),
    **dense_shapes("state", WIDTHS[1], 1),
    **dense_shapes("action", WIDTHS[1], ACTIONS),
}
UNEVEN: Final = 0.1
"""What a coefficient of variation of 1 of the servers' use takes from the degree of coordination."""


class CoordinatedJourney(Journey):
    """A way that knows what the plan comes to in which all that is left stays at the client."""

    def __init__(self, sums: Sums, costs: Priced, room: Floats, spans: Spans | None = None) -> None:
        super().__init__(sums, costs, room)
        self._sums, self._spans = sums, spans or spans_of(sums.problem)
        self._spent, self._work = np.zeros(3), np.zeros(len(sums.problem.nodes))
        home = np.cumsum(sums.pieces[:, ::-1, CLIENT], axis=1)[:, ::-1]
        self._home = np.concatenate([home, np.zeros((3, 1))], axis=1)
        self.terms, self.merit = self._now()
        """What that plan costs, in seconds, joules and money, and its degree of coordination less unevenness."""

    def seen(self) -> Seen:
        """As of `Journey`, and what is gained, shape (OF_STATE,)."""
        gained = self._spans.shares(*self.terms.tolist())
        return np.append(super().seen(), np.rint(LARGEST * np.array(gained))).astype(np.uint16)

    def go(self, choice: int) -> float:
        """Go to a node, as of `Journey`; by how much that makes the merit larger."""
        before, number, merit = self._node, self.number, self.merit
        super().go(choice)
        delays, carried = self._sums.rates
        self._spent += delays[:, before, self._node] + carried[:, before, self._node] * self._sums.moved[number]
        self._spent += self._sums.pieces[:, number, self._node]
        self._work[self._node] += self._sums.work_s[number, self._node]
        self.terms, self.merit = self._now()
        return self.merit - merit

    @property
    def _node(self) -> int:
        """Where it is, as a node of the problem."""
        return int(self.costs.nodes[self.at])

    def _now(self) -> tuple[Floats, float]:
        terms = self._spent + self._home[:, self.number]
        if not self.over:
            delays, carried = self._sums.rates
            terms += delays[:, self._node, CLIENT] + carried[:, self._node, CLIENT] * self._sums.moved[self.number]
        degree = self._spans.degree(*terms.tolist())
        running = self._work / terms[LATENCY] if terms[LATENCY] > 0.0 else np.zeros(len(self._work))
        return terms, degree - UNEVEN * float(evenness(self._sums.problem, running[None])[0])


class CoordinatedWalker:
    """The one way of the best nodes."""

    def __init__(self, weights: Weights) -> None:
        self._session = session_of(model_of(weights))

    def ways(self, sums: Sums, seen: Priced, count: int, draws: np.random.Generator, room: Floats) -> Ints:
        """See `Walker`; nothing is drawn, and there is one way."""
        journey = CoordinatedJourney(sums, seen, room)
        while not journey.over:
            looked = (journey.seen() / np.float32(LARGEST)).astype(np.float32)[None]
            (worth,) = self._session.run(None, {"seen": looked})
            journey.go(int(worth.argmax()))
        return np.array([journey.way])


def _graph(tables: Tables) -> onnx.GraphProto:
    operators = [
        *dense("inner", "seen", "inside", relu=True),
        *dense("middle", "inside", "within", relu=True),
        *dense("state", "within", "state_worth"),
        *dense("action", "within", "adds"),
        helper.make_node("ReduceMean", ["adds"], ["usual"], axes=[1], keepdims=1),
        helper.make_node("Sub", ["adds", "usual"], ["more"]),
        helper.make_node("Add", ["state_worth", "more"], ["worths"]),
    ]
    inputs, outputs = [value("seen", 1, OF_STATE)], [value("worths", 1, ACTIONS)]
    return helper.make_graph(operators, "policy", inputs, outputs, initializers(tables))


def _check(tables: Tables, origin: str) -> None:
    check_shapes(tables, SHAPES, origin)


COORDINATED: Final = Kind(
    "coordinated", 1, whole=False, tables=re.compile("|".join(SHAPES)), check=_check, graph=_graph
)

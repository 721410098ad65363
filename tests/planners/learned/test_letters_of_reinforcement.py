"""The letters of `drl` and `ddpqn`: networks of a fixed size, led through any chain, whose plans are legal."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from layerlift.models.errors import PlanError
from layerlift.planners import Judge, make
from layerlift.planners.cost import query
from layerlift.planners.cost.coordination import spans_of
from layerlift.planners.cost.crowd import evenness
from layerlift.planners.cost.pieces import Sums, whole_pieces
from layerlift.planners.graphs.additive import Additive
from layerlift.planners.learned import policy_file
from layerlift.planners.learned.features import LARGEST
from layerlift.planners.learned.literal import coordinated, recurrent
from layerlift.planners.learned.literal.coordinated import COORDINATED, OF_STATE, UNEVEN, CoordinatedJourney
from layerlift.planners.learned.literal.journey import ACTIONS, OF_UNIT, Journey
from layerlift.planners.learned.literal.recurrent import INSIDE, RECURRENT
from layerlift.planners.learned.policy_file import Kind, Weights
from layerlift.planners.learned.priced import Priced, priced
from layerlift.planners.learned.scorer import session_of
from layerlift.planners.problem.problem import Problem
from layerlift.planners.testing import check_planner
from layerlift.planners.testing.problems import battery

LETTERS = (("drl", RECURRENT, recurrent.SHAPES), ("ddpqn", COORDINATED, coordinated.SHAPES))


def some_weights(kind: Kind, shapes: dict[str, tuple[int, ...]], seed: int = 0, size: float = 1.0) -> Weights:
    rng = np.random.default_rng(seed)
    return Weights(kind, {name: (size * rng.normal(size=shape)).astype(np.float32) for name, shape in shapes.items()})


def a_policy(where: Path, name: str, seed: int = 0) -> str:
    kind, shapes = {name: (kind, shapes) for name, kind, shapes in LETTERS}[name]
    path = where / f"{name}.onnx"
    path.write_bytes(policy_file.written(some_weights(kind, shapes, seed)))
    return f"{name}:literal=true,policy={path}"


def priced_of(problem: Problem) -> tuple[Sums, Priced]:
    sums, prices = Sums(problem, whole_pieces(problem.graph)), Additive(problem, Judge(problem))
    return sums, priced(sums, (prices.per_second, prices.per_joule, prices.per_money))


@pytest.mark.long
@pytest.mark.parametrize("name", ["drl", "ddpqn"])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_letter_goes_through_the_kit(name: str, seed: int, tmp_path: Path) -> None:
    planner = make(a_policy(tmp_path, name, seed))
    check_planner(planner)
    note = planner.plan(battery()["modules"], random.Random(0)).note
    assert "another processor may plan otherwise" in note


@pytest.mark.parametrize("name", ["drl", "ddpqn"])
def test_without_a_policy_the_letter_says_how_to_train_one(name: str) -> None:
    with pytest.raises(PlanError, match=f"layerlift train {name} --literal"):
        make(f"{name}:literal=true")


@pytest.mark.parametrize(("name", "kind", "shapes"), LETTERS)
def test_a_file_comes_back_and_a_strange_one_is_refused(
    name: str, kind: Kind, shapes: dict[str, tuple[int, ...]]
) -> None:
    weights = some_weights(kind, shapes)
    back = policy_file.parsed(policy_file.written(weights), (kind,))
    assert back.label == weights.label
    first = next(iter(shapes))
    for strange in (
        {**weights.tables, first: weights.tables[first][..., :-1]},
        {each: table for each, table in weights.tables.items() if each != first},
        {**weights.tables, first: np.full(shapes[first], np.nan, dtype=np.float32)},
    ):
        with pytest.raises(PlanError, match="train it again"):
            policy_file.parsed(policy_file.written(Weights(kind, strange)), (kind,))


# What is seen, and what may not be done.


def test_a_journey_sees_costs_place_and_what_is_left() -> None:
    problem = battery()["chain"]
    sums, costs = priced_of(problem)
    journey = Journey(sums, costs, np.full(4, np.inf))
    seen = journey.seen()
    assert seen.shape == (OF_UNIT,)
    assert seen.max() <= LARGEST
    assert (seen[4:ACTIONS] == LARGEST).all()  # nodes that are not there are as dear as can be
    assert seen[2 * ACTIONS : 3 * ACTIONS].tolist() == [LARGEST, *[0] * (ACTIONS - 1)]
    spent = [journey.go(2), journey.go(1)]
    assert journey.way == [2, 1]
    assert spent[0] == pytest.approx(costs.steps[0, 0, 2] + costs.pieces[0, 2])
    assert journey.seen()[2 * ACTIONS : 3 * ACTIONS].argmax() == 1
    while not journey.over:
        spent.append(journey.go(0))
    assert sum(spent) == pytest.approx(float(costs.totals(np.array([journey.way]))[0]))


def test_what_may_not_be_done_stays_at_the_client() -> None:
    sums, costs = priced_of(battery()["modules, pinned layers"])
    journey = Journey(sums, costs, np.full(4, np.inf))
    assert costs.forbidden[0, 1]
    journey.go(1)
    journey.go(ACTIONS - 1)
    assert journey.way == [0, 0]
    sums, costs = priced_of(battery()["chain"])
    held = sums.facts.held
    full = Journey(sums, costs, np.array([np.inf, held[0] + held[1], 0.0, np.inf]))
    for _ in held:
        full.go(1)
    assert full.way[:2] == [1, 1]
    assert not any(full.way[2:]) or held[2:].min() == 0.0
    assert sum(size for size, node in zip(held, full.way, strict=True) if node == 1) <= held[0] + held[1]


@pytest.mark.parametrize("name", ["chain", "modules, balanced", "chain, loaded servers"])
def test_the_merit_of_a_journey_is_that_of_the_plan_whose_rest_stays_here(name: str) -> None:
    problem = battery()[name]
    sums, costs = priced_of(problem)
    journey, rng = CoordinatedJourney(sums, costs, np.full(4, np.inf)), np.random.default_rng(3)
    gained, begun = 0.0, journey.merit
    while not journey.over:
        gained += journey.go(int(rng.integers(0, 4)))
        way = [*journey.way, *[0] * (len(costs.pieces) - len(journey.way))]
        found = query.evaluate(problem, sums.placement(costs.nodes[way].tolist()))
        if problem.query == "dataflow" and name != "modules, balanced":
            assert journey.terms == pytest.approx((found.latency_s, found.energy_j, found.money), rel=1e-9)
        degree = spans_of(problem).degree(*journey.terms.tolist())
        running = np.array(found.busy_s) / journey.terms[0]
        uneven = float(evenness(problem, running[None])[0])
        assert journey.merit == pytest.approx(degree - UNEVEN * uneven, rel=1e-6)
        assert journey.over or journey.seen().shape == (OF_STATE,)
    assert gained == pytest.approx(journey.merit - begun)


# Networks.


def sigmoid(value: np.ndarray) -> np.ndarray:
    return np.asarray(1.0 / (1.0 + np.exp(-value)))


def test_the_recurrent_network_is_that_of_its_tables() -> None:
    weights = some_weights(RECURRENT, recurrent.SHAPES, size=0.2)
    session, rng = session_of(policy_file.model_of(weights)), np.random.default_rng(1)
    tables = {name: table.astype(np.float64) for name, table in weights.tables.items()}
    told, cell = np.zeros((2, INSIDE))
    state = [np.zeros((1, 1, INSIDE), dtype=np.float32)] * 2
    for _ in range(4):
        seen = rng.random(OF_UNIT).astype(np.float32)
        worth, *state = session.run(None, {"seen": seen[None, None], "told_before": state[0], "cell_before": state[1]})
        added = tables["gates_added"][0]
        summed = tables["gates_seen"][0] @ seen + tables["gates_kept"][0] @ told
        given, out, forget, new = np.split(summed + added[: 4 * INSIDE] + added[4 * INSIDE :], 4)
        cell = sigmoid(forget) * cell + sigmoid(given) * np.tanh(new)
        told = sigmoid(out) * np.tanh(cell)
        assert worth[0] == pytest.approx(told @ tables["worth"] + tables["worth_added"], abs=1e-5)


def test_the_dueling_network_is_that_of_its_tables() -> None:
    weights = some_weights(COORDINATED, coordinated.SHAPES, size=0.2)
    tables = {name: table.astype(np.float64) for name, table in weights.tables.items()}
    seen = np.random.default_rng(1).random(OF_STATE).astype(np.float32)
    (worth,) = session_of(policy_file.model_of(weights)).run(None, {"seen": seen[None]})
    inside = np.maximum(seen @ tables["inner"] + tables["inner_added"], 0.0)
    within = np.maximum(inside @ tables["middle"] + tables["middle_added"], 0.0)
    adds = within @ tables["action"] + tables["action_added"]
    expected = within @ tables["state"] + tables["state_added"] + adds - adds.mean()
    assert worth[0] == pytest.approx(expected, abs=1e-4)

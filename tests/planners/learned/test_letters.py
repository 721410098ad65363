"""Policies as published: networks in floating point, groups of units, and legal plans whatever they say."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from test_learned import a_problem, costs_of

from layerlift.models.errors import PlanError
from layerlift.planners import cost, make
from layerlift.planners.cost.pieces import Sums, whole_pieces
from layerlift.planners.learned import policy_file
from layerlift.planners.learned.base import FLOATS
from layerlift.planners.learned.literal import ddlo, dil
from layerlift.planners.learned.literal.groups import best_server, grouped, legal
from layerlift.planners.learned.policy_file import Weights
from layerlift.planners.learned.priced import DEAR
from layerlift.planners.learned.walker import walker
from layerlift.planners.testing import check_planner
from layerlift.planners.testing.problems import battery

KINDS = {"dil": (dil.LABELS, dil.SHAPES), "ddlo": (ddlo.DECISIONS, ddlo.SHAPES)}


def some(planner: str, seed: int = 0) -> Weights:
    """A random policy, small enough that its labels differ."""
    kind, shapes = KINDS[planner]
    rng = np.random.default_rng(seed)
    tables = {name: (rng.normal(size=shape) / np.sqrt(shape[0])).astype(np.float32) for name, shape in shapes.items()}
    return Weights(kind, tables, {"worlds": "none"})


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = {name: tmp_path_factory.mktemp("letters") / f"{name}.onnx" for name in KINDS}
    for name, path in made.items():
        path.write_bytes(policy_file.written(some(name)))
    return made


def relu(value: np.ndarray) -> np.ndarray:
    made: np.ndarray = np.maximum(value, 0.0)
    return made


def layer(weights: Weights, name: str, value: np.ndarray) -> np.ndarray:
    made: np.ndarray = value @ weights.tables[name] + weights.tables[f"{name}_added"]
    return made


# What runs.


@pytest.mark.parametrize("planner", KINDS)
def test_a_policy_comes_back_from_its_file(planner: str, files: dict[str, Path]) -> None:
    kind = KINDS[planner][0]
    back = policy_file.parsed(policy_file.read(files[planner], (kind,)), (kind,))
    assert back.label == some(planner).label
    onnx.checker.check_model(str(files[planner]), full_check=True)


def test_decisions_are_those_of_the_publications_networks() -> None:
    weights, problem = some("ddlo"), a_problem(layers=14, seed=1)
    costs, sums = costs_of(problem), Sums(problem, whole_pieces(problem.graph))
    tasks = ddlo.tasks_of(costs)
    assert 4 < len(tasks.first) <= 9
    room = np.full(len(costs.nodes), np.inf)
    made = walker(weights).ways(sums, costs, 64, np.random.default_rng(0), room)
    assert len(made) == 3
    for number, way in enumerate(made, start=1):
        inside = relu(layer(weights, f"inner_{number}", ddlo.numbers_of(tasks)))
        said = layer(weights, f"outer_{number}", relu(layer(weights, f"middle_{number}", inside)))
        expected = np.repeat(
            np.where(said > 0.0, tasks.nodes[1], 0)[: len(tasks.first)], np.diff([*tasks.first, len(costs.pieces)])
        )
        assert np.array_equal(way, expected)


def test_labels_are_those_of_the_network() -> None:
    weights = some("dil")
    problem = replace(a_problem(servers=4, seed=2), tiers=("client", "edge", "cloud", "edge", "cloud"))
    costs, sums = costs_of(problem), Sums(problem, whole_pieces(problem.graph))
    units = dil.units_of(costs, problem.tiers)
    made = walker(weights).ways(sums, costs, 64, np.random.default_rng(0), np.full(len(costs.nodes), np.inf))
    said = layer(weights, "outer", relu(layer(weights, "middle", relu(layer(weights, "inner", dil.numbers_of(units))))))
    labels = said.reshape(dil.UNITS, 3)[: len(units.first)].argmax(axis=1)
    assert len(set(labels.tolist())) > 1
    assert made.tolist() == [units.nodes[labels].tolist()]


# What the networks are told.


def test_tasks_are_groups_of_about_equal_cost() -> None:
    costs = costs_of(a_problem(layers=200, seed=5))
    tasks = grouped(costs, 9, [1])
    assert len(tasks.first) == 9
    assert tasks.first[0] == 0
    assert (np.abs(tasks.pieces[:, 0] - 1 / 9) <= costs.pieces[:, 0].max()).all()
    assert tasks.pieces.sum(axis=0) == pytest.approx(costs.pieces[:, [0, 1]].sum(axis=0))
    assert np.array_equal(tasks.steps[:, 0, 1], costs.steps[tasks.first, 0, 1])


def test_groups_of_what_costs_nothing_are_as_long() -> None:
    costs = costs_of(a_problem(layers=20, seed=5))
    free = replace(costs, pieces=np.where(np.arange(costs.pieces.shape[1]) == 0, 0.0, costs.pieces))
    assert grouped(free, 5, [1]).first.tolist() == [0, 4, 8, 12, 16]


def test_a_tasks_number_is_what_it_gains_alone() -> None:
    costs = costs_of(a_problem(layers=3, seed=6))
    tasks = ddlo.tasks_of(costs)
    server = int(tasks.nodes[1])
    way = np.array([[0, server, 0]])
    alone = 1.0 - float(costs.totals(way)[0])
    assert ddlo.numbers_of(tasks)[1] == pytest.approx(np.clip(9 * alone, -3.0, 3.0), rel=1e-4)
    assert ddlo.numbers_of(tasks)[3:].tolist() == [0.0] * 6


def test_units_that_are_not_there_are_told_as_nothing() -> None:
    problem = a_problem(servers=2, layers=4, seed=2)
    told = dil.numbers_of(dil.units_of(costs_of(problem), problem.tiers)).reshape(dil.UNITS, dil.OF_UNIT)
    assert told[:4, -1].tolist() == [1.0] * 4
    assert not told[4:].any()
    assert told.min() >= 0.0
    assert told.max() <= 1.0


def test_the_best_server_is_that_of_the_cheapest_cut() -> None:
    costs = costs_of(a_problem(servers=5, seed=9))
    cheapest = [
        min(float(costs.totals(np.array([[0] * cut + [node] * (6 - cut)]))[0]) for cut in range(6)) for node in range(6)
    ]
    assert best_server(costs, [1, 2, 3, 4, 5]) == 1 + int(np.argmin(cheapest[1:]))
    assert costs.cuts.min(axis=0) == pytest.approx(cheapest)
    assert best_server(costs, []) is None


def test_a_tier_that_is_not_there_is_closed() -> None:
    costs = costs_of(a_problem(servers=2, seed=3))
    units = grouped(costs, 96, [2, None])
    assert units.closed[:, 2].all()
    assert (units.pieces[:, 2] == DEAR).all()
    assert units.spread(np.array([[2, 1, 0, 1, 2, 1]]), 6).tolist() == [[0, 2, 0, 2, 0, 2]]


# Plans.


def test_what_may_not_be_or_has_no_room_stays_at_the_client() -> None:
    costs = costs_of(a_problem(servers=2, layers=4, seed=3))
    forbidden = np.zeros((4, 3), dtype=bool)
    forbidden[0, 1] = True
    ways = np.array([[1, 1, 1, 1], [2, 1, 2, 1]])
    closed = replace(costs, forbidden=forbidden)
    held, room = np.array([5.0, 2.0, 2.0, 1.0]), np.array([np.inf, 3.0, np.inf])
    assert legal(ways, closed, held, np.full(3, np.inf)).tolist() == [[0, 1, 1, 1], [2, 1, 2, 1]]
    assert legal(ways, closed, held, room).tolist() == [[0, 1, 0, 1], [2, 1, 2, 1]]
    assert ways[0].tolist() == [1, 1, 1, 1]


@pytest.mark.long
@pytest.mark.parametrize("planner", KINDS)
def test_literal_planners_meet_the_demands_on_planners(planner: str, files: dict[str, Path]) -> None:
    check_planner(f"{planner}:literal=true,policy={files[planner]}")


@pytest.mark.long
@pytest.mark.parametrize("planner", KINDS)
def test_a_literal_plan_is_legal_and_says_what_it_is(planner: str, files: dict[str, Path]) -> None:
    placements = set()
    for problem in battery().values():
        plan = make(f"{planner}:literal=true,policy={files[planner]}").plan(problem, random.Random(0))
        assert cost.fits(problem, plan.placement)
        assert len(problem.servers) == 0 or FLOATS in plan.note
        placements.add(any(plan.placement))
    assert placements == {False, True}


def test_the_cheapest_of_three_decisions_is_planned(files: dict[str, Path]) -> None:
    problem = a_problem(layers=9, seed=4)
    costs, sums = costs_of(problem), Sums(problem, whole_pieces(problem.graph))
    made = walker(some("ddlo")).ways(sums, costs, 3, np.random.default_rng(0), np.full(len(costs.nodes), np.inf))
    totals = costs.totals(made)
    assert len(set(totals.tolist())) > 1
    plan = make(f"ddlo:literal=true,policy={files['ddlo']}").plan(problem, random.Random(0))
    assert plan.placement == tuple(costs.nodes[made[int(totals.argmin())]].tolist())


@pytest.mark.parametrize("planner", KINDS)
def test_none_ships_to_the_letter(planner: str) -> None:
    with pytest.raises(PlanError, match=f"layerlift train {planner} --literal"):
        make(f"{planner}:literal=true")


# Strangers' files.


def changed(planner: str, **tables: np.ndarray | None) -> bytes:
    weights = some(planner)
    made = {name: table for name, table in ({**weights.tables, **tables}).items() if table is not None}
    model = policy_file.model_of(replace(weights, tables=weights.tables))
    kept = [tensor for tensor in model.graph.initializer if tensor.name in made]
    del model.graph.initializer[:]
    for tensor in kept:
        model.graph.initializer.append(onnx.numpy_helper.from_array(made[tensor.name], tensor.name))
    return model.SerializeToString()


@pytest.mark.parametrize(
    ("planner", "tables", "said"),
    [
        ("dil", {"inner": np.ones((2, 2), dtype=np.float32)}, "has shape"),
        ("dil", {"outer_added": None}, "other tables"),
        ("dil", {"outer_added": np.full(288, np.nan, dtype=np.float32)}, "what no training gives"),
        ("ddlo", {"inner_2": np.ones((9, 121), dtype=np.float32)}, "has shape"),
        ("ddlo", {"middle_3": None}, "other tables"),
    ],
)
def test_a_strange_policy_is_refused(planner: str, tables: dict[str, np.ndarray], said: str, tmp_path: Path) -> None:
    path = tmp_path / "strange.onnx"
    path.write_bytes(changed(planner, **tables))
    with pytest.raises(PlanError, match=said) as refused:
        make(f"{planner}:literal=true,policy={path}")
    assert len(str(refused.value)) <= 300


def test_a_policy_that_ships_is_none_to_the_letter(tmp_path: Path) -> None:
    path = tmp_path / "shipped.onnx"
    path.write_bytes(policy_file.shipped("dil"))
    with pytest.raises(PlanError, match="of kind 'steps', expected 'dil_literal'"):
        make(f"dil:literal=true,policy={path}")

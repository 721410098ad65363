"""MRLCO to the letter: what it sees, what it says (against the same in numpy), and legal plans whatever it says."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from layerlift.models.errors import PlanError
from layerlift.planners import Judge, Problem, make, simple_problem
from layerlift.planners.cost.pieces import Sums, whole_pieces
from layerlift.planners.graphs.additive import Additive
from layerlift.planners.learned import policy_file
from layerlift.planners.learned.base import FLOATS
from layerlift.planners.learned.literal.seq2seq import (
    CELLS,
    DEAREST,
    NEIGHBOURS,
    SEEN,
    SEQ2SEQ,
    SHAPES,
    Seq2seqWalker,
    best_server,
    embedding,
    legal,
)
from layerlift.planners.learned.policy_file import Weights
from layerlift.planners.learned.priced import Priced, priced
from layerlift.planners.testing import check_planner
from layerlift.planners.testing.problems import battery, chain_graph

Real = NDArray[np.float64]


def some_weights(seed: int = 0, size: float = 0.3, **changed: NDArray[np.float32]) -> Weights:
    rng = np.random.default_rng(seed)
    tables = {name: (size * rng.standard_normal(shape)).astype(np.float32) for name, shape in SHAPES.items()}
    return Weights(SEQ2SEQ, tables | changed, {"worlds": "none"})


def always(answer: int) -> Weights:
    """A policy whose answers are all the same: attention has one sign, for nothing is seen and words are alike."""
    words = np.ones((2, CELLS), dtype=np.float32)
    says = np.zeros((CELLS, 2), dtype=np.float32)
    weights = some_weights(words=words, answer=says, embed=np.zeros((SEEN, CELLS), dtype=np.float32))
    if answer:
        # What is attended to is the same in every state but for its size: a column with its sign says yes.
        tables = {name: np.abs(table) for name, table in weights.tables.items()}
        says[:, 1] = 1.0
        return Weights(SEQ2SEQ, tables | {"answer": says}, {})
    return weights


def a_problem(layers: int = 5) -> Problem:
    graph = chain_graph([1000 * (at + 1) for at in range(layers)], [1000] * layers)
    seconds = np.array([[0.1, 0.02, 0.01]] * layers)
    return simple_problem(graph, seconds, bandwidth_bytes_s=np.full((3, 3), 1e6))


def costs_of(problem: Problem) -> Priced:
    prices = Additive(problem, Judge(problem))
    weights = (prices.per_second, prices.per_joule, prices.per_money)
    return priced(Sums(problem, whole_pieces(problem.graph)), weights)


# What it sees.


def test_each_unit_is_seen_with_its_costs_and_its_neighbours() -> None:
    seen = costs_of(a_problem())
    made = embedding(seen, 2)
    assert made.shape == (5, SEEN)
    assert made[:, 0] == pytest.approx(np.arange(5) / 5)
    assert made[:, 1] == pytest.approx(1.0)
    assert made[:, 2] == pytest.approx(5 * seen.steps[:, 0, 2])
    assert made[:, 3] == pytest.approx(5 * seen.pieces[:, 2])
    assert made[:4, 4] == pytest.approx(5 * seen.steps[1:, 2, 0])
    assert made[4, 4] == 0.0
    before, after = made[:, 5 : 5 + NEIGHBOURS], made[:, 5 + NEIGHBOURS :]
    assert before[0].tolist() == after[4].tolist() == [-1.0] * NEIGHBOURS
    assert before[1:, 0] == pytest.approx(np.arange(4) / 5)
    assert after[:4, 0] == pytest.approx(np.arange(1, 5) / 5)
    assert (before[:, 1:] == -1.0).all()
    assert (after[:, 1:] == -1.0).all()


def test_what_is_forbidden_is_seen_as_no_more_than_dear() -> None:
    for problem in battery().values():
        seen = costs_of(problem)
        made = embedding(seen, best_server(seen))
        assert np.isfinite(made).all()
        assert made.size == 0 or made.max() <= DEAREST


def test_the_server_is_the_one_where_all_would_cost_least() -> None:
    problem = a_problem()
    assert best_server(costs_of(problem)) == 2
    slow = problem.bandwidth_bytes_s.copy()
    slow[0, 2] = 10.0
    assert best_server(costs_of(replace(problem, bandwidth_bytes_s=slow))) == 1
    even = problem.seconds.copy()
    even[:, 2] = even[:, 1]
    assert best_server(costs_of(replace(problem, seconds=even))) == 1


def test_what_may_not_be_on_the_server_or_has_no_room_stays_home() -> None:
    seen = costs_of(a_problem())
    forbidden = seen.forbidden.copy()
    forbidden[1, 2] = True
    seen = replace(seen, forbidden=forbidden)
    away = np.array([True, True, True, False, True])
    held, room = np.array([4.0, 9.0, 5.0, 1.0, 3.0]), np.array([np.inf, 0.0, 8.0])
    assert legal(away, 2, seen, held, room).tolist() == [2, 0, 0, 0, 2]
    assert legal(away, 2, seen, held, np.full(3, np.inf)).tolist() == [2, 0, 2, 0, 2]


# What it says.


def sigmoid(values: Real) -> Real:
    return 1.0 / (1.0 + np.exp(-values))


def cell(tables: dict[str, Real], layer: str, given: Real, hidden: Real, memory: Real) -> tuple[Real, Real]:
    added = tables[f"{layer}_b"][0].reshape(2, -1).sum(axis=0)
    summed = tables[f"{layer}_w"][0] @ given + tables[f"{layer}_r"][0] @ hidden + added
    let_in, out, kept, new = summed.reshape(4, CELLS)
    memory = sigmoid(kept) * memory + sigmoid(let_in) * np.tanh(new)
    return sigmoid(out) * np.tanh(memory), memory


def answers(weights: Weights, units: NDArray[np.float32]) -> Real:
    """What the policy says, step by step in numpy."""
    tables = {name: table.astype(np.float64) for name, table in weights.tables.items()}
    nothing = np.zeros(CELLS)
    first = second = (nothing, nothing)
    read = []
    for unit in units.astype(np.float64):
        first = cell(tables, "in_1", unit @ tables["embed"] + tables["embed_added"], *first)
        second = cell(tables, "in_2", first[0], *second)
        read.append(second[0])
    remembered, attention, word, said = np.array(read), nothing, 0, []
    for _ in units:
        first = cell(tables, "out_1", np.concatenate([tables["words"][word], attention]), *first)
        second = cell(tables, "out_2", first[0], *second)
        fitting = remembered @ tables["keys"] @ second[0]
        looked = np.exp(fitting - fitting.max())
        recalled = (looked / looked.sum()) @ remembered
        attention = np.concatenate([second[0], recalled]) @ tables["attend"]
        said.append(attention @ tables["answer"])
        word = int(said[-1].argmax())
    return np.array(said)


@pytest.mark.parametrize("seed", range(2))
def test_it_says_what_the_same_network_says_in_numpy(seed: int) -> None:
    weights = some_weights(seed, size=0.1)
    seen = costs_of(a_problem(layers=9))
    units = embedding(seen, 2)
    said = Seq2seqWalker(weights).answers(units)
    expected = answers(weights, units)
    assert said == pytest.approx(expected, abs=1e-5 * np.abs(expected).max())
    assert len(set(said.argmax(axis=1).tolist())) == 2  # or the last answer's part in the next would not be seen


def test_a_policy_comes_back_from_its_file(tmp_path: Path) -> None:
    weights = some_weights()
    path = tmp_path / "mrlco.onnx"
    path.write_bytes(policy_file.written(weights))
    back = policy_file.parsed(policy_file.read(path, (SEQ2SEQ,)), (SEQ2SEQ,))
    assert back.label == weights.label
    assert path.stat().st_size < policy_file.MOST_BYTES
    onnx.checker.check_model(str(path), full_check=True)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"words": np.zeros((3, CELLS), dtype=np.float32)}, "words"),
        ({"answer": np.full((CELLS, 2), np.nan, dtype=np.float32)}, "no training gives"),
        ({"in_3_w": np.zeros(1, dtype=np.float32)}, "other operators"),
    ],
)
def test_a_strange_policy_is_refused(changed: dict[str, NDArray[np.float32]], told: str, tmp_path: Path) -> None:
    path = tmp_path / "strange.onnx"
    path.write_bytes(policy_file.written(some_weights(**changed)))
    with pytest.raises(PlanError, match=told):
        make(f"meta_drl:literal=true,policy={path}")


# Plans.


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("mrlco")
    made = {"any": some_weights(size=0.1), "home": always(0), "away": always(1)}
    for name, weights in made.items():
        (folder / f"{name}.onnx").write_bytes(policy_file.written(weights))
    return {name: folder / f"{name}.onnx" for name in made}


@pytest.mark.long
@pytest.mark.parametrize("name", ["any", "away"])
def test_literal_plans_meet_the_demands_on_planners(name: str, files: dict[str, Path]) -> None:
    check_planner(f"meta_drl:literal=true,policy={files[name]}")


def test_a_literal_plan_is_what_the_policy_says_and_nothing_else(files: dict[str, Path]) -> None:
    problem = a_problem()
    home, away = (
        make(f"meta_drl:literal=true,policy={files[name]}").plan(problem, random.Random(0)) for name in ("home", "away")
    )
    assert home.placement == (0,) * 5
    assert away.placement == (2,) * 5
    assert FLOATS in str(away)

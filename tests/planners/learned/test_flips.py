"""Ways that leave the best one at a single step: which, in what order, and within what is closed and full."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from some_policies import some_weights
from test_learned import a_problem, costs_of

from layerlift.models.errors import PlanError
from layerlift.planners import make
from layerlift.planners.cost.pieces import Sums, whole_pieces
from layerlift.planners.learned import policy_file
from layerlift.planners.learned.features import features_of
from layerlift.planners.learned.flips import FLIPS, FlipsWalker, flipped
from layerlift.planners.learned.policy import Table
from layerlift.planners.learned.scorer import Scorer
from layerlift.planners.learned.steps import STEPS, weights_of


def proposed(scores: Table, count: int, **given_: np.ndarray) -> np.ndarray:
    pieces, nodes = scores.shape[:2]
    closed = given_.get("closed", np.zeros((pieces, nodes), dtype=bool))
    return flipped(
        scores, closed, count, given_.get("held", np.zeros(pieces)), given_.get("room", np.full(nodes, np.inf))
    )


def one_by_one(scores: Table, closed: np.ndarray, count: int, held: np.ndarray, room: np.ndarray) -> list[list[int]]:
    """The same in plain loops."""

    def follow(unit: int, node: int) -> tuple[list[int], list[list[int]]]:
        at, way, used, rows = 0, list[int](), np.zeros(len(room)), []
        for number, row in enumerate(scores):
            told = [
                -(2**20) if closed[number, to] or (to and used[to] + held[number] > room[to]) else int(row[at, to])
                for to in range(len(room))
            ]
            at = node if number == unit else told.index(max(told))
            used[at] += held[number]
            rows.append(told)
            way.append(at)
        return way, rows

    best, rows = follow(-1, 0)
    calls = sorted(
        (rows[unit][best[unit]] - rows[unit][node], unit, node)
        for unit in range(len(scores))
        for node in range(len(room))
        if node != best[unit] and rows[unit][node] > -(2**19)
    )
    return [best, *(follow(unit, node)[0] for _, unit, node in calls[: count - 1])]


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.integers(1, 20), st.booleans())
def test_proposals_are_those_of_plain_loops(seed: int, count: int, limited: bool) -> None:
    rng = np.random.default_rng(seed)
    pieces, nodes = int(rng.integers(1, 7)), int(rng.integers(1, 5))
    scores = rng.integers(-6, 7, size=(pieces, nodes, nodes))
    closed = rng.random((pieces, nodes)) < 0.3
    closed[:, 0] = False
    held = rng.integers(0, 3, pieces).astype(float)
    room = np.append(np.inf, rng.integers(0, 5, nodes - 1)) if limited else np.full(nodes, np.inf)
    made = proposed(scores, count, closed=closed, held=held, room=room)
    assert made.tolist() == one_by_one(scores, closed, count, held, room)


def test_the_closest_call_is_tried_first_and_the_best_way_before() -> None:
    scores = np.zeros((3, 2, 2), dtype=np.int64)
    scores[:, :, 1] = np.array([-5, -1, -3])[:, None]
    assert proposed(scores, 4).tolist() == [[0, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]]
    assert proposed(scores, 2).tolist() == [[0, 0, 0], [0, 1, 0]]
    assert proposed(scores, 99).shape == (4, 3)


def test_every_scorer_proposes_the_same_number() -> None:
    problem, policy = a_problem(seed=3), some_weights(1, 2, 3)
    costs, sums = costs_of(problem), Sums(problem, whole_pieces(problem.graph))
    room = np.full(len(costs.nodes), np.inf)
    made = FlipsWalker(weights_of_kind(policy)).ways(sums, costs, 12, np.random.default_rng(0), room)
    expected = [proposed(scores, 4, closed=costs.forbidden) for scores in Scorer(policy).scores(features_of(costs))]
    assert np.array_equal(made, np.concatenate(expected))


def weights_of_kind(policy: policy_file.Weights) -> policy_file.Weights:
    return policy_file.Weights(FLIPS, policy.tables, policy.notes)


def test_nothing_is_drawn() -> None:
    problem = a_problem(servers=9, layers=9, seed=8)
    plans = {make("ddlo:walks=16").plan(problem, random.Random(seed)).placement for seed in range(4)}
    assert len(plans) == 1


def test_the_policies_of_dil_and_ddlo_are_told_apart() -> None:
    with pytest.raises(PlanError, match="of kind 'steps', expected 'flips'"):
        policy_file.parsed(policy_file.shipped("dil"), (FLIPS,))
    with pytest.raises(PlanError, match="of kind 'flips', expected 'steps'"):
        policy_file.parsed(policy_file.shipped("ddlo"), (STEPS,))
    assert weights_of([], {}, FLIPS).kind is FLIPS

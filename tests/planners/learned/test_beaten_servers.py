"""Servers than which another is cheaper for every piece and message: a policy need not look at them."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layerlift.planners import Judge, Objective, Problem, make, simple_problem
from layerlift.planners.cost.pieces import Sums, ahead, whole_pieces
from layerlift.planners.graphs.additive import weights_of
from layerlift.planners.learned import base
from layerlift.planners.learned.priced import Priced, priced
from layerlift.planners.testing.problems import chain_graph

OBJECTIVES = (Objective(), Objective(latency=0.0, energy=1.0), Objective(latency=1.0, energy=0.5, money=0.2))


def switches(seed: int, objective: Objective) -> Problem:
    """Two sites: servers of one have links alike and speeds, powers and prices of their own, now and then the same."""
    rng = np.random.default_rng(seed)
    layers, servers = int(rng.integers(1, 7)), int(rng.integers(1, 7))
    site = np.concatenate([[0], rng.integers(1, 3, servers)])
    graph = chain_graph((10 ** rng.uniform(3, 6, layers)).astype(int).tolist(), [1000] * layers)
    speed = np.concatenate([[1.0], rng.choice([2.0, 8.0, 8.0, 30.0], servers)])
    apt = rng.choice([1.0, 3.0], (layers, servers + 1)) if seed % 2 else 1.0
    between = 10 ** rng.uniform(6, 8, (3, 3))
    made = simple_problem(
        graph, apt * (10 ** rng.uniform(-1, 1, layers))[:, None] / speed,
        bandwidth_bytes_s=between[site][:, site], objective=objective,
    )  # fmt: skip
    return replace(made, busy_w=rng.choice([1.0, 5.0], servers + 1), price_per_s=rng.choice([1.0, 2.0], servers + 1))


def looked_at(problem: Problem) -> tuple[Priced, Priced]:
    """All nodes, and without those that are beaten."""
    sums, weights = Sums(problem, whole_pieces(problem.graph)), weights_of(Judge(problem)).tolist()
    return priced(sums, weights), priced(sums, weights, beaten=False)


@given(st.integers(0, 2**32), st.sampled_from(OBJECTIVES))
@settings(max_examples=300)
def test_no_way_is_lost(seed: int, objective: Objective) -> None:
    every, near = looked_at(switches(seed, objective))
    assert near.nodes[0] == 0
    assert ahead(near.pieces, near.steps)[0, 0] == pytest.approx(ahead(every.pieces, every.steps)[0, 0], rel=1e-12)


def test_of_one_site_the_fastest_stays_and_so_do_its_equals() -> None:
    graph = chain_graph([1000, 1000], [10, 10])
    problem = simple_problem(graph, [[1.0, 0.5, 0.2, 0.2, 0.3]] * 2, bandwidth_bytes_s=1e6)
    assert looked_at(problem)[1].nodes.tolist() == [0, 2, 3]
    slow = np.array(problem.bandwidth_bytes_s)
    slow[0, 2] = slow[0, 3] = 9e5
    assert looked_at(replace(problem, bandwidth_bytes_s=slow))[1].nodes.tolist() == [0, 2, 3, 4]


def test_a_faster_server_that_is_slow_to_send_does_not_beat() -> None:
    """What the client is to go on with comes sooner from the slower one."""
    rate = np.full((3, 3), 1e6)
    rate[2, 0] = 1e3
    problem = simple_problem(
        chain_graph([1000, 1], [10, 10]), [[9.0, 0.2, 0.1], [0.1, 100.0, 99.0]], bandwidth_bytes_s=rate
    )
    every, near = looked_at(problem)
    assert near.nodes.tolist() == [0, 1, 2]
    assert every.pieces[:, 2].tolist() < every.pieces[:, 1].tolist()


def test_who_is_slower_than_the_client_is_left_out() -> None:
    problem = simple_problem(chain_graph([1000], [10]), [[0.1, 0.2, 0.05]], bandwidth_bytes_s=1e6)
    assert looked_at(problem)[1].nodes.tolist() == [0, 2]


def test_where_memory_ends_the_second_best_server_is_still_looked_at() -> None:
    graph = chain_graph([10, 10], [1000, 1000])
    problem = simple_problem(graph, [[9.0, 0.1, 0.2]] * 2, bandwidth_bytes_s=1e7)
    tight = replace(problem, memory_bytes=np.array([np.inf, 1500.0, 1500.0]))
    assert make("dil").plan(problem, random.Random(0)).placement == (1, 1)
    assert set(make("dil").plan(tight, random.Random(0)).placement) == {1, 2}


def test_where_servers_are_to_be_used_evenly_all_are_looked_at() -> None:
    graph = chain_graph([10] * 6, [1000] * 6)
    problem = simple_problem(
        graph, [[9.0, 0.1, 0.11]] * 6, bandwidth_bytes_s=1e7, objective=Objective(latency=1.0, balance=1.0)
    )
    assert set(make("dil").plan(problem, random.Random(0)).placement) == {1, 2}


def test_no_server_is_left_out_where_what_is_held_has_a_price() -> None:
    """It costs for as long as the whole query lasts: a server that computes for more may hold for nothing."""
    graph = chain_graph([1000, 1000, 1000], [10, 10, 10])
    made = simple_problem(graph, [[9.0, 1.0, 1.0]] * 3, bandwidth_bytes_s=1e9, objective=Objective(latency=0, money=1))
    problem = replace(made, price_per_s=np.array([9.0, 1.0, 1.1]))
    seen = [base._adds_up(replace(problem, price_per_byte_s=np.array([0.0, price, 0.0]))) for price in (0.0, 1e-3)]
    assert seen == [True, False]
    assert base._adds_up(replace(problem, objective=Objective(), price_per_byte_s=np.array([0.0, 1e-3, 0.0])))

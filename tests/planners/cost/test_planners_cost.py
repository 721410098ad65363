"""The physics of one query, against closed forms worked out by hand."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planner_problems import problems
from strategies import layer_graphs

from layerlift.models.errors import PlanError
from layerlift.planners import Judge, Objective, cost, simple_problem
from layerlift.planners.problem.problem import ClientPower
from layerlift.planners.testing.problems import Sketch, battery, chain_graph, draw_graph

RATE, DELAY = 1000.0, 0.5


def two_nodes(graph, seconds, **changes):
    return replace(simple_problem(graph, seconds, bandwidth_bytes_s=RATE, latency_s=DELAY), **changes)


def test_a_chain_adds_up() -> None:
    graph = chain_graph(makes=[200, 300, 40], holds=[0, 0, 0])
    problem = two_nodes(graph, [[1.0, 0.1], [2.0, 0.2], [3.0, 0.3]])
    assert cost.latency(problem, (0, 0, 0)) == 6.0
    there, back = DELAY + 200 / RATE, DELAY + 300 / RATE
    assert cost.latency(problem, (0, 1, 0)) == pytest.approx(1.0 + there + 0.2 + back + 3.0, rel=1e-15)
    assert cost.latency(problem, (1, 1, 1)) == pytest.approx(DELAY + 600 + 0.6 + DELAY + 40 / RATE, rel=1e-15)


def test_headers_ride_with_every_tensor() -> None:
    graph = chain_graph(makes=[200, 300], holds=[0, 0])
    bare = two_nodes(graph, [[1.0, 0.1], [2.0, 0.2]])
    headed = replace(bare, header_bytes=50)
    assert cost.latency(headed, (0, 1)) - cost.latency(bare, (0, 1)) == pytest.approx(2 * 50 / RATE)
    assert cost.evaluate(headed, (0, 1)).link_bytes == 200 + 300 + 2 * 50


def test_branches_on_two_nodes_overlap_and_one_node_runs_them_in_turn() -> None:
    graph = draw_graph(
        "fork",
        [Sketch("a", ("input",), 100), Sketch("b", ("a",), 100), Sketch("c", ("a",), 100), Sketch("d", ("b", "c"), 0)],
    )
    problem = two_nodes(graph, [[1.0, 1.0], [5.0, 5.0], [4.0, 4.0], [1.0, 1.0]])
    hop = DELAY + 0.1
    assert cost.latency(problem, (0, 0, 0, 0)) == 11.0
    assert cost.latency(problem, (0, 1, 0, 1)) == pytest.approx(1 + hop + 5 + 1 + DELAY)
    serial = replace(problem, query="serial")
    assert cost.latency(serial, (0, 1, 0, 1)) == pytest.approx(1 + hop + 5 + DELAY + 4 + hop + 1 + DELAY)


def test_a_segment_waits_for_all_its_inputs_even_those_of_later_layers() -> None:
    graph = draw_graph(
        "fork",
        [Sketch("a", ("input",), 100), Sketch("b", ("a",), 100), Sketch("c", ("a",), 100), Sketch("d", ("b", "c"), 0)],
    )
    problem = two_nodes(graph, [[1.0, 1.0], [5.0, 5.0], [4.0, 4.0], [1.0, 1.0]])
    hop = DELAY + 0.1
    assert cost.latency(problem, (0, 1, 0, 0)) == pytest.approx(1 + hop + 5 + hop + 4 + 1)


def test_tensors_of_one_query_queue_on_a_directed_pair() -> None:
    graph = draw_graph(
        "two outputs",
        [Sketch("a", ("input",), 1000), Sketch("b", ("a",), 3000), Sketch("c", ("a", "b"), 0)],
        input_bytes=10,
    )
    problem = two_nodes(graph, [[1.0, 9.0], [1.0, 9.0], [9.0, 1.0]])
    assert cost.latency(problem, (0, 0, 1)) == pytest.approx(2.0 + DELAY + 1.0 + 3.0 + 1.0 + DELAY)


def test_a_tensor_goes_once_to_a_node_however_many_read_it() -> None:
    graph = draw_graph(
        "fan", [Sketch("a", ("input",), 1000), Sketch("b", ("a",), 10), Sketch("c", ("a", "b"), 10)], input_bytes=0
    )
    problem = two_nodes(graph, np.ones((3, 2)))
    assert cost.evaluate(problem, (0, 1, 1)).link_bytes == 1000 + 10


def test_share_and_load_lengthen_pieces_but_not_busy_time() -> None:
    graph = chain_graph(makes=[0], holds=[0])
    problem = two_nodes(graph, [[1.0, 2.0]])
    alone = cost.latency(problem, (1,))
    for changes, factor in [
        ({"share": np.array([1.0, 0.25])}, 4.0),
        ({"load": np.array([0.0, 2.0])}, 3.0),
        ({"load": np.array([0.0, 2.0]), "cores": np.array([1, 3])}, 1.0),
        ({"load": np.array([0.0, 2.0]), "share": np.array([1.0, 0.5])}, 3.0),
    ]:
        shared = cost.evaluate(replace(problem, **changes), (1,))
        assert shared.latency_s == pytest.approx(alone + 2.0 * (factor - 1.0))
        assert shared.busy_s == (0.0, 2.0)


def test_energy_adds_idle_computing_radio_and_servers() -> None:
    graph = chain_graph(makes=[2000, 500], holds=[0, 0])
    problem = two_nodes(
        graph, [[1.0, 0.0], [0.0, 0.25]], power=ClientPower(1.0, 10.0, 100.0), busy_w=np.array([0, 40.0])
    )
    found = cost.evaluate(problem, (0, 1))
    seconds = 1.0 + (DELAY + 2.0) + 0.25 + (DELAY + 0.5)
    assert found.radio_s == pytest.approx(2.5)
    assert found.client_energy_j == pytest.approx(seconds * 1.0 + 1.0 * 10.0 + 2.5 * 100.0)
    assert found.energy_j == pytest.approx(found.client_energy_j + 0.25 * 40.0)


def test_money_is_time_bytes_and_memory() -> None:
    graph = chain_graph(makes=[2000, 500], holds=[300, 700])
    problem = two_nodes(
        graph,
        [[1.0, 0.5], [1.0, 0.25]],
        price_per_s=np.array([0.0, 8.0]),
        price_per_byte=np.array([[0.0, 1.0], [2.0, 0.0]]),
        price_per_byte_s=np.array([0.0, 0.01]),
    )
    found = cost.evaluate(problem, (0, 1))
    assert found.money == pytest.approx(8.0 * 0.25 + 2000 * 1.0 + 500 * 2.0 + 700 * 0.01 * found.latency_s)


def test_what_takes_all_the_memory_fits() -> None:
    problem = two_nodes(chain_graph([0], [100]), [[1.0, 1.0]])
    for memory, expected in ((99.0, False), (100.0, True), (101.0, True)):
        assert cost.fits(replace(problem, memory_bytes=np.array([np.inf, memory])), (1,)) is expected


def test_balance_is_even_only_when_servers_work_alike() -> None:
    graph = chain_graph(makes=[0, 0], holds=[0, 0])
    problem = simple_problem(graph, [[1.0, 0.5, 0.5], [1.0, 0.5, 0.5]], bandwidth_bytes_s=RATE)
    assert cost.balance(problem, (1, 2)) == 0.0
    assert cost.balance(problem, (1, 1)) == pytest.approx(1.0)
    assert cost.balance(problem, (0, 0)) == 0.0


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_a_slower_link_or_node_never_answers_earlier(data: st.DataObject) -> None:
    problem = data.draw(problems(plain=True, min_nodes=2))
    nodes = st.integers(0, len(problem.nodes) - 1)
    placement = tuple(data.draw(nodes) for _ in problem.graph.layers)
    before = cost.latency(problem, placement)
    slow = data.draw(st.floats(1.0, 10.0))
    source, to = data.draw(nodes), data.draw(nodes)
    bandwidth, seconds = problem.bandwidth_bytes_s.copy(), problem.seconds.copy()
    bandwidth[source, to] /= slow
    seconds[:, to] *= slow
    assert cost.latency(replace(problem, bandwidth_bytes_s=bandwidth), placement) >= before * (1 - 1e-12)
    assert cost.latency(replace(problem, seconds=seconds), placement) >= before * (1 - 1e-12)


class TestJudge:
    graph = chain_graph(makes=[100, 100], holds=[0, 0])

    def problem(self, **objective):
        return replace(
            two_nodes(self.graph, [[4.0, 0.5], [4.0, 0.5]], price_per_s=np.array([0.0, 1.0])),
            objective=Objective(**objective),
        )

    def test_terms_are_over_the_larger_of_local_and_best_cut(self) -> None:
        problem = self.problem(latency=1.0, money=2.0)
        judge = Judge(problem)
        best_cut = (0, 1)
        assert cost.latency(problem, best_cut) < cost.latency(problem, (1, 1))
        assert judge.scales.latency == cost.latency(problem, (0, 0))
        assert judge.scales.money == cost.money(problem, best_cut) == 0.5
        expected = cost.latency(problem, (1, 1)) / 8.0 + 2.0 * 1.0 / 0.5
        assert judge.value((1, 1)) == pytest.approx(expected)

    def test_lin_compares_in_three_ways(self) -> None:
        cheap_and_slow, dear_and_fast = (0, 0), (0, 1)
        relaxed = Judge(self.problem(latency=0.0, money=1.0, deadline_s=9.0))
        assert relaxed.key(cheap_and_slow) < relaxed.key(dear_and_fast)
        strict = Judge(self.problem(latency=0.0, money=1.0, deadline_s=7.0))
        assert strict.key(dear_and_fast) < strict.key(cheap_and_slow)
        hopeless = Judge(self.problem(latency=0.0, money=1.0, deadline_s=0.1))
        assert hopeless.key(dear_and_fast) < hopeless.key(cheap_and_slow)
        poor = Judge(self.problem(latency=1.0, budget=0.1))
        assert poor.key(cheap_and_slow) < poor.key(dear_and_fast)

    def test_what_is_not_allowed_or_does_not_fit_is_never_best(self) -> None:
        problem = self.problem(latency=1.0)
        allowed = np.array([[True, True], [True, False]])
        assert Judge(replace(problem, allowed=allowed)).key((0, 1))[0] == np.inf
        assert Judge(replace(problem, allowed=allowed)).or_local((0, 1)) == (0, 0)

    @given(st.data())
    @settings(max_examples=50, deadline=None)
    def test_many_placements_rank_as_single_ones(self, data: st.DataObject) -> None:
        problem = data.draw(problems(layer_graphs(max_layers=4), max_nodes=3))
        deadline = data.draw(st.sampled_from([None, 0.5, 5.0]))
        budget = data.draw(st.sampled_from([None, 0.1]))
        objective = replace(problem.objective, deadline_s=deadline, budget=budget)
        judge = Judge(replace(problem, objective=objective))
        nodes = len(problem.nodes)
        rows = np.array(data.draw(st.lists(st.tuples(*[st.integers(0, nodes - 1)] * len(problem.graph)), min_size=1)))
        missed, values = judge.keys(rows)
        for row, placement in enumerate(rows.tolist()):
            assert (missed[row], values[row]) == pytest.approx(judge.key(placement), rel=1e-9, abs=1e-12)
        best = judge.best(rows)
        assert judge.key(best) <= min(judge.key(p) for p in rows.tolist()) or judge.key(best) == pytest.approx(
            min(judge.key(p) for p in rows.tolist())
        )


def test_a_problem_says_what_is_wrong_with_it() -> None:
    graph = chain_graph(makes=[1], holds=[1])
    problem = two_nodes(graph, [[1.0, 1.0]])
    with pytest.raises(PlanError, match=r"load has shape \(3,\), expected \(2,\)"):
        replace(problem, load=np.zeros(3))
    with pytest.raises(PlanError, match="forbids the client"):
        replace(problem, allowed=np.array([[False, True]]))
    for same in (problem, copy.deepcopy(problem), pickle.loads(pickle.dumps(problem))):
        assert same.digest == problem.digest
        assert cost.latency(same, (1,)) == cost.latency(problem, (1,))
        with pytest.raises(ValueError, match="read-only"):
            same.seconds[0, 0] = 5.0


def test_a_share_of_the_links_is_part_of_a_problem_only_where_it_is_given() -> None:
    problem = battery()["modules"]
    shared = replace(problem, link_share=np.array([1.0, 0.5, 0.25, 1.0]))
    assert problem.link_share is None
    assert len({problem.digest, shared.digest, replace(shared, link_share=np.array([1.0, 0.5, 0.5, 1.0])).digest}) == 3
    assert replace(shared, link_share=None).digest == problem.digest
    copied = pickle.loads(pickle.dumps(shared))
    assert copied.digest == shared.digest
    for same in (shared, copied):
        with pytest.raises(ValueError, match="read-only"):
            same.link_share[1] = 1.0
    for wrong in ([1.0, 0.5], [1.0, 0.0, 1.0, 1.0], [1.0, 1.5, 1.0, 1.0]):
        with pytest.raises(PlanError, match="expected 4 shares above 0 and at most 1"):
            replace(problem, link_share=np.array(wrong))

"""The period: by hand, and the same however it is asked for."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from period_problems import streams
from strategies import layer_graphs, placements

from layerlift.models.errors import PlanError
from layerlift.planners import Judge, Objective, cost, simple_problem
from layerlift.planners.cost import batch
from layerlift.planners.cost.crowd import Crowd
from layerlift.planners.cost.single_cuts import CutCosts, all_single_cuts
from layerlift.planners.game.answers import IntervalAnswers
from layerlift.planners.game.joint_state import JointState
from layerlift.planners.graphs.intervals import interval
from layerlift.planners.problem.shared_links import SharedLinks, ports
from layerlift.planners.testing.problems import battery, chain_graph

RATE = 1000.0
GRAPH = chain_graph(makes=[200, 300, 40], holds=[0, 0, 0])
"""600,000 bytes come in."""
SECONDS = [[1.0, 0.1, 0.1], [2.0, 0.2, 0.2], [3.0, 0.3, 0.3]]


def three_nodes(**changes):
    return replace(simple_problem(GRAPH, SECONDS, bandwidth_bytes_s=RATE, latency_s=0.5), **changes)


@pytest.mark.parametrize(
    ("placement", "period_s"),
    [
        ((0, 0, 0), 6.0),
        ((1, 1, 1), 600.0),
        ((0, 1, 1), 1.0),
        ((0, 1, 0), 4.0),
        ((0, 1, 2), 1.0),
    ],
)
def test_the_busiest_stage_or_link(placement: tuple[int, ...], period_s: float) -> None:
    assert cost.period(three_nodes(), placement) == period_s
    assert cost.evaluate(three_nodes(), placement).period_s == period_s


def test_a_link_carries_headers_and_its_latency_keeps_nothing_busy() -> None:
    problem = three_nodes(header_bytes=4800, latency_s=three_nodes().latency_s * 100.0)
    assert cost.period(problem, (0, 1, 2)) == pytest.approx((300 + 4800) / RATE)


@pytest.mark.parametrize(
    ("changes", "second"),
    [
        ({"cores": np.array([1, 4, 1])}, 0.25),
        ({"load": np.array([0.0, 2.0, 0.0])}, 3.0),
        ({"load": np.array([0.0, 2.0, 0.0]), "cores": np.array([1, 4, 1])}, (2.0 + 4.0) / 16.0),
        ({"share": np.array([1.0, 0.5, 1.0])}, 2.0),
        ({"share": np.array([1.0, 0.5, 1.0]), "cores": np.array([1, 4, 1])}, 0.5),
        ({"share": np.array([1.0, 0.1, 1.0]), "load": np.array([0.0, 2.0, 0.0])}, 10.0),
    ],
)
def test_others_and_cores_tell_how_long_a_second_of_work_occupies_a_node(changes: dict, second: float) -> None:
    problem = three_nodes(seconds=np.array(SECONDS) * [[0.0, 100.0, 0.0]], **changes)
    assert problem.occupancy[1] == pytest.approx(second)
    assert cost.period(problem, (0, 1, 1)) == pytest.approx(50.0 * second)


def test_ports_and_media_add_up_what_goes_through_them() -> None:
    narrow = ports(np.array([np.inf, 50.0, np.inf]), np.array([np.inf, np.inf, 20.0]))
    assert cost.period(three_nodes(shared=narrow), (0, 1, 2)) == 300 / 20.0
    assert cost.period(three_nodes(shared=narrow), (0, 1, 0)) == 300 / 50.0
    cell = SharedLinks(np.array([100.0]), np.array([[[False, True, True], [True, False, False], [True, False, False]]]))
    assert cost.period(three_nodes(shared=cell), (0, 1, 0)) == (200 + 300) / 100.0
    assert cost.period(three_nodes(shared=cell), (0, 1, 2)) == (200 + 40) / 100.0


def test_where_transfers_do_not_share_links_no_link_is_busy() -> None:
    alone = ports(np.full(3, 1.0), np.full(3, 1.0), queue=False)
    assert cost.period(three_nodes(shared=alone), (1, 1, 1)) == pytest.approx(0.6)


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_many_placements_have_the_periods_of_single_ones(data: st.DataObject) -> None:
    problem = data.draw(streams())
    nodes = len(problem.nodes)
    rows = [data.draw(placements(problem.graph, nodes)) for _ in range(data.draw(st.integers(1, 5)))]
    table = batch.evaluate(problem, np.array(rows))
    single = [cost.evaluate(problem, placement) for placement in rows]
    assert table.period_s == pytest.approx([each.period_s for each in single], rel=1e-12)
    unweighed = replace(problem, objective=Objective())
    assert not batch.evaluate(unweighed, np.array(rows)).period_s.any()
    assert batch.evaluate(unweighed, np.array(rows), period=True).period_s == pytest.approx(table.period_s, rel=1e-15)
    judge = Judge(problem)
    missed, values = judge.keys(np.array(rows))
    for row, placement in enumerate(rows):
        assert (missed[row], values[row]) == pytest.approx(judge.key(placement), rel=1e-9, abs=1e-12)


@given(streams(layer_graphs(max_layers=6)))
@settings(max_examples=150, deadline=None)
def test_single_cuts_by_sums_are_what_the_cost_model_says(problem) -> None:
    walked, cuts = batch.evaluate(problem, all_single_cuts(problem)), CutCosts(problem)
    np.testing.assert_allclose(cuts.period_s, walked.period_s, rtol=1e-12, atol=1e-15)
    judge, found = Judge(problem), Judge(problem).best_cut()
    if found is not None:
        keys = [judge.key(tuple(row)) for row in all_single_cuts(problem).tolist()]
        assert found[0][1] <= min(keys)[1] + 1e-9 * abs(min(keys)[1])


@given(streams(layer_graphs(max_layers=5)), st.data())
@settings(max_examples=100, deadline=None)
def test_menus_and_joint_states_know_the_period(problem, data: st.DataObject) -> None:
    if not problem.servers:
        return
    crowd = Crowd([problem, problem])
    answers, judge = IntervalAnswers(crowd), crowd.judges[0]
    menu = answers.menu(0)
    nobody = np.zeros(len(problem.nodes))
    key, choice = menu.best(nobody, np.full(len(problem.nodes), np.inf))
    assert key == pytest.approx(judge.key(choice.placement), rel=1e-9, abs=1e-12)
    assert key <= (judge.local_key[0], judge.local_key[1] * (1 + 1e-9))
    for intervals in menu.by_server:
        for first, last in zip(intervals.first[:6].tolist(), intervals.last[:6].tolist(), strict=True):
            placement = interval(problem, intervals.server, first, last)
            assert judge.key(placement)[1] >= key[1] * (1 - 1e-9) or judge.key(placement)[0] > key[0]


def test_joint_states_feel_the_others_in_the_period() -> None:
    objective = Objective(latency=0.0, period=1.0)
    problem = three_nodes(objective=objective, bandwidth_bytes_s=three_nodes().bandwidth_bytes_s * 1e6)
    joint = JointState(Crowd([problem, problem]))
    apart, together = joint.value([(1, 0, 2), (2, 0, 2)]), joint.value([(1, 0, 2), (1, 0, 2)])
    assert apart == pytest.approx(1.2)
    busy = 0.6 / cost.latency(problem, (1, 1, 1))
    assert together == pytest.approx(2 * 0.6 * (1.0 + busy))
    rows = [np.array([[1, 1, 1], [1, 1, 1]]), np.array([[2, 2, 2], [1, 1, 1]])]
    assert Crowd([problem, problem]).scores(rows)[1] == pytest.approx([apart, together])


def test_a_period_has_a_scale_where_there_are_other_terms() -> None:
    problem = three_nodes(objective=Objective(latency=1.0, period=2.0))
    judge = Judge(problem)
    assert judge.scales.period == 6.0
    found = cost.evaluate(problem, (0, 1, 2))
    assert judge.value((0, 1, 2)) == pytest.approx(found.latency_s / judge.scales.latency + 2.0 * 1.0 / 6.0)
    assert Judge(three_nodes(objective=Objective(latency=0.0, period=1.0))).key((0, 1, 0)) == (0.0, 4.0)


def test_a_problem_without_it_is_named_as_before() -> None:
    """Names of problems decide random numbers: an objective that weighs no period must not change them."""
    plain = three_nodes()
    assert plain.objective.words == (
        "Objective(latency=1.0, energy=0.0, money=0.0, balance=0.0, deadline_s=None, budget=None)"
    )
    assert Objective(period=1.0).words.endswith(", budget=None, period=1.0)")
    narrow = ports(np.full(3, 9.0), np.full(3, 9.0))
    known = [
        plain,
        replace(plain, objective=Objective(period=1.0)),
        replace(plain, objective=Objective(period=2.0)),
        replace(plain, shared=narrow),
        replace(plain, shared=ports(np.full(3, 8.0), np.full(3, 9.0))),
        replace(plain, shared=ports(np.full(3, 9.0), np.full(3, 9.0), queue=False)),
        replace(plain, objective=Objective(coordination=1.0)),
        replace(plain, objective=Objective(period=1.0, coordination=1.0)),
    ]
    assert len({problem.digest for problem in known}) == len(known)
    again = pickle.loads(pickle.dumps(known[3]))
    assert again.digest == known[3].digest
    with pytest.raises(ValueError, match="read-only"):
        again.shared.bytes_s[0] = 1.0


def test_what_links_share_is_checked() -> None:
    with pytest.raises(PlanError, match=r"problem\.shared knows 3 nodes, expected the problem's 4"):
        replace(battery()["chain"], shared=ports(np.full(3, 9.0), np.full(3, 9.0)))
    for wrong in ((np.array([0.0]), np.ones((1, 2, 2))), (np.array([1.0]), np.ones((2, 2, 2)))):
        with pytest.raises(PlanError, match="expected bytes a second above 0"):
            SharedLinks(wrong[0], wrong[1].astype(np.bool_))

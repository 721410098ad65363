"""The upload timeline, against a query-by-query simulation."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planner_problems import problems

from layerlift.planners import Plan, Upload, cost, make, simple_problem, timeline
from layerlift.planners.testing.problems import Sketch, chain_graph, draw_graph

RATE, DELAY = 1000.0, 0.5


def three_layers():
    graph = chain_graph(makes=[100, 100, 100], holds=[1000, 2000, 4000])
    return simple_problem(graph, [[10.0, 1.0, 1.0]] * 3, bandwidth_bytes_s=RATE, latency_s=DELAY, header_bytes=100)


def test_parts_travel_one_after_the_other_each_with_its_confirm_result() -> None:
    problem = three_layers()
    plan = Plan((1, 1, 2), (Upload(2, (2,)), Upload(1, (0, 1))))
    lived = timeline(problem, plan)
    confirm = DELAY + 0.1
    assert lived.bytes == (4000, 3000)
    assert lived.arrived_s == pytest.approx((DELAY + 4.1, DELAY + 4.1 + confirm + DELAY + 3.1))
    assert lived.confirmed_s == pytest.approx((DELAY + 4.1 + confirm, 2 * (DELAY + confirm) + 7.2))
    assert lived.latencies_s == (
        cost.latency(problem, (0, 0, 0)),
        cost.latency(problem, (0, 0, 2)),
        cost.latency(problem, (1, 1, 2)),
    )
    assert lived.total_bytes == 7000


def test_servers_side_by_side_when_uploads_are_per_server() -> None:
    problem = replace(three_layers(), uploads_at_once="per_server")
    lived = timeline(problem, Plan((1, 1, 2), (Upload(2, (2,)), Upload(1, (0, 1)))))
    confirm = DELAY + 0.1
    assert lived.confirmed_s == pytest.approx((DELAY + 4.1 + confirm, DELAY + 3.1 + confirm))
    assert lived.latencies_s[1] == cost.latency(problem, (1, 1, 0))
    assert lived.ended_s == max(lived.confirmed_s)


def test_a_whole_plan_is_used_only_when_all_is_confirmed() -> None:
    problem = three_layers()
    plan = Plan((1, 1, 2), (Upload(2, (2,)), Upload(1, (0, 1))), whole=True)
    lived = timeline(problem, plan)
    assert lived.changes_s == (0.0, lived.ended_s)
    assert lived.latencies_s == (cost.latency(problem, (0, 0, 0)), cost.latency(problem, (1, 1, 2)))


def test_building_a_part_takes_time_and_shared_weights_travel_once() -> None:
    graph = draw_graph("tied", [Sketch("a", ("input",), 9, 5000, "tied"), Sketch("b", ("a",), 9, 5000, "tied")])
    problem = simple_problem(graph, [[1.0, 1.0]] * 2, bandwidth_bytes_s=RATE, latency_s=0.0)
    slow_build = replace(problem, load_s_per_byte=problem.load_s_per_byte + 0.001)
    lived = timeline(slow_build, Plan((1, 1), (Upload(1, (1,)), Upload(1, (0,)))))
    assert lived.bytes == (5000, 0)
    assert lived.confirmed_s == pytest.approx((10.0, 10.0))


def simulate(lived, until_s: float) -> int:
    """Back-to-back queries, one by one, with the latency of the last change at or before each start."""
    begun, count = 0.0, 0
    while True:
        each = [s for at, s in zip(lived.changes_s, lived.latencies_s, strict=True) if at <= begun * (1 + 1e-12)][-1]
        if begun + each > until_s * (1 + 1e-12):
            return count
        begun += each
        count += 1


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_queries_finished_equals_a_query_by_query_simulation(data: st.DataObject) -> None:
    problem = data.draw(problems(min_nodes=2))
    plan = make("random+recursive").plan(problem, random.Random(data.draw(st.integers(0, 99))))
    lived = timeline(problem, plan)
    until = data.draw(st.floats(0.0, 2.0)) * lived.ended_s + data.draw(st.floats(0.0, 3.0))
    if until / min(lived.latencies_s) < 20_000:
        assert abs(lived.finished_by(until) - simulate(lived, until)) <= 1
    assert lived.queries_during_upload == lived.finished_by(lived.ended_s)
    assert lived.latencies_s[-1] == cost.latency(problem, plan.placement)
    area = sum(
        each * (end - start)
        for start, end, each in zip(
            lived.changes_s, [*lived.changes_s[1:], lived.ended_s], lived.latencies_s, strict=True
        )
    )
    assert lived.delay_area(lived.ended_s) == pytest.approx(area)
    assert lived.latency_at(lived.ended_s) == lived.latencies_s[-1]


def test_counting_queries_by_hand() -> None:
    graph = chain_graph(makes=[0], holds=[950])
    problem = simple_problem(graph, [[3.0, 1.0]], bandwidth_bytes_s=100.0, latency_s=0.25)
    lived = timeline(problem, Plan((1,), (Upload(1, (0,)),)))
    remote = 0.25 + 6000.0 + 1.0 + 0.25
    assert lived.confirmed_s == (10.0,)
    assert lived.latencies_s == (3.0, remote)
    assert [lived.finished_by(t) for t in (0.0, 2.9, 3.0, 9.0, 10.0, 12.0)] == [0, 0, 1, 3, 3, 4]
    assert lived.finished_by(12.0 + remote) == 5

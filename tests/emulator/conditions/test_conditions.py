"""What breaks, and when: by hand where it is given, by its statistics where it is drawn, and always from the seed."""

from __future__ import annotations

import pickle
import random
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice, pairwise, takewhile
from math import inf, sqrt
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import chain_graph, small_world

from layerlift.emulator.conditions.conditions import Conditions, State
from layerlift.emulator.kernel.step_function import IDLE
from layerlift.emulator.world.faults import Crash, Fault, Loss, OnOff, Outage, Pairs, Trace
from layerlift.emulator.world.links import LinkSpec
from layerlift.emulator.world.mobility import Journey, Waypoint
from layerlift.emulator.world.users import PlanningSpec
from layerlift.emulator.world.world import World

C0, C1, S1, S2, S3, PLANNER = range(6)
RATE, LATENCY = 1e6, 0.01
UP, DOWN = State(True, LATENCY, RATE), State(False, LATENCY, 0.0)
CLIENT_EDGE = Pairs("client", "edge")


def world(*faults: Fault, **settings: Any) -> World:
    """Two clients and three edge servers, all links alike."""
    return small_world(chain_graph((10, 10), (10,)), (0.1,), clients=2, servers=3, faults=faults, **settings)


def conditions(*faults: Fault, **settings: Any) -> Conditions:
    return Conditions(world(*faults, **settings))


def until(steps: Iterator[tuple[float, Any]], end: float) -> list[tuple[float, Any]]:
    return list(takewhile(lambda step: step[0] < end, steps))


def traced(*points: tuple[float, float | None, float | None], repeat_s: float | None = None) -> Trace:
    return Trace(CLIENT_EDGE, points, repeat_s)


def test_a_world_without_faults_never_changes() -> None:
    calm = conditions()
    assert not any(calm.dynamic(a, b) for a, b in ((C0, S1), (S1, C0), (S1, S2), (PLANNER, C0), (S3, PLANNER)))
    assert calm.state(C0, S1, 1e6) == UP
    assert list(calm.changes(C0, S1)) == []
    assert list(calm.crashes(S1)) == []
    assert list(calm.attachments(C0)) == []
    assert (calm.attached(C0, 3.0), calm.handover(C0), calm.loss(C0, S1, 1.0), calm.alive(S1, 1e9)) == (
        None,
        "",
        0,
        True,
    )


def test_an_outage_by_hand() -> None:
    sky = conditions(Outage(CLIENT_EDGE, 10.0, 5.0))
    assert list(sky.changes(C0, S1)) == [(10.0, DOWN), (15.0, UP)]
    assert [sky.state(S2, C1, at).up for at in (0.0, 9.999999999, 10.0, 14.999999999, 15.0, 1e6)] == [
        *(True, True, False, False, True, True)
    ]
    assert sky.dynamic(C0, S1)
    assert not sky.dynamic(S1, S2)
    assert sky.state(S1, S2, 12.0) == UP


def test_an_outage_from_the_start_and_again() -> None:
    sky = conditions(Outage(CLIENT_EDGE, 0.0, 0.1, 0.3))
    assert sky.state(C0, S1, 0.0) == DOWN
    assert list(islice(sky.changes(C0, S1), 4)) == [(0.1, UP), (0.3, DOWN), (0.4, UP), (0.6, DOWN)]
    assert [at for at, _ in until(sky.changes(C0, S1), 1.05)][-2:] == [0.9, 1.0], "to 1 ns, without drift"


@pytest.mark.parametrize(
    ("pairs", "hit"),
    [
        (Pairs("client", "edge"), {(C0, S1), (S1, C0), (C1, S3), (S3, C1)}),
        (Pairs("client", "edge", True), {(C0, S1), (C1, S3)}),
        (Pairs("edge", "client", True), {(S1, C0), (S3, C1)}),
        (Pairs(S1), {(C0, S1), (S1, C0), (S1, S2), (S2, S1)}),
        (Pairs(C0, S1), {(C0, S1), (S1, C0)}),
        (Pairs(S2, S1, True), {(S2, S1)}),
        (Pairs(S3, "client"), {(C1, S3), (S3, C1)}),
        (Pairs("edge", "edge"), {(S1, S2), (S2, S1)}),
    ],
)
def test_which_links_a_fault_is_about(pairs: Pairs, hit: set[tuple[int, int]]) -> None:
    sky = conditions(Outage(pairs, 0.0, 1.0))
    asked = [(C0, S1), (S1, C0), (C1, S3), (S3, C1), (S1, S2), (S2, S1)]
    assert {pair for pair in asked if not sky.state(*pair, 0.5).up} == hit == {p for p in asked if sky.dynamic(*p)}


def test_a_trace_by_hand() -> None:
    sky = conditions(
        traced((1.0, 5e5, None), (2.0, 0.0, 0.5), (3.0, 0.0, 0.5), (4.0, None, 0.002), (5.0, RATE, LATENCY))
    )
    assert list(sky.changes(C0, S1)) == [
        (1.0, State(True, LATENCY, 5e5)),
        (2.0, State(False, 0.5, 0.0)),
        (4.0, State(True, 0.002, RATE)),
        (5.0, UP),
    ], "0 is down; what stays equal is no change; what is left out is the scenario's own"
    assert sky.state(C0, S1, 0.5) == UP


def test_a_trace_comes_again() -> None:
    sky = conditions(traced((1.0, 5e5, None), (2.0, 2e6, None), repeat_s=3.0))
    rates = [(at, state.bandwidth_bytes_s) for at, state in islice(sky.changes(C0, S1), 5)]
    assert rates == [(1.0, 5e5), (2.0, 2e6), (4.0, 5e5), (5.0, 2e6), (7.0, 5e5)]
    assert sky.state(C0, S1, 3001.5).bandwidth_bytes_s == 5e5


def test_faults_of_one_link_add_up() -> None:
    sky = conditions(
        traced((0.0, 4e5, None), (4.0, 3e5, None), (6.0, 0.0, None), (8.0, 2e5, None)),
        Outage(CLIENT_EDGE, 3.0, 2.0),
        Outage(Pairs(S1), 5.0, 2.0),
        Trace(Pairs(C0, S1), ((20.0, 9e5, 0.02),)),
    )
    assert sky.state(C0, S1, 0.0) == State(True, LATENCY, 4e5)
    assert list(sky.changes(C0, S1)) == [
        (3.0, DOWN),
        (8.0, State(True, LATENCY, 2e5)),
        (20.0, State(True, 0.02, 9e5)),
    ], "the change of rate at 4 and the outages' edges at 5, 6 and 7 are hidden"
    assert [at for at, _ in sky.changes(C1, S2)] == [3.0, 5.0, 6.0, 8.0]


def test_an_end_and_a_beginning_at_one_instant_are_no_change() -> None:
    sky = conditions(
        Outage(CLIENT_EDGE, 1.0, 1.0), Outage(CLIENT_EDGE, 2.0, 1.0), traced((2.0, 5.0, None), (3.0, RATE, None))
    )
    assert list(sky.changes(C0, S1)) == [(1.0, DOWN), (3.0, UP)]


def test_nobody_waits_for_ever_for_a_link_that_is_down_for_good() -> None:
    sky = conditions(traced((1.0, 0.0, None)), Outage(CLIENT_EDGE, 2.0, 1.0, 2.0))
    first, told = islice(sky.changes(C0, S1), 2)
    assert first == (1.0, DOWN)
    assert told == (1.0 + IDLE, DOWN)


def test_on_and_off_are_exponential_with_the_given_means() -> None:
    on_s, off_s, end = 2.0, 0.5, 20_000.0
    sky = conditions(OnOff(CLIENT_EDGE, on_s, off_s))
    assert sky.state(C0, S1, 0.0).up
    steps = [(0.0, UP), *until(sky.changes(C0, S1), end)]
    ups = [later - at for (at, state), (later, _) in pairwise(steps) if state.up]
    downs = [later - at for (at, state), (later, _) in pairwise(steps) if not state.up]
    count = len(downs)
    assert count == pytest.approx(end / (on_s + off_s), rel=0.05)
    for found, mean in ((ups, on_s), (downs, off_s)):
        assert abs(sum(found) / len(found) - mean) < 4 * mean / sqrt(count)
        assert abs(sum(x > mean for x in found) / len(found) - 0.36788) < 4 * sqrt(0.2325 / count)
    share = sum(ups) / (sum(ups) + sum(downs))
    assert abs(share - on_s / (on_s + off_s)) < 4 * sqrt(2 * 0.8**2 * 0.2**2 / count)
    assert all(round(at, 9) == at for at, _ in steps)


def test_on_off_is_one_for_both_directions_and_another_for_each_pair() -> None:
    sky = conditions(OnOff(CLIENT_EDGE, 2.0, 0.5))
    there = list(islice(sky.changes(C0, S1), 50))
    assert there == list(islice(sky.changes(S1, C0), 50))
    assert {at for at, _ in there}.isdisjoint(at for at, _ in islice(sky.changes(C0, S2), 50))
    assert {at for at, _ in there}.isdisjoint(at for at, _ in islice(sky.changes(C1, S1), 50))


def test_on_off_under_an_outage_is_down_in_either() -> None:
    on_off = OnOff(CLIENT_EDGE, 2.0, 0.5)
    alone, cut = conditions(on_off), conditions(on_off, Outage(CLIENT_EDGE, 5.0, 20.0))
    for number in range(4000):
        at = number / 100
        assert cut.state(C0, S1, at).up == (alone.state(C0, S1, at).up and not 5 <= at < 25)
    assert not [at for at, _ in until(cut.changes(C0, S1), 40.0) if 5 < at < 25]


def test_faults_have_streams_of_their_own() -> None:
    on_off, crash = OnOff(CLIENT_EDGE, 2.0, 0.5), Crash((S1,), mean_up_s=5.0, mean_down_s=1.0)
    move = Waypoint((C1,), (100.0, 100.0), (1.0, 2.0), (0.0, 1.0), ((S1, 0.0, 0.0), (S2, 100.0, 100.0)))
    one, more = conditions(on_off), conditions(on_off, crash, Loss(CLIENT_EDGE, 0.1, 0.5, 3.0, 1.0), mobility=(move,))
    assert list(islice(one.changes(C0, S1), 30)) == list(islice(more.changes(C0, S1), 30))
    marks = {at for at, _ in islice(one.changes(C0, S1), 30)}
    second = conditions(Outage(CLIENT_EDGE, 0.0, 1e-9), on_off)
    assert marks.isdisjoint(at for at, _ in islice(second.changes(C0, S1), 30)), "by its place in the list"
    other = Conditions(replace(world(on_off), seed=2))
    assert marks.isdisjoint(at for at, _ in islice(other.changes(C0, S1), 30))


def test_loss_by_hand() -> None:
    sky = conditions(Loss(CLIENT_EDGE, 0.02), Loss(Pairs(S1), 0.5))
    assert sky.loss(C0, S2, 3.0) == 0.02
    assert sky.loss(S1, C0, 3.0) == pytest.approx(1 - 0.98 * 0.5)
    assert (sky.loss(S1, S2, 0.0), sky.loss(S2, S3, 0.0)) == (0.5, 0.0)
    assert [sky.lossy(*pair) for pair in ((C0, S2), (S1, S2), (S2, S3), (C0, PLANNER))] == [True, True, False, False]
    assert sky.dynamic(C0, S2)
    assert list(sky.changes(C0, S2)) == []


@pytest.mark.long
def test_bursts_of_loss() -> None:
    sky = conditions(Loss(CLIENT_EDGE, 0.01, 0.75, good_s=3.0, bad_s=1.0))
    asked = [sky.loss(C0, S1, number / 10) for number in range(30_000)]
    assert set(asked) == {0.01, 0.75}
    assert asked[0] == 0.01
    spans = 3_000 / 4
    assert abs(asked.count(0.75) / len(asked) - 0.25) < 4 * sqrt(2 * 0.75**2 * 0.25**2 / spans)
    assert asked[:1000] == [sky.loss(S1, C0, number / 10) for number in range(1000)]
    assert asked[:1000] != [sky.loss(C1, S1, number / 10) for number in range(1000)]


def test_crashes_by_hand() -> None:
    sky = conditions(Crash((S1, S2), 3.0, 2.0), Crash((S1,), 4.0, 3.0), Crash((S1,), 7.0, 1.0), Crash((S1,), 20.0))
    assert list(sky.crashes(S1)) == [(3.0, 8.0), (20.0, inf)], "overlapping and touching ones are one"
    assert list(sky.crashes(S2)) == [(3.0, 5.0)]
    assert [sky.alive(S1, at) for at in (0.0, 2.9, 3.0, 7.0, 8.0, 19.0, 20.0, 1e9)] == [
        *(True, True, False, False, True, True, False, False)
    ]
    assert sky.dynamic(C0, S1)
    assert not sky.dynamic(C0, S3)
    assert sky.state(C0, S1, 4.0) == UP, "a dead end is not the link's matter"


def test_crashes_again_and_at_random() -> None:
    again = conditions(Crash((S1,), 0.0, 1.0, 10.0))
    assert list(islice(again.crashes(S1), 3)) == [(0.0, 1.0), (10.0, 11.0), (20.0, 21.0)]
    drawn = conditions(Crash((S1, S2), mean_up_s=6.0, mean_down_s=2.0))
    spans = list(takewhile(lambda span: span[1] < 20_000, drawn.crashes(S1)))
    dead = sum(up - down for down, up in spans) / spans[-1][1]
    assert abs(dead - 0.25) < 4 * sqrt(2 * 0.75**2 * 0.25**2 / len(spans))
    assert spans[0][0] > 0
    assert all(up > down for down, up in spans)
    assert all(later > up for (_, up), (later, _) in pairwise(spans))
    assert spans[:5] != list(islice(drawn.crashes(S2), 5)), "each server by itself"


def test_a_planner_is_where_it_lives() -> None:
    faults = (Outage(CLIENT_EDGE, 1.0, 1.0), Crash((S2,), 5.0, 1.0), Loss(CLIENT_EDGE, 0.1))
    at_server = conditions(*faults, planning=PlanningSpec(at=S2))
    assert list(at_server.changes(C0, PLANNER)) == list(at_server.changes(C0, S2)) == [(1.0, DOWN), (2.0, UP)]
    assert list(at_server.crashes(PLANNER)) == [(5.0, 6.0)]
    assert not at_server.alive(PLANNER, 5.5)
    assert at_server.loss(C0, PLANNER, 0.0) == 0.1
    assert list(at_server.changes(S2, PLANNER)) == []
    assert at_server.dynamic(S2, PLANNER), "both die"
    with_client = conditions(*faults, planning=PlanningSpec(loopback_s=0.25))
    assert with_client.state(C0, PLANNER, 1.5) == State(True, 0.25, inf)
    assert not with_client.dynamic(C0, PLANNER)
    assert with_client.alive(PLANNER, 5.5)


def test_the_least_latency_is_over_all_time() -> None:
    assert world().lookahead_s == 0.001
    told = PlanningSpec(loopback_s=1.0)
    assert world(planning=told).lookahead_s == LATENCY
    slow, fast = traced((5.0, None, 0.3)), traced((5.0, None, 0.3), (1e6, None, 0.0002), (2e6, None, None))
    assert world(slow, planning=told).lookahead_s == LATENCY
    assert world(fast, slow, planning=told).lookahead_s == world(fast, planning=told).lookahead_s == 0.0002


def journey(*stops: tuple[float, int], **settings: Any) -> Journey:
    return Journey((C0,), stops, **settings)


NEAR, AMONG = LinkSpec(0.01, 1e6), LinkSpec(0.03, 4e5)


def moving(*faults: Fault, **settings: Any) -> Conditions:
    """C0 is at S1, from 10 on at S2; links among servers differ from its own."""
    pairs = {(a, b): AMONG for a in (S1, S2, S3) for b in (S1, S2, S3) if a != b}
    move = journey((0.0, S1), (10.0, S2), **settings)
    return conditions(*faults, mobility=(move,), pairs=pairs)


def test_a_journey_by_hand() -> None:
    sky = moving(handover="copy")
    direct, through = State(True, 0.01, 1e6), State(True, 0.04, 4e5)
    assert list(sky.attachments(C0)) == [(0.0, S1), (10.0, S2)]
    assert [sky.attached(C0, at) for at in (0.0, 9.9, 10.0, 1e6)] == [S1, S1, S2, S2]
    assert (sky.handover(C0), sky.handover(C1), sky.attached(C1, 0.0)) == ("copy", "", None)
    for ends in ((C0, S1), (S1, C0)):
        assert sky.state(*ends, 0.0) == direct
        assert list(sky.changes(*ends)) == [(10.0, through)]
    for ends in ((C0, S2), (S2, C0)):
        assert sky.state(*ends, 0.0) == through
        assert list(sky.changes(*ends)) == [(10.0, direct)]
    assert list(sky.changes(C0, S3)) == []
    assert sky.state(C0, S3, 4.0) == through
    assert sky.dynamic(C0, S3), "it is not the link of the scenario"
    assert not sky.dynamic(C1, S3)
    assert sky.state(C1, S3, 4.0) == direct


def test_a_hand_over_interrupts_and_legs_bring_their_faults() -> None:
    sky = moving(Outage(Pairs(C0, S1), 2.0, 20.0), Outage(Pairs(S2, S3), 15.0, 1.0), interruption_s=0.5)
    ups = [(at, state.up) for at, state in sky.changes(C0, S3)]
    assert ups == [(2.0, False), (10.5, True), (15.0, False), (16.0, True)], "S3 is reached over S1, then over S2"
    assert sky.state(C0, S3, 10.2) == State(False, 0.04, 0.0)
    lost = moving(Loss(Pairs(C0, S1), 0.5), Loss(Pairs("edge", "edge"), 0.5))
    assert [lost.loss(C0, S1, 1.0), lost.loss(C0, S3, 1.0), lost.loss(S2, C0, 11.0)] == [0.5, 0.75, 0.0]
    assert lost.lossy(C0, S2)
    assert not moving(Loss(Pairs(C0, S3), 0.5)).lossy(C0, S3), "never attached there"


def test_interruptions_that_overlap_are_one() -> None:
    move = journey((0.0, S1), (1.0, S2), (1.5, S3), (2.5, S3), (4.0, S1), interruption_s=1.0)
    sky = conditions(mobility=(move,))
    assert [(at, state.up) for at, state in sky.changes(C0, S1) if not state.up or at in (2.5, 5.0)] == [
        *((1.0, False), (2.5, True), (4.0, False), (5.0, True))
    ]
    assert [at for at, _ in sky.attachments(C0)] == [0.0, 1.0, 1.5, 4.0]


def stormy() -> World:
    edges = ((S1, 10.0, 10.0), (S2, 90.0, 20.0), (S3, 40.0, 90.0))
    return world(
        OnOff(CLIENT_EDGE, 2.0, 0.5),
        traced((1.0, 5e5, None), (2.0, 0.0, 0.5), (2.5, None, 0.002), repeat_s=4.0),
        Outage(Pairs(S1), 3.0, 1.0, 7.0),
        Loss(CLIENT_EDGE, 0.1, 0.5, 1.0, 1.0),
        Crash((S1, S3), mean_up_s=5.0, mean_down_s=1.0),
        OnOff(Pairs("edge", "edge"), 3.0, 1.0),
        mobility=(Waypoint((C0, C1), (100.0, 100.0), (5.0, 9.0), (0.0, 2.0), edges, 3.0, 0.25),),
    )


ENDS = [(C0, S1), (S2, C0), (C1, S3), (S1, S2), (S3, S1)]


def answers(sky: Conditions, ends: tuple[int, int], at: float) -> tuple[Any, ...]:
    return sky.state(*ends, at), sky.loss(*ends, at), sky.alive(ends[1], at), sky.attached(ends[0], at)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(ENDS), st.floats(0.0, 60.0), st.booleans()), max_size=12))
def test_the_order_of_questions_does_not_matter(asked: list[tuple[tuple[int, int], float, bool]]) -> None:
    sky = Conditions(stormy())
    for ends, at, look_ahead in asked:
        if look_ahead:
            list(islice(sky.changes(*ends), 20))
            list(islice(sky.crashes(ends[0]), 3))
        assert answers(sky, ends, at) == answers(Conditions(stormy()), ends, at)


@pytest.mark.parametrize("ends", ENDS)
def test_states_are_those_that_the_changes_say(ends: tuple[int, int]) -> None:
    steps = [(0.0, Conditions(stormy()).state(*ends, 0.0)), *until(Conditions(stormy()).changes(*ends), 200.0)]
    assert len(steps) > 20
    assert all(later > at and other != state for (at, state), (later, other) in pairwise(steps))
    assert all(state.up == (state.bandwidth_bytes_s > 0) for _, state in steps)
    sky, rng = Conditions(stormy()), random.Random(4)
    for (at, state), (later, _) in pairwise(steps):
        assert sky.state(*ends, at) == sky.state(*ends, rng.uniform(at, later)) == state


def test_a_weather_that_was_sent_elsewhere_says_the_same() -> None:
    sky = Conditions(stormy())
    list(islice(sky.changes(C0, S1), 10))
    sent = pickle.loads(pickle.dumps(sky))
    assert list(islice(sent.changes(C0, S1), 40)) == list(islice(sky.changes(C0, S1), 40))

"""Walks, and the instants of hand-over: by hand on a straight line, else against the distances at dense instants."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from itertools import islice, pairwise, takewhile
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import chain_graph, small_world

from layerlift.emulator.conditions.conditions import Conditions
from layerlift.emulator.kernel.step_function import IDLE
from layerlift.emulator.scenario.schema.moves import grid
from layerlift.emulator.world.mobility import Leg, Place, Waypoint, nearest_edges, next_nearest, walk

AREA = (100.0, 60.0)
PLACES = {7: (0.0, 0.0), 8: (100.0, 0.0), 9: (0.0, 60.0), 11: (100.0, 60.0), 12: (50.0, 30.0)}


def waypoint(**changes: Any) -> Waypoint:
    told: dict[str, Any] = {"clients": (0,), "area_m": AREA, "speed_m_s": (1.0, 3.0), "pause_s": (0.0, 4.0)}
    edges = tuple((node, x, y) for node, (x, y) in PLACES.items())
    return Waypoint(**{**told, "edges": edges, **changes})


@pytest.mark.parametrize(
    ("places", "hysteresis_m", "way", "other"),
    [
        ([(0, 0), (10, 0)], 0.0, 5, 1),
        ([(0, 0), (10, 0)], 2.0, 6, 1),
        ([(0, 0), (10, 0)], 9.0, 9.5, 1),
        ([(0, 0), (10, 0)], 10.0, math.inf, 0),
        ([(0, 4), (10, 4)], 0.0, 5, 1),
        ([(0, 0), (30, 0)], 0.0, math.inf, 0),
        ([(0, 0), (30, 0)], 0.5, math.inf, 0),
        ([(-5, 0), (5, 0)], 0.0, 0, 1),
        ([(5, 0), (-5, 0)], 0.0, math.inf, 0),
        ([(-5, 0), (3, 0)], 0.5, 0, 1),
        ([(0, 0), (8, 0), (6, 0)], 0.0, 3, 2),
        ([(0, 0), (10, 3), (10, -9)], 0.0, 5.45, 1),
        ([(0, 0), (4, 4), (8, 0)], 0.0, 4, 2),
        ([(0, 0), (8, 0), (8, 0)], 0.0, 4, 1),
        ([(0, 3), (5, 2)], 1.5, 3.060742125, 1),
        ([(5, 0), (5, 4)], 0.0, math.inf, 0),
    ],
)
def test_a_walk_of_ten_metres_by_hand(places: list[Place], hysteresis_m: float, way: float, other: int) -> None:
    found, to = next_nearest(Leg(0.0, 10.0, (0.0, 0.0), (1.0, 0.0), 10.0), places, 0, 0.0, hysteresis_m)
    if way == math.inf:
        assert found > 10
    else:
        assert (found, to) == (pytest.approx(way), other)


def test_the_last_hyperbola_by_hand() -> None:
    way = 3.060742125
    assert math.dist((way, 0), (0, 3)) - math.dist((way, 0), (5, 2)) == pytest.approx(1.5)


def test_legs_follow_each_other_within_their_ranges() -> None:
    legs = list(islice(walk(waypoint(), random.Random(5)), 400))
    for leg, after in pairwise(legs):
        goal = (leg.start[0] + leg.direction[0] * leg.length_m, leg.start[1] + leg.direction[1] * leg.length_m)
        assert math.dist(goal, after.start) < 1e-9
        assert 0 <= after.begin_s - leg.end_s <= 4.0
        assert 1.0 - 1e-9 <= leg.length_m / (leg.end_s - leg.begin_s) <= 3.0 + 1e-9
        assert 0 <= leg.start[0] <= 100
        assert 0 <= leg.start[1] <= 60
    assert sum(leg.start[0] for leg in legs) / 400 == pytest.approx(50, abs=4 * 100 / math.sqrt(12 * 400))
    pauses = [after.begin_s - leg.end_s for leg, after in pairwise(legs)]
    assert sum(pauses) / 399 == pytest.approx(2, abs=4 * 4 / math.sqrt(12 * 399))


def samples(spec: Waypoint, seed: int, count: int) -> Iterator[tuple[float, Place]]:
    """(instant, place) of a walker, densely, pauses included."""
    for leg, after in pairwise(islice(walk(spec, random.Random(seed)), count)):
        for number in range(201):
            share = number / 200
            at = leg.begin_s + share * (leg.end_s - leg.begin_s)
            way = share * leg.length_m
            yield at, (leg.start[0] + way * leg.direction[0], leg.start[1] + way * leg.direction[1])
        yield (leg.end_s + after.begin_s) / 2, after.start


def gap(at: Place, edge: int) -> float:
    """By how much some other edge server is nearer."""
    return math.dist(at, PLACES[edge]) - min(math.dist(at, place) for place in PLACES.values())


@pytest.mark.parametrize("hysteresis_m", [0.0, 0.01, 3.0, 25.0])
@pytest.mark.parametrize("seed", [1, 2])
def test_hand_overs_happen_when_another_server_gets_nearer(hysteresis_m: float, seed: int) -> None:
    spec = waypoint(hysteresis_m=hysteresis_m)
    told = list(islice(nearest_edges(spec, random.Random(seed)), 400))
    steps = [told[0], *(step for before, step in pairwise(told) if step[1] != before[1])]
    handovers, place = 0, 0
    last: tuple[float, Place] = (0.0, (0.0, 0.0))
    for at, here in samples(spec, seed, 120):
        while place + 1 < len(steps) and steps[place + 1][0] <= at:
            place += 1
            handovers += 1
            share = (steps[place][0] - last[0]) / (at - last[0])
            met = (last[1][0] + share * (here[0] - last[1][0]), last[1][1] + share * (here[1] - last[1][1]))
            old, new = PLACES[steps[place - 1][1]], PLACES[steps[place][1]]
            assert math.dist(met, old) - math.dist(met, new) == pytest.approx(hysteresis_m, abs=1e-6), "exactly there"
        assert gap(here, steps[place][1]) <= hysteresis_m + 1e-6, "and not later"
        last = (at, here)
    assert handovers > 20
    assert place == handovers


def test_hysteresis_makes_hand_overs_rarer() -> None:
    counts = []
    for hysteresis_m in (0.0, 10.0, 30.0):
        told = takewhile(
            lambda step: step[0] < 20_000, nearest_edges(waypoint(hysteresis_m=hysteresis_m), random.Random(3))
        )
        counts.append(sum(before[1] != after[1] for before, after in pairwise(told)))
    assert counts[0] > 1.2 * counts[1] > 1.2 * 1.2 * counts[2] > 0


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 100), st.floats(0, 60)), min_size=1, max_size=6),
    st.sampled_from((0.0, 0.0, 1e-6, 1.0, 40.0)),
    st.integers(0, 99),
)
def test_any_servers_end_every_leg_and_time_never_goes_back(
    places: list[Place], hysteresis_m: float, seed: int
) -> None:
    spec = waypoint(edges=tuple((k, *place) for k, place in enumerate(places)), hysteresis_m=hysteresis_m)
    told = list(islice(nearest_edges(spec, random.Random(seed)), 60))
    assert len(told) == (1 if len(places) == 1 else 60)
    assert all(before[0] <= after[0] for before, after in pairwise(told))
    assert told[-1][0] > 0 or len(places) == 1


def walking(*clients: int, **changes: Any) -> Conditions:
    edges = ((3, 10.0, 10.0), (4, 90.0, 50.0))
    spec = waypoint(clients=clients, **{"edges": edges, **changes})
    return Conditions(small_world(chain_graph((1, 1), (1,)), (0.1,), clients=3, servers=2, mobility=(spec,)))


def test_each_client_walks_by_itself() -> None:
    alone, crowd = walking(1), walking(0, 1, 2)
    found = [list(islice(crowd.attachments(client), 20)) for client in (0, 1, 2)]
    assert found[1] == list(islice(alone.attachments(1), 20))
    assert len({tuple(steps) for steps in found}) == 3
    assert all(steps[0][0] == 0 for steps in found)
    assert all(later[0] > at and later[1] != edge for steps in found for (at, edge), later in pairwise(steps))
    assert list(alone.attachments(0)) == []
    assert crowd.handover(2) == "reupload"


def test_a_client_with_one_server_stays_there_and_one_that_never_changes_is_told_of() -> None:
    assert list(walking(0, edges=((4, 50.0, 50.0),)).attachments(0)) == [(0.0, 4)]
    stuck = walking(0, hysteresis_m=99.0, interruption_s=1.0)
    (_, first), (at, again) = islice(stuck.attachments(0), 2)
    assert first == again
    assert at > IDLE
    assert stuck.state(0, first, at).up, "no hand-over, no interruption"


@pytest.mark.parametrize(
    ("count", "area_m", "places"),
    [
        (1, (100.0, 50.0), [(50, 25)]),
        (2, (100.0, 50.0), [(25, 25), (75, 25)]),
        (2, (50.0, 100.0), [(25, 25), (25, 75)]),
        (4, (100.0, 100.0), [(25, 25), (75, 25), (25, 75), (75, 75)]),
        (3, (100.0, 100.0), [(50, 25), (25, 75), (75, 75)]),
    ],
)
def test_a_grid_by_hand(count: int, area_m: Place, places: list[Place]) -> None:
    assert grid(count, area_m) == places


@given(st.integers(1, 60), st.floats(1, 1e4), st.floats(1, 1e4))
def test_a_grid_is_inside_and_no_two_share_a_place(count: int, width: float, height: float) -> None:
    places = grid(count, (width, height))
    assert len(set(places)) == len(places) == count
    assert all(0 < x < width and 0 < y < height for x, y in places)

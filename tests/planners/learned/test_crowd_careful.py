"""`crowd:careful=true`: nobody goes where one answer in a hundred would be much later than at home."""

from __future__ import annotations

import random
from dataclasses import replace
from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerlift.models.errors import PlanError
from layerlift.planners import Judge, Problem, make, validate
from layerlift.planners.learned.crowd.careful import LATE, rare_wait_s, safe
from layerlift.planners.learned.crowd.offers import offers_of
from layerlift.planners.learned.features import straight_log2
from layerlift.planners.problem.crowd_news import Asking
from layerlift.planners.problem.problem import simple_problem
from layerlift.planners.testing.problems import battery, chain_graph, told_of_crowd

HOME_S, THERE_S, LINK_S = 1.0, 0.1, 0.0600004
"""Of `asked`'s user: at home, on its server, and on the way; it asks twice a second."""


def asked(work: float, per_s: float, cores: int = 1) -> Problem:
    """Two layers that the server does in a tenth of the time, whose other users ask for `work` in `per_s` questions."""
    graph = chain_graph([50_000, 4], [400_000, 600_000], "tiny")
    bare = simple_problem(graph, [[0.5, 0.05], [0.5, 0.05]], bandwidth_bytes_s=1e7, latency_s=0.0)
    told = told_of_crowd(replace(bare, cores=np.array([1, cores])), user=5, per_s=2.0)
    assert told.crowd is not None
    heard = replace(told.crowd, work=np.array([0.0, work]), asks_per_s=np.array([0.0, per_s]))
    return replace(told, crowd=heard)


def wait_s(problem: Problem) -> float:
    judge = Judge(problem)
    (found,) = rare_wait_s(problem, judge, offers_of(judge)).tolist()
    return float(found)


def waits_of_a_queue(use: float, piece_s: float, count: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """How long each customer of an M/M/1 queue waits, by Lindley's recursion."""
    rng = np.random.default_rng(1)
    steps = rng.exponential(piece_s, count) - rng.exponential(piece_s / use, count)
    walk = np.concatenate([[0.0], np.cumsum(steps)])
    made: np.ndarray[tuple[int], np.dtype[np.float64]] = walk - np.minimum.accumulate(walk)
    return made


@pytest.mark.parametrize(("work", "per_s"), [(0.1, 1.0), (0.3, 3.0), (0.3, 10.0), (0.6, 6.0)])
def test_a_rare_wait_is_that_of_a_queue_of_all_who_ask_there(work: float, per_s: float) -> None:
    use, piece_s = work + 2.0 * THERE_S, (work + 2.0 * THERE_S) / (per_s + 2.0)
    seen = np.quantile(waits_of_a_queue(use, piece_s, 2_000_000), 0.99)
    assert wait_s(asked(work, per_s)) == pytest.approx(seen, rel=0.06)


def test_two_cores_are_one_that_is_twice_as_fast() -> None:
    assert wait_s(asked(0.6, 2.0, cores=2)) == pytest.approx(0.8 / 4.0 / 2.0 * log(40.0) / (1.0 - 0.4), rel=0.03)


def test_the_last_user_who_is_not_late_goes_and_the_next_does_not() -> None:
    slack_s = LATE * HOME_S - THERE_S - LINK_S
    room, full = 0.0, 0.79
    for _ in range(60):
        middle = (room + full) / 2.0
        room, full = (middle, full) if wait_s(asked(middle, 5.0)) <= slack_s else (room, middle)
    for work, going in ((room - 1e-6, 1), (full + 1e-6, 0)):
        problem = asked(work, 5.0)
        judge = Judge(problem)
        assert len(safe(problem, judge, offers_of(judge))) == going


@given(st.floats(0.0, 5.0), st.floats(0.0, 5.0), st.floats(0.1, 50.0), st.integers(1, 8))
def test_the_more_the_others_ask_the_fewer_go(one: float, other: float, per_s: float, cores: int) -> None:
    little, much = (asked(work, per_s, cores) for work in sorted((one, other)))
    kept = [safe(problem, Judge(problem), offers_of(Judge(problem))) for problem in (little, much)]
    assert len(kept[1]) <= len(kept[0])
    assert wait_s(little) <= wait_s(much)


@pytest.mark.parametrize(
    ("work", "per_s"), [(0.8, 1e9), (5.0, 1e9), (5.0, 0.0), (1e300, 1.0), (np.inf, np.inf), (np.inf, 0.0)]
)
@pytest.mark.filterwarnings("error")
def test_nobody_goes_to_a_full_server_however_small_the_pieces(work: float, per_s: float) -> None:
    problem = asked(work, per_s)
    assert wait_s(problem) == np.inf
    assert not safe(problem, Judge(problem), offers_of(Judge(problem)))
    assert wait_s(asked(0.795, per_s)) < np.inf
    wide = asked(work, per_s, cores=2)
    assert bool(safe(wide, Judge(wide), offers_of(Judge(wide)))) == (work < 1.0)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("use", [0.0, 0.005, 0.015, 0.3])
def test_who_hardly_asks_waits_for_the_others(use: float) -> None:
    """By the clock, once in a hundred days or never."""
    for per_s in (0.0, 1e-7):
        told = asked(use, use / 0.1)
        assert told.crowd is not None
        seldom = replace(told, crowd=replace(told.crowd, asking=Asking(per_s=per_s)))
        rare = float(straight_log2(np.array([max(1.0, use / 0.01)]))[0])
        assert wait_s(seldom) == pytest.approx(0.1 * log(2.0) * rare / (1.0 - use), rel=1e-4)
        assert len(safe(seldom, Judge(seldom), offers_of(Judge(seldom)))) == 1


def test_who_asks_after_a_pause_asks_as_often_as_at_home() -> None:
    told = asked(0.3, 3.0)
    told = replace(told, seconds=3.0 * told.seconds)
    assert told.crowd is not None
    after, clock = (
        wait_s(replace(told, crowd=replace(told.crowd, asking=asking)))
        for asking in (Asking(think_s=1.5), Asking(per_s=1.0 / (1.5 + 3.0 * HOME_S)))
    )
    assert after == pytest.approx(clock, rel=1e-9)


def test_each_server_goes_by_what_it_says_itself() -> None:
    graph = chain_graph([50_000, 4], [400_000, 600_000], "tiny")
    bare = simple_problem(graph, [[0.5, 0.05, 0.05]] * 2, bandwidth_bytes_s=1e7, latency_s=0.0)
    told = told_of_crowd(bare, per_s=2.0)
    assert told.crowd is not None
    for full in (1, 2):
        heard = replace(told.crowd, work=np.eye(3)[full], asks_per_s=np.eye(3)[full])
        problem = replace(told, crowd=heard)
        judge = Judge(problem)
        assert [offer.server for offer in safe(problem, judge, offers_of(judge))] == [3 - full]


def test_a_rare_answer_may_be_a_tenth_later_than_at_home() -> None:
    assert LATE == 1.1


def test_whom_nobody_tells_anything_goes_as_before() -> None:
    told = asked(5.0, 5.0)
    bare = replace(told, crowd=None)
    judge = Judge(bare)
    assert safe(bare, judge, offers_of(judge)) == offers_of(judge)
    assert not safe(told, judge, offers_of(judge))
    assert not safe(told, judge, [])


def test_a_careful_planner_stays_at_home_before_a_full_server_and_goes_to_an_empty_one() -> None:
    careful = make("crowd:careful=true")
    assert careful.plan(asked(0.0, 0.0), random.Random(0)).placement == (1, 1)
    assert careful.plan(asked(0.79, 1.0), random.Random(0)).placement == (0, 0)
    for problem in battery().values():
        for known in (problem, told_of_crowd(problem)):
            validate(careful.plan(known, random.Random(0)), known)


def test_straight_logarithms_meet_those_of_powers_of_two_and_never_exceed_the_others() -> None:
    numbers = np.linspace(1.0, 100.0, 500)
    kept = numbers.copy()
    assert straight_log2(2.0 ** np.arange(8)).tolist() == list(range(8))
    lacking = np.log2(numbers) - straight_log2(numbers)
    assert lacking.min() >= -1e-12
    assert lacking.max() <= 0.0861
    assert np.array_equal(numbers, kept)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("crowd:careful=true,by_hand=true", "by_hand and careful were both given"),
        ("crowd:careful=true,policy=x.onnx", "policy and careful were both given"),
        ("crowd:careful=true,goal=latency", "careful and goal=latency were both given"),
        ("crowd:by_hand=true,goal=latency", "by_hand and goal=latency were both given"),
    ],
)
def test_only_one_says_by_which_numbers_of_its_own(text: str, told: str) -> None:
    with pytest.raises(PlanError, match=told):
        make(text)

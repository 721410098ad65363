"""`crowd:careful=true`: nobody goes where rare answers would be late, its own or those of whoever is there."""

from __future__ import annotations

import heapq
import random
from dataclasses import replace
from math import exp, factorial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerlift.models.errors import PlanError
from layerlift.planners import Judge, Objective, Problem, make, validate
from layerlift.planners.learned.crowd import careful
from layerlift.planners.learned.crowd.careful import LATE, MOST, OWN_LATE, OWN_RARE, RARE, late_share, safe
from layerlift.planners.learned.crowd.offers import Offer, offers_of
from layerlift.planners.problem.crowd_news import Asking
from layerlift.planners.problem.problem import simple_problem
from layerlift.planners.testing.problems import battery, chain_graph, told_of_crowd

HOME_S, THERE_S, LINK_S = 1.0, 0.1, 0.0600004
"""Of `asked`'s user: at home, on its server, and on the way."""
OWN_S = THERE_S + LINK_S


def asked(
    users: float, work: float, per_s: float, cores: int = 1, asking: Asking | None = None, slower: float = 1.0
) -> Problem:
    """Two layers that the server does in a tenth of the time, whose `users` ask for `work` in `per_s` questions."""
    graph = chain_graph([50_000, 4], [400_000, 600_000], "tiny")
    bare = simple_problem(graph, [[0.5, 0.05 * slower]] * 2, bandwidth_bytes_s=1e7, latency_s=0.0)
    told = told_of_crowd(replace(bare, cores=np.array([1, cores])), user=5, per_s=2.0)
    assert told.crowd is not None
    heard = replace(
        told.crowd, users=np.array([0.0, users]), work=np.array([0.0, work]), asks_per_s=np.array([0.0, per_s]),
        asking=asking or Asking(think_s=0.5),
    )  # fmt: skip
    return replace(told, crowd=heard)


def going(problem: Problem) -> list[Offer]:
    judge = Judge(problem)
    return safe(problem, judge, offers_of(judge))


# How long who comes has to wait


def slow_share(users: int, room: float, pieces: float) -> float:
    """The machine-repair model as it stands in textbooks."""
    there = [factorial(users) / factorial(users - n) / (room - 1.0) ** n for n in range(users + 1)]
    longer = [exp(-pieces) * sum(pieces**k / factorial(k) for k in range(n)) for n in range(users + 1)]
    return sum(p * q for p, q in zip(there, longer, strict=True)) / sum(there)


@given(st.integers(1, 40), st.floats(1.05, 60.0), st.floats(0.0, 60.0))
def test_the_share_is_that_of_the_machine_repair_model(users: int, room: float, pieces: float) -> None:
    assert late_share(users, room, pieces) == pytest.approx(slow_share(users, room, pieces), rel=1e-9, abs=1e-12)


@pytest.mark.long
@pytest.mark.parametrize(("users", "room", "pieces"), [(3, 5.0, 2.0), (12, 10.0, 8.0), (30, 40.0, 6.0)])
def test_the_share_is_that_of_users_who_ask_again_after_each_answer(users: int, room: float, pieces: float) -> None:
    """One more than `users` are there: whoever comes meets the others as they are among themselves."""
    rng = random.Random(1)
    asks = [rng.expovariate(1.0 / (room - 1.0)) for _ in range(users + 1)]
    heapq.heapify(asks)
    free = late = 0.0
    for _ in range(300_000):
        now = heapq.heappop(asks)
        begins = max(now, free)
        late += begins - now > pieces
        free = begins + rng.expovariate(1.0)
        heapq.heappush(asks, free + rng.expovariate(1.0 / (room - 1.0)))
    assert late / 300_000 == pytest.approx(late_share(users, room, pieces), rel=0.06)


@pytest.mark.parametrize("use", [0.1, 0.5, 0.8])
@pytest.mark.parametrize("pieces", [0.0, 1.0, 5.0, 15.0])
def test_many_users_with_room_to_spare_are_an_open_queue(use: float, pieces: float) -> None:
    assert late_share(MOST, MOST / use, pieces) == pytest.approx(use * exp(-(1.0 - use) * pieces), rel=0.07)


@pytest.mark.filterwarnings("error")
@given(st.integers(1, MOST), st.floats(0.0, 1e300), st.floats(0.0, allow_infinity=True), st.floats(0.0, 9.0))
def test_a_share_is_one_for_whatever_is_asked_and_falls_as_patience_grows(
    users: int, room: float, pieces: float, more: float
) -> None:
    share = late_share(users, room, pieces)
    assert 0.0 <= share <= 1.0 + 1e-9
    assert late_share(users, room, pieces + more) <= share + 1e-9


# Who goes


def test_the_last_user_who_is_not_late_goes_and_the_next_does_not() -> None:
    """Before eight others whose pieces are as the user's own, so that theirs is not the question."""
    room, full = 0.0, 8.0
    for _ in range(60):
        middle = (room + full) / 2.0
        room, full = (middle, full) if going(asked(8, middle, middle / THERE_S)) else (room, middle)
    share = late_share(8, 8.0 / room, (OWN_LATE * HOME_S - OWN_S) / THERE_S)
    assert share == pytest.approx(OWN_RARE, rel=1e-6)


def test_nobody_makes_late_who_is_there_already() -> None:
    """Thirty with small pieces: before them the user would not wait for long, but they would behind it."""
    piece_s, own = 0.015, 1.0 / (0.5 + OWN_S)

    def theirs(per_s: float) -> float:
        together = per_s * piece_s + own * THERE_S
        patience_s = (LATE * HOME_S - OWN_S) / THERE_S * piece_s
        return late_share(30, 31.0 / together, patience_s / (together / (per_s + own)))

    room, full = 0.0, 60.0
    for _ in range(60):
        per_s = (room + full) / 2.0
        room, full = (per_s, full) if going(asked(30, per_s * piece_s, per_s)) else (room, per_s)
    assert theirs(room) == pytest.approx(RARE, rel=1e-6)
    assert late_share(30, 30.0 / (full * piece_s), (OWN_LATE * HOME_S - OWN_S) / piece_s) < OWN_RARE / 10.0
    assert going(asked(30, full * piece_s, full, asking=Asking(think_s=500.0))), "who hardly ever asks"


@given(st.floats(0.0, 5.0), st.floats(0.0, 5.0), st.integers(1, 50), st.integers(1, 8))
def test_the_more_the_others_ask_the_fewer_go(one: float, other: float, users: int, cores: int) -> None:
    """In pieces as the user's own."""
    little, much = (going(asked(users, work, work / THERE_S, cores)) for work in sorted((one, other)))
    assert len(much) <= len(little)


def test_whoever_goes_where_nobody_is_can_bear_one_more_like_itself() -> None:
    """What servers tell is somewhat old, and three who come at once all see that nobody is there."""
    for slower, goes in ((3.5, False), (1.0, True)):
        alone = asked(0, 0.0, 0.0, slower=slower)
        judge = Judge(alone)
        answer_s, piece_s = judge.cost((1, 1)).latency_s, THERE_S * slower
        share = late_share(1, 2.0 / (2.0 * piece_s / (0.5 + answer_s)), (LATE * HOME_S - answer_s) / piece_s)
        assert (share <= RARE) is goes
        assert answer_s < OWN_LATE * HOME_S
        assert bool(going(alone)) is goes
    assert going(asked(0, 0.0, 0.0, asking=Asking(think_s=500.0), slower=3.5)), "whose like hardly ever asks"


def test_two_cores_are_one_that_is_twice_as_fast() -> None:
    """But for the user's own answer, which takes what it takes."""
    seen = []
    for problem, own_s in (
        (asked(8, 2.0, 20.0, cores=2), 0.1),
        (asked(8, 1.0, 20.0), 0.05),
        (asked(8, 2.0, 20.0), 0.1),
    ):
        assert problem.crowd is not None
        judge = Judge(problem)
        seen.append(careful._spares_all(problem, problem.crowd, judge, offers_of(judge)[0], own_s))
    assert seen == [True, True, False]


def test_who_is_no_better_off_there_when_nobody_waits_stays() -> None:
    """An answer that takes more than 0.9 times what it takes at home, on an empty server."""
    seldom = Asking(think_s=500.0)
    for slower, goes in ((8.6, False), (8.2, True)):
        problem = asked(0, 0.0, 0.0, asking=seldom, slower=slower)
        assert len(offers_of(Judge(problem))) == 1
        assert bool(going(problem)) is goes


@pytest.mark.parametrize("per_s", [0.0, 1e-7, 2.0])
@pytest.mark.parametrize(("users", "work"), [(3, 1.0), (3, 5.0), (1e300, 1.0), (3, np.inf), (np.inf, np.inf)])
@pytest.mark.filterwarnings("error")
def test_by_the_clock_nobody_goes_to_a_full_server(users: float, work: float, per_s: float) -> None:
    """Where questions do not wait for answers, a queue grows for ever."""
    clock = Asking(per_s=per_s)
    assert not going(asked(users, work, 1e9, asking=clock))
    assert not going(asked(users, work, 10.0, asking=clock))
    assert going(asked(users, 0.2, 2.0, asking=clock))
    assert going(asked(0.0, 0.0, 0.0, asking=clock))
    assert not going(asked(users, 2.0 * work, 20.0, cores=2, asking=clock))
    assert going(asked(users, 1.0, 10.0, cores=2, asking=clock))


def test_a_queue_that_grows_for_ever_is_long_however_small_the_pieces() -> None:
    clock = Asking(per_s=2.0)
    assert going(asked(3, 0.5, 5e4, asking=clock, slower=1e-4))
    assert not going(asked(3, 1.0, 1e5, asking=clock, slower=1e-4))
    assert going(asked(3, 1.0, 1e5, slower=1e-4)), "who waits for answers"


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("users", [0.0, 3.0])
def test_who_wants_nothing_of_a_server_but_to_pass_harms_nobody(users: float) -> None:
    assert going(asked(users, 0.1 * users, users, slower=0.0))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("users", [0.0, 1.0, 40.0, MOST, MOST + 1.0, 1e9, 1e300, np.inf])
@pytest.mark.parametrize("work", [0.0, 5e-324, 1e-9, 0.5, 1e300, np.inf])
@pytest.mark.parametrize("per_s", [0.0, 5e-324, 1.0, 1e300, np.inf])
def test_whatever_servers_say_somebody_goes_or_stays(users: float, work: float, per_s: float) -> None:
    goes = bool(going(asked(users, work, per_s)))
    if work == np.inf:
        assert not goes
    elif users == 0.0 or work == 0.0:
        assert goes
    elif per_s in (0.0, np.inf):
        assert not goes


def test_by_the_clock_the_others_are_an_open_queue() -> None:
    """A use of 0.5 and one of 0.8 in pieces as the user's own: 7.4 of them are what it can wait for."""
    own = Asking(per_s=1e-6)
    patience = (OWN_LATE * HOME_S - OWN_S) / THERE_S
    assert 0.8 * exp(-0.2 * patience) > OWN_RARE
    assert 0.2 * exp(-0.8 * patience) < OWN_RARE
    assert not going(asked(4, 0.8, 8.0, asking=own))
    assert going(asked(4, 0.2, 2.0, asking=own))


def test_each_server_goes_by_what_it_says_itself() -> None:
    graph = chain_graph([50_000, 4], [400_000, 600_000], "tiny")
    bare = simple_problem(graph, [[0.5, 0.05, 0.05]] * 2, bandwidth_bytes_s=1e7, latency_s=0.0)
    told = told_of_crowd(bare, per_s=2.0)
    assert told.crowd is not None
    for full in (1, 2):
        there = np.eye(3)[full]
        heard = replace(
            told.crowd, users=9.0 * there, work=3.0 * there, asks_per_s=30.0 * there, age_s=np.zeros(3)
        )  # fmt: skip
        assert [offer.server for offer in going(replace(told, crowd=heard))] == [3 - full]


def test_whom_nobody_tells_anything_goes_as_before() -> None:
    told = asked(30, 5.0, 5.0)
    bare = replace(told, crowd=None)
    assert going(bare) == offers_of(Judge(bare))
    assert not going(told)
    assert not safe(told, Judge(told), [])
    assert told.crowd is not None
    silent = replace(told, crowd=replace(told.crowd, age_s=np.array([0.0, np.inf])))
    assert len(going(silent)) == 1


def test_who_does_not_mind_latency_cannot_be_late() -> None:
    full = replace(asked(30, 5.0, 5.0), busy_w=np.array([7.0, 0.1]))
    for objective, goes in (
        (Objective(latency=0.0, energy=1.0), True),
        (Objective(latency=1.0, energy=1.0), False),
        (Objective(latency=0.0, energy=1.0, deadline_s=1.0), False),
    ):
        wanted = replace(full, objective=objective)
        assert len(offers_of(Judge(wanted))) == 1
        assert bool(going(wanted)) is goes


@pytest.mark.parametrize("also", ["", ",by_hand=true"])
def test_a_careful_planner_stays_at_home_before_a_full_server_and_goes_to_an_empty_one(also: str) -> None:
    made = make(f"crowd:careful=true{also}")
    assert made.plan(asked(0, 0.0, 0.0), random.Random(0)).placement == (1, 1)
    assert made.plan(asked(30, 5.0, 5.0), random.Random(0)).placement == (0, 0)
    for problem in battery().values():
        for known in (problem, told_of_crowd(problem)):
            validate(made.plan(known, random.Random(0)), known)


def test_a_careful_planner_draws_as_others_do_where_nobody_is_late() -> None:
    for goal in ("ratio", "latency"):
        bold, wary = make(f"crowd:goal={goal}"), make(f"crowd:goal={goal},careful=true")
        for user in range(20):
            problem = asked(2, 0.05, 0.5)
            assert problem.crowd is not None
            problem = replace(problem, crowd=replace(problem.crowd, user=user))
            assert bold.plan(problem, random.Random(0)) == wary.plan(problem, random.Random(0))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("crowd:policy=x.onnx,by_hand=true", "policy and by_hand were both given"),
        ("crowd:policy=x.onnx,goal=latency", "policy and goal=latency were both given"),
        ("crowd:by_hand=true,goal=latency", "by_hand and goal=latency were both given"),
    ],
)
def test_only_one_says_by_which_numbers_users_draw(text: str, told: str) -> None:
    with pytest.raises(PlanError, match=told):
        make(text)

"""Asking by a law of time, worked out by hand: who waits, who is given up, and how a stay or a run ends."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds import Run, chain_graph, examples, fixed, run_world, small_world

from layerlift.emulator.world.laws import AllAt, Fixed, RecordedInstants, Regular
from layerlift.emulator.world.links import LinkSpec

WORK = 0.26
"""Seconds of a question; one comes every 0.1 s. Not 0.25, so that no answer falls on a question."""
ONE = chain_graph([0, 0], [0])
CAMERA = Regular(every_ms=100.0)
DELAY = 0.01

Outcome = tuple[str, float, float]
"""Reason (empty when answered), begun and ended in seconds."""


def ask(client: dict[str, Any] | None = None, until_s: float = inf, **user: Any) -> Run:
    """One user who keeps everything on its device."""
    return run_world(small_world(ONE, (WORK,), client=client, until_s=until_s, user={"queries": None, **user}))


def outcomes(run: Run, user: str = "u0") -> dict[int, Outcome]:
    """How each question of a user ended. Numbers are 0, 1, 2, ... without a gap, and each ends once."""
    rows = [row for row in run.tables["queries"] if row["user"] == user]
    assert sorted(row["query"] for row in rows) == list(range(len(rows)))
    for row in rows:
        assert (row["status"] == "answered") == (row["reason"] == "")
        assert row["latency_s"] == row["ended_s"] - row["asked_s"]
        assert row["at_s"] == row["ended_s"]
    return {row["query"]: (row["reason"], row["begun_s"], row["ended_s"]) for row in rows}


def asked(run: Run) -> list[float]:
    return [row["asked_s"] for row in sorted(run.tables["queries"], key=lambda row: row["query"])]


def same(found: dict[int, Outcome], expected: dict[int, Outcome]) -> None:
    assert {number: reason for number, (reason, *_) in found.items()} == {
        number: reason for number, (reason, *_) in expected.items()
    }
    for number, (_, *times) in expected.items():
        assert found[number][1:] == pytest.approx(times, abs=1e-9), f"question {number}"


# A camera that is faster than its device


def test_keep_lets_the_waits_grow() -> None:
    run = ask(asks=CAMERA, queries=7)
    assert asked(run) == pytest.approx([0.1 * k for k in range(7)])
    same(outcomes(run), {k: ("", WORK * k, WORK * (k + 1)) for k in range(7)})
    latencies = [row["latency_s"] for row in run.tables["queries"]]
    assert latencies == pytest.approx([0.26, 0.42, 0.58, 0.74, 0.90, 1.06, 1.22])


def test_a_queue_of_one_turns_away_what_finds_it_full() -> None:
    full = {k: ("queue full", at, at) for k, at in ((2, 0.2), (4, 0.4), (5, 0.5), (7, 0.7), (9, 0.9))}
    answered = {k: ("", WORK * turn, WORK * (turn + 1)) for turn, k in enumerate((0, 1, 3, 6, 8))}
    same(outcomes(ask(asks=CAMERA, queries=10, queue=1)), full | answered)


@pytest.mark.parametrize("queue", [None, 1, 5])
def test_drop_lets_the_freshest_frame_win(queue: int | None) -> None:
    """A frame that is overtaken fails the moment the next one comes; no more than one ever waits."""
    late = {k: ("late", at, at) for k, at in ((1, 0.2), (3, 0.4), (4, 0.5), (6, 0.7), (8, 0.9))}
    answered = {k: ("", WORK * turn, WORK * (turn + 1)) for turn, k in enumerate((0, 2, 5, 7, 9))}
    same(outcomes(ask(asks=CAMERA, queries=10, late="drop", queue=queue)), late | answered)


@pytest.mark.parametrize(("late", "reason"), [("keep", "queue full"), ("drop", "late")])
def test_without_a_queue_only_a_free_device_takes_a_question(late: str, reason: str) -> None:
    expected = {k: (reason, 0.1 * k, 0.1 * k) for k in (1, 2, 4, 5, 7, 8)}
    expected |= {k: ("", 0.1 * k, 0.1 * k + WORK) for k in (0, 3, 6, 9)}
    same(outcomes(ask(asks=CAMERA, queries=10, late=late, queue=0)), expected)


def test_two_in_flight_on_two_cores() -> None:
    run = ask({"cores": 2, "ghz": 2.0}, asks=CAMERA, queries=6, in_flight=2)
    begun = (0.0, 0.1, 0.26, 0.36, 0.52, 0.62)
    same(outcomes(run), {k: ("", at, at + WORK) for k, at in enumerate(begun)})


def test_two_in_flight_share_one_core() -> None:
    """#0 is alone for 0.1 s; from then on there are two, and each has half, until #3 is alone from 0.94 on."""
    run = ask(asks=CAMERA, queries=4, in_flight=2)
    same(
        outcomes(run),
        {0: ("", 0.0, 0.42), 1: ("", 0.1, 0.62), 2: ("", 0.42, 0.94), 3: ("", 0.62, 1.04)},
    )


def test_three_in_flight_before_one_core_that_serves_in_turn() -> None:
    """Two have begun, as far as their user can tell, but wait for the CPU: answers come as with one in flight."""
    run = ask({"discipline": "fifo"}, asks=CAMERA, queries=5, in_flight=3)
    begun = (0.0, 0.1, 0.2, 0.3, 0.52)
    same(outcomes(run), {k: ("", at, WORK * (k + 1)) for k, at in enumerate(begun)})


def test_two_back_to_back_lanes_take_turns() -> None:
    run = ask({"cores": 2, "ghz": 2.0}, queries=5, in_flight=2, think_s=0.1)
    begun = (0.0, 0.0, 0.36, 0.36, 0.72)
    same(outcomes(run), {k: ("", at, at + WORK) for k, at in enumerate(begun)})
    assert run.ending.at_s == pytest.approx(0.98 + 0.1)


def test_all_at_once_queue_up_in_their_order() -> None:
    run = ask(asks=AllAt(0.5), queries=5, queue=3)
    expected = {k: ("", 0.5 + WORK * k, 0.5 + WORK * (k + 1)) for k in range(4)}
    same(outcomes(run), expected | {4: ("queue full", 0.5, 0.5)})


def test_instants_count_from_the_end_of_profiling() -> None:
    run = ask(asks=Regular(100.0, start_s=0.05), queries=2, arrival_s=1.0, profile_runs=3)
    began = 1.0 + 3 * WORK + 0.05
    assert asked(run) == pytest.approx([began, began + 0.1])
    same(outcomes(run), {0: ("", began, began + WORK), 1: ("", began + WORK, began + 2 * WORK)})


# How it ends


@pytest.mark.parametrize("stay", [None, Fixed(50.0)])
def test_a_user_leaves_when_its_last_question_has_ended(stay: Fixed | None) -> None:
    run = ask(asks=CAMERA, queries=3, stay=stay)
    assert len(outcomes(run)) == 3
    assert run.ending.at_s == pytest.approx(3 * WORK)


def test_a_user_whose_last_question_is_turned_away_waits_for_the_one_under_way() -> None:
    run = ask(asks=CAMERA, queries=3, queue=0)
    assert [row["status"] for row in run.tables["queries"]] == ["failed", "failed", "answered"]
    assert run.ending.at_s == pytest.approx(WORK)


def test_a_user_with_nothing_to_ask_leaves_at_once() -> None:
    run = ask(asks=CAMERA, queries=0, arrival_s=1.0)
    assert outcomes(run) == {}
    assert run.ending.at_s == 1.0


@pytest.mark.parametrize(
    ("user", "instants"), [({"asks": CAMERA}, (0.0, 0.1, 0.2)), ({"think_s": 0.3}, (0.0, 1.0, 2.0))]
)
def test_questions_that_fail_at_once_end_too(user: dict[str, Any], instants: tuple[float, ...]) -> None:
    """A device without room for the model: a law goes on at its instants, and who asks back to back waits a second."""
    world = small_world(
        chain_graph([0, 0], [1_000]), (WORK,), client={"memory_bytes": 999}, user={"queries": 3, **user}
    )  # fmt: skip
    run = run_world(world)
    reason = "client memory: 1000 bytes needed, 999 there"
    same(outcomes(run), {number: (reason, at, at) for number, at in enumerate(instants)})
    assert run.ending.at_s == pytest.approx(instants[-1] + (0.0 if "asks" in user else 1.0))


def test_a_user_leaves_when_its_trace_has_ended() -> None:
    run = ask(asks=RecordedInstants((0.1, 0.2, 1.5)))
    same(outcomes(run), {0: ("", 0.1, 0.36), 1: ("", 0.36, 0.62), 2: ("", 1.5, 1.76)})
    assert run.ending.at_s == pytest.approx(1.76)


def test_a_stay_fails_what_waits_finishes_what_is_open_and_frees_the_server() -> None:
    """The model is on s1 from 1.04 s on: five questions at home, then seven of 0.28 s each, the last over the end."""
    world = small_world(
        chain_graph([0, 0], [1_000_000]), (WORK,), fixed((1,)), clients=2, link=LinkSpec(DELAY, 1e6),
        user={"queries": None, "asks": CAMERA, "stay": Fixed(3.05)},
    )  # fmt: skip
    other = replace(world.users[1], planner="local", stay=Fixed(9.0))
    run = run_world(replace(world, users=(world.users[0], other)))

    home = {k: ("", 0.26 * k, 0.26 * (k + 1)) for k in range(5)}
    away = {5 + k: ("", 1.30 + 0.28 * k, 1.58 + 0.28 * k) for k in range(7)}
    left = dict.fromkeys(range(12, 31), ("user left", 3.05, 3.05))
    same(outcomes(run), home | away | left)
    assert away[11][2] == pytest.approx(3.26)

    admitted, released = run.tables["allocations"]
    assert (admitted["event"], admitted["bytes"], admitted["held_bytes"]) == ("admitted", 1_000_000, 1_000_000)
    assert (released["event"], released["reason"]) == ("released", "user left")
    assert (released["server"], released["user"], released["layers"]) == ("s1", "u0", 1)
    assert (released["bytes"], released["held_bytes"]) == (1_000_000, 0)
    assert released["at_s"] == pytest.approx(3.26 + DELAY)
    assert run.ending.at_s == pytest.approx(WORK * 35)  # the other's last question was begun at 8.84 s


def test_a_stay_that_ends_in_a_pause_does_not_wait_for_it() -> None:
    run = ask(think_s=1.0, stay=Fixed(2.0), arrival_s=0.5)
    same(outcomes(run), {0: ("", 0.5, 0.76), 1: ("", 1.76, 2.02)})
    assert run.ending.at_s == pytest.approx(2.5)


def test_a_stay_that_ends_in_a_question_waits_for_it_and_for_no_pause() -> None:
    run = ask(think_s=1.0, stay=Fixed(1.4))
    same(outcomes(run), {0: ("", 0.0, 0.26), 1: ("", 1.26, 1.52)})
    assert run.ending.at_s == pytest.approx(1.52)


def test_a_stay_waits_for_every_lane() -> None:
    """Two share the core: 0.52 s each. The third pair is under way when the stay is over."""
    run = ask(in_flight=2, stay=Fixed(1.2))
    same(outcomes(run), {k: ("", 0.52 * (k // 2), 0.52 * (k // 2 + 1)) for k in range(6)})
    assert run.ending.at_s == pytest.approx(1.56)


def test_a_stay_that_ends_between_the_questions_of_a_law_ends_there() -> None:
    run = ask(asks=Regular(1000.0), stay=Fixed(1.5))
    same(outcomes(run), {0: ("", 0.0, WORK), 1: ("", 1.0, 1.0 + WORK)})
    assert run.ending.at_s == 1.5


def test_at_the_instant_of_its_end_a_stay_asks_nothing_new() -> None:
    run = ask(asks=Regular(1000.0), stay=Fixed(2.0))
    assert len(outcomes(run)) == 2
    assert run.ending.at_s == 2.0


@pytest.mark.parametrize(
    "user",
    [{"asks": CAMERA}, {}, {"in_flight": 2}],
)
def test_a_stay_that_is_over_before_the_profiling_asks_nothing(user: dict[str, Any]) -> None:
    run = ask(profile_runs=1, stay=Fixed(0.1), **user)
    assert outcomes(run) == {}
    assert run.ending.at_s == pytest.approx(WORK)


def test_the_end_of_a_run_fails_what_is_open_and_what_waits_at_its_age() -> None:
    run = ask(asks=CAMERA, until_s=0.65)
    expected = {0: ("", 0.0, 0.26), 1: ("", 0.26, 0.52), 2: ("run ended", 0.52, 0.65)}
    same(outcomes(run), expected | dict.fromkeys(range(3, 7), ("run ended", 0.65, 0.65)))
    ages = [row["latency_s"] for row in run.tables["queries"] if row["reason"] == "run ended"]
    assert ages == pytest.approx([0.45, 0.35, 0.25, 0.15, 0.05])


def test_a_run_that_ends_after_the_stay_has_only_the_open_question_to_fail() -> None:
    run = ask(asks=CAMERA, stay=Fixed(0.35), until_s=0.45)
    expected = {0: ("", 0.0, 0.26), 1: ("run ended", 0.26, 0.45)}
    same(outcomes(run), expected | dict.fromkeys((2, 3), ("user left", 0.35, 0.35)))


# Any law, against a model of it


def expected_of(
    instants: Sequence[float], places: int, queue: int | None, late: str, stay_s: float, until_s: float
) -> dict[int, Outcome]:
    """As many cores as may be in flight, so that each question takes `WORK` once it is begun."""
    ended: dict[int, Outcome] = {}
    waiting: deque[int] = deque()
    free = [0.0] * places
    stop = min(stay_s, until_s)

    def begin(number: int, at: float) -> None:
        place = min(range(places), key=free.__getitem__)
        free[place] = at + WORK
        ended[number] = ("", at, at + WORK) if at + WORK < until_s else ("run ended", at, until_s)

    def catch_up(now: float) -> None:
        while waiting and min(free) < now:
            begin(waiting.popleft(), min(free))

    for number, now in enumerate(instants):
        if now >= stop:
            break
        catch_up(now)
        if min(free) <= now:
            begin(number, now)
            continue
        if late == "drop":
            ended.update(dict.fromkeys(waiting, ("late", now, now)))
            waiting.clear()
        if queue is not None and len(waiting) >= queue:
            ended[number] = ("late" if late == "drop" else "queue full", now, now)
        else:
            waiting.append(number)
    catch_up(stop)
    ended.update(dict.fromkeys(waiting, ("user left" if stay_s < until_s else "run ended", stop, stop)))
    return ended


@examples(150)
@given(
    gaps_ms=st.lists(st.integers(1, 400), min_size=1, max_size=25),
    places=st.integers(1, 3),
    queue=st.sampled_from((None, 0, 1, 2, 4)),
    late=st.sampled_from(("keep", "drop")),
    stay_ms=st.one_of(st.none(), st.integers(0, 4000)),
    until_ms=st.one_of(st.none(), st.integers(1, 4000)),
)
def test_every_question_ends_once_and_as_a_model_of_the_rules_says(
    gaps_ms: list[int], places: int, queue: int | None, late: str, stay_ms: int | None, until_ms: int | None
) -> None:
    """Answers fall on multiples of 10 ms past an instant; instants, stays and ends are kept off each other."""
    instants = tuple((sum(gaps_ms[: k + 1]) * 997 + 7 * k * k) / 1e6 for k in range(len(gaps_ms)))
    stay_s = inf if stay_ms is None else stay_ms / 1e3 + 0.000_000_3
    until_s = inf if until_ms is None else until_ms / 1e3 + 0.000_000_7
    run = ask(
        {"cores": places, "ghz": float(places)}, until_s, asks=RecordedInstants(instants), in_flight=places,
        queue=queue, late=late, stay=None if stay_s == inf else Fixed(stay_s),
    )  # fmt: skip
    same(outcomes(run), expected_of(instants, places, queue, late, stay_s, until_s))

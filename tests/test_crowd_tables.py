"""The tables of learned crowds: what is said of a run, what is kept, and that nothing is claimed that was not run."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest
from house import ROOT

from layerlift.emulator.scenario import Scenario

if str(ROOT) not in sys.path:
    sys.path.append(str(ROOT))  # benchmarks are not installed

measuring = importlib.import_module("benchmarks.learning.crowd.measuring")
tables = importlib.import_module("benchmarks.learning.crowd.tables")
worlds = importlib.import_module("benchmarks.learning.crowd.worlds")
cases = importlib.import_module("benchmarks.learning.crowd.__main__").cases
Seen, found, seen, store = measuring.Seen, measuring.found, measuring.seen, measuring.store
Case, Crowd, CONTENTION, HELD_OUT = worlds.Case, worlds.Crowd, worlds.CONTENTION, worlds.HELD_OUT
BY_HAND, CROWD, HOME, JOINT, LATENCY = worlds.BY_HAND, worlds.CROWD, worlds.HOME, worlds.JOINT, worlds.LATENCY


def test_what_users_get_is_told_beside_what_they_have_at_home() -> None:
    home = {"users": {"a": [1.0, 2.0], "b": [2.0, 4.0], "c": [1.0, 1.0]}, "p95_s": 3.0}
    made = seen({"users": {"a": [0.5, 3.0], "b": [3.0, 4.0]}, "p95_s": 2.5}, home)
    ratios = (0.5, 1.5, 10.0)
    assert made.ratio == pytest.approx(sum(ratios) / 3)
    assert made.latency_s == pytest.approx((0.5 + 3.0 + 10.0) / 3)
    assert (made.p95_s, made.worst, made.tail) == (2.5, 10.0, 10.0)
    turned = [1 / ratio for ratio in ratios]
    assert made.jain == pytest.approx(sum(turned) ** 2 / (3 * sum(each**2 for each in turned)))
    assert seen(home, home) == Seen(1.0, 4.0 / 3.0, 3.0, 1.0, 1.0, 1.0)


def test_a_case_is_known_by_its_policy_where_it_has_one() -> None:
    crowd = CONTENTION["300"]
    told = {way.planner: Case(crowd, way, 1).told() for way in (CROWD, LATENCY, BY_HAND, JOINT)}
    assert len({told[way.planner]["policy"] for way in (CROWD, LATENCY, BY_HAND)}) == 3
    assert not told[JOINT.planner]["policy"]
    assert told[JOINT.planner]["settings"] == ["users.*.planner=best_response+ionn", "planner.gather_s=5.0"]
    assert Case(crowd, CROWD, 1).told() != Case(crowd, CROWD, 2).told()


def test_what_was_made_is_not_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAYERLIFT_CACHE", str(tmp_path))
    tiny = Crowd("two users", "quickstart", ("users.0.count=2", "users.0.queries=2"))
    case = Case(tiny, HOME, 1)
    first = found([case], store())[case]
    assert len(first["users"]) >= 2
    monkeypatch.setattr(measuring, "measured", lambda case: pytest.fail("made again"))
    assert found([case], store())[case] == first


def test_every_world_can_be_drawn_and_the_most_important_runs_come_first() -> None:
    for crowd in (*CONTENTION.values(), *worlds.OTHERS.values(), *HELD_OUT.values()):
        for way in (CROWD, JOINT):
            made = Scenario.load(crowd.scenario, [*crowd.settings, *way.settings])
        assert made.resolve().users
    listed = list(cases("all", range(1, 3)))
    assert [case.way for case in listed[:2]] == [HOME, CROWD]
    assert {case.seed for case in listed} == {1, 2}


def test_nothing_is_claimed_of_what_was_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(tables.SEEDS, "others", 0)
    assert "Not run yet" in tables.others()
    assert "`rush-hour`" in tables.others()

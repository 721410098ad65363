"""What a report card runs: rounds that depend on what came before, and outcomes that are kept while they hold."""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from layerlift.emulator.scenario import families
from layerlift.emulator.studies.fairness.people import Person, Waited
from layerlift.emulator.studies.stress import battery, sources
from layerlift.emulator.studies.stress.asked import asked
from layerlift.emulator.studies.stress.jobs import TIMES, Job
from layerlift.emulator.studies.stress.kept import Stores
from layerlift.emulator.studies.stress.limit import limited
from layerlift.emulator.studies.stress.measures import MOST, NUMBERS, _dear
from layerlift.emulator.studies.stress.result import Stress
from layerlift.emulator.studies.stress.study import Study, stress

MODULE = """
from layerlift.planners import make
from layerlift.planners.registry.base import PlannerBase

class Mine(PlannerBase):
    def plan(self, problem, rng):
        return make("local").plan(problem, rng)
"""


ALONE = """
about: One user before a server.
catches: nobody
world:
  nodes: [{tier: edge, ghz: 40, memory_mb: 2000}]
  links: {client-edge: {bandwidth_mb_s: 10, latency_ms: 2}}
  users: [{device: {ghz: 1.2}, model: squeezenet, stay_s: 1}]
  execution: none
  reference_ghz: 48.6
"""


def outcome(job: Job, value: float) -> dict[str, Any]:
    """As `perform` would answer, with so much for a query."""
    made: dict[str, Any] = dict.fromkeys(NUMBERS, 0.0) | {"value": value, "p95": value, "optimum": None}
    return made | {"why": "", "digest": f"{job.contender}{job.seed}", "timing": dict.fromkeys(TIMES, 0.01)}


def played(
    values: dict[str, Any], contenders: list[str], push: bool = False, thorough: bool = False
) -> tuple[Stress, list[Job]]:
    """A study in which everybody is worth what `values` say (a number, or one for each world), and its jobs."""
    question = asked(contenders, against=["direct", "local"], names=["short_stay"], policies=[], worlds=None,
                     thorough=thorough, push=push, gather_s=2.0)  # fmt: skip
    study, jobs = Study(question, True, None, 1), []
    for made in study._rounds():
        for job in made:
            value = values[job.contender]
            study.note(job, outcome(job, value[job.world % len(value)] if isinstance(value, list) else value))
        jobs += made
    return study.answer(), jobs


def worlds(jobs: list[Job]) -> dict[str, int]:
    return {who: len([job for job in jobs if job.contender == who]) for who in {job.contender for job in jobs}}


def test_only_the_undecided_and_their_reference_meet_more_worlds() -> None:
    values = {"direct": 0.5, "local": 1.0, "ionn": [0.3, 0.9], "greedy": 0.9}
    found, jobs = played(values, ["ionn", "greedy"])
    assert worlds(jobs) == {"direct": 8, "local": 2, "ionn": 8, "greedy": 4}
    assert [found.of(name)[0].ratio.n for name in ("ionn", "greedy")] == [8, 4]
    assert found.of("greedy")[0].verdict == "worse"
    alone, _ = played(values, ["greedy"])
    assert alone.of("greedy") == found.of("greedy")
    assert alone.of("direct")[0].ratio.n == 4
    _, jobs = played(values, ["ionn"], thorough=True)
    assert worlds(jobs) == {"direct": 20, "local": 10, "ionn": 20}


def test_the_reference_is_that_of_the_worlds_that_all_references_meet() -> None:
    values = {"direct": [0.5] * 2 + [9.0] * 6, "local": 1.0, "ionn": [0.3, 0.9]}
    found, _ = played(values, ["ionn"])
    assert {row.reference for row in found.rows} == {"direct"}


@pytest.mark.parametrize("thorough", [False, True])
def test_a_ladder_ends_where_it_breaks(monkeypatch: pytest.MonkeyPatch, thorough: bool) -> None:
    monkeypatch.setattr(battery, "PUSHES", (battery.Push("users", "short_stay", (0.5, 1.0, 2.0, 4.0), 2),))
    found, jobs = played({"direct": 0.5, "local": 1.0, "ionn": 3.0}, ["ionn", "direct"], push=True, thorough=thorough)
    broken, holds = found.ladders
    assert [step.factor for step in broken.steps] == ([0.5, 1.0, 2.0, 4.0] if thorough else [0.5, 1.0])
    assert len(holds.steps) == 4
    assert holds.broken is None
    # The step at which nothing is harder is that of the card.
    assert {job.factor for job in jobs if job.change} == {0.5, 2.0, 4.0}


def test_who_saves_money_by_missing_saves_nothing() -> None:
    def person(*waits: float) -> Person:
        return Person("u", "u", "m", 0.0, tuple(Waited(n, 0.0, each, each, "answered") for n, each in enumerate(waits)))

    def dear(spent: float, *waits: float, dearest: float = 0.01) -> float:
        told = {"objective": {"money": 1.0, "latency": 0.0, "deadline_s": 1.0}}
        return _dear(person(*waits), told, {"money": {"total": spent}}, dearest)

    assert dear(0.02, 0.5, 0.5) == pytest.approx(1.0)
    assert dear(0.002, 0.5, 0.5) == pytest.approx(0.1)
    assert dear(0.0, 3.0, 3.0) == 1.0
    assert dear(0.01, 0.5, 3.0) == pytest.approx(1.0)
    assert dear(0.0, 0.5, dearest=0.0) == 0.0
    assert dear(1e9, 0.5) == MOST


# What is kept


def test_what_ships_is_kept_for_all_studies_and_the_rest_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAYERLIFT_CACHE", str(tmp_path / "cache"))
    own = tmp_path / "own.yaml"
    own.write_text(families.shipped()["short_stay"].read_text())
    question = asked(["direct", "bad_planners:Raises"], against=["direct"], names=["short_stay", own], policies=[],
                     worlds=1, thorough=False, push=False, gather_s=0.0)  # fmt: skip
    jobs = list(question.first())
    first = Stores(tmp_path / "out")
    for job in jobs:
        first.put(job, outcome(job, 1.0))
    other, same = Stores(tmp_path / "elsewhere"), Stores(tmp_path / "out")
    assert [other.get(job) is not None for job in jobs] == [True, False, False, False]
    assert all(same.get(job) is not None for job in jobs)
    monkeypatch.setattr(sources, "of_layerlift", lambda: "another")
    monkeypatch.setattr("layerlift.emulator.studies.stress.kept.of_layerlift", lambda: "another")
    assert not any(Stores(tmp_path / "out").get(job) for job in jobs)


def test_a_cache_that_cannot_be_is_done_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LAYERLIFT_CACHE", str(tmp_path / "file"))
    question = asked(["local"], against=["local"], names=["short_stay"], policies=[], worlds=1, thorough=False,
                     push=False, gather_s=0.0)  # fmt: skip
    [job] = question.first()
    stores = Stores(None)
    stores.put(job, outcome(job, 1.0))
    assert stores.get(job) is None


def test_a_planner_that_was_changed_is_run_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    module = tmp_path / "planner_of_mine.py"
    module.write_text(MODULE)
    monkeypatch.setitem(sys.modules, "planner_of_mine", None)
    del sys.modules["planner_of_mine"]

    def told() -> str:
        question = asked(["planner_of_mine:Mine"], against=["local"], names=["short_stay"], policies=[], worlds=1,
                         thorough=False, push=False, gather_s=0.0)  # fmt: skip
        return json.dumps(next(iter(question.first())).told(), sort_keys=True)

    before = told()
    assert told() == before
    module.write_text(MODULE + "# mended\n")
    assert told() != before


@pytest.mark.parametrize(
    ("text", "ships"),
    [
        ("ionn", True), ("shortest_path:stay_s=known+recursive", True), ("pso:particles=20+ionn", True),
        ("drf:spare=false", True), ("best_response:inner=bad_planners:Herd+ionn", False), ("bad_planners:Herd", False),
        ("bad_planners:Herd+ionn", False), ("ionn+bad_planners:Herd", False), ("dil:weights=/etc/passwd", False),
    ],
)  # fmt: skip
def test_only_what_ships_with_plain_options_ships(text: str, ships: bool) -> None:
    assert sources.ships(text) is ships
    assert (sources.of_own(text) == "") is ships


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_that_comes_when_a_run_is_ending_stops_the_study(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run has nothing left to stop by then, but the study has others to make."""
    path = tmp_path / "alone.yaml"
    path.write_text(ALONE)
    module = importlib.import_module("layerlift.emulator.run")
    monkeypatch.setattr(module, "_write_planning", lambda *given: os.kill(os.getpid(), number))
    found = stress("local", against="local", families=[path], worlds=3, push=False, local=True)
    assert not found.complete
    assert found.signal == number
    assert found.notes[0].endswith("1 of about 3 runs had ended")


@pytest.mark.long
@pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside threads that hardly do a thing"])
def test_who_waits_for_what_does_not_come_is_given_up(
    beside: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "alone.yaml"
    path.write_text(ALONE)
    monkeypatch.setattr("layerlift.emulator.studies.stress.limit.IDLE_S", 2.0)
    planners = ["bad_planners:Sleeps", "local"]
    with _ticking() if beside else nullcontext():
        found = stress(planners, against="local", families=[path], worlds=2, push=False, local=True)
    sleeps, local = (found.of(name)[0] for name in planners)
    assert sleeps.failed == ("it did nothing for 2 seconds",)
    assert sleeps.verdict == "no plans"
    assert local.value.n == 2


@contextmanager
def _ticking() -> Iterator[None]:
    """A thread that takes some thousandths of the time, as those of Ray do, also once Ray was shut down."""
    ended = threading.Event()

    def tick() -> None:
        while not ended.wait(0.01):
            sum(range(2000))

    thread = threading.Thread(target=tick)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@pytest.mark.long
def test_who_waits_for_own_threads_that_work_is_not_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("layerlift.emulator.studies.stress.limit.IDLE_S", 1.0)

    def work() -> None:
        until = time.monotonic() + 3.5
        while time.monotonic() < until:
            pass

    thread = threading.Thread(target=work)
    with limited(60.0):
        thread.start()
        thread.join()

"""What a note says where no plan keeps a limit, whoever plans."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from layerlift.emulator.planning.answer import solve
from layerlift.planners import Objective, Problem, cost, make
from layerlift.planners.testing.problems import battery

LIMITED = ("units", "labels", "shortest_path", "one_step", "spread", "local")


def asked(**objective: float) -> Problem:
    return replace(battery()["chain"], objective=Objective(**objective))


@pytest.mark.parametrize("planner", LIMITED)
def test_a_limit_that_no_plan_keeps_is_told_with_the_nearest(planner: str) -> None:
    least_s = cost.latency(asked(latency=1.0), make("units").plan(asked(latency=1.0), None).placement)  # type: ignore[arg-type]
    note = solve(planner, asked(latency=1.0, deadline_s=least_s / 2), 1)[0].note
    assert note.endswith(f"no plan keeps deadline_s {least_s / 2:.6g}; the nearest takes {least_s * 1e3:.4g} ms")


@pytest.mark.parametrize("planner", ["labels", "shortest_path"])
def test_nothing_is_said_of_a_limit_that_is_kept(planner: str) -> None:
    home_s = cost.latency(asked(latency=1.0), (0,) * 7)
    assert "deadline" not in solve(planner, asked(latency=1.0, deadline_s=home_s), 1)[0].note


def test_a_plan_that_misses_what_another_keeps_says_so() -> None:
    least_s = cost.latency(asked(latency=1.0), make("units").plan(asked(latency=1.0), None).placement)  # type: ignore[arg-type]
    note = solve("local", asked(money=1.0, latency=0.0, deadline_s=least_s * 1.01), 1)[0].note
    home_s = cost.latency(asked(latency=1.0), (0,) * 7)
    assert (
        note == f"this plan takes {home_s * 1e3:.4g} ms and misses deadline_s {least_s * 1.01:.6g}, which a plan keeps"
    )


def test_a_budget_that_even_the_cheapest_is_above() -> None:
    problem = replace(asked(latency=1.0, budget=1e-9), price_per_s=np.full(4, 0.01))
    note = solve("labels", problem, 1)[0].note
    assert "no plan keeps budget 1e-09; the nearest costs " in note
    assert note.endswith(" USD")


def test_servers_without_room_for_any_layer_are_told() -> None:
    problem = asked(latency=1.0)
    full = replace(problem, memory_bytes=np.array([np.inf, 9.0, 100.0, 7.0]))
    allowed = full.allowed.copy()
    allowed[[0, 3, 4, 5, 6], 1:] = False
    note = solve("units", replace(full, allowed=allowed), 1)[0].note
    assert note == "no server has room for a layer with parameters: the smallest holds 140000 bytes, 100 are free"

"""Uploads that share their link with queries: what is foretold is seen, and nobody is worse off than at home."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise, product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paper_problems import MB, paper_problem

from layerlift.emulator import RunResult, Scenario, run
from layerlift.emulator.planning.problems import problem_of
from layerlift.planners import Problem, make
from layerlift.planners.problem.plan import uploads_of
from layerlift.planners.uploading.sharing import SharedLink, regrouped

SLOW: dict[str, Any] = {
    "name": "slow_uplink",
    "nodes": [{"tier": "edge", "name": "s", "ghz": 20}],
    "links": {
        "client-edge": {"bandwidth_mb_s": 1, "latency_ms": 20},
        "edge-client": {"bandwidth_mb_s": 8, "latency_ms": 20},
    },
    "users": [{"device": {"ghz": 2}, "model": "zfnet512", "queries": 120}],
    "execution": "none",
    "reference_ghz": 48.6,
}
"""The second part of 330 MiB shares the uplink with the queries of the first."""

FAR: dict[str, Any] = {
    "name": "far_cloud",
    "nodes": [
        {"tier": "edge", "name": "e", "ghz": 5.8, "memory_mb": 1000},
        {"tier": "cloud", "name": "c", "ghz": 96, "cores": 2},
    ],
    "links": {
        "client-edge": {"bandwidth_mb_s": 4.481, "latency_ms": 2},
        "client-cloud": {"bandwidth_mb_s": 0.44, "latency_ms": 25},
        "edge-cloud": {"bandwidth_mb_s": 3.083, "latency_ms": 20},
    },
    "users": [{"device": {"ghz": 1.45}, "model": "resnet50", "queries": 100}],
    "planner": {"literal": True},
    "execution": "none",
    "reference_ghz": 48.6,
}
"""A small part at the edge helps only when the cloud, over a thin link, has the rest."""


def of_home(world: dict[str, Any], planner: str) -> tuple[float, RunResult]:
    """Mean latency over that at home of a lone user."""
    described = world | {"users": [world["users"][0] | {"planner": planner}]}
    result = run(Scenario.from_dict(described), local=True)
    latencies = result.queries["latency_s"].to_pylist()
    return sum(latencies) / len(latencies) / result.plans["local_s"][0].as_py(), result


@pytest.mark.parametrize(
    ("world", "planner"), [(SLOW, "ionn"), (SLOW, "min_cut+recursive"), (FAR, "shortest_path+recursive")]
)
def test_nobody_is_worse_off_than_at_home_by_the_own_upload(world: dict[str, Any], planner: str) -> None:
    assert of_home(world, planner)[0] > 1.1
    assert of_home(world, f"{planner}:shared=true")[0] <= 1.0 + 1e-9


def test_a_query_beside_an_upload_takes_what_is_foretold() -> None:
    _, result = of_home(SLOW, "ionn")
    problem = problem_of(Scenario.from_dict(SLOW).resolve(), 0)
    plan = make("ionn").plan(problem, random.Random(0))
    link = SharedLink(problem, plan.placement)
    used = tuple(int(layer in plan.uploads[0].layers) for layer in range(len(problem.graph)))
    query_s, rate_bytes_s = link.state(used, 1)
    assert result.queries["latency_s"][-1].as_py() == pytest.approx(query_s, rel=1e-6)
    last = result.uploads.to_pylist()[-1]
    sent = last["bytes"] - last["wasted_bytes"]
    assert 0 < rate_bytes_s < 1.0 * MB
    assert sent > rate_bytes_s * (last["ended_s"] - last["sent_s"])  # cancelled: it would have gone on


@pytest.mark.long
def test_an_upload_beside_queries_ends_when_foretold() -> None:
    world = SLOW | {"users": [SLOW["users"][0] | {"queries": 800}]}
    world["links"] = {pair: link | {"bandwidth_mb_s": 8} for pair, link in SLOW["links"].items()}
    _, result = of_home(world, "ionn")
    problem = problem_of(Scenario.from_dict(world).resolve(), 0)
    plan = make("ionn").plan(problem, random.Random(0))
    link = SharedLink(problem, plan.placement)
    last, row = len(plan.uploads) - 1, result.uploads.to_pylist()[-1]
    held = {layer for upload in plan.uploads[:last] for layer in upload.layers}
    _, rate_bytes_s = link.state(tuple(int(layer in held) for layer in range(len(problem.graph))), 1)
    assert rate_bytes_s < 0.9 * 8 * MB
    assert (row["part"], row["status"]) == (last, "confirmed")
    # A part of many queries' length: shorter ones end within one, which may be at its beginning or at its end.
    assert row["ended_s"] - row["sent_s"] == pytest.approx(0.04 + row["bytes"] / rate_bytes_s, rel=0.02)


def thin(problem: Problem, share: float) -> Problem:
    return replace(problem, bandwidth_bytes_s=problem.bandwidth_bytes_s * share)


@given(st.sampled_from([0.02, 0.1, 0.5, 3.0]), st.integers(1, 6), st.randoms(use_true_random=False))
@settings(max_examples=25, derandomize=True, deadline=None, database=None)
def test_the_best_way_to_join_neighbours_is_found(share: float, count: int, rng: random.Random) -> None:
    problem = thin(paper_problem("alexnet", servers=range(1, 2)), share)
    layers = len(problem.graph)
    placement = tuple(int(rng.random() < 0.9) for _ in range(layers))
    away = [layer for layer in range(layers) if placement[layer]]
    ends = [0, *sorted(rng.sample(range(1, len(away)), count - 1)), len(away)]
    parts = [away[first:end] for first, end in pairwise(ends)]
    link = SharedLink(problem, placement)

    def lost(groups: list[list[int]]) -> tuple[float, float]:
        above = total = 0.0
        held: frozenset[int] = frozenset()
        for group in groups:
            used = tuple(node if layer in held else 0 for layer, node in enumerate(placement))
            more = link.lost(used, held, uploads_of(placement, [group]))
            above, total = above + more[0], total + more[1]
            held |= frozenset(group)
        return above, total

    best = min(lost(joined(parts, cuts)) for cuts in product([False, True], repeat=count - 1))
    found = lost([list(upload.layers) for upload in regrouped(problem, placement, parts)])
    assert found == pytest.approx(best, rel=1e-9, abs=1e-9)


def joined(parts: list[list[int]], cuts: tuple[bool, ...]) -> list[list[int]]:
    """Parts of which those without a cut between them are one."""
    made = [list(parts[0])]
    for cut, part in zip(cuts, parts[1:], strict=True):
        if cut:
            made.append(list(part))
        else:
            made[-1] += part
    return made

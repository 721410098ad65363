"""Parts that move next to nothing join another, whatever planner made them."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from paper_problems import paper_problem
from planner_problems import problems
from strategies import layer_graphs, placements

from layerlift.emulator.planning.answer import answer
from layerlift.emulator.planning.job import PlanJob
from layerlift.planners import Plan, Problem, make, timeline, validate
from layerlift.planners.problem.plan import Upload, uploads_of
from layerlift.planners.testing.problems import chain_graph
from layerlift.planners.uploading.joining import NOTHING, joined

HEAVY, LIGHT = 1_000_000, 16


def chain(*held: int, at_once: str = "one") -> Problem:
    """A chain of layers that hold so many bytes, and two servers at 1 MB/s and 5 ms either way."""
    problem = paper_problem("alexnet", servers=range(1, 3))
    count = len(held)
    return replace(
        problem,
        graph=chain_graph([4] * count, held),
        seconds=problem.seconds[:count],
        allowed=np.ones((count, 3), dtype=np.bool_),
        uploads_at_once=at_once,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("held", "uploads", "expected"),
    [
        ((HEAVY, LIGHT, HEAVY), [(1, 0), (1, 1), (1, 2)], [(1, 0, 1), (1, 2)]),  # with the part before
        ((LIGHT, HEAVY), [(1, 0), (1, 1)], [(1, 0, 1)]),  # the first with the next
        ((HEAVY, HEAVY, LIGHT, HEAVY), [(1, 0), (2, 1), (1, 2), (1, 3)], [(1, 0), (2, 1), (1, 2, 3)]),
        ((HEAVY, HEAVY, 0), [(1, 0), (2, 1), (1, 2)], [(1, 0, 2), (2, 1)]),  # there is no later one
        ((LIGHT, 0, HEAVY), [(1, 0), (1, 1), (2, 2)], [(2, 2), (1, 0, 1)]),  # its server gets nothing else
        ((HEAVY, HEAVY), [(1, 0), (1, 1)], [(1, 0), (1, 1)]),
    ],
)
def test_what_moves_next_to_nothing_joins(held: tuple[int, ...], uploads: list, expected: list) -> None:
    def made(parts: list[tuple[int, ...]]) -> tuple[Upload, ...]:
        return tuple(Upload(server, layers) for server, *rest in parts for layers in [tuple(rest)])

    assert joined(chain(*held), made(uploads)) == made(expected)


def test_with_a_lane_for_each_server_the_part_before_is_that_of_its_server() -> None:
    uploads = (Upload(1, (0,)), Upload(2, (1,)), Upload(1, (2,)))
    assert joined(chain(HEAVY, HEAVY, LIGHT, at_once="per_server"), uploads) == (Upload(1, (0, 2)), Upload(2, (1,)))


@given(st.data())
@settings(max_examples=40, derandomize=True, phases=[Phase.generate], deadline=None, database=None)
def test_nothing_is_lost_and_nothing_light_is_alone(data: st.DataObject) -> None:
    problem = data.draw(problems(layer_graphs(max_layers=6), max_nodes=3))
    placement = data.draw(placements(problem.graph, len(problem.nodes)))
    layers = data.draw(st.permutations(range(len(placement))))
    uploads = joined(problem, uploads_of(placement, [[layer] for layer in layers]))
    free = np.full(len(problem.nodes), np.inf)
    validate(Plan(placement, uploads), replace(problem, memory_bytes=free, allowed=np.ones_like(problem.allowed)))
    sizes = timeline(problem, Plan(placement, uploads)).bytes
    for upload, size in zip(uploads, sizes, strict=True):
        trip_s = problem.latency_s[0, upload.server] + problem.latency_s[upload.server, 0]
        alone = sum(other.server == upload.server for other in uploads) == 1
        assert alone or size > NOTHING * trip_s * problem.bandwidth_bytes_s[0, upload.server]


@pytest.mark.parametrize("planner", ["recursive", "units+recursive", "efficiency"])
def test_alexnets_shape_travels_with_others_for_every_planner(planner: str) -> None:
    problem = paper_problem("alexnet", servers=range(1, 2))
    told = answer(PlanJob(0.0, 0, planner, problem), 1).outcomes[0]
    sizes = timeline(problem, Plan(told.placement, told.uploads)).bytes
    assert min(sizes) > 100
    literal = answer(PlanJob(0.0, 0, planner, problem, literal=True), 1).outcomes[0]
    assert literal.uploads == make(planner).plan(problem, random.Random(0)).uploads
    assert PlanJob(0.0, 0, planner, problem, literal=True).key != PlanJob(0.0, 0, planner, problem).key


def test_an_upload_in_which_nothing_light_is_alone_ends_earlier() -> None:
    problem = paper_problem("alexnet", servers=range(1, 2))
    plan = make("recursive").plan(problem, random.Random(0))
    light = min(timeline(problem, plan).bytes)
    assert light <= LIGHT
    together = replace(plan, uploads=joined(problem, plan.uploads))
    assert timeline(problem, together).ended_s < timeline(problem, plan).ended_s

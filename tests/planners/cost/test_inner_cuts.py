"""What is said of single cuts inside modules without pricing them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerlift.emulator import Scenario
from layerlift.emulator.planning.problems import problem_of
from layerlift.models.loading.zoo import classics
from layerlift.planners import Judge, Objective, Problem, simple_problem
from layerlift.planners.cost.inner_cuts import none_inside_beats
from layerlift.planners.offloading import units
from layerlift.planners.testing.problems import Sketch, draw_graph

ONE_TERM = (Objective(), Objective(latency=0.0, energy=3.0), Objective(latency=0.0, money=2.0))


def modules(rng: np.random.Generator) -> list[Sketch]:
    """Layers in a row, some followed by a module of two branches that are joined again; rarely a second answer."""
    made: list[Sketch] = []
    last = "input"
    for number in range(int(rng.integers(1, 4))):
        sizes = [int(size) for size in rng.integers(1_000, 400_000, 5)]
        made.append(Sketch(f"a{number}", (last,), sizes[0]))
        last = f"a{number}"
        if rng.random() < 0.7:
            left, right, both = f"l{number}", f"r{number}", f"b{number}"
            made += [
                Sketch(left, (last,), sizes[1]),
                Sketch(right, (last,), sizes[2]),
                Sketch(both, (left, right), 900),
            ]
            last = both
        if rng.random() < 0.1:
            made.append(Sketch(f"answer{number}", (last,), 3_000_000))
    return made


def drawn(seed: int, objective: Objective) -> Problem:
    """A network with modules, and servers that are quick at some layers and slow at others."""
    rng = np.random.default_rng(seed)
    graph = draw_graph("modules", modules(rng))
    nodes = int(rng.integers(2, 5))
    seconds = rng.exponential(1.0, (len(graph), nodes)) ** 2
    made = simple_problem(
        graph, seconds, bandwidth_bytes_s=float(rng.choice([2e6, 2e7])), objective=objective,
        query=("dataflow", "serial")[seed % 2],
    )  # fmt: skip
    prices = rng.exponential(1.0, nodes)
    return replace(made, price_per_s=prices, busy_w=prices * 5.0, price_per_byte=made.price_per_byte + 1e-8)


def said(problem: Problem, inside: bool = False) -> tuple[bool, Judge, units.Ways]:
    """Whether no cut inside a module beats the cheapest way, as far as a look tells."""
    judge = Judge(problem)
    ways = units.ways(judge, inside)
    rank = min([judge.local_key, *map(judge.key, ways.placements)])
    return none_inside_beats(rank, ways.sums, ways.pieces, ways.weights), judge, ways


@given(st.integers(0, 2**32), st.sampled_from(ONE_TERM), st.booleans())
def test_where_a_look_says_that_no_cut_inside_wins_none_does(seed: int, objective: Objective, inside: bool) -> None:
    problem = drawn(seed, objective)
    none_wins, judge, ways = said(problem, inside)
    cut, best = judge.best_cut(), min([judge.local_key, *map(judge.key, ways.placements)])
    assert cut is not None
    assert not none_wins or cut[0][1] >= best[1] * (1.0 - 1e-9)
    every = [judge.local_key, cut[0], *map(judge.key, ways.placements)]
    assert judge.key(units.place(judge, inside)) == pytest.approx(min(every), rel=1e-9)


@pytest.mark.parametrize("objective", ONE_TERM, ids=["latency", "energy", "money"])
def test_both_answers_are_given(objective: Objective) -> None:
    """A look spares the cuts in some worlds; in others one of them wins, and is found."""
    spared = won = 0
    for seed in range(200):
        none_wins, judge, ways = said(drawn(seed, objective))
        cut, best = judge.best_cut(), min(judge.local_key, judge.key(ways.placements[0]))
        wins = cut is not None and cut[0][1] < best[1] * (1.0 - 1e-9)
        assert not (none_wins and wins)
        spared += none_wins
        won += wins
    assert spared > 20
    assert won > 5


@pytest.mark.long
@pytest.mark.parametrize("name", classics())
def test_in_the_papers_world_a_look_is_enough(name: str) -> None:
    world = Scenario.load("paper", [f"users.0.model={name}"]).resolve()
    assert said(problem_of(world, 0))[0]


def test_a_look_does_not_tell_where_a_limit_or_several_terms_are_asked_for() -> None:
    for objective in (
        Objective(deadline_s=1.0), Objective(budget=1.0), Objective(energy=1.0), Objective(period=1.0),
        Objective(balance=1.0), Objective(coordination=1.0),
    ):  # fmt: skip
        assert not any(said(drawn(seed, objective))[0] for seed in range(10))


def test_where_the_cheapest_way_does_not_fit_a_cut_that_does_is_found() -> None:
    """A server with room for two of four layers takes two."""
    reads = ["input", "a0", "a1", "a2"]
    graph = draw_graph("row", [Sketch(f"a{number}", (read,), 1_000, 50) for number, read in enumerate(reads)])
    made = simple_problem(graph, [[1.0, 0.1]] * 4, bandwidth_bytes_s=1e7)
    tight = replace(made, memory_bytes=np.array([np.inf, 120.0]))
    assert units.place(Judge(made)) == (1, 1, 1, 1)
    assert units.place(Judge(tight)) == (0, 0, 1, 1)

"""Mutants of scenarios end in a run that keeps its laws, or in one sentence of at most 300 characters.

`pytest -m slow tests/laws/test_scenario_mutants.py` makes 20,000 of them; a share runs with the other tests. A mutant
that fails is named by its number: `mutant(number)` makes it again.
"""

from __future__ import annotations

import copy
import random
import sys
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any

import pytest
import yaml
from small_scenario import Few, small
from test_law_wild import bytes_are_kept, memory_fits, queries_end_once
from worlds import run_world

from layerlift.emulator.scenario import Scenario, bundled
from layerlift.emulator.scenario.resolving.catalog import Priced
from layerlift.emulator.scenario.schema.sections import ModelSection
from layerlift.emulator.world.world import World
from layerlift.models.errors import LayerliftError
from layerlift.models.loading import zoo
from layerlift.planners import registry

BLOCK = 100
LONGEST = 300
MOST_NODES, MOST_QUESTIONS, MOST_S = 40, 200, 30.0
"""What is run of a mutant: larger worlds are made, and not run; longer ones end here."""

LIVELY: dict[str, Any] = small(
    users=[
        {"kind": "k", "count": 3, "model": {"small": 2, "large": 1}, "queries": 4, "planner": "ionn", "weight": 2,
         "device": {"ghz": [1, 2], "spread": "random", "battery_j": 900}, "arrival": {"per_s": 3}, "replan": 2,
         "objective": {"energy": 1, "deadline_s": 2}, "think_s": {"exponential": 2}, "resume": True, "stay_s": 9},
        {"kind": "j", "model": "small", "queries": 6, "planner": "ionn", "asks": {"every_ms": 300}, "late": "drop",
         "in_flight": 2, "on_refusal": "wait", "profile_runs": 0},
    ],
    planner={"at": "edge1", "plan_s": 0.1, "heartbeat_s": 1, "predictions": {"bias": 0.2, "sigma": 0.1}},
    faults=[
        {"outage": ["edge1", "client"], "at_s": 1, "for_s": 2, "every_s": 4},
        {"loss": "client-edge", "share": 0.2, "bad_share": 0.9, "good_s": 2, "bad_s": 1},
        {"crash": "edge2", "mean_up_s": 3, "mean_down_s": 1},
    ],
    header_bytes=40,
    seed=3,
    until_s=20,
)  # fmt: skip
SOURCES = [LIVELY, LIVELY, small(), *(yaml.safe_load(path.read_text(encoding="utf-8")) for path in bundled().values())]
ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 3, 7, 100_000, 10**13, 0.0, -0.0, 1e-12, 1e-9, 0.5, 3.5, 1e9, 1e308, 10**400,
    float("nan"), float("inf"), "", " ", "client", "edge", "cloud", "small", "large", "local", "ionn", "drf", "equal",
    "greedy", "fifo", "r{}", "[/x]", "</script>", "\x00", "\x1b[2J", "é" * 400, "a" * 5000, "../..", "edge1", "client1",
    [], {}, [1, 2], [2, 1], [None], {"": {}}, {"per_s": 3}, {"uniform": [1, 2]}, [[[[[]]]]],
)  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every path in a document, the root left out."""
    if path:
        yield path
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(item, (*path, key))


def at(document: Any, path: tuple[Any, ...]) -> Any:
    """What is there."""
    for key in path:
        document = document[key]
    return document


def mutant(number: int) -> dict[str, Any]:
    """A scenario with one to three changes: another value, a number scaled, a part of elsewhere, gone, renamed."""
    rng = random.Random(number)
    document = copy.deepcopy(rng.choice(SOURCES))
    for _ in range(rng.choice((1, 1, 2, 3))):
        action = rng.choice(("odd", *("scale",) * 6, "graft", "drop", "drop", "rename", "double"))
        every = list(places(document))
        numbers = [path for path in every if type(at(document, path)) in (int, float)]
        path = rng.choice(numbers if action == "scale" and numbers else every)
        inside, last = at(document, path[:-1]), path[-1]
        old = inside[last]
        if action == "drop" and isinstance(inside, dict):
            del inside[last]
        elif action == "rename" and isinstance(inside, dict):
            inside[f"{last}"[: rng.randint(1, 9)] + rng.choice("_sx")] = inside.pop(last)
        elif action == "double" and isinstance(inside, list):
            inside.append(copy.deepcopy(old))
        elif action == "scale" and type(old) in (int, float) and abs(old) <= sys.float_info.max:
            inside[last] = rng.choice((-old, old * 0.1, old * 3, old * 1000, old * 1e-6, old - 1, old + 1))
        elif action == "graft":
            inside[last] = copy.deepcopy(at(document, rng.choice(every)))
        else:
            inside[last] = copy.deepcopy(rng.choice(ODD))
        if not document:
            break
    return document


def told_or_run(number: int) -> str:
    """`run`, `made` (too large to be run here), or the sentence that refuses the mutant."""
    try:
        scenario = Scenario.from_dict(mutant(number))
        scenario.assumptions()
        world = scenario.resolve(Zoo())
    except LayerliftError as error:
        return str(error)
    asked = sum(min(user.queries or 10**9, 10**9) for user in world.users)
    if len(world.nodes) > MOST_NODES or asked > MOST_QUESTIONS or endless(world):
        return "made"
    laws(replace(world, until_s=min(world.until_s, MOST_S)))
    return "run"


def endless(world: World) -> bool:
    """Whether it has more to do in `MOST_S` than can be done here: what is too small to be waited for."""
    steps = [world.sample_s, world.planning.heartbeat_s, world.resend_s, world.lookahead_s * 100]
    for part in (*world.faults, *world.mobility, *world.users):
        steps += [value for name, value in vars_of(part) if name.endswith("_s") and isinstance(value, float) and value]
    return min(steps) < 0.01


def vars_of(part: Any) -> list[tuple[str, Any]]:
    """The fields of a part of a world, and of the laws of time in it."""
    found = [(each.name, getattr(part, each.name)) for each in fields(part)]
    return found + [pair for _, value in found if is_dataclass(value) for pair in vars_of(value)]


class Zoo(Few):
    """Every network of the zoo is a small one here, but all planners are there."""

    def price(self, source: str, options: ModelSection, classes: tuple[str, ...]) -> Priced:
        return super().price("small" if zoo.is_known(source) else source, options, classes)

    def planner(self, text: str) -> None:
        registry.make(text)


def laws(world: World) -> None:
    """Run it, and count again from the outside."""
    run = run_world(world)
    bytes_are_kept(run)
    queries_end_once(run)
    memory_fits(run)


def block(first: int) -> dict[str, int]:
    """What became of a block of mutants, counted."""
    ends: dict[str, int] = {"run": 0, "made": 0, "refused": 0}
    for number in range(first, first + BLOCK):
        told = told_or_run(number)
        ends[told if told in ends else "refused"] += 1
        assert len(told) <= LONGEST, f"mutant({number}): {len(told)} characters: {told}"
        assert told.isprintable(), f"mutant({number}): {told!r}"
    return ends


@pytest.mark.long
@pytest.mark.parametrize("first", range(0, 800, BLOCK))
def test_mutants(first: int) -> None:
    ends = block(first)
    assert min(ends["run"], ends["refused"]) > 0, ends


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 20_000, BLOCK))
def test_20_000_mutants(first: int) -> None:
    block(first)

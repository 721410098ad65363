"""Problems to learn from, by number: a world of a family, a network, an objective and how busy the servers are."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Final, TypeVar

import numpy as np

from layerlift.emulator.planning.problems import problem_of
from layerlift.emulator.scenario import families
from layerlift.emulator.world import streams
from layerlift.models.errors import RunError, near
from layerlift.models.loading import zoo
from layerlift.planners.problem.problem import Objective, Problem

Item = TypeVar("Item")
FAMILIES: Final = ("lone_random", "lone_slow_asym", "lone_big", "three_tiers")
HOLD_OUT: Final = ("resnet50", "densenet121")
TRIAL_FROM: Final = families.HELD_OUT_FROM - 1000
"""Seeds from here to those held out are neither trained on nor judged on: a training's own curve is measured there."""
VARIANTS: Final = 4
"""Objectives and loads under which a world is looked at."""
_BUSY: Final = (0.0, 0.0, 1.0, 3.0)
"""Mean pieces of work at a server, one of these for a world."""


@dataclass(frozen=True, slots=True)
class Worlds:
    """Which worlds and networks problems are drawn from."""

    families: tuple[str, ...] = FAMILIES
    networks: tuple[str, ...] = ()

    def check(self) -> None:
        """Raise `ScenarioError` for a family that is not there, `RunError` for one that is held out, or none."""
        if held_out := [name for name in self.families if family_of(name).held_out]:
            raise RunError(f"the family {held_out[0]!r} is held out, none is trained on it: name others with --worlds")
        if not self.families:
            raise RunError("no family of worlds is given, expected at least one: name it with --worlds")

    def problems(self, seed: int) -> Iterator[Problem]:
        """The problems of one seed: one world and network, `VARIANTS` objectives and loads."""
        rng = streams.family(seed, "learning", "problem")
        family, network = (one_of(names, rng) for names in (self.families, self.networks))
        world = family_of(family).draw(seed, [f"users.0.model={network}", "users.0.count=1"]).resolve()
        problem = problem_of(world, 0)
        for _ in range(VARIANTS):
            yield varied(problem, rng)


@lru_cache(maxsize=64)
def family_of(name: str) -> families.Family:
    """A family, read once: its file takes longer to read than a world to draw."""
    return families.load(name)


def networks_of(given: Sequence[str], held_out: Sequence[str]) -> tuple[str, ...]:
    """The networks to train on: those given, or the classics; without those held out. Raises `RunError` for none."""
    for option, names in (("--networks", given), ("--hold-out", held_out)):
        for name in names:
            if not zoo.is_known(name) and not Path(name).is_file():
                raise RunError(f"{option} names {name!r:.80}, no zoo network and no file{near(name, zoo.names())}")
    apart = {zoo.called(name) for name in held_out}
    kept = tuple(name for name in given or zoo.classics() if zoo.called(name) not in apart)
    if not kept:
        raise RunError("every network is held out: expected at least one to train on; name it with --networks")
    return kept


def varied(problem: Problem, rng: random.Random) -> Problem:
    """The problem with another objective, and servers that others use."""
    loaded = busied(problem, rng)
    return replace(loaded, objective=_objective(rng))


def busied(problem: Problem, rng: random.Random) -> Problem:
    """The problem with servers that others use."""
    busy = one_of(_BUSY, rng)
    load = [0.0, *(float(_at_random(busy, rng)) for _ in problem.servers)]
    return replace(problem, load=np.array(load))


def _objective(rng: random.Random) -> Objective:
    kind = int(rng.random() * 4)
    if kind == 0:
        return Objective()
    if kind == 1:
        return Objective(latency=1.0, energy=_digits(rng.random()))
    if kind == 2:
        return Objective(latency=1.0, money=_digits(2.0 * rng.random()))
    return Objective(latency=_digits(rng.random()), energy=_digits(rng.random()), money=_digits(rng.random()))


def _digits(value: float) -> float:
    return max(round(value, 3), 0.05)


def _at_random(mean: float, rng: random.Random) -> int:
    """Pieces of work, as many on average: geometric, which needs no logarithm of the machine's."""
    count = 0
    while mean and rng.random() < mean / (1.0 + mean):
        count += 1
    return count


def one_of(values: Sequence[Item], rng: random.Random) -> Item:
    """One of some values, by chance."""
    return values[int(rng.random() * len(values))]

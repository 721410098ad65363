"""Where environments take worlds from: families that ship or are the user's own, or one scenario; always by a seed.

Seeds below `TRIAL_FROM` are for training; those from `families.HELD_OUT_FROM` on are for judging (see
`layerlift.emulator.scenario.families`). An environment draws one or the other, and is told a single one on reset.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any, Final, Protocol

import numpy as np

from layerlift.emulator.planning.problems import problem_of
from layerlift.emulator.scenario import Scenario, families
from layerlift.emulator.studies.learning.worlds import HOLD_OUT, TRIAL_FROM, VARIANTS, Worlds, networks_of
from layerlift.emulator.world import streams
from layerlift.models.errors import RunError, near
from layerlift.planners.problem.problem import Problem

Named = str | PathLike[str] | Scenario
"""A scenario, or the name or path of one."""
HELD_OUT: Final = 1_000_000
"""How many seeds are drawn from where worlds are held out."""
OPTIONS: Final = ("problem", "world")
"""What `reset` takes: a problem to be placed, or the seed of a world."""


class Problems(Protocol):
    """Gives the problems of a seed, at least one, the same each time."""

    def problems(self, seed: int) -> Iterator[Problem]:
        """Them, in order."""


@dataclass(frozen=True, slots=True)
class OfUsers:
    """The first problems of users of a scenario, whose seed is set: of `VARIANTS` users, drawn with repetition."""

    scenario: Scenario

    def problems(self, seed: int) -> Iterator[Problem]:
        """See `Problems`."""
        world = self.scenario.changed([f"seed={seed}"]).resolve()
        rng = streams.family(seed, "learning", "users")
        for _ in range(VARIANTS):
            yield problem_of(world, int(rng.random() * len(world.users)))


def problems_from(
    given: Sequence[str] | str | None, networks: Sequence[str], scenario: Named | None, held_out: bool
) -> Problems:
    """Where `Placement` takes problems from, as it was asked.

    Raises `RunError` for what does not go together, `ScenarioError` for a scenario or a family that is not right.
    """
    if scenario is not None:
        if given is not None or networks:
            raise RunError("a scenario was given with families or networks, expected it alone: it says both")
        return OfUsers(loaded(scenario))
    named = texts_of("networks", networks)
    worlds = Worlds(networks=networks_of(named, () if named else HOLD_OUT))
    if given is not None:
        worlds = Worlds(names_of(given), worlds.networks)
    if not held_out:
        worlds.check()
    return worlds


def names_of(given: Sequence[str] | str) -> tuple[str, ...]:
    """Names of families, of which there must be one: a single text is one of them. Raises `RunError` for none."""
    names = texts_of("families", given)
    if not names:
        raise RunError("families is empty, expected at least one name, such as lone_random")
    return names


def texts_of(what: str, given: Any) -> tuple[str, ...]:
    """Texts of a list, or a single one. Raises `RunError` for what is neither."""
    listed = (given,) if isinstance(given, str) else given
    if not isinstance(listed, Sequence) or not all(isinstance(text, str) for text in listed):
        raise RunError(f"{what} is {given!r:.80}, expected a list of texts")
    return tuple(listed)


def loaded(scenario: Named) -> Scenario:
    """The scenario that is meant. Raises `ScenarioError`."""
    return scenario if isinstance(scenario, Scenario) else Scenario.load(scenario)


def drawn_seed(rng: np.random.Generator, held_out: bool) -> int:
    """A seed for training, or one that is held out."""
    if held_out:
        return families.HELD_OUT_FROM + int(rng.integers(HELD_OUT))
    return int(rng.integers(TRIAL_FROM))


def asked(options: Mapping[str, Any] | None, known: Sequence[str] = OPTIONS) -> Mapping[str, Any]:
    """The options of a reset. Raises `RunError` for one that there is not, or a world that is no seed."""
    if options is not None and not isinstance(options, Mapping):
        raise RunError(f"options is {options!r:.80}, expected a dict, such as {{'world': 1_000_003}}")
    for name in options or {}:
        if name not in known:
            raise RunError(f"reset has no option {name!r}, expected some of {', '.join(known)}{near(str(name), known)}")
    given = dict(options or {})
    if "world" in given:
        world = given["world"]
        if isinstance(world, bool) or not isinstance(world, int | np.integer):
            raise RunError(f"world is {world!r:.40}, expected the seed of one, such as 1_000_003")
        given["world"] = int(world)
    return given

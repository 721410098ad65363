"""What contenders are judged in: families of worlds, how many of each, against whom, and how they are pushed."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from layerlift.emulator.scenario import families
from layerlift.emulator.scenario.families import Family
from layerlift.models.errors import RunError

REFERENCES: Final = ("ionn", "shortest_path:stay_s=known+recursive", "spread+ionn", "best_response+ionn")
"""The shipped planners of which the best in a family is its reference, where no other is named."""
POLICY: Final = "first_come"
"""What policies are held against, where no other is named."""
PLANNER: Final = "ionn"
"""Who plans every user while policies are judged."""
FOR_POLICIES: Final = ("late_comers", "tight_memory", "crowd", "bursts")
"""The families of a policy's card: in these somebody has to go without something."""
MOST_WORLDS: Final = 1000
_LONE: Final = 8
_MANY: Final = 4
"""How many worlds of a family everybody meets: of a lone user, and of several, who cost that much more."""
FURTHER: Final = 2
"""How many times as many worlds those meet whose verdict is undecided by then."""
THOROUGH: Final = 5
"""How many times as many worlds and CPU seconds `thorough` gives."""
RUN_S: Final = 120.0
"""CPU seconds after which a run is given up."""
FAMILY_S: Final = 60.0
"""CPU seconds that a contender may take for the worlds of one family that everybody meets."""
PROVED: Final = 4
"""In so many worlds of a family the optimum is looked for: a proof takes longer than a run."""


@dataclass(frozen=True, slots=True)
class Push:
    """A ladder: what is made harder, step by step, in which family."""

    change: str
    """users | bandwidth | faults; see `layerlift.emulator.studies.stress.changes`."""
    family: str
    factors: tuple[float, ...]
    worlds: int


PUSHES: Final = (
    Push("users", "equal_servers", (0.125, 0.25, 0.5, 1.0, 2.0, 4.0), 2),
    Push("bandwidth", "lone_random", (1.0, 0.5, 0.25, 0.125, 0.0625, 0.03125), 6),
    Push("faults", "faults", (1.0, 2.0, 4.0, 8.0), 2),
)
OWN: Final = {"users": (1.0, 2.0, 4.0, 8.0), "bandwidth": (1.0, 0.5, 0.25, 0.125), "faults": (1.0, 2.0, 4.0, 8.0)}
"""The ladders of a family from a file."""


def chosen(names: Sequence[str | os.PathLike[str]], default: Sequence[str] = ()) -> dict[str, Family]:
    """The families with these names or files, by name; without any `default`, or all that ship.

    Raises `ScenarioError` for one that is not there or not right, `RunError` for two of one name.
    """
    found: dict[str, Family] = {}
    for given in names or default or families.shipped():
        family = families.load(given)
        if family.name in found:
            raise RunError(f"two families are called {family.name}: expected each once, and files of different names")
        found[family.name] = family
    return found


def worlds_of(document: Mapping[str, Any], count: int | None, thorough: bool) -> int:
    """How many worlds of a family everybody meets, by the number of users in the first; `count` when it is given.

    A rule of users, not of time: results must not depend on how fast a machine is.
    """
    if count is not None:
        return count
    many = _LONE if users_in(document) == 1 else _MANY
    return many * THOROUGH if thorough else many


def picking(worlds: int) -> int:
    """In how many of so many worlds all references are run, so that the best of them is known: half, but two."""
    return min(worlds, max(2, worlds // 2))


def users_in(document: Mapping[str, Any]) -> int:
    """How many users a drawn world has."""
    total = 0
    for kind in document.get("users", ()):
        number = kind.get("count", 1) if isinstance(kind, dict) else 1
        total += number if isinstance(number, int) else 1
    return total


def pushes(found: Mapping[str, Family], named: bool, thorough: bool) -> list[Push]:
    """The ladders for these families: the declared ones, and all that a family from a file can bear.

    `named`: whether families were chosen by hand; those of the declared ladders are then among them or left out.
    """
    made = [push for push in PUSHES if push.family in found or not named]
    for family in found.values():
        if family.folder:
            worlds = 2 if users_in(family.document(families.HELD_OUT_FROM)) > 1 else 8
            faults = bool(family.world.get("faults"))
            kinds = ("users", "bandwidth", *(("faults",) if faults else ()))
            made += [Push(change, family.name, OWN[change], worlds) for change in kinds]
    if not thorough:
        return made
    return [Push(push.change, push.family, push.factors, push.worlds * 3) for push in made]

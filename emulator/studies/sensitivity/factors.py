"""What is moved: the numbers of each line that speaks of an assumption, together, within the bounds of their fields."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final, NamedTuple

from layerlift.emulator.scenario import Scenario
from layerlift.emulator.scenario.assumptions import Assumption, by_line
from layerlift.emulator.scenario.schema.document import Given
from layerlift.emulator.studies.sensitivity.bounds import Bounds, bounds
from layerlift.models.errors import LayerliftError, RunError, near

ALSO: Final = "named with --also"
TIMES: Final = {"half": 0.5, "double": 2.0}
"""The levels, and by how much each multiplies."""

Value = int | float | list[float]


class Fixed(NamedTuple):
    """A number, or what is none, that is not varied."""

    path: str
    why: str


@dataclass(frozen=True, slots=True)
class Moved:
    """One number of a factor, or a range of them."""

    path: str
    value: Value
    """As a scenario writes it."""
    bounds: Bounds

    def at(self, times: float) -> Value:
        """The number so many times as large, within its bounds; counts are rounded, halves up."""
        if isinstance(self.value, list):
            return [self._one(each, times) for each in self.value]
        return self._one(self.value, times)

    def _one(self, value: float, times: float) -> int | float:
        if isinstance(value, int):
            return int(self.bounds.kept(math.floor(value * times + 0.5)))
        return self.bounds.kept(float(f"{value * times:.12g}"))


@dataclass(frozen=True, slots=True)
class Factor:
    """One assumption: all numbers that a line speaks of."""

    name: str
    """The line: a pattern of `sources`, or the path of a default."""
    source: str
    moved: tuple[Moved, ...]

    def settings(self, times: float) -> list[str]:
        """The `path=value` overrides that multiply it; without those that change nothing."""
        told = f"{self.name} x {times:g}"
        pairs = [(each.path, each.value, each.at(times)) for each in self.moved]
        return [Given.by(told, f"{path}={json.dumps(value)}") for path, before, value in pairs if value != before]

    def values(self, times: float = 1.0) -> str:
        """Its numbers in words: `10`, or `nodes.0.ghz 40 to 80, nodes.0.cores 4`."""
        shown = [(each.path, _shown(each.at(times) if times != 1.0 else each.value)) for each in self.moved]
        if len({text for _, text in shown}) == 1:
            return shown[0][1]
        return ", ".join(f"{path} {text}" for path, text in shown)


def factors(
    scenario: Scenario, *, also: Sequence[str] = (), only: Sequence[str] = (), each: bool = False
) -> tuple[list[Factor], list[Fixed]]:
    """What can be moved of a scenario's assumptions, and what cannot, with the reason.

    A factor is a line of `sources`, or a default in use; with `each` every field is one of its own. `also` are patterns
    of more fields, as `sources` would name them; of `only` patterns each names factors that are wanted. Raises
    `RunError` for a pattern that names nothing.
    """
    inputs = scenario.new_inputs()
    lines = by_line(scenario, scenario.resolve(inputs=inputs), dict.fromkeys(also, ALSO))
    gone = [pattern for pattern in also if pattern not in lines]
    if gone:
        known = [entry["path"] for entries in lines.values() for entry in entries]
        raise RunError(
            f"--also {gone[0]} names no field of the scenario, expected one of its own{near(gone[0], known)}"
        )
    speeds = {entry["value"] for name, entries in lines.items() if _is_speed(name) for entry in entries}
    if len(speeds) == 1:
        _as_one(lines)
    made, fixed = list[Factor](), [Fixed(entry["path"], _why(entry)) for entry in inputs.assumptions()]
    for name, entries in lines.items():
        movable = [Moved(entry["path"], value, bounds(scenario, entry["path"])) for entry in entries
                   if (value := _number(entry["value"])) is not None]  # fmt: skip
        fixed += [Fixed(entry["path"], _why(entry)) for entry in entries if _number(entry["value"]) is None]
        groups = [[one] for one in movable] if each else [movable] if movable else []
        for group in groups:
            found = Factor(group[0].path if each else name, _source(entries, group), tuple(group))
            why = _stuck(scenario, found)
            if why:
                fixed += [Fixed(one.path, why) for one in group]
            else:
                made.append(found)
    return _wanted(made, only), fixed


def _fits(name: str, pattern: str) -> bool:
    """Whether a name is meant: itself, or a part of what is."""
    return any(name == text or fnmatchcase(name, text) for text in (pattern, f"{pattern}.*"))


def _wanted(made: list[Factor], only: Sequence[str]) -> list[Factor]:
    names = [factor.name for factor in made]
    for pattern in only:
        if not any(_fits(name, pattern) for name in names):
            raise RunError(f"--only {pattern} names no assumption that can be varied{near(pattern, names)}")
    wanted = [factor for factor in made if not only or any(_fits(factor.name, pattern) for pattern in only)]
    if not wanted:
        raise RunError("the scenario has no assumption that can be varied: name fields with --also, or under sources")
    return wanted


def _stuck(scenario: Scenario, factor: Factor) -> str:
    """Why neither level can be had; empty where one can."""
    why = "at its bound: half and double are what it is"
    for times in TIMES.values():
        settings = factor.settings(times)
        if settings:
            try:
                scenario.changed(settings).resolve()
            except LayerliftError as error:
                why = str(error)
            else:
                return ""
    return why


def _number(value: object) -> Value | None:
    """A number other than 0, or a range with one; None for what half and double mean nothing of."""
    if isinstance(value, list):
        return value if all(type(each) in (int, float) for each in value) and any(value) else None
    return value if isinstance(value, int | float) and not isinstance(value, bool) and value else None


def _why(entry: Assumption) -> str:
    value = entry["value"]
    if "(" in entry["path"]:
        return "of a profile, not a field: vary reference_ghz"
    match value:
        case None:
            return "unlimited, or left open"
        case bool():
            return "a yes or no"
        case int() | float() | list():
            return "0: half and double are 0"
    return "a word"


def _is_speed(name: str) -> bool:
    return name.startswith("reference_ghz (")


def _as_one(lines: dict[str, list[Assumption]]) -> None:
    """The one speed that all profiles stand for is what the field `reference_ghz` says where it is given."""
    [first, *_] = [entries[0] for name, entries in lines.items() if _is_speed(name)]
    for name in [name for name in lines if _is_speed(name)]:
        del lines[name]
    lines["reference_ghz"] = [Assumption(path="reference_ghz", value=first["value"], source=first["source"])]


def _source(entries: Sequence[Assumption], group: Sequence[Moved]) -> str:
    paths = {one.path for one in group}
    return "; ".join(dict.fromkeys(entry["source"] for entry in entries if entry["path"] in paths))


def _shown(value: Value) -> str:
    return " to ".join(f"{each:g}" for each in value) if isinstance(value, list) else f"{value:g}"

"""Every number of a scenario that nobody gave, or whose source the file states: what run.json lists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any, TypedDict

from pydantic import BaseModel

from layerlift.emulator.scenario.resolving.machines import IONN_W
from layerlift.emulator.scenario.resolving.transports import FIELDS, profile_fields, profile_source
from layerlift.emulator.scenario.schema.description import Description
from layerlift.emulator.scenario.schema.document import FieldPath, dotted
from layerlift.emulator.scenario.schema.fields import ASSUMED, Range, flaw
from layerlift.emulator.scenario.schema.link_sections import TransportSection
from layerlift.emulator.scenario.schema.sections import DeviceSection, MachineSection, NodesSection
from layerlift.emulator.world.world import World
from layerlift.models.errors import near

IONN = "IONN's Odroid XU4 board, from its public code (doi:10.1145/3267809.3267828): default of Layerlift"


_WORDS = frozenset({"sources", "about", "folder", "name", "names", "kind", "tier"})
"""Fields that claim nothing about the world."""


class Assumption(TypedDict):
    """A number that somebody might dispute."""

    path: str
    value: object
    """As a scenario writes it; null where the thing is unlimited or left to the profile."""
    source: str


def assumptions(scenario: Description, world: World | None = None) -> list[Assumption]:
    """List what the file annotates in `sources`, and all defaults in use that carry a physical number.

    A pattern of `sources` speaks of what the file gives, or of defaults when it matches nothing given; what a `--set`
    changed has that as its source. `world` adds what only the resolved models know: the speed that their reference
    profile stands for.
    """
    return [entry for _, entry in _told(scenario, world, {}).values()]


def by_line(
    scenario: Description, world: World | None = None, also: Mapping[str, str] | None = None
) -> dict[str, list[Assumption]]:
    """The same by what speaks of them: a pattern of `sources`, or a default's path with `*` for whom it is of.

    `also` are patterns that are taken as if they were written under `sources`; each has a source.
    """
    lines: dict[str, list[Assumption]] = {}
    for line, entry in _told(scenario, world, also or {}).values():
        lines.setdefault(line, []).append(entry)
    return lines


def _told(scenario: Description, world: World | None, also: Mapping[str, str]) -> dict[str, tuple[str, Assumption]]:
    """Every assumption by its path, with the line that speaks of it."""
    found: dict[str, tuple[str, Assumption]] = {}
    patterns = scenario.sources | dict(also)
    for path, value, source in _defaults(scenario, ()):
        line = _of_all(path)
        # A pattern of that name may speak of what is given beside a default: they are two assumptions.
        found[dotted(path)] = (
            dotted(path) if line in patterns else line,
            Assumption(path=dotted(path), value=value, source=source),
        )
    for model in world.models if world and scenario.reference_ghz is None else ():
        for profile, ghz in model.reference_ghz.items():
            field = f"reference_ghz ({model.name} on {profile})"
            told = Assumption(path=field, value=ghz, source="the speed at which the profile was measured")
            found[field] = field, told
    given = dict(_leaves(scenario, ()))
    unsaid = {name: entry["value"] for name, (_, entry) in found.items()}
    for pattern, source in patterns.items():
        matched = _matching(pattern, given) or _matching(pattern, unsaid)
        for name, value in matched.items():
            told = Assumption(path=name, value=value, source=scenario.setting(name) or source)
            found[name] = pattern, told
    return found


def _of_all(path: FieldPath) -> str:
    """`nodes.*.cores`: a default is one assumption, however many sections it stands in."""
    named = path[0] in ("links", "media", "models")
    return dotted(tuple("*" if isinstance(part, int) or (named and at == 1) else part for at, part in enumerate(path)))


def _matching(pattern: str, values: dict[str, object]) -> dict[str, object]:
    return {path: value for path, value in values.items() if _covers(pattern, path)}


def sources_fit(scenario: Description) -> None:
    """Raise a pydantic error for a pattern under `sources` that matches no field: a misspelt path would go unseen."""
    paths = [path for path, _ in _leaves(scenario, ())] + [dotted(path) for path, _, _ in _defaults(scenario, ())]
    for pattern in scenario.sources:
        if not getattr(scenario, pattern.split(".")[0], True):
            continue  # what it speaks of has been emptied, by a --set perhaps
        if not any(_covers(pattern, path) for path in paths):
            raise flaw(("sources", pattern), f"matches no field of this scenario{near(pattern, paths[:200])}")


def _covers(pattern: str, path: str) -> bool:
    """Whether a dotted pattern is the path or a parent of it; each part may hold `*`."""
    wanted, parts = pattern.split("."), path.split(".")
    return len(wanted) <= len(parts) and all(fnmatchcase(p, w) for p, w in zip(parts, wanted, strict=False))


def _leaves(value: object, path: FieldPath) -> Iterator[tuple[str, object]]:
    """Yield every value that was given, by dotted path."""
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            if name in value.model_fields_set and name not in _WORDS:
                yield from _leaves(getattr(value, name), (*path, name))
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(item, (*path, key))
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from _leaves(item, (*path, index))
    else:
        yield dotted(path), _written(value)


def _written(value: object) -> object:
    if isinstance(value, Range):
        return value.low if value.low == value.high else [value.low, value.high]
    return value


def _defaults(value: object, path: FieldPath) -> Iterator[tuple[FieldPath, object, str]]:
    """Yield every default in use that was marked as an assumption."""
    if isinstance(value, tuple | dict):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _defaults(item, (*path, key))
    if not isinstance(value, BaseModel):
        return
    if isinstance(value, MachineSection):
        yield from _power(value, path)
    for name, info in type(value).model_fields.items():
        if name.endswith("_mb_s") and getattr(value, f"{name.removesuffix('_mb_s')}_mbit_s") is not None:
            continue  # given, in the other unit
        if isinstance(value, TransportSection) and value.profile is not None and name in FIELDS:
            if name not in value.model_fields_set:
                said = profile_fields(value.profile, value.buffer_ms)
                yield (*path, name), said[name], profile_source(value.profile)
            continue
        given: Any = getattr(value, name)
        extra = info.json_schema_extra
        if isinstance(extra, dict) and "assumed" in extra and name not in value.model_fields_set:
            yield (*path, name), _written(given), str(extra["assumed"])
        else:
            yield from _defaults(given, (*path, name))


def _power(machine: MachineSection, path: FieldPath) -> Iterator[tuple[FieldPath, object, str]]:
    client = isinstance(machine, DeviceSection) or (isinstance(machine, NodesSection) and machine.tier == "client")
    for name, watts in IONN_W.items():
        if getattr(machine, name) is None and (client or name != "radio_w"):
            yield (*path, name), watts if client else 0.0, IONN if client else f"{ASSUMED}: not counted"

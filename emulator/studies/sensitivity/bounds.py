"""Within which bounds a number of a scenario may be moved: those of its field."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

from pydantic import BaseModel

from layerlift.emulator.scenario.schema.description import Description

_NUMBERS = ("number", "integer")
_BELOW = ("anyOf", "oneOf", "allOf", "prefixItems")


class Bounds(NamedTuple):
    """The least and the most that a field takes."""

    low: float = -math.inf
    high: float = math.inf

    def kept(self, value: float) -> float:
        """The value within them that is nearest."""
        return min(max(value, self.low), self.high)


def bounds(scenario: Description, path: str) -> Bounds:
    """The bounds of the number at a dotted path: where a field may be written in several ways, the widest."""
    found = list(_numbers(*_field(scenario, path)))
    if not found:
        return Bounds()
    return Bounds(min(_low(each) for each in found), max(_high(each) for each in found))


def _field(scenario: Description, path: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The JSON schema of the innermost section's field that the path leads through, and of what it refers to."""
    inside: Any = scenario
    schema: tuple[Mapping[str, Any], Mapping[str, Any]] = ({}, {})
    for part in path.split("."):
        if isinstance(inside, BaseModel):
            whole = _schema(type(inside))
            schema = whole["properties"].get(part, {}), whole.get("$defs", {})
            inside = getattr(inside, part, None)
        elif isinstance(inside, Mapping):
            inside = inside.get(part)
        elif isinstance(inside, tuple | list) and part.isdigit() and int(part) < len(inside):
            inside = inside[int(part)]
        else:
            break
    return schema


@cache
def _schema(section: type[BaseModel]) -> dict[str, Any]:
    return section.model_json_schema()


def _numbers(schema: Mapping[str, Any], known: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the schemas of numbers by which a field may be written; not those of fields of sections in it."""
    if "$ref" in schema:
        referred = known.get(str(schema["$ref"]).rpartition("/")[2], {})
        if "properties" not in referred:
            yield from _numbers(referred, known)
    if schema.get("type") in _NUMBERS:
        yield schema
    below = [each for name in _BELOW for each in schema.get(name, ())]
    below += [schema[name] for name in ("items", "additionalProperties") if isinstance(schema.get(name), Mapping)]
    for each in below:
        yield from _numbers(each, known)


def _low(schema: Mapping[str, Any]) -> float:
    if "exclusiveMinimum" in schema:
        return math.nextafter(schema["exclusiveMinimum"], math.inf)
    return float(schema.get("minimum", -math.inf))


def _high(schema: Mapping[str, Any]) -> float:
    if "exclusiveMaximum" in schema:
        return math.nextafter(schema["exclusiveMaximum"], -math.inf)
    return float(schema.get("maximum", math.inf))

"""What all entries of `faults` have in common, and the types of their fields."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Annotated, Any, Final

from pydantic import Field, PlainSerializer, PlainValidator, WithJsonSchema

from layerlift.emulator.scenario.schema.fields import Section, flaw, shown
from layerlift.emulator.scenario.schema.names import Machines, Names
from layerlift.emulator.world.faults import Fault
from layerlift.emulator.world.mobility import Mobility


class FaultSection(Section):
    """One entry of `faults`. Its first field is the key that tells its kind."""

    @abstractmethod
    def check(self, names: Names) -> None:
        """Raise `Flaw`, with a path in this section, for a name that is none, or not of the right kind."""

    @abstractmethod
    def resolve(self, machines: Machines) -> Sequence[Fault | Mobility]:
        """Return what it is in a world. Raises `Flaw`, with a path in this section, for a file that cannot be used."""


Duration = Annotated[float, Field(strict=True, ge=0.001, le=1e9)]
"""Seconds; not so short that a run would do nothing else."""
Instant = Annotated[float, Field(strict=True, ge=0, le=1e9)]
Share = Annotated[float, Field(strict=True, ge=0, lt=1)]
Metres = Annotated[float, Field(strict=True, ge=1, le=1e6)]

LONGEST_NAME: Final = 500


def _links(given: Any) -> str | tuple[str, str]:
    names = given if isinstance(given, list | tuple) and len(given) == 2 else (given,)
    if not all(isinstance(name, str) and 0 < len(name) <= LONGEST_NAME for name in names):
        wanted = "a pair of tiers such as client-edge, a node, a medium, or [node, node]"
        raise flaw((), f"is {shown(given)}, expected {wanted}")
    return names[0] if len(names) == 1 else (names[0], names[1])


def _written(names: Any) -> Any:
    return names if isinstance(names, str) else list(names)


_NAME: Final = {"type": "string", "minLength": 1, "maxLength": LONGEST_NAME}
_TWO: Final = {"type": "array", "items": _NAME, "minItems": 2, "maxItems": 2}
_SOME: Final = {"type": "array", "items": _NAME, "minItems": 1}

LinkNames = Annotated[
    str | tuple[str, str],
    PlainValidator(_links),
    PlainSerializer(_written),
    WithJsonSchema({"anyOf": [_NAME, _TWO]}),
]
"""Links: `client-edge`, a node, or `[node, node]`; or a shared medium, one way of it being `[medium, up]`."""


def _names(given: Any) -> tuple[str, ...]:
    names = tuple(given) if isinstance(given, list | tuple) else (given,)
    if not names or not all(isinstance(name, str) and 0 < len(name) <= LONGEST_NAME for name in names):
        raise flaw((), f"is {shown(given)}, expected a name or a list of names")
    return names


NameList = Annotated[
    tuple[str, ...],
    PlainValidator(_names),
    PlainSerializer(_written),
    WithJsonSchema({"anyOf": [_NAME, _SOME]}),
]
"""A name or a list of names."""

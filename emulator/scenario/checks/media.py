"""What must hold between the shared media of a scenario and what names them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Final

from layerlift.emulator.scenario.checks.names import node_names
from layerlift.emulator.scenario.schema.description import Description
from layerlift.emulator.scenario.schema.document import FieldPath
from layerlift.emulator.scenario.schema.fields import flaw, shown
from layerlift.emulator.scenario.schema.sections import TIERS
from layerlift.models.errors import near

DEEPEST: Final = 16
"""Media that may be behind each other."""


def check_media(scenario: Description) -> None:
    """Raise the first thing that is wrong with `media` or a mention of one, as a pydantic error with its path."""
    _names(scenario)
    for path, named in _mentions(scenario):
        for place, name in enumerate(named):
            where = path if len(named) == 1 else (*path, place)
            if name not in scenario.media:
                told = near(name, scenario.media) if scenario.media else "; there is no `media`"
                raise flaw(where, f"is {shown(name)}, which is no shared medium{told}")
            if path[-1] == "via" and name in named[:place]:
                raise flaw(where, f"names {name!r} twice: a message crosses a medium at most once each way")
    for name in scenario.media:
        _chain(scenario, name)


def _names(scenario: Description) -> None:
    if not scenario.media:
        return
    nodes = {name for _, name in node_names(scenario)}
    pairs = [f"{a}-{b}" for a, b in product(TIERS, TIERS)]
    for name in scenario.media:
        if name in nodes:
            raise flaw(("media", name), "bears the name of a node: expected one of its own")
        if name in (*TIERS, *pairs, "planner"):
            raise flaw(("media", name), "bears the name of a tier or of a pair of tiers: expected one of its own")


def _mentions(scenario: Description) -> Iterator[tuple[FieldPath, Sequence[str]]]:
    """Every field that names media, with its path."""
    for name, medium in scenario.media.items():
        yield ("media", name, "behind"), () if medium.behind is None else (medium.behind,)
    for key, link in scenario.links.items():
        yield ("links", key, "via"), link.via
    for index, pair in enumerate(scenario.pairs):
        yield ("pairs", index, "via"), pair.via or ()
    for index, group in enumerate(scenario.nodes):
        yield ("nodes", index, "behind"), group.behind or ()
    for index, kind in enumerate(scenario.users):
        if kind.device is not None:
            yield ("users", index, "device", "behind"), kind.device.behind or ()


def _chain(scenario: Description, name: str) -> None:
    """Refuse a medium that is behind itself, or behind too many."""
    passed: list[str] = []
    at: str | None = name
    while at is not None:
        if at in passed:
            raise flaw(("media", at, "behind"), f"puts {shown(at)} behind itself: expected a medium further out")
        if len(passed) == DEEPEST:
            raise flaw(("media", name, "behind"), f"is the {DEEPEST}th behind each other and not the last")
        passed.append(at)
        at = scenario.media[at].behind

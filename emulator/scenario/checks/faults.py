"""What must hold between the faults of a scenario and its machines: every name is one, and of the right kind."""

from __future__ import annotations

from layerlift.emulator.scenario.checks.names import kind_name, node_names
from layerlift.emulator.scenario.schema.description import Description
from layerlift.emulator.scenario.schema.document import FieldPath
from layerlift.emulator.scenario.schema.fields import Flaw, flaw
from layerlift.emulator.scenario.schema.names import Names


def check_faults(scenario: Description) -> None:
    """Raise the first thing that is wrong with `faults`, as a pydantic error with its path."""
    if not scenario.faults:
        return
    names = _names(scenario)
    for index, entry in enumerate(scenario.faults):
        try:
            entry.check(names)
        except Flaw as found:
            raise flaw(("faults", index, *found.path), found.text) from None


def _names(scenario: Description) -> Names:
    return Names(
        tiers={name: _tier(scenario, path) for path, name in node_names(scenario)},
        kinds=[kind_name(scenario, index) for index in range(len(scenario.users))],
        linked=[pair for key in scenario.links for pair in (key, "-".join(reversed(key.split("-"))))],
        paired={frozenset(pair.between) for pair in scenario.pairs},
        media=scenario.media,
    )


def _tier(scenario: Description, path: FieldPath) -> str:
    return scenario.nodes[int(path[1])].tier if path[0] == "nodes" else "client"

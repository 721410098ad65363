"""From the faults of a scenario to those of a world: names become indices, files become points, units become SI."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from layerlift.emulator.scenario.schema.description import Description
from layerlift.emulator.scenario.schema.fields import Flaw
from layerlift.emulator.scenario.schema.files import Files
from layerlift.emulator.scenario.schema.names import Machines
from layerlift.emulator.world.faults import Fault, LinkFault, MachineFault
from layerlift.emulator.world.machines import NodeSpec
from layerlift.emulator.world.mobility import Mobility
from layerlift.emulator.world.users import UserSpec


def resolve_faults(
    scenario: Description,
    nodes: Sequence[NodeSpec],
    media: Mapping[str, int],
    users: Sequence[UserSpec],
    files: Files,
) -> tuple[tuple[Fault, ...], tuple[Mobility, ...]]:
    """Build `World.faults` and `World.mobility`; `media` has the place of each shared medium in `World.media`.

    Raises `Flaw` for a file that cannot be used and for a client that two entries move.
    """
    machines = _machines(nodes, media, users, files)
    broken: list[Fault] = []
    moving: list[Mobility] = []
    moved: dict[int, int] = {}
    for index, entry in enumerate(scenario.faults):
        try:
            made = entry.resolve(machines)
        except Flaw as found:
            raise Flaw(("faults", index, *found.path), found.text) from None
        for spec in made:
            if isinstance(spec, LinkFault | MachineFault):
                broken.append(spec)
            else:
                _once(spec, moved, index, nodes)
                moving.append(spec)
    return tuple(broken), tuple(moving)


def _machines(nodes: Sequence[NodeSpec], media: Mapping[str, int], users: Sequence[UserSpec], files: Files) -> Machines:
    kinds: dict[str, list[int]] = {}
    for user in users:
        kinds.setdefault(user.kind, []).append(user.client)
    return Machines({node.name: node for node in nodes if node.tier != "planner"}, kinds, files, media)


def _once(spec: Mobility, moved: dict[int, int], index: int, nodes: Sequence[NodeSpec]) -> None:
    # A client that two entries move would be at two places at once.
    for client in spec.clients:
        if client in moved:
            raise Flaw(("faults", index), f"moves {nodes[client].name}, which faults.{moved[client]} moves already")
        moved[client] = index

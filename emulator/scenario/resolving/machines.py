"""The machines of a scenario: groups with counts and ranges become nodes with numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

from layerlift.emulator.policies import batch_cap, takes_back
from layerlift.emulator.scenario.checks.names import kind_name, node_names
from layerlift.emulator.scenario.schema import sections
from layerlift.emulator.scenario.schema.description import Description
from layerlift.emulator.scenario.schema.document import FieldPath
from layerlift.emulator.scenario.schema.fields import GB, MB, MBIT, CodeFlaw, Flaw, Range, shown
from layerlift.emulator.scenario.schema.trust import Trust
from layerlift.emulator.world import streams
from layerlift.emulator.world.machines import INF, NodeSpec, Tier
from layerlift.models.errors import CodeRefused, LayerliftError
from layerlift.models.timing.profiles import REFERENCE, SHIPPED_CLASSES
from layerlift.planners.registry.plugins import code_allowed

IONN_W: Final = {"idle_w": 3.977, "compute_w": 3.262, "radio_w": 2.634}
"""IONN's Odroid XU4 board: idle, and the increments of computing (7.239 W) and of its radio (6.611 W)."""


class _Spread:
    """The members of one group: each ranged field becomes a value per member."""

    def __init__(self, machine: sections.MachineSection, count: int, seed: int, group: str) -> None:
        self.machine = machine
        self.count = count
        self.seed = seed
        self.group = group

    def values(self, name: str, missing: float, scale: float = 1.0) -> list[float]:
        span: Range | None = self.machine.clock if name == "ghz" else getattr(self.machine, name)
        if span is None:
            return [missing] * self.count
        if self.machine.spread == "even" or span.low == span.high:
            return [value * scale for value in span.even(self.count)]
        rng = streams.machines(self.seed, self.group, name)
        return [round(rng.uniform(span.low, span.high), 9) * scale for _ in range(self.count)]

    def rates(self, of: str) -> list[float]:
        """Bytes per second, from the unit that was given."""
        given: Range | None = getattr(self.machine, f"{of}_mbit_s")
        return self.values(f"{of}_mb_s", INF, MB) if given is None else self.values(f"{of}_mbit_s", INF, MBIT)


def _machines(
    spread: _Spread, tier: Tier, names: Sequence[str], profile: str, ruled: _Ruled, media: Mapping[str, int]
) -> Iterator[NodeSpec]:
    """Yield a group's nodes, their indices still to be given (0)."""
    machine = spread.machine
    watts = IONN_W if tier == "client" else dict.fromkeys(IONN_W, 0.0)
    ghz = spread.values("ghz", 1.0)
    memory = spread.values("memory_mb", INF, MB)
    power = {name: spread.values(name, default) for name, default in watts.items()}
    price = spread.values("price_per_core_hour", 0.0, 1 / 3600)
    price_held = spread.values("price_per_gb_hour", 0.0, 1 / 3600 / GB)
    uplink, downlink = spread.rates("uplink"), spread.rates("downlink")
    battery = spread.values("battery_j", INF)
    behind = [media[name] for name in machine.behind or ()] or [-1]
    off, most, wait_ms = [0.0] * len(names), 1, 0.0
    if isinstance(machine, sections.NodesSection):
        off = spread.values("off_w", 0.0)
        most, wait_ms = int(min(machine.max_batch or 1, ruled.most)), machine.batch_wait_ms or 0.0
    for k, name in enumerate(names):
        yield NodeSpec(
            index=0,
            name=name,
            tier=tier,
            ghz=ghz[k],
            cores=machine.cores,
            profile=profile,
            discipline=machine.discipline,
            max_batch=most,
            batch_wait_s=wait_ms / 1000,
            memory_bytes=memory[k],
            load_s_per_byte=machine.load_s_per_mb / MB,
            policy=machine.policy,
            revokes=ruled.revokes,
            share_models=machine.share_models,
            idle_w=power["idle_w"][k],
            compute_w=power["compute_w"][k],
            radio_w=power["radio_w"][k],
            off_w=off[k],
            price_per_s=price[k],
            price_per_byte_s=price_held[k],
            uplink_bytes_s=uplink[k],
            downlink_bytes_s=downlink[k],
            behind=behind[k % len(behind)],
            battery_j=None if math.isinf(battery[k]) else battery[k],
        )


def nodes(scenario: Description, media: Mapping[str, int]) -> list[NodeSpec]:
    """Return all nodes, indexed: clients as listed, clients that users bring, servers as listed, the planner.

    `media` has the place of each shared medium in `World.media`.

    Raises `Flaw` for an unknown policy.
    """
    names: dict[FieldPath, list[str]] = {}
    for path, name in node_names(scenario):
        names.setdefault(path, []).append(name)
    made: list[NodeSpec] = []
    for path, group in names.items():
        section: sections.MachineSection | None
        if path[0] == "nodes":
            section = scenario.nodes[int(path[1])]
            tier: Tier = section.tier
            drawn_as = f"nodes/{path[1]}"
        else:
            section = scenario.users[int(path[1])].device
            tier, drawn_as = "client", f"users/{kind_name(scenario, int(path[1]))}"
        if section is not None:
            profile = class_of(scenario, section.profile)
            ruled = _ruled(section.policy, (*path, "policy"), scenario.trust)
            spread = _Spread(section, len(group), scenario.seed, drawn_as)
            made.extend(_machines(spread, tier, group, profile, ruled, media))
    made.append(NodeSpec(0, "planner", "planner"))
    return [replace(node, index=index) for index, node in enumerate(made)]


class _Ruled(NamedTuple):
    """What of a policy is settled before a run."""

    revokes: bool
    """Whether it takes memory back."""
    most: float
    """How many queries it lets run together; infinite where it does not say."""


def _ruled(policy: str, path: FieldPath, trust: Trust) -> _Ruled:
    """Ask a policy here, so that a world need not know any."""
    try:
        with code_allowed(trust.allows(policy)):
            return _Ruled(takes_back(policy), batch_cap(policy))
    except CodeRefused as error:
        raise CodeFlaw(path, f"is {shown(policy)}: {error}") from None
    except LayerliftError as error:
        raise Flaw(path, f"is {policy!r}: {error}") from None


def class_of(scenario: Description, profile: str) -> str:
    """Return a device class as worlds name it: one that ships by its name, any other by its file."""
    ships = profile == REFERENCE or profile in SHIPPED_CLASSES
    return profile if ships else in_folder(scenario, profile)


def in_folder(scenario: Description, file: str) -> str:
    """Return a file name of the scenario; relative ones begin at its folder."""
    return str(Path(scenario.folder) / file)

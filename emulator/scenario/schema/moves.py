"""Who moves, as a scenario lists it under `faults`: at random over an area, or as a file says.

A new way is one more section here, in `FAULTS` of `layerlift.emulator.scenario.schema.faults`, and one more class in
`layerlift.emulator.world.mobility`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field, model_validator

from layerlift.emulator.scenario.schema.fault_section import FaultSection, Metres, NameList
from layerlift.emulator.scenario.schema.fields import (
    NOTHING,
    Flaw,
    NonNegative,
    NonNegativeRange,
    PositiveRange,
    Text,
    assume,
    flaw,
    tidy,
)
from layerlift.emulator.scenario.schema.instants import Start
from layerlift.emulator.scenario.schema.link_traces import instant
from layerlift.emulator.scenario.schema.names import Machines, Names, hinted
from layerlift.emulator.world.faults import Fault
from layerlift.emulator.world.mobility import Handover, Journey, Mobility, Place, Waypoint

SLOWEST_M_S, FASTEST_M_S = 0.001, 1000.0


class MoveSection(FaultSection):
    """Clients walk at random in a rectangle (random waypoint) and are attached to the nearest edge server."""

    move: NameList
    """Kinds of users, or clients."""
    within_m: tuple[Metres, Metres]
    """Width and height."""
    speed_m_s: PositiveRange
    """Drawn for each way, uniform over a range `[low, high]`."""
    pause_s: NonNegativeRange = assume(NOTHING)
    """Drawn at each place."""
    edges_m: dict[Text, tuple[NonNegative, NonNegative]] | None = Field(None, min_length=1)
    """Places of edge servers, [x, y]; on a grid over the area when left out."""
    hysteresis_m: Annotated[float, Field(strict=True, ge=0, le=1e6)] = assume(0.0)
    """Another server must be nearer by more than this."""
    interruption_ms: NonNegative = assume(0.0)
    """How long a hand-over cuts the client off from all servers."""
    handover: Handover = "reupload"

    @model_validator(mode="after")
    def _possible(self) -> MoveSection:
        if not SLOWEST_M_S <= self.speed_m_s.low <= self.speed_m_s.high <= FASTEST_M_S:
            given = [self.speed_m_s.low, self.speed_m_s.high]
            raise flaw(("speed_m_s",), f"is {given}, expected {SLOWEST_M_S:g} to {FASTEST_M_S:g}, or a range of them")
        for name, place in (self.edges_m or {}).items():
            if place[0] > self.within_m[0] or place[1] > self.within_m[1]:
                raise flaw(("edges_m", name), f"is {list(place)}, expected a place within_m {list(self.within_m)}")
        return self

    def check(self, names: Names) -> None:
        """See `FaultSection`."""
        edges = names.edges()
        names.check_clients(self.move, "move")
        for name in self.edges_m or ():
            if name not in edges:
                raise Flaw(("edges_m", name), f"is no edge server{hinted(name, edges)}")

    def resolve(self, machines: Machines) -> Sequence[Fault | Mobility]:
        """See `FaultSection`."""
        servers = [node for node in machines.nodes.values() if node.tier == "edge"]
        if self.edges_m is None:
            spots = list(zip(servers, grid(len(servers), self.within_m), strict=True))
        else:
            spots = [(node, self.edges_m[node.name]) for node in servers if node.name in self.edges_m]
        walk = Waypoint(
            clients=machines.clients(self.move),
            area_m=self.within_m,
            speed_m_s=(self.speed_m_s.low, self.speed_m_s.high),
            pause_s=(self.pause_s.low, self.pause_s.high),
            edges=tuple((node.index, x, y) for node, (x, y) in spots),
            hysteresis_m=self.hysteresis_m,
            interruption_s=tidy(self.interruption_ms / 1000),
            handover=self.handover,
        )
        return [walk]


class JourneySection(FaultSection):
    """Clients are attached as a file says: columns time_s, client, edge."""

    journey: Text
    """The file."""
    start_s: Start = 0.0
    """When second 0 of the file is; below 0 for a file that counts from long ago, such as from 1970."""
    interruption_ms: NonNegative = assume(0.0)
    handover: Handover = "reupload"

    def check(self, names: Names) -> None:
        """See `FaultSection`."""
        names.edges()

    def resolve(self, machines: Machines) -> Sequence[Fault | Mobility]:
        """See `FaultSection`."""
        stops = _stops(self.journey, self.start_s, machines)
        interruption_s = tidy(self.interruption_ms / 1000)
        return [Journey((client,), tuple(stops[client]), interruption_s, self.handover) for client in sorted(stops)]


def _stops(file: str, start_s: float, machines: Machines) -> dict[int, list[tuple[float, int]]]:
    """Since when each client of a file (by node index) is attached to which edge server."""
    table = machines.read(file, "journey", {"time_s": "float", "client": "text", "edge": "text"})
    known = {tier: [n for n, node in machines.nodes.items() if node.tier == tier] for tier in ("client", "edge")}
    listed = {tier: set(of_tier) for tier, of_tier in known.items()}
    stops: dict[int, list[tuple[float, int]]] = {}
    for row, at_s in enumerate(table["time_s"]):
        for tier in known:
            name = table[tier][row]
            if name not in listed[tier]:
                hint = hinted(name, known[tier])
                where = f"is {file!r}: {table.place(row)}"
                raise Flaw(("journey",), f"{where}: {tier} is {name[:40]!r}, which is none{hint}")
        own = stops.setdefault(machines.nodes[table["client"][row]].index, [])
        since_s = instant(at_s, start_s, own[-1][0] if own else None, file, table.place(row), "journey")
        own.append((since_s, machines.nodes[table["edge"][row]].index))
    return stops


def grid(count: int, area_m: Place) -> list[Place]:
    """Places of `count` servers over an area: rows of nearly square cells, each server in the middle of its own."""
    width, height = area_m
    rows = min(count, max(1, round(math.sqrt(count * height / width))))
    places = []
    for row in range(rows):
        first, last = count * row // rows, count * (row + 1) // rows
        y = round(height * (row + 0.5) / rows, 9)
        places += [(round(width * (number + 0.5) / (last - first), 9), y) for number in range(last - first)]
    return places

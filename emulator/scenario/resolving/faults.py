"""From the faults of a scenario to those of a world: names become indices, files become points, units become SI."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any, cast

from layerlift.emulator.conditions.mobility import grid
from layerlift.emulator.scenario.checks.faults import ends
from layerlift.emulator.scenario.resolving.machines import in_folder
from layerlift.emulator.scenario.schema import faults as sections
from layerlift.emulator.scenario.schema.description import Description
from layerlift.emulator.scenario.schema.document import FieldPath
from layerlift.emulator.scenario.schema.fields import LARGEST, MB, Flaw, Range, tidy
from layerlift.emulator.scenario.schema.trace_files import Columns, read_columns
from layerlift.emulator.world import faults
from layerlift.emulator.world.machines import NodeSpec, Tier
from layerlift.emulator.world.users import UserSpec
from layerlift.models.errors import ScenarioError, near

FEW = 12


@dataclass(frozen=True)
class _Names:
    """Who is called what."""

    nodes: dict[str, NodeSpec]
    kinds: dict[str, list[int]]

    def pairs(self, where: str | tuple[str, str], one_way: bool) -> faults.Pairs:
        found = ends(where, self.nodes)
        assert found is not None
        return faults.Pairs(self._end(found[0]), self._end(found[1]), one_way)

    def _end(self, name: str | None) -> Tier | int | None:
        return self.nodes[name].index if name in self.nodes else cast("Tier | None", name)

    def servers(self, names: Sequence[str]) -> tuple[int, ...]:
        found = [
            node.index
            for name in names
            for node in ([self.nodes[name]] if name in self.nodes else self.nodes.values())
            if name in (node.name, node.tier)
        ]
        return tuple(dict.fromkeys(found))

    def clients(self, names: Sequence[str]) -> tuple[int, ...]:
        found = [index for name in names for index in self.kinds.get(name, ()) or [self.nodes[name].index]]
        return tuple(dict.fromkeys(found))


def resolve_faults(
    scenario: Description, nodes: Sequence[NodeSpec], users: Sequence[UserSpec]
) -> tuple[tuple[faults.Fault, ...], tuple[faults.Mobility, ...]]:
    """Build `World.faults` and `World.mobility`.

    Raises `Flaw` for a file that cannot be used and for a client that two entries move.
    """
    kinds: dict[str, list[int]] = {}
    for user in users:
        kinds.setdefault(user.kind, []).append(user.client)
    names = _Names({node.name: node for node in nodes if node.tier != "planner"}, kinds)
    broken: list[faults.Fault] = []
    moving: list[faults.Mobility] = []
    moved: dict[int, int] = {}
    for index, entry in enumerate(scenario.faults):
        path: FieldPath = ("faults", index)
        if isinstance(entry, sections.MoveSection | sections.JourneySection):
            made = (
                [_move(entry, names)]
                if isinstance(entry, sections.MoveSection)
                else _journeys(scenario, entry, names, path)
            )
            _once(made, moved, index, nodes)
            moving += made
        else:
            broken.append(_broken(scenario, entry, names, path))
    return tuple(broken), tuple(moving)


def _once(made: Sequence[faults.Mobility], moved: dict[int, int], index: int, nodes: Sequence[NodeSpec]) -> None:
    for client in (client for spec in made for client in spec.clients):
        if client in moved:
            raise Flaw(("faults", index), f"moves {nodes[client].name}, which faults.{moved[client]} moves already")
        moved[client] = index


def _broken(
    scenario: Description,
    entry: sections.OutageSection
    | sections.OnOffSection
    | sections.LossSection
    | sections.TraceSection
    | sections.CrashSection,
    names: _Names,
    path: FieldPath,
) -> faults.Fault:
    match entry:
        case sections.OutageSection():
            return faults.Outage(names.pairs(entry.outage, entry.one_way), entry.at_s, entry.for_s, entry.every_s)
        case sections.OnOffSection():
            return faults.OnOff(names.pairs(entry.on_off, entry.one_way), entry.on_s, entry.off_s)
        case sections.LossSection():
            pairs = names.pairs(entry.loss, entry.one_way)
            if entry.good_s is None or entry.bad_s is None:
                return faults.Loss(pairs, entry.share)
            return faults.Loss(pairs, entry.share, entry.bad_share, entry.good_s, entry.bad_s)
        case sections.TraceSection():
            return _trace(scenario, entry, names.pairs(entry.trace, entry.one_way), (*path, "file"))
        case sections.CrashSection():
            return faults.Crash(
                names.servers(entry.crash),
                entry.at_s or 0.0,
                inf if entry.for_s is None else entry.for_s,
                entry.every_s,
                entry.mean_up_s,
                entry.mean_down_s,
            )


def _read(scenario: Description, file: str, path: FieldPath, wanted: Any, optional: Collection[str] = ()) -> Columns:
    try:
        return read_columns(in_folder(scenario, file), wanted, optional)
    except ScenarioError as error:
        raise Flaw(path, f"is {file!r}: {error}") from None


def _trace(scenario: Description, entry: sections.TraceSection, pairs: faults.Pairs, path: FieldPath) -> faults.Trace:
    wanted = dict.fromkeys(("time_s", "bandwidth_mb_s", "latency_ms"), "float")
    table = _read(scenario, entry.file, path, wanted, ("bandwidth_mb_s", "latency_ms"))
    times, rates, latencies = table["time_s"], table["bandwidth_mb_s"], table["latency_ms"]
    if not any(value is not None for column in (rates, latencies) for value in column):
        raise Flaw(path, f"is {entry.file!r}, which has neither bandwidth_mb_s nor latency_ms: expected one of them")
    for row, (at_s, rate, latency_ms) in enumerate(zip(times, rates, latencies, strict=True)):
        _within(at_s, times[row - 1] if row else None, entry.file, table.place(row), path)
        for name, value, least in (("bandwidth_mb_s", rate, 0.0), ("latency_ms", latency_ms, 1e-6)):
            if value is not None and not least <= value <= LARGEST:
                wish = "at least 0" if least == 0 else "above 0"
                raise Flaw(path, f"is {entry.file!r}: {table.place(row)}: {name} is {value:g}, expected {wish}")
    points = tuple(
        (at_s, None if rate is None else rate * MB, None if latency_ms is None else latency_ms / 1000)
        for at_s, rate, latency_ms in zip(times, rates, latencies, strict=True)
    )
    return faults.Trace(pairs, points, _period(entry, times, path))


def _within(at_s: float, before: float | None, file: str, place: str, path: FieldPath) -> None:
    if not 0 <= at_s <= 1e9:
        raise Flaw(path, f"is {file!r}: {place}: time_s is {at_s:g}, expected 0 to 1e9")
    if before is not None and at_s <= before:
        raise Flaw(path, f"is {file!r}: {place}: time_s is {at_s:g}, expected more than that before ({before:g})")


def _period(entry: sections.TraceSection, times: Sequence[float], path: FieldPath) -> float | None:
    """The seconds after which a trace comes again; None for never."""
    if entry.repeat is False:
        return None
    length = times[-1] - times[0]
    if entry.repeat is not True:
        if entry.repeat <= length:
            wish = f"expected more than the {length:g} s that {entry.file} lasts"
            raise Flaw((*path[:-1], "repeat"), f"is {entry.repeat:g}, {wish}")
        return entry.repeat
    if len(times) == 1:
        raise Flaw((*path[:-1], "repeat"), f"is true, but {entry.file} has one row: expected two, or a period in s")
    return tidy(length + times[-1] - times[-2])


def _move(entry: sections.MoveSection, names: _Names) -> faults.Waypoint:
    servers = [node for node in names.nodes.values() if node.tier == "edge"]
    if entry.edges_m is None:
        spots = list(zip(servers, grid(len(servers), entry.within_m), strict=True))
    else:
        spots = [(node, entry.edges_m[node.name]) for node in servers if node.name in entry.edges_m]
    return faults.Waypoint(
        clients=names.clients(entry.move),
        area_m=entry.within_m,
        speed_m_s=_ends(entry.speed_m_s),
        pause_s=_ends(entry.pause_s),
        edges=tuple((node.index, x, y) for node, (x, y) in spots),
        hysteresis_m=entry.hysteresis_m,
        interruption_s=tidy(entry.interruption_ms / 1000),
        handover=entry.handover,
    )


def _ends(span: Range) -> tuple[float, float]:
    return span.low, span.high


def _journeys(
    scenario: Description, entry: sections.JourneySection, names: _Names, path: FieldPath
) -> list[faults.Journey]:
    """One journey a client, in the order of nodes."""
    path, file = (*path, "journey"), entry.journey
    table = _read(scenario, file, path, {"time_s": "float", "client": "text", "edge": "text"})
    known = {tier: [n for n, node in names.nodes.items() if node.tier == tier] for tier in ("client", "edge")}
    listed = {tier: set(of_tier) for tier, of_tier in known.items()}
    stops: dict[int, list[tuple[float, int]]] = {}
    for row, at_s in enumerate(table["time_s"]):
        for tier in known:
            name = table[tier][row]
            if name not in listed[tier]:
                hint = near(name, known[tier])
                hint = hint if "did you mean" in hint or len(known[tier]) <= FEW else ""
                raise Flaw(path, f"is {file!r}: {table.place(row)}: {tier} is {name[:40]!r}, which is none{hint}")
        own = stops.setdefault(names.nodes[table["client"][row]].index, [])
        _within(at_s, own[-1][0] if own else None, file, table.place(row), path)
        own.append((round(at_s, 9), names.nodes[table["edge"][row]].index))
    return [
        faults.Journey((client,), tuple(stops[client]), tidy(entry.interruption_ms / 1000), entry.handover)
        for client in sorted(stops)
    ]

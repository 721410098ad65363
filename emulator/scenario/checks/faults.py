"""What must hold between the faults of a scenario and its machines: every name is one, and of the right kind."""

from __future__ import annotations

from collections.abc import Collection

from layerlift.emulator.scenario.checks.names import kind_name, node_names
from layerlift.emulator.scenario.schema import faults as sections
from layerlift.emulator.scenario.schema.description import Description
from layerlift.emulator.scenario.schema.document import FieldPath
from layerlift.emulator.scenario.schema.fields import flaw
from layerlift.emulator.scenario.schema.sections import TIERS
from layerlift.models.errors import near

FEW = 12
"""Names that an error message lists."""


def check_faults(scenario: Description) -> None:
    """Raise the first thing that is wrong with `faults`, as a pydantic error with its path."""
    if not scenario.faults:
        return
    tiers = {name: _tier(scenario, path) for path, name in node_names(scenario)}
    for index, entry in enumerate(scenario.faults):
        path = ("faults", index)
        match entry:
            case sections.OutageSection():
                _links(scenario, tiers, entry.outage, (*path, "outage"))
            case sections.OnOffSection():
                _links(scenario, tiers, entry.on_off, (*path, "on_off"))
            case sections.LossSection():
                _links(scenario, tiers, entry.loss, (*path, "loss"))
            case sections.TraceSection():
                _links(scenario, tiers, entry.trace, (*path, "trace"))
            case sections.CrashSection():
                _servers(tiers, entry.crash, (*path, "crash"))
            case sections.MoveSection():
                _movers(scenario, tiers, entry, path)
            case sections.JourneySection():
                _edges(tiers, path)


def _tier(scenario: Description, path: FieldPath) -> str:
    return scenario.nodes[int(path[1])].tier if path[0] == "nodes" else "client"


def ends(where: str | tuple[str, str], names: Collection[str]) -> tuple[str, str | None] | None:
    """The two ends that a text names: nodes or tiers, the second None for all links of a node; None: neither."""
    if isinstance(where, tuple):
        return where
    if where in names:
        return where, None
    one, _, other = where.partition("-")
    return (one, other) if one in TIERS and other in TIERS else None


def _links(scenario: Description, tiers: dict[str, str], where: str | tuple[str, str], path: FieldPath) -> None:
    found = ends(where, tiers)
    pairs = [pair for key in scenario.links for pair in (key, "-".join(reversed(key.split("-"))))]
    if found is None:
        hint = _hint(str(where), [*dict.fromkeys(pairs), *tiers])
        raise flaw(path, f"is {where!r}, expected a pair of tiers such as client-edge, a node, or [node, node]{hint}")
    one, other = found
    if other is None:
        return
    for place, name in enumerate((one, other)):
        if name not in tiers and name not in TIERS:
            raise flaw((*path, place), f"is {name!r}, which is neither a node nor a tier{_hint(name, tiers)}")
    single = {frozenset(pair.between) for pair in scenario.pairs}
    if f"{tiers.get(one, one)}-{tiers.get(other, other)}" not in pairs and frozenset((one, other)) not in single:
        raise flaw(path, f"names {one} and {other}, between which `links` has none{_hint('', pairs)}")
    if one == other and one in tiers:
        raise flaw(path, f"names {one!r} twice: expected two nodes")


def _servers(tiers: dict[str, str], names: tuple[str, ...], path: FieldPath) -> None:
    servers = [name for name, tier in tiers.items() if tier != "client"]
    known = {*servers, *(tiers[name] for name in servers)}
    for name in names:
        if name not in known:
            what = "is a client" if tiers.get(name, name) == "client" else "is no server"
            raise flaw(path, f"names {name!r}, which {what}: expected servers, or edge or cloud{_hint(name, servers)}")


def _edges(tiers: dict[str, str], path: FieldPath) -> list[str]:
    found = [name for name, tier in tiers.items() if tier == "edge"]
    if not found:
        raise flaw(path, "moves clients between edge servers, but nodes has none: expected some of tier edge")
    return found


def _movers(scenario: Description, tiers: dict[str, str], entry: sections.MoveSection, path: FieldPath) -> None:
    edges = _edges(tiers, path)
    clients = [name for name, tier in tiers.items() if tier == "client"]
    kinds = [kind_name(scenario, index) for index in range(len(scenario.users))]
    for name in entry.move:
        if name not in clients and name not in kinds:
            hint = _hint(name, [*kinds, *clients])
            raise flaw((*path, "move"), f"names {name!r}, which is no kind of users and no client{hint}")
    for name in entry.edges_m or ():
        if name not in edges:
            raise flaw((*path, "edges_m", name), f"is no edge server{_hint(name, edges)}")


def _hint(given: str, known: Collection[str]) -> str:
    hint = near(given, known)
    return hint if len(known) <= FEW or "did you mean" in hint else ""

"""What the entries of `faults` name: machines, links and kinds of users, before there is a world and after."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from layerlift.emulator.scenario.schema.fields import Flaw
from layerlift.emulator.scenario.schema.files import Files
from layerlift.emulator.scenario.schema.sections import TIERS
from layerlift.emulator.scenario.schema.trace_files import ColumnKind, Columns, read_columns
from layerlift.emulator.world.faults import Pairs, Through
from layerlift.emulator.world.links import WAYS, Way
from layerlift.emulator.world.machines import NodeSpec, Tier
from layerlift.models.errors import ScenarioError, near

FEW = 12
"""Names that an error message lists."""


@dataclass(frozen=True)
class Names:
    """Who is called what in a scenario: `check` of a section asks it. It raises `Flaw`, with paths in the section."""

    tiers: Mapping[str, str]
    """The tier of each node, in the order of `World.nodes`, without the planner."""
    kinds: Sequence[str]
    """Of users."""
    linked: Collection[str]
    """Pairs of tiers that have a link, such as `client-edge`; both ways of each."""
    paired: Collection[frozenset[str]]
    """Nodes that have a link of their own."""
    media: Collection[str] = ()
    """Shared media."""

    def check_links(self, where: str | tuple[str, str], key: str) -> None:
        """Refuse what names no links: no node, medium or pair of tiers, nor two ends between which there is one."""
        if where in self.media:
            return
        if isinstance(where, tuple) and where[0] in self.media:
            if where[1] not in WAYS:
                raise Flaw((key, 1), f"is {where[1]!r}, expected up or down, the way through medium {where[0]}")
            return
        found = ends(where, self.tiers)
        if found is None:
            wanted = "a pair of tiers such as client-edge, a node, a medium, or [node, node]"
            hint = hinted(str(where), [*dict.fromkeys(self.linked), *self.tiers, *self.media])
            raise Flaw((key,), f"is {where!r}, expected {wanted}{hint}")
        one, other = found
        if other is None:
            return
        for place, name in enumerate((one, other)):
            if name not in self.tiers and name not in TIERS:
                raise Flaw((key, place), f"is {name!r}, which is neither a node nor a tier{hinted(name, self.tiers)}")
        pair = f"{self.tiers.get(one, one)}-{self.tiers.get(other, other)}"
        if pair not in self.linked and frozenset((one, other)) not in self.paired:
            raise Flaw((key,), f"names {one} and {other}, between which `links` has none{hinted('', self.linked)}")
        if one == other and one in self.tiers:
            raise Flaw((key,), f"names {one!r} twice: expected two nodes")

    def check_servers(self, names: Sequence[str], key: str) -> None:
        """Refuse a name that is no server, and no tier of servers that there are."""
        servers = [name for name, tier in self.tiers.items() if tier != "client"]
        known = {*servers, *(self.tiers[name] for name in servers)}
        for name in names:
            if name not in known:
                what = "is a client" if self.tiers.get(name, name) == "client" else "is no server"
                hint = hinted(name, servers)
                raise Flaw((key,), f"names {name!r}, which {what}: expected servers, or edge or cloud{hint}")

    def check_clients(self, names: Sequence[str], key: str) -> None:
        """Refuse a name that is neither a kind of users nor a client."""
        clients = [name for name, tier in self.tiers.items() if tier == "client"]
        for name in names:
            if name not in clients and name not in self.kinds:
                hint = hinted(name, [*self.kinds, *clients])
                raise Flaw((key,), f"names {name!r}, which is no kind of users and no client{hint}")

    def edges(self) -> list[str]:
        """The edge servers. Refuses a scenario that has none."""
        found = [name for name, tier in self.tiers.items() if tier == "edge"]
        if not found:
            raise Flaw((), "moves clients between edge servers, but nodes has none: expected some of tier edge")
        return found


@dataclass(frozen=True)
class Machines:
    """Who is called what in a world: `resolve` of a section asks it. What was checked is trusted."""

    nodes: Mapping[str, NodeSpec]
    """By name, in the order of `World.nodes`, without the planner."""
    kinds: Mapping[str, Sequence[int]]
    """The clients of each kind of users, by node index."""
    files: Files
    """Those that the scenario names."""
    media: Mapping[str, int] = field(default_factory=dict)
    """Shared media, with their places in `World.media`."""

    def pairs(self, where: str | tuple[str, str], one_way: bool) -> Pairs | Through:
        """The links, or the shared medium, that a field names. Raises `Flaw` for a medium that is given `one_way`."""
        medium, way = where if isinstance(where, tuple) else (where, None)
        if medium in self.media:
            if one_way:
                wanted = f"[{medium}, up] or [{medium}, down]"
                raise Flaw(("one_way",), f"is given for {medium}, a shared medium: expected {wanted} instead")
            return Through(self.media[medium], cast("Way | None", way))
        found = ends(where, self.nodes)
        assert found is not None
        return Pairs(self._end(found[0]), self._end(found[1]), one_way)

    def _end(self, name: str | None) -> Tier | int | None:
        if name is None or name not in self.nodes:
            return cast("Tier | None", name)
        return self.nodes[name].index

    def servers(self, names: Sequence[str]) -> tuple[int, ...]:
        """The node indices of servers that are named, or whose tier is."""
        found = [
            node.index
            for name in names
            # A node may bear the name of a tier; then the node is meant.
            for node in ([self.nodes[name]] if name in self.nodes else self.nodes.values())
            if name in (node.name, node.tier)
        ]
        return tuple(dict.fromkeys(found))

    def clients(self, names: Sequence[str]) -> tuple[int, ...]:
        """The node indices of clients that are named, or whose kind of users is."""
        found = [index for name in names for index in self.kinds.get(name, ()) or [self.nodes[name].index]]
        return tuple(dict.fromkeys(found))

    def read(self, file: str, key: str, wanted: Mapping[str, ColumnKind], optional: Collection[str] = ()) -> Columns:
        """Read the columns of a file that the field `key` names. Raises `Flaw` for one that cannot be used."""
        try:
            return read_columns(self.files.source(file), wanted, optional)
        except ScenarioError as error:
            raise Flaw((key,), f"is {file!r}: {error}") from None


def ends(where: str | tuple[str, str], names: Collection[str]) -> tuple[str, str | None] | None:
    """The two ends that a text names: nodes or tiers, the second None for all links of a node; None: neither."""
    if isinstance(where, tuple):
        return where
    if where in names:
        return where, None
    one, _, other = where.partition("-")
    return (one, other) if one in TIERS and other in TIERS else None


def hinted(given: str, known: Collection[str]) -> str:
    """What was meant, perhaps: a near name, or all of them where they are few."""
    hint = near(given, known)
    return hint if len(known) <= FEW or "did you mean" in hint else ""

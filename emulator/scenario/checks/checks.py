"""What must hold between the fields of a scenario before it can become a world."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from layerlift.emulator.scenario.checks.faults import check_faults
from layerlift.emulator.scenario.checks.media import check_media
from layerlift.emulator.scenario.checks.names import kind_name, node_names
from layerlift.emulator.scenario.schema.description import Description
from layerlift.emulator.scenario.schema.document import FieldPath
from layerlift.emulator.scenario.schema.fields import flaw, shown
from layerlift.emulator.scenario.schema.sections import TIERS, UsersSection
from layerlift.models.errors import near

MOST_NODES = 100_000


def check(scenario: Description) -> None:
    """Raise the first thing that makes the scenario impossible, as a pydantic error with its path."""
    _servers(scenario)
    _users(scenario)
    _links(scenario)
    _names(scenario)
    check_media(scenario)
    check_faults(scenario)
    if scenario.compute == "measured" and scenario.execution == "none":
        raise flaw(
            ("execution",),
            "is none, but compute is measured, which takes the seconds of what is executed: "
            "expected execution: every, or compute: profiled",
        )


def _servers(scenario: Description) -> None:
    if not any(group.tier != "client" for group in scenario.nodes):
        raise flaw(("nodes",), "has no servers: expected at least one group of tier edge or cloud")
    if sum(group.count or 1 for group in scenario.nodes) + scenario.user_count > MOST_NODES:
        raise flaw(("nodes",), f"and users make more than {MOST_NODES} machines: expected fewer")


def _users(scenario: Description) -> None:
    if not scenario.users:
        raise flaw(("users",), "is empty: expected at least one kind of users")
    kinds: dict[str, int] = {}
    listed = sum(group.count or 1 for group in scenario.nodes if group.tier == "client")
    takers = [index for index, kind in enumerate(scenario.users) if kind.device is None]
    left = listed
    for index, kind in enumerate(scenario.users):
        path = ("users", index)
        _asking(kind, path, endless=scenario.until_s is None)
        name = kind_name(scenario, index)
        if name in kinds:
            raise flaw((*path, "kind"), f"is {name!r}, as that of users.{kinds[name]} is: expected distinct kinds")
        kinds[name] = index
        if kind.device is not None:
            continue
        if kind.count is None and index != takers[-1]:
            raise flaw((*path, "count"), "is missing: only the last kind without `device` may take the clients left")
        left -= kind.count or 0
        if left < 0 or (kind.count is None and left == 0):
            raise flaw(
                (*path, "count"),
                f"asks for more clients than nodes lists ({listed}): list more nodes of tier client, "
                "or give this kind a `device` and it brings its own",
            )


def _asking(kind: UsersSection, path: FieldPath, endless: bool) -> None:
    """Whether a user can ask like this, and does so for a time that ends (`endless`: the run itself does not)."""
    ends = kind.asks is not None and kind.asks.ends
    if endless and kind.queries is None and kind.stay_s is None and not ends:
        raise flaw(
            (*path, "queries"),
            "is missing, and so is until_s: the run would never end; give one of them (or stay_s)",
        )
    if kind.asks is not None and kind.asks.stands_still and kind.queries is None:
        raise flaw((*path, "queries"), "is missing: expected how many are asked at the one instant that asks.at_s says")
    if kind.asks is not None and kind.think_s != 0:
        raise flaw((*path, "think_s"), "is given beside asks: expected pauses or a law of asking, not both")
    if kind.asks is None and kind.late == "drop":
        raise flaw((*path, "late"), "is drop without asks: a user that asks back to back is never late; give asks")
    if kind.asks is None and kind.queue is not None:
        raise flaw((*path, "queue"), "is given without asks: questions asked back to back never wait; give asks")
    if kind.late == "drop" and kind.queue is not None:
        raise flaw((*path, "queue"), "is given beside late: drop, with which only the freshest question waits")


def _links(scenario: Description) -> None:
    known = [f"{a}-{b}" for a, b in product(TIERS, TIERS)]
    for key in scenario.links:
        if key not in known:
            raise flaw(("links", key), f"is not a pair of tiers, expected one such as client-edge{near(key, known)}")
    for a, b in needed(scenario):
        if f"{a}-{b}" not in scenario.links and f"{b}-{a}" not in scenario.links:
            raise flaw(("links",), f"has no {a}-{b}: expected its bandwidth_mb_s and latency_ms")
    for index, kind in enumerate(scenario.pairs):
        if kind.between[0] == kind.between[1]:
            raise flaw(("pairs", index, "between"), f"names {kind.between[0]!r} twice: expected two nodes")


def needed(scenario: Description) -> Iterator[tuple[str, str]]:
    """Yield the pairs of tiers that may talk: all that exist, a tier with itself only when it has two servers."""
    size = {tier: sum(g.count or 1 for g in scenario.nodes if g.tier == tier) for tier in ("edge", "cloud")}
    for tier in ("edge", "cloud"):
        if size[tier]:
            yield "client", tier
        if size[tier] > 1:
            yield tier, tier
    if size["edge"] and size["cloud"]:
        yield "edge", "cloud"


def _names(scenario: Description) -> None:
    taken: dict[str, tuple[str | int, ...]] = {"planner": ("planner",), "client": ("planner", "at")}
    for path, name in node_names(scenario):
        if name in taken:
            raise flaw(path, f"makes a node named {name!r}, which is taken: expected distinct names")
        taken[name] = path
    known = [name for name in taken if name != "planner"]
    if scenario.planner.at not in known:
        raise flaw(
            ("planner", "at"),
            f"is {shown(scenario.planner.at)}, expected client or a node{near(scenario.planner.at, known)}",
        )
    place = taken.get(scenario.planner.at, ("planner",))
    lonely = "client-client" not in scenario.links and scenario.user_count > 1
    if lonely and (place[0] == "users" or (place[0] == "nodes" and scenario.nodes[int(place[1])].tier == "client")):
        raise flaw(
            ("planner", "at"),
            f"is {shown(scenario.planner.at)}, a client, which other clients reach by no link: "
            "expected a server, or client-client under links",
        )
    if scenario.planner.heartbeat_s is not None and scenario.planner.at == "client":
        raise flaw(
            ("planner", "heartbeat_s"),
            "is given, but planner.at is client: servers can tell their load only to a planner at a node; "
            "name one in planner.at",
        )
    nodes = [name for name in known if name != "client"]
    for index, pair in enumerate(scenario.pairs):
        for end, name in enumerate(pair.between):
            if name not in nodes:
                raise flaw(("pairs", index, "between", end), f"is {name!r}, which is no node{near(name, nodes)}")

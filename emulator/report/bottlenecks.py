"""Which resource binds, for how much of a run; and links that are unlimited because nobody said otherwise."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any, Final, NamedTuple

from layerlift.emulator.report.formatting import count, share
from layerlift.emulator.results.described import chain
from layerlift.emulator.results.sums import rows_of

Tables = Callable[[str], Any]

FULL: Final = 0.95
"""A resource is full in a period in which so much of it is used."""
DUE: Final = 0.1
"""A resource that is full for so much of the run binds."""


class Full(NamedTuple):
    """A resource and the share of the run for which it was full."""

    kind: str
    """CPU, uplink, downlink, memory, pair or medium."""
    node: str
    tier: str
    share: float


def binding(
    tables: Tables, world: Mapping[str, Any], end_s: float, carried: Mapping[str, Mapping[str, int]] | None = None
) -> str | None:
    """The resources that are full for a tenth of the run or more: of each kind the worst, the fullest kind first.

    `carried` has the bytes that crossed each shared medium, by name and then `up_bytes` and `down_bytes`.
    Processors of clients are left out: somebody who asks back to back at home keeps them busy whatever is offered.
    """
    if not end_s > 0:
        return None
    found = (
        *_of_nodes(tables("usage"), world, end_s),
        *_of_pairs(tables, world, end_s),
        *(Full("medium", name, "medium", part) for name, _, part in used_media(world, carried or {}, end_s)),
    )
    due = sorted((full for full in found if full.share >= DUE), key=lambda full: -full.share)
    if not due:
        return None
    refused = Counter(row["server"] for row in rows_of(tables("allocations")) if row["event"] == "refused")
    kinds: dict[tuple[str, str], list[Full]] = defaultdict(list)
    for full in due:
        kinds[full.kind, full.tier].append(full)
    told = []
    for (kind, tier), same in kinds.items():
        worst = same[0]
        notes = [f"full for {share(worst.share)} of the time"]
        if kind == "memory" and refused[worst.node]:
            notes.append(f"{count(refused[worst.node], 'part')} refused")
        if len(same) > 1:
            notes.append(f"and {len(same) - 1:,} more{'' if kind == 'medium' else f' of tier {tier}'}")
        told.append(f"the {kind} {'' if kind in ('pair', 'medium') else 'of '}{worst.node} ({', '.join(notes)})")
    return f"What binds: {'; '.join(told)}."


def used_media(
    world: Mapping[str, Any], carried: Mapping[str, Mapping[str, int]], end_s: float
) -> Iterator[tuple[str, int, float]]:
    """Each way of each medium that has a limit: name, bytes carried, and the share of the run that they take of it."""
    for medium in world.get("media") or ():
        for way in ("up", "down"):
            rate = float(medium[f"{way}_bytes_s"])
            if 0 < rate < math.inf and end_s > 0 and medium["name"] in carried:
                amount = int(carried[medium["name"]][f"{way}_bytes"])
                yield f"{medium['name']} {way}", amount, min(1.0, amount / rate / end_s)


def _of_nodes(usage: Any, world: Mapping[str, Any], end_s: float) -> Iterator[Full]:
    limits = {node["name"]: _limits(node) for node in world.get("nodes", ())}
    tiers = {node["name"]: node["tier"] for node in world.get("nodes", ())}
    full_s: dict[tuple[str, str], float] = defaultdict(float)
    for row in rows_of(usage):
        for kind, (column, limit) in limits.get(row["node"], {}).items():
            room = limit * row["period_s"]
            if room > 0 and row[column] >= FULL * room:
                full_s[row["node"], kind] += row["period_s"]
    for (node, kind), spent_s in full_s.items():
        yield Full(kind, node, tiers[node], spent_s / end_s)


def _limits(node: Mapping[str, Any]) -> dict[str, tuple[str, float]]:
    """By kind, the column of `usage` and how much there is of it in a second, if that is finite."""
    ports = {"uplink": ("sent_bytes", "uplink_bytes_s"), "downlink": ("received_bytes", "downlink_bytes_s")}
    found = {kind: (column, float(node[field])) for kind, (column, field) in ports.items()}
    if node["tier"] in ("edge", "cloud"):
        found["CPU"] = ("busy_s", float(node["cores"]))
        found["memory"] = ("held_byte_s", float(node["memory_bytes"]))
    return {kind: limit for kind, limit in found.items() if math.isfinite(limit[1])}


def _of_pairs(tables: Tables, world: Mapping[str, Any], end_s: float) -> Iterator[Full]:
    """Pairs by the time that their uploads, and the queries of users with one server, fill at full bandwidth."""
    tiers = {node["name"]: node["tier"] for node in world.get("nodes", ())}
    carried: Counter[tuple[str, str]] = Counter()
    for row in rows_of(tables("uploads").select(["source", "server", "bytes", "status"])):
        if row["status"] == "confirmed":
            carried[row["source"], row["server"]] += row["bytes"]
    servers: dict[str, set[str]] = defaultdict(set)
    for row in rows_of(tables("segments").group_by(["user", "node"]).aggregate([])):
        if tiers.get(row["node"]) in ("edge", "cloud"):
            servers[row["user"]].add(row["node"])
    sums = tables("queries").group_by(["user", "client"]).aggregate([("sent_bytes", "sum"), ("received_bytes", "sum")])
    for row in rows_of(sums):
        if len(servers[row["user"]]) == 1:
            [server] = servers[row["user"]]
            carried[row["client"], server] += row["sent_bytes_sum"]
            carried[server, row["client"]] += row["received_bytes_sum"]
    for (source, to), amount in carried.items():
        bandwidth = _bandwidth(world, source, to, tiers)
        if bandwidth:
            tier = tiers[source] if tiers[source] == "client" else tiers[to]
            yield Full("pair", f"{source} > {to}", tier, min(1.0, amount / bandwidth / end_s))


def _bandwidth(world: Mapping[str, Any], source: str, to: str, tiers: Mapping[str, str]) -> float | None:
    pairs, links = world.get("pairs") or {}, world.get("links") or {}
    link = pairs.get(f"{source}>{to}") or links.get(f"{tiers.get(source)}>{tiers.get(to)}") or {}
    bandwidth = float(link.get("bandwidth_bytes_s", math.inf))
    return bandwidth if math.isfinite(bandwidth) else None


def unlimited(summary: Mapping[str, Any], run: Mapping[str, Any]) -> str | None:
    """Servers that several users share without a limit to what their ports carry, because nobody gave one."""
    world = run.get("world") or {}
    if not world.get("share_links", True):
        return None
    nodes = {node["name"]: node for node in world.get("nodes", ())}
    told = []
    for word, moved in (("downlink", "received_bytes"), ("uplink", "sent_bytes")):
        unsaid = _unsaid(run, f"{word}_mb_s")
        used = [server["name"] for server in summary["servers"] if server[moved] > 0]
        free = [name for name in used if name in unsaid and math.isinf(float(nodes[name][f"{word}_bytes_s"]))]
        free = [name for name in free if not _behind_a_limit(nodes[name], word.removesuffix("link"), world)]
        if free:
            told.append(f"the {word}s of {count(len(free), 'server')} ({free[0]}{', ...' if len(free) > 1 else ''})")
    if not told or len(summary["users"]) < 2:
        return None
    return (
        f"Unlimited, because nobody said otherwise: {' and '.join(told)}; users meet there only in what each pair of "
        "nodes can carry. Give `uplink_mb_s` and `downlink_mb_s`."
    )


def _behind_a_limit(node: Mapping[str, Any], way: str, world: Mapping[str, Any]) -> bool:
    """Whether what goes that way from or to a node shares a medium that it is behind."""
    media = {medium["name"]: medium for medium in world.get("media") or ()}
    return any(float(media[name][f"{way}_bytes_s"]) < math.inf for name in chain(node, media))


def _unsaid(run: Mapping[str, Any], field: str) -> set[str]:
    """Servers of whose group nobody gave a field: it is among the assumptions, unlimited."""
    assumed = {entry["path"] for entry in run.get("assumptions") or () if entry["value"] is None}
    servers = (node["name"] for node in run["world"]["nodes"] if node["tier"] in ("edge", "cloud"))
    found: set[str] = set()
    for number, group in enumerate((run.get("scenario") or {}).get("nodes", ())):
        if group["tier"] in ("edge", "cloud"):
            names = list(islice(servers, group.get("count") or 1))
            found.update(names if f"nodes.{number}.{field}" in assumed else ())
    return found

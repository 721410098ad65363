"""A world in JSON's terms: what a reader of run.json needs in order to understand the tables without the scenario."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from layerlift.emulator.world.faults import Fault, Pairs, Through
from layerlift.emulator.world.links import LinkSpec
from layerlift.emulator.world.mobility import Mobility
from layerlift.emulator.world.users import UserSpec
from layerlift.emulator.world.world import World


def describe_world(world: World) -> dict[str, Any]:
    """The `world` part of run.json: nodes with powers and prices, links, users, and the layer names of each model.

    Numbers are those of `World`, in SI units and USD; infinities stay floats
    (`layerlift.emulator.results.writer.jsonable` writes them as `"inf"`).
    """
    names = [node.name for node in world.nodes]
    media = [medium.name for medium in world.media]
    return {
        "name": world.name,
        "seed": world.seed,
        "sample_s": world.sample_s,
        "until_s": world.until_s,
        "lookahead_s": world.lookahead_s,
        "share_links": world.share_links,
        "header_bytes": world.header_bytes,
        "compute": world.compute,
        "nodes": [_plain(node, "index") | _behind(node.behind, media) for node in world.nodes],
        "links": {f"{source}>{to}": _link(link, media) for (source, to), link in world.links.items()},
        "pairs": {f"{names[source]}>{names[to]}": _link(link, media) for (source, to), link in world.pairs.items()},
        "media": [
            _plain(medium, "transport") | _behind(medium.behind, media) | _plain(medium.transport)
            for medium in world.media
        ],
        "models": [
            {
                "name": model.name,
                "source": model.source,
                "digest": model.digest,
                "reference_ghz": dict(model.reference_ghz),
                "layers": [layer.name for layer in model.graph.layers],
                "unpredicted": dict(model.unpredicted),
                "unpredicted_share": model.unpredicted_share,
            }
            for model in world.models
        ],
        "users": [
            {
                "name": user.name,
                "client": names[user.client],
                "kind": user.kind,
                "model": world.models[user.model].name,
                "planner": user.planner,
                "queries": user.queries,
                "arrival_s": user.arrival_s,
                "stay_s": None if user.stay is None else user.stay.mean_s,
                "asks": asking_words(user),
                "at_once": user.in_flight if user.asks is None else 1,
                "weight": user.weight,
                "objective": _plain(user.objective),
            }
            for user in world.users
        ],
        "planning": _plain(world.planning, "at")
        | {"at": names[world.planning.at] if world.planning.at >= 0 else "client"},
        "faults": [_fault(fault, names, media) for fault in world.faults],
        "mobility": [_fault(spec, names, media) for spec in world.mobility],
        "scaling": [
            {**_plain(group, "servers"), "servers": [names[index] for index in group.servers]}
            for group in world.scaling
        ],
    }


def _link(link: LinkSpec, media: Sequence[str]) -> dict[str, Any]:
    """A link between two nodes, without the media that its ends are behind."""
    via = {"via": [f"{media[medium]} {way}" for medium, way in link.via]}
    return _plain(link, "transport") | via | _plain(link.transport)


def _behind(medium: int, media: Sequence[str]) -> dict[str, str]:
    return {"behind": media[medium] if medium >= 0 else ""}


def _fault(spec: Fault | Mobility, names: Sequence[str], media: Sequence[str]) -> dict[str, Any]:
    """A fault or a way of moving by its kind, with names for indices; of long lists only how many they hold."""
    told: dict[str, Any] = {"kind": type(spec).__name__.lower()}
    for key, value in _plain(spec).items():
        if key == "pairs":
            told["links"] = _between(value, names) if isinstance(value, Pairs) else _through(value, media)
        elif key in ("nodes", "clients"):
            told[key] = [names[index] for index in value]
        elif key == "edges":
            told["edges_m"] = {names[index]: [x, y] for index, x, y in value}
        else:
            told[key] = len(value) if key in ("points", "stops") else value
    return told


def _between(pairs: Pairs, names: Sequence[str]) -> str:
    """`client-edge`, `r1-*` for all links of a node; `r1>r3` for one way only."""
    ends = ["*" if end is None else names[end] if isinstance(end, int) else end for end in (pairs.source, pairs.to)]
    return (">" if pairs.one_way else "-").join(ends)


def _through(fault: Through, media: Sequence[str]) -> str:
    """`backhaul`, or `backhaul up` for one way only."""
    return media[fault.medium] + (f" {fault.way}" if fault.way else "")


def asking_words(user: UserSpec) -> str:
    """How a user asks, as a person reads it: `back to back`, or `every 33 ms, 1 at once, the freshest waiting`."""
    if user.asks is None:
        pause = f", {user.think.words()} after each answer" if user.think_s else ""
        return f"back to back{pause}" if user.in_flight == 1 else f"back to back, {user.in_flight} at once{pause}"
    waiting = "any number" if user.queue is None else "none" if user.queue == 0 else f"at most {user.queue}"
    if user.late == "drop":
        waiting = "the freshest"
    return f"{user.asks.words()}, {user.in_flight} at once, {waiting} waiting"


def _plain(value: LinkSpec | Any, *without: str) -> dict[str, Any]:
    return {entry.name: getattr(value, entry.name) for entry in dataclasses.fields(value) if entry.name not in without}

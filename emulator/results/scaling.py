"""What groups of servers that are switched on and off came to: how many were on over time, and what that costs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from layerlift.emulator.results.sums import rows_of
from layerlift.models.sums import int_sum

Tables = Callable[[str], Any]


def scaled(tables: Tables, world: Mapping[str, Any], end_s: float) -> list[dict[str, Any]]:
    """Return for each group: `servers`, how many were on at `least` and at `most` and on average (`mean`), `starts`,
    `on_s` of all of them together, and `on_money` (USD), what their cores cost for that time, None without a price.

    A server is on, and costs, from the moment at which it is switched on (it starts) until it is off.
    """
    groups = world.get("scaling") or []
    if not groups:
        return []
    changes = rows_of(tables("changes").select(["at_s", "node", "kind"]))
    turns = [(row["at_s"], row["node"], row["kind"]) for row in changes if row["kind"] in ("starting", "off")]
    nodes = {node["name"]: node for node in world["nodes"]}
    return [_group(group, turns, nodes, end_s) for group in groups]


def _group(
    group: Mapping[str, Any],
    turns: Sequence[tuple[float, str, str]],
    nodes: Mapping[str, Mapping[str, Any]],
    end_s: float,
) -> dict[str, Any]:
    names = group["servers"]
    since_s = dict.fromkeys(names[: group["least"]], 0.0)
    on_s = dict.fromkeys(names, 0.0)
    counts = [len(since_s)]
    for at_s, name, kind in turns:
        if name not in on_s:
            continue
        if kind == "starting":
            since_s[name] = at_s
        else:
            on_s[name] += at_s - since_s.pop(name)
        counts.append(len(since_s))
    for name, at_s in since_s.items():
        on_s[name] += end_s - at_s
    total_s = math.fsum(on_s.values())
    money = math.fsum(on_s[name] * nodes[name]["cores"] * nodes[name]["price_per_s"] for name in names)
    return {
        "servers": list(names),
        "least": min(counts),
        "mean": total_s / end_s if end_s else float(len(names[: group["least"]])),
        "most": max(counts),
        "starts": int_sum(kind == "starting" and name in on_s for _, name, kind in turns),
        "on_s": total_s,
        "on_money": money if any(nodes[name]["price_per_s"] for name in names) else None,
    }

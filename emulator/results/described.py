"""What readers of run.json ask of its `world`: prices of bytes, and placements as runs of layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

Prices = Callable[[str, str], float]


def prices_per_byte(world: Mapping[str, Any]) -> Prices:
    """The prices of a described world: USD per byte carried from one named node to another, 0 without a link."""
    tiers = {node["name"]: node["tier"] for node in world["nodes"]}

    def price(source: str, to: str) -> float:
        link = world["pairs"].get(f"{source}>{to}") or world["links"].get(f"{tiers.get(source)}>{tiers.get(to)}", {})
        return float(link.get("price_per_byte", 0.0))

    return price


def layer_runs(placement: str, layers: Sequence[str]) -> list[dict[str, Any]]:
    """A placement's text (`"r1:0-3 r4:4-20"`) as runs: node, first and last layer, and their names.

    Text of another form gives no runs.
    """
    runs: list[dict[str, Any]] = []
    for word in placement.split():
        node, _, span = word.rpartition(":")
        first, _, last = span.partition("-")
        if not (node and first.isdecimal() and (last or first).isdecimal()):
            return []
        low, high = int(first), int(last or first)
        runs.append(
            {
                "node": node,
                "first_layer": low,
                "last_layer": high,
                "first": layers[low] if low < len(layers) else str(low),
                "last": layers[high] if high < len(layers) else str(high),
            }
        )
    return runs

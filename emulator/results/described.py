"""What readers of run.json ask of its `world`: prices of bytes, and placements as runs of layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from layerlift.models.sums import left_sum

_POWERS: Final = ("idle_w", "compute_w", "radio_w", "off_w")

Prices = Callable[[str, str], float]


def prices_per_byte(world: Mapping[str, Any]) -> Prices:
    """The prices of a described world: USD per byte carried from one named node to another, 0 without a link.

    Those of the media on the way are in it.
    """
    tiers = {node["name"]: node["tier"] for node in world["nodes"]}
    media = {medium["name"]: medium for medium in world.get("media") or ()}
    behind = {node["name"]: chain(node, media) for node in world["nodes"]} if media else {}

    def price(source: str, to: str) -> float:
        link = world["pairs"].get(f"{source}>{to}") or world["links"].get(f"{tiers.get(source)}>{tiers.get(to)}", {})
        own = float(link.get("price_per_byte", 0.0))
        if not media:
            return own
        out, back = behind.get(source, []), behind.get(to, [])
        up = [f"{name} up" for name in out if name not in back]
        down = [f"{name} down" for name in reversed(back) if name not in out]
        crossed = [way.rpartition(" ")[0] for way in dict.fromkeys((*up, *link.get("via", ()), *down))]
        return left_sum((own, *(float(media[name]["price_per_byte"]) for name in crossed if name in media)))

    return price


def chain(node: Mapping[str, Any], media: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The media of a described world that a node of it is behind, the nearest first; `media` by name."""
    found: list[str] = []
    name = node.get("behind", "")
    while name in media and name not in found:  # run.json may come from a stranger, and say anything
        found.append(name)
        name = media[name].get("behind", "")
    return found


@dataclass(frozen=True, slots=True)
class Given:
    """Of which nodes a described world gives powers, and prices: of the others nothing can be reckoned."""

    metered: frozenset[str]
    """Nodes of which some power is above 0."""
    charging: frozenset[str]
    """Nodes that charge for something: time, memory, or bytes that they send."""

    @classmethod
    def of(cls, world: Mapping[str, Any]) -> Given:
        """Look at every node of a described world."""
        links = {**(world.get("links") or {}), **(world.get("pairs") or {})}
        dear = {name.partition(">")[0] for name, link in links.items() if link["price_per_byte"] > 0}
        nodes = world["nodes"]
        # Whoever sends may send over a medium that charges.
        tolls = any(medium["price_per_byte"] > 0 for medium in world.get("media") or ())
        return cls(
            frozenset(node["name"] for node in nodes if any(node.get(power) for power in _POWERS)),
            frozenset(
                node["name"]
                for node in nodes
                if node["price_per_s"] or node["price_per_byte_s"] or tolls or dear & {node["name"], node["tier"]}
            ),
        )

    @property
    def priced(self) -> bool:
        """Whether anything costs money at all."""
        return bool(self.charging)

    def energy_j(self, node: str, used: Mapping[str, Mapping[str, float]]) -> float | None:
        """What a node drew, of its sums by name; None where no power of it is given."""
        spent = used[node]["energy_j"]
        return spent if spent or node in self.metered else None

    def money(self, node: str, used: Mapping[str, Mapping[str, float]]) -> float | None:
        """What a node charged, of its sums by name; None where it has no price."""
        spent = used[node]["money"]
        return spent if spent or node in self.charging else None


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

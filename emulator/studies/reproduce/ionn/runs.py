"""IONN's board, server and link: uploads, and the queries beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from layerlift.emulator.studies.reproduce.delays import ClientDelays, sight
from layerlift.emulator.studies.reproduce.ionn.rows import CLASSES, mapped
from layerlift.emulator.studies.reproduce.reproduction import Emulator
from layerlift.models.errors import RunError
from layerlift.models.running.network import Network
from layerlift.models.sums import left_sum

MBIT_S: Final = 80.0
"""The bandwidth of IONN's wireless link."""
PAUSE_S: Final = 0.5
"""What its client spends on an image between two queries."""
ORDERS: Final = ("direct", "ionn", "efficiency", "recursive")
UPLOADS: Final = {"all at once": "all_remote", "K = 0.1": "ionn:factor=0.1", "K = 0.5": "ionn"}


@dataclass(frozen=True, slots=True)
class Upload:
    """One run: a lone user and its upload."""

    network: str
    planner: str
    links: str
    """`shared`, as on a real link, or `independent`, as planners reckon."""
    pause_s: float
    client: ClientDelays
    until_s: float = 0.0
    """The end of the longest upload that it is compared with."""

    @property
    def during(self) -> int:
        """Queries answered while its own upload lasted."""
        return self.by(self.client.ended_s)

    def by(self, until_s: float) -> int:
        """Queries answered between the beginning of the upload and a second of it."""
        return len([at for at in self.client.answered_s if 0.0 < at <= until_s])

    @property
    def delay_s(self) -> float:
        """The mean latency of a query begun at any time up to `until_s`."""
        return self.client.delay().area(self.until_s) / self.until_s

    def last_state_s(self) -> float:
        """The slowest query that began while the last part was under way; 0 where none did."""
        seen = self.client.seen.get(len(self.client.parts) - 1, ())
        return max((latency_s for begun_s, latency_s in seen if begun_s >= 0.0), default=0.0)


def world(network: str, planner: str, until_s: float, pause_s: float = PAUSE_S, shared: bool = True) -> dict[str, Any]:
    """IONN's test bed: the board, the server with the graphics card, and the link between them."""
    device = {"ghz": 2.0, "profile": CLASSES["client"]}
    user = {"device": device, "model": network, "planner": planner, "think_s": pause_s, "profile_runs": 0}
    return {
        "nodes": [{"tier": "edge", "name": "server", "ghz": 1.0, "profile": CLASSES["server"]}],
        "links": {"client-edge": {"bandwidth_mbit_s": MBIT_S, "latency_ms": 1}},
        "users": [user],
        "share_links": shared,
        "until_s": until_s,
    }


def link_s(count: float) -> float:
    """Seconds that the link alone needs for so many bytes."""
    return count * 8 / (MBIT_S * 1e6)


def uploads_under(
    emulate: Emulator, network: Network, planners: Sequence[str], links: str, pause_s: float = PAUSE_S
) -> list[Upload]:
    """The same world under several planners, compared up to the end of the longest upload."""
    held_bytes = network.graph.held_bytes([layer.index for layer in network.graph.layers])
    until_s = 2.0 * link_s(held_bytes) + 12.0
    made = []
    for planner in planners:
        label = f"{network.name}, {planner}, {links} link, pause {pause_s:g} s"
        found = sight(emulate(label, world(network.name, planner, until_s, pause_s, links == "shared")))
        if not found.complete:
            raise RunError(f"the upload of {label} had not ended after {until_s:g} virtual seconds")
        made.append(Upload(network.name, planner, links, pause_s, found.clients[0]))
    longest_s = max(each.client.ended_s for each in made)
    return [Upload(u.network, u.planner, u.links, u.pause_s, u.client, longest_s) for u in made]


def sum_s(network: Network) -> float:
    """What the whole network takes on the board."""
    return left_sum(mapped(network).seconds["client"])

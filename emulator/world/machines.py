"""Machines as plain numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Tier = Literal["client", "edge", "cloud", "planner"]


INF = math.inf


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """One emulated machine. A server is edge or cloud by its tier, which is data."""

    index: int
    name: str
    tier: Tier
    ghz: float = 1.0
    """Total over all cores; one piece of work uses at most `ghz / cores`."""
    cores: int = 1
    profile: str = "reference"
    """Which profile of a model its layer seconds come from (its device class)."""
    discipline: Literal["sharing", "fifo", "batch"] = "sharing"
    max_batch: int = 1
    """How many queries run together at most, where the discipline is `batch`: its policy may have capped it."""
    batch_wait_s: float = 0.0
    """How long a query waits for company at most, before the batch that it is in may begin."""
    memory_bytes: float = INF
    load_s_per_byte: float = 0.0
    policy: str = "first_come"
    revokes: bool = False
    """Whether its policy takes memory back."""
    share_models: bool = False
    """Whether users of one model share what is stored of it."""
    idle_w: float = 0.0
    compute_w: float = 0.0
    """Increment while computing (client), or what a busy core draws (server)."""
    radio_w: float = 0.0
    off_w: float = 0.0
    """What a server draws while it is down after a crash."""
    price_per_s: float = 0.0
    """Money (USD) per core-second of busy time."""
    price_per_byte_s: float = 0.0
    """Money (USD) per byte of parameters held for one second."""
    uplink_bytes_s: float = INF
    downlink_bytes_s: float = INF
    behind: int = -1
    """The shared medium that it is behind, by its place in `World.media`; -1: none."""
    battery_j: float | None = None
    """Of a client. It is switched on, fully charged, when its user arrives, and is off for good when it is empty."""

    @property
    def begins_off(self) -> bool:
        """Whether it is off at the start of the run."""
        return self.battery_j is not None

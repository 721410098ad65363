"""How far a run is, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from layerlift.emulator.network.fabric import Fabric
from layerlift.emulator.world.links import Crossing
from layerlift.models.errors import RunError


@dataclass(slots=True)
class Progress:
    """How far a run is, for whoever shows it, who may look at any time."""

    now_s: float = 0.0
    windows: int = 0
    calls: int = 0
    queries: int = 0
    left: int = 0
    executing: bool = False
    """Whether layers that really run are waited for: virtual time stands still meanwhile."""


@dataclass(slots=True)
class Ending:
    """How a run ended."""

    at_s: float
    progress: Progress
    sent_bytes: int
    delivered_bytes: int
    lost_bytes: int
    cancelled_bytes: int
    in_flight_bytes: int
    """Bytes that were under way at the end, counted in the network itself."""
    crossed: Mapping[Crossing, int] = field(default_factory=dict)
    """Bytes that arrived over each way of each shared medium."""
    costs: list[tuple[tuple[int, int, int], float]] = field(default_factory=list)
    """Measured seconds of every piece, by (user, query, step); only with `compute: measured`."""


def ending(at_s: float, progress: Progress, fabric: Fabric, costs: list[tuple[tuple[int, int, int], float]]) -> Ending:
    """How a run ended, with the network's books; raises `RunError` when what they leave open is not what is."""
    ledger, open_bytes = fabric.ledger, fabric.open_bytes()
    if open_bytes != ledger.in_flight_bytes:
        raise RunError(
            f"bytes were lost or made up in a run that ended at {at_s:.6f} s: {open_bytes} are under way, expected "
            f"{ledger.in_flight_bytes} by the books; this is a fault of layerlift itself: try `layerlift replay` and "
            "report it with the run's folder"
        )
    return Ending(
        at_s, progress, ledger.sent_bytes, ledger.delivered_bytes, ledger.lost_bytes, ledger.cancelled_bytes,
        open_bytes, ledger.crossed_bytes(), costs,
    )  # fmt: skip

"""How far a run is, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass, field

from layerlift.emulator.network.byte_ledger import ByteLedger


@dataclass(slots=True)
class Progress:
    """How far a run is, for whoever shows it."""

    now_s: float = 0.0
    windows: int = 0
    calls: int = 0
    queries: int = 0
    left: int = 0


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
    costs: list[tuple[tuple[int, int, int], float]] = field(default_factory=list)
    """Measured seconds of every piece, by (user, query, step); only with `compute: measured`."""


def ending(
    at_s: float, progress: Progress, ledger: ByteLedger, costs: list[tuple[tuple[int, int, int], float]]
) -> Ending:
    """How a run ended, with the network's books."""
    return Ending(
        at_s, progress, ledger.sent_bytes, ledger.delivered_bytes, ledger.lost_bytes, ledger.cancelled_bytes,
        ledger.in_flight_bytes, costs,
    )  # fmt: skip

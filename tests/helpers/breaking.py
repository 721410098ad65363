"""A small world that breaks while real layers run: crashes, links that come and go, an eviction, a hand-over."""

from __future__ import annotations

from typing import Any

from layerlift.emulator import Scenario

WORLD: dict[str, Any] = {
    "name": "breaking",
    "nodes": [
        {"tier": "edge", "count": 3, "ghz": [6, 16], "memory_mb": 7, "policy": "equal"},
        {"tier": "cloud", "name": "cloud", "ghz": 80, "cores": 4},
    ],
    "links": {
        "client-edge": {"bandwidth_mb_s": 8, "latency_ms": 3},
        "client-cloud": {"bandwidth_mb_s": 3, "latency_ms": 25},
        "edge-cloud": {"bandwidth_mb_s": 20, "latency_ms": 20},
        "edge-edge": {"bandwidth_mb_s": 40, "latency_ms": 1},
    },
    "users": [
        {
            "kind": "phone", "count": 3, "device": {"ghz": [1, 2]}, "model": "squeezenet", "planner": "ionn",
            "queries": 30, "replan": "on_change", "resume": True, "backoff_s": 0.1, "arrival": {"every_ms": 700},
        },
        {
            "kind": "walker", "count": 2, "device": {"ghz": [1, 2]}, "model": "squeezenet", "queries": 30,
            "planner": "greedy+recursive", "backoff_s": 0.1, "in_flight": 2, "asks": {"per_s": 6},
        },
    ],
    "faults": [
        {"crash": "edge", "mean_up_s": 1.2, "mean_down_s": 0.4},
        {"on_off": "client-edge", "on_s": 1.5, "off_s": 0.2},
        {"loss": "client-cloud", "share": 0.05},
        {"move": ["walker"], "within_m": [300, 100], "speed_m_s": [60, 120], "pause_s": 0, "handover": "copy"},
    ],
    "reference_ghz": 72.5,
}  # fmt: skip


def breaking(*overrides: str) -> Scenario:
    """The world, with `path=value` overrides."""
    return Scenario.from_dict(WORLD, overrides)

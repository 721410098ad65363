"""The little world of the tests that really run: two phones, two edge servers, a cloud, SqueezeNet."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import yaml

from layerlift.emulator import Scenario

PHONES: dict[str, Any] = {
    "name": "phones",
    "nodes": [
        {"tier": "client", "count": 2, "ghz": [1, 2]},
        {"tier": "edge", "count": 2, "ghz": [8, 16]},
        {"tier": "cloud", "name": "far", "ghz": 80},
    ],
    "links": {
        "client-edge": {"bandwidth_mb_s": 4, "latency_ms": 3},
        "client-cloud": {"bandwidth_mb_s": 2, "latency_ms": 20},
        "edge-cloud": {"bandwidth_mb_s": 5, "latency_ms": 20},
        "edge-edge": {"bandwidth_mb_s": 50, "latency_ms": 1},
    },
    "users": [{"model": "squeezenet", "planner": "ionn", "queries": 12}],
    "reference_ghz": 72.5,
    "inputs": 2,
}


def phones(*overrides: str, **changes: Any) -> Scenario:
    """The scenario, with whole fields replaced and `path=value` overrides."""
    return Scenario.from_dict(copy.deepcopy(PHONES) | changes, overrides)


def phones_file(folder: Path, **changes: Any) -> Path:
    """The scenario as a file."""
    path = folder / "phones.yaml"
    path.write_text(yaml.safe_dump(copy.deepcopy(PHONES) | changes))
    return path

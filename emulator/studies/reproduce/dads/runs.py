"""DADS's two loads on emulated machines: a lone query, and streams of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from layerlift.emulator.studies.reproduce.ionn.rows import CLASSES
from layerlift.emulator.studies.reproduce.reproduction import Emulator, answered, settled

LINKS_MBIT_S: Final = {"CAT1": 0.13, "3G": 1.1, "4G": 5.85, "Wi-Fi": 18.88}
"""Its uplinks."""
NETWORKS: Final = ("alexnet", "googlenet", "resnet50")
"""A chain and two that branch; all of the published rows."""
PLANNERS: Final = {
    "device only": "local",
    "cloud only": "all_remote",
    "Neurosurgeon": "one_step",
    "DADS, light": "min_cut",
    "DADS, heavy": "min_cut:load=heavy",
    "least period": "pipeline",
}
CORES: Final = 8
"""Of its cloud server."""
SWEEP_MBIT_S: Final = tuple(float(f"{0.5 * 60 ** (step / 12):.4g}") for step in range(13))
"""Where DADS and Neurosurgeon are compared on networks that branch: from 0.5 to 30."""
STREAM: Final = 40
"""Queries of a stream."""
SLACK: Final = 1.001
"""A stream that keeps up is asked at so many periods' distance, so that rounding piles nothing up."""
TOO_FAST: Final = 0.95
_PILED: Final = 1.05
"""A latency so many times a lone query's says that the stream piled up."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One planner on one link."""

    network: str
    link: str
    planner: str
    mbit_s: float
    lone_s: float
    """Latency of a query alone."""
    period_s: float
    """Its busiest stage: the device's, the link's of either way, or the server's over its cores."""
    stage: str
    remote: int
    """Layers on the server."""
    last_s: float
    """Latency of the last query of a stream that is asked once a period."""
    rushed_s: float | None
    """The same, asked 5 % faster; None: not run."""

    @property
    def keeps_up(self) -> bool:
        """Whether the stream of one query a period was answered without piling up."""
        return self.last_s <= _PILED * self.lone_s

    @property
    def per_s(self) -> float:
        """Throughput."""
        return 1.0 / self.period_s


def world(network: str, planner: str, mbit_s: float, every_s: float, queries: int) -> dict[str, Any]:
    """A board and a cloud server that holds the network already; a question every so many seconds."""
    user = {
        "device": {"ghz": 2.0, "profile": CLASSES["client"], "discipline": "fifo"},
        "model": "network",
        "planner": planner,
        "queries": queries,
        "in_flight": queries,
        "asks": {"every_ms": 1e3 * every_s, "start_s": 1000.0},
        "profile_runs": 0,
    }
    cloud = {"tier": "cloud", "name": "cloud", "ghz_per_core": 2.6, "cores": CORES, "discipline": "fifo"}
    return {
        "nodes": [cloud],
        "links": {"client-cloud": {"bandwidth_mbit_s": mbit_s, "latency_ms": 10}},
        "models": {"network": {"source": network, "parameters_mb": 1e-6}},
        "users": [user],
    }


def measure(emulate: Emulator, network: str, link: str, mbit_s: float, planner: str) -> Measured:
    """A lone query, and a stream of one a period; for DADS's heavy load one that is 5 % too fast, too."""
    known = PLANNERS[planner]
    label = f"{network}, {link}, {known}"
    row = settled(emulate(f"{label}, alone", world(network, known, mbit_s, 1.0, 1)))
    stages = _stages(row, mbit_s)
    stage = max(stages, key=lambda name: stages[name])
    period_s = stages[stage]
    stream = emulate(f"{label}, stream", world(network, known, mbit_s, SLACK * period_s, STREAM))
    rushed_s = None
    if planner == "DADS, heavy":
        fast = emulate(f"{label}, too fast", world(network, known, mbit_s, TOO_FAST * period_s, STREAM))
        rushed_s = _last_s(answered(fast))
    return Measured(
        network, link, planner, mbit_s, row["latency_s"], period_s, stage, row["remote_layers"],
        _last_s(answered(stream)), rushed_s,
    )  # fmt: skip


def _stages(row: Mapping[str, Any], mbit_s: float) -> dict[str, float]:
    """Seconds for which a query keeps each resource busy."""
    byte_s = 8 / (mbit_s * 1e6)
    return {
        "device": row["client_work_s"],
        "uplink": row["sent_bytes"] * byte_s,
        "downlink": row["received_bytes"] * byte_s,
        "cloud": row["server_work_s"] / CORES,
    }


def _last_s(rows: Sequence[Mapping[str, Any]]) -> float:
    """The latency of the last question."""
    return float(max(rows, key=lambda row: row["query"])["latency_s"])


def sweep(emulate: Emulator, network: str) -> list[tuple[float, float, float]]:
    """Bandwidths (Mbit/s), and a lone query's latency under Neurosurgeon and DADS."""
    made = []
    for mbit_s in SWEEP_MBIT_S:
        both = [
            settled(emulate(f"{network}, {mbit_s:g} Mbit/s, {name}, sweep", world(network, name, mbit_s, 1.0, 1)))
            for name in ("one_step", "min_cut")
        ]
        made.append((mbit_s, both[0]["latency_s"], both[1]["latency_s"]))
    return made

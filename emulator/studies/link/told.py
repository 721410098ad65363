"""A measurement as a person reads it: a sentence, a table, and the lines of a scenario."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

from layerlift.emulator.studies.link.estimate import LARGE, SMALL, Fields, Seen, fields
from layerlift.emulator.studies.link.measuring import Measured

_FAIR_MS = 2.0
_FAIR_WEIGHT = 0.85
_FIRST_WEIGHT = 2.0
"""Above it messages have more than a fair share: they go first, or nothing of the link was ever full."""
_LONG_MS = 12.0


class Told:
    """What was measured, and the fields that it comes to. `nominal_mbit_s` is what the link is sold as, up and down."""

    def __init__(self, measured: Measured, nominal_mbit_s: Sequence[float] = ()) -> None:
        self.measured = measured
        self.ways: dict[str, tuple[Seen, Fields]] = {"up": (measured.up, fields(measured.up))}
        if measured.down is not None:
            self.ways["down"] = measured.down, fields(measured.down)
        self._nominal = dict(zip(("up", "down"), nominal_mbit_s, strict=False))

    def sentences(self) -> list[str]:
        """What kind of link it is, and what could not be told."""
        _, up = self.ways["up"]
        told = [
            f"Up, {up.goodput_mbit_s:.4g} Mbit/s of payload and {up.latency_ms:.3g} ms one way; beside an upload (TCP "
            f"{self.measured.congestion}) a message waits {up.queue_ms:.3g} ms and has a weight of "
            f"{up.query_weight:.2g}: {_kind(up)}."
        ]
        if up.queue_ms >= _LONG_MS:
            told.append(
                "Behind such a queue the weight differs from one measurement to the next: take the middle of some."
            )
        if not up.told:
            told.append("A slow start could not be told: the round trip is too short for it to matter here.")
        if not self._nominal:
            told.append(
                "The bandwidth below is what payload has; give --nominal, what the link is sold as, to part them."
            )
        return told

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Heads, and a line for each thing that was measured."""
        rows: list[tuple[str, str, Sequence[float]]] = []
        for way, (seen, _) in self.ways.items():
            cold = f"{seen.cold_bytes >> 10} KB"
            rows += [
                (way, f"{SMALL >> 10} KB alone", seen.small_s),
                (way, f"{SMALL >> 10} KB beside a long transfer", seen.small_beside_s),
                (way, f"{LARGE >> 10} KB alone", seen.large_s),
                (way, f"{LARGE >> 10} KB beside a long transfer", seen.large_beside_s),
                (way, f"{cold} one after the other", seen.warm_s),
                (way, f"{cold} after a second of idleness", seen.cold_s),
            ]
        heads = ["way", "message and answer", "n", "median ms", "least", "most"]
        return heads, [
            [way, what, str(len(took)), *(f"{1000.0 * each:.2f}" for each in (median(took), min(took), max(took)))]
            for way, what, took in rows
            if took
        ]

    def scenario(self) -> list[str]:
        """The lines to paste into a scenario."""
        names = {"up": "client-edge", "down": "edge-client"}
        return ["links:", *(f"  {names[way]}: {{{_written(self._link(way))}}}" for way in self.ways)]

    def as_dict(self) -> dict[str, Any]:
        """All of it, for `--json`."""
        return {
            "seconds": self.measured.seconds,
            "congestion_control": self.measured.congestion,
            "ways": {way: {"seen": asdict(seen), "fields": asdict(each)} for way, (seen, each) in self.ways.items()},
            "links": {"client-edge": self._link("up")}
            | ({"edge-client": self._link("down")} if self.measured.down else {}),
        }

    def _link(self, way: str) -> dict[str, Any]:
        found = self.ways[way][1]
        # What was only measured one way is the other's, too: it is one machine's TCP.
        slow = found.slow_start or self.ways["up"][1].slow_start
        nominal = self._nominal.get(way)
        rate = {"bandwidth_mbit_s": _round(found.goodput_mbit_s)}
        if nominal is not None:
            share = min(1.0, max(0.01, found.goodput_mbit_s / nominal))
            rate = {"bandwidth_mbit_s": nominal, "efficiency": round(share, 3)}
        return rate | {
            "latency_ms": _round(found.latency_ms),
            "queue_ms": round(found.queue_ms, 1),
            "query_weight": round(found.query_weight, 2),
            "slow_start": slow,
        }


def _kind(up: Fields) -> str:
    if up.queue_ms < _FAIR_MS and up.query_weight > _FAIR_WEIGHT:
        if up.query_weight > _FIRST_WEIGHT:
            return "no message waits, as with a queue for each flow"
        return "it shares fairly, as profile fair does"
    if up.queue_ms < _LONG_MS:
        return "a short queue, as profile bbr has it"
    return f"a queue that stands, as profile modem has it with buffer_ms: {up.queue_ms / 0.8:.0f}"


def _round(value: float) -> float:
    return float(f"{value:.4g}")


def _written(link: dict[str, Any]) -> str:
    said = {True: "true", False: "false"}
    return ", ".join(
        f"{name}: {said[value] if isinstance(value, bool) else f'{value:g}'}" for name, value in link.items()
    )

"""The names of fields as an editor shows them, with their units."""

from __future__ import annotations

from typing import Final

# The first suffix that fits holds, so that the longer ones come first.
_UNITS: Final = {
    "_mb_s": "MB/s",
    "_mbit_s": "Mbit/s",
    "_m_s": "m/s",
    "_s_per_mb": "s/MB",
    "_per_core_hour": "USD per core-hour",
    "_per_gb_hour": "USD per GB-hour",
    "_per_gb": "USD per GB",
    "_per_s": "per s",
    "_ghz_per_core": "GHz per core",
    "_ghz": "GHz",
    "_bytes": "bytes",
    "_mb": "MB",
    "_ms": "ms",
    "_m": "m",
    "_w": "W",
    "_j": "J",
    "_s": "s",
}


def titled(name: str) -> str:
    """Return a field's name as an editor shows it, its unit told: `latency (ms)` for `latency_ms`."""
    for suffix, unit in _UNITS.items():
        if f"_{name}" == suffix:
            return unit
        if name.endswith(suffix):
            return f"{name.removesuffix(suffix).replace('_', ' ')} ({unit})"
    return name.replace("_", " ")


_SIZES: Final = {"_mb_s": "MB/s of 2**20 bytes", "_mbit_s": "Mbit/s of 10**6 bits, 8.39 to an MB/s"}
"""Units that people take for each other, with what they are made of."""


def with_unit(name: str) -> str:
    """Return a field's name as a hint shows it: with its unit where the name alone invites a mistake."""
    return next((f"{name} ({said})" for suffix, said in _SIZES.items() if name.endswith(suffix)), name)

"""The names of fields as an editor shows them, with their units."""

from __future__ import annotations

from typing import Final

# The first suffix that fits holds, so that the longer ones come first.
_UNITS: Final = {
    "_mb_s": "MB/s",
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

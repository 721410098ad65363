"""Numbers as a person reads them: three significant digits and a unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

NOTHING: Final = "-"
NOT_GIVEN: Final = "not given"
"""Energy without a power, or money without a price: no claim that it is nothing."""
_RUNS: Final = 8


def seconds(value: float | None) -> str:
    """`0.8224` is `822 ms`, `75.21` is `75.2 s`; nothing is `-`."""
    if value is None:
        return NOTHING
    if abs(value) >= 0.9995:
        return f"{_three(value)} s"
    return f"{_three(value * 1e3)} ms" if abs(value) >= 0.9995e-3 or value == 0 else f"{_three(value * 1e6)} us"


def size(count: float | None) -> str:
    """Bytes in binary units: `243905331` is `233 MiB`."""
    if count is None:
        return NOTHING
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(count) < 1023.5:
            return f"{count:.0f} B" if unit == "B" else f"{_three(count)} {unit}"
        count /= 1024
    return f"{_three(count)} TiB"


def joules(value: float | None) -> str:
    """`1234` is `1.23 kJ`; None is `not given`."""
    if value is None:
        return NOT_GIVEN
    return f"{_three(value)} J" if abs(value) < 999.5 else f"{_three(value / 1e3)} kJ"


def dollars(value: float | None) -> str:
    """USD without the sign, for a column that says so: `0.000123`, `1,049`; None is `not given`."""
    return NOT_GIVEN if value is None else f"{value:.3g}" if abs(value) < 999.5 else f"{value:,.0f}"


def share(value: float) -> str:
    """`0.4567` is `45.7 %`."""
    return f"{value * 100:.1f} %"


def error(value: float | None) -> str:
    """`3.2e-07`; an exact answer is `0`."""
    return NOTHING if value is None else "0" if value == 0 else f"{value:.1e}"


def count(number: int, thing: str) -> str:
    """`1 user`, `2 users`, `no queries` is `0 queries`."""
    plural = f"{thing[:-1]}ies" if thing.endswith("y") else f"{thing}s"
    return f"{number:,} {thing if number == 1 else plural}"


def placement(runs: Sequence[Mapping[str, Any]], client: str) -> str:
    """Where the layers are: `conv1..pool2 here, conv3..fc8 on r7`; long ones are cut, with their length."""
    said = []
    for run in runs[:_RUNS]:
        layers = run["first"] if run["first_layer"] == run["last_layer"] else f"{run['first']}..{run['last']}"
        said.append(f"{layers} {'here' if run['node'] == client else 'on ' + run['node']}")
    if len(runs) > _RUNS:
        said.append(f"... ({len(runs)} runs of layers in all)")
    return ", ".join(said)


def reasons(failed: Mapping[str, int]) -> str:
    """`3 x run ended, 1 x no memory`, the most frequent first."""
    ranked = sorted(failed.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{number} x {reason or 'no reason given'}" for reason, number in ranked)


def rate(value: float) -> str:
    """So many a second: `0.4`, `6.11`, `1,560`; three significant digits, never a power of ten."""
    return f"{value:,.0f}" if abs(value) >= 999.5 else f"{value:.3g}"


def _three(value: float) -> str:
    """Three significant digits, never in powers of ten."""
    if value == 0:
        return "0"
    for limit, digits in ((9.995, 2), (99.95, 1)):
        if abs(value) < limit:
            return f"{value:.{digits}f}"
    return f"{value:,.0f}"

"""How the numbers of a comparison are written: one unit per metric, and as many digits as their interval bears."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final, NamedTuple

from layerlift.emulator.report.formatting import NOTHING
from layerlift.emulator.studies.compare.metrics import Metric
from layerlift.emulator.studies.compare.statistics import Interval

_FINEST: Final = 8


class Scale(NamedTuple):
    """The unit in which a metric is shown, and how many of it one SI unit is."""

    unit: str
    factor: float

    def title(self, metric: Metric) -> str:
        """`latency, mean over users (ms)`."""
        return f"{metric.title} ({self.unit})" if self.unit else metric.title


def scale_of(metric: Metric, values: Iterable[float]) -> Scale:
    """Return the unit in which the largest of the values reads best."""
    most = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    match metric.unit:
        case "s":
            return Scale("ms", 1e3) if most < 0.9995 else Scale("s", 1.0)
        case "J":
            return Scale("kJ", 1e-3) if most >= 9995 else Scale("J", 1.0)
        case "share":
            return Scale("%", 100.0)
        case "USD":
            if most == 0 or most >= 0.9995e-3:
                return Scale("USD", 1.0)
            return Scale("µUSD", 1e6) if most >= 0.9995e-6 else Scale("nUSD", 1e9)
        case _:
            return Scale("", 1.0)


def shown(found: Interval | None, factor: float = 1.0, signed: bool = False) -> str:
    """Return `1.23 ±0.04`: three significant digits, and half the width of the interval in as many decimals."""
    if found is None or math.isnan(found.mean):
        return NOTHING
    if math.isinf(found.mean):
        return "inf" if found.mean > 0 else "-inf"
    mean, half = found.mean * factor, found.half * factor
    decimals = _decimals(max(abs(mean), 0.0 if math.isnan(half) else half))
    if mean == round(mean) and not half > 0:
        decimals = 0
    mean = round(mean, decimals) + 0.0  # without the sign of a negative nothing
    text = f"{mean:+,.{decimals}f}" if signed and mean else f"{mean:,.{decimals}f}"
    return text if math.isnan(half) else f"{text} ±{half:,.{decimals}f}"


def plain(value: float) -> str:
    """Return three significant digits."""
    return shown(Interval(value, math.nan, 1))


def _decimals(value: float) -> int:
    if not value > 0:
        return 0
    return min(max(2 - math.floor(math.log10(value) + 1e-4), 0), _FINEST)

"""The recorded course of a link, from a table: when it has which bandwidth and latency, and when it comes again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from layerlift.emulator.scenario.schema.fields import LARGEST, MB, Flaw, tidy
from layerlift.emulator.scenario.schema.instants import since_start
from layerlift.emulator.scenario.schema.trace_files import ColumnKind, Columns
from layerlift.emulator.world.faults import Point
from layerlift.models.errors import ScenarioError

COLUMNS: Final[dict[str, ColumnKind]] = {"time_s": "float", "bandwidth_mb_s": "float", "latency_ms": "float"}
OPTIONAL: Final = ("bandwidth_mb_s", "latency_ms")


def link_points(table: Columns, file: str, start_s: float = 0.0) -> tuple[Point, ...]:
    """Return the points of a trace in SI units, second 0 of it at `start_s` of the run.

    Raises `Flaw` of the field `file` for values that do not do.
    """
    given, rates, latencies = table["time_s"], table["bandwidth_mb_s"], table["latency_ms"]
    if not any(value is not None for column in (rates, latencies) for value in column):
        raise Flaw(("file",), f"is {file!r}, which has neither bandwidth_mb_s nor latency_ms: expected one of them")
    times: list[float] = []
    for row, (at_s, rate, latency_ms) in enumerate(zip(given, rates, latencies, strict=True)):
        times.append(instant(at_s, start_s, times[-1] if row else None, file, table.place(row), "file"))
        for name, value, least in (("bandwidth_mb_s", rate, 0.0), ("latency_ms", latency_ms, 1e-6)):
            if value is not None and not least <= value <= LARGEST:
                wish = "at least 0" if least == 0 else "above 0"
                raise Flaw(("file",), f"is {file!r}: {table.place(row)}: {name} is {value:g}, expected {wish}")
    return tuple(
        (at_s, None if rate is None else rate * MB, None if latency_ms is None else latency_ms / 1000)
        for at_s, rate, latency_ms in zip(times, rates, latencies, strict=True)
    )


def instant(at_s: float, start_s: float, before: float | None, file: str, place: str, key: str) -> float:
    """Return an instant of a file as seconds of the run. Raises `Flaw` of the field `key` for one that is none."""
    try:
        made = since_start(at_s, start_s, place)
    except ScenarioError as error:
        raise Flaw((key,), f"is {file!r}: {error}") from None
    if before is not None and made <= before:
        raise Flaw((key,), f"is {file!r}: {place}: time_s is {at_s:g}, expected more than that before ({before:g})")
    return made


def period_s(repeat: bool | float, times: Sequence[float], file: str) -> float | None:
    """The seconds after which a trace comes again; None for never. Raises `Flaw` of the field `repeat`."""
    if repeat is False:
        return None
    length = times[-1] - times[0]
    if repeat is not True:
        if repeat <= length:
            wish = f"expected more than the {length:g} s that {file} lasts"
            raise Flaw(("repeat",), f"is {repeat:g}, {wish}")
        return repeat
    if len(times) == 1:
        raise Flaw(("repeat",), f"is true, but {file} has one row: expected two, or a period in s")
    # How long the last row holds nobody wrote down: as long as the one before.
    return tidy(length + times[-1] - times[-2])

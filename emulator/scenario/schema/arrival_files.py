"""Traces of instants in files: one instant a row, in seconds, ascending."""

from __future__ import annotations

from layerlift.emulator.scenario.schema.files import Files
from layerlift.emulator.scenario.schema.instants import since_start
from layerlift.emulator.scenario.schema.trace_files import read_columns
from layerlift.models.errors import ScenarioError


def recorded(
    files: Files, name: str, column: str = "time_s", repeat_s: float | None = None, start_s: float = 0.0
) -> tuple[float, ...]:
    """Read the instants of a trace, in seconds from the beginning of the run: `start_s` is where second 0 of it lies.

    Raises `ScenarioError`, with the file and the line: what `read_columns` refuses, times that go back, or that lie
    before the beginning or absurdly far behind it; or `repeat_s` comes before its end.
    """
    source = files.source(name)
    table = read_columns(source, {column: "float"})
    times: list[float] = []
    for row, at_s in enumerate(table[column]):
        times.append(since_start(at_s, start_s, table.place(row), column))
        if row and times[-1] < times[-2]:
            told = f"{at_s:g}, before {table[column][row - 1]:g} in the row above"
            raise ScenarioError(f"{table.place(row)}: {column} is {told}: expected ascending times")
    if repeat_s is not None and repeat_s < times[-1] - times[0]:
        raise ScenarioError(
            f"{source.file} lasts {times[-1] - times[0]:g} s, longer than repeat_s ({repeat_s:g}): "
            "expected to repeat it only after its end"
        )
    return tuple(times)

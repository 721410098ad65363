"""`fairness` of a run: what a program calls, and what `layerlift fairness` calls for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from layerlift.emulator.results.reader import RunResult
from layerlift.emulator.scenario.from_run import scenario_of
from layerlift.emulator.studies.fairness import measure
from layerlift.emulator.studies.fairness.alone import alone_latencies
from layerlift.models.errors import RunError


def fairness(
    run: RunResult | str | Path,
    *,
    alone: bool = False,
    each: bool = False,
    most_windows: int = 60,
    best_total: float | None = None,
    notice: Callable[[str], None] | None = None,
    allow_code: bool = False,
) -> dict[str, Any]:
    """Measure whom a run hurt, and by how much.

    `run` is a result, or the directory of one; an interrupted run is measured as far as it came. What a user has is a
    cost: with `alone` one user of each kind and model first runs alone in the run's own world (`each`: every user), in
    this process and without real layers, and costs are slowdowns, a ratio; else they are mean latencies in seconds,
    with the differences of devices and models in them. `best_total` is the best total benefit known for the same users,
    of another run: the price of fairness is against it, else against everybody alone. `notice` gets a sentence before
    each user who runs alone. The run's scenario may name code, `module:Class`, only with `allow_code`.

    Return plain values, ready for JSON (None where something has no value, `"inf"` for infinity). `all` and, for each
    kind of user, `kinds`: queries, latencies and slowdowns over queries and over users, and of the benefits 1 / cost
    Jain's index, min/max, Gini, envy and arrival bias. `users`: each one. `windows`: the same over virtual time, in at
    most `most_windows` windows. `servers`, `energy_j` (J), `money` (USD), `disruptions`, and more:
    `layerlift.emulator.studies.fairness.measure.fairness` names every key.

    Raises `RunError` for what is no run, tables that cannot be read, `each` without `alone`, and, with `alone`, for a
    run that does not tell its scenario or has `compute: measured`.
    """
    if each and not alone:
        raise RunError("each says how users run alone: expected alone with it")
    if most_windows < 1:
        raise RunError(f"most_windows is {most_windows}, expected at least 1")
    if not isinstance(run, RunResult | str | Path):
        raise RunError(f"fairness of a {type(run).__name__} was asked for, expected a RunResult or a run's directory")
    result = run if isinstance(run, RunResult) else RunResult.load(run)
    known = _alone(result, each, notice, allow_code) if alone else None
    return measure.fairness(result, known, best_total=best_total, most_windows=most_windows)


def _alone(
    result: RunResult, each: bool, notice: Callable[[str], None] | None, allow_code: bool
) -> dict[str, list[float]]:
    return alone_latencies(scenario_of(result, allow_code=allow_code), each=each, notice=notice)

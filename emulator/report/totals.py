"""The last lines of a report: what a run came to in all, and what it cost in real time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from layerlift.emulator.report.formatting import NOT_GIVEN, count, dollars, error, joules, rate, seconds, share, size


def in_all(totals: Mapping[str, Any]) -> str:
    """Bytes, energy, money, servers, plans, the largest error: what is not given, or not measured, is not a number."""
    return (
        f"In all: {size(totals['bytes'])} carried, {_energy(totals)}, {_money(totals)}, servers "
        f"{share(totals['busy_share'])} busy{_balance(totals)}{_coordination(totals)}{_error(totals)}."
    )


def _coordination(totals: Mapping[str, Any]) -> str:
    found = totals["coordination"]
    return "" if found is None else f", coordination of plans {found:.2f}"


def _balance(totals: Mapping[str, Any]) -> str:
    found = totals["node_balance"]
    return "" if found is None else f" (cv {found:.2f})"


def _energy(totals: Mapping[str, Any]) -> str:
    if totals["energy_j"] is None:
        return f"energy {NOT_GIVEN}"
    missing = f" (of {count(totals['unmetered'], 'server')}: {NOT_GIVEN})" if totals["unmetered"] else ""
    return f"{joules(totals['energy_j'])}{missing}"


def _money(totals: Mapping[str, Any]) -> str:
    return f"money {NOT_GIVEN}" if totals["money"] is None else f"USD {dollars(totals['money'])}"


def _error(totals: Mapping[str, Any]) -> str:
    found = totals["output_error"]
    return "" if found is None else f", largest output error {error(found)}"


def real_costs(totals: Mapping[str, Any]) -> Iterator[str]:
    """What a run cost in real time, as far as it was measured: an interrupted run may not have come to that."""
    yield f"{seconds(totals['wall_s'])} wall"
    planning_s, pieces = totals["planning_s"], totals["executed_pieces"]
    yield count(totals["plans"], "plan") + (f" made in {seconds(planning_s)}" if planning_s is not None else "")
    if pieces:
        spent = f" in {seconds(totals['execution_s'])}" if totals["execution_s"] is not None else ""
        yield f"{count(pieces, 'piece')} of models executed{spent}"
    else:
        yield "no layers executed"
    if totals["queries_per_wall_s"]:
        yield f"{rate(totals['queries_per_wall_s'])} queries per wall second"

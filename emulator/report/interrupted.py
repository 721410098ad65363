"""What an interrupted run has left behind, in a sentence."""

from __future__ import annotations

from collections.abc import Mapping

from layerlift.emulator.report.formatting import count, seconds
from layerlift.emulator.results.reader import RunResult


def left_behind(result: RunResult) -> str:
    """What is in the tables of a run that was cut short, in one or two sentences."""
    totals, users = result.summary["totals"], result.summary["users"]
    told: Mapping[str, Mapping[str, int]] = result.run.get("tables", {})
    asked = sum(bool(user["answered"] or user["failed"]) for user in users)
    who = count(len(users), "user") if asked == len(users) else f"{asked:,} of {count(len(users), 'user')}"
    where = f"in {result.directory}" if result.directory is not None else "in memory"
    reason = str(result.run.get("reason") or result.standing.partition(" ")[0])
    rows = sum(table["rows"] for table in told.values())
    counted = f" ({count(rows, 'row')} in all)" if told else ""
    ended = totals["answered"] + totals["failed"]
    at = seconds(totals["virtual_s"])
    return (
        f"{reason[:1].upper()}{reason[1:]} at {at} of virtual time: {count(ended, 'query')} of {who} "
        f"{'is' if ended == 1 else 'are'} {where}{counted}. What was under way then is not."
    )

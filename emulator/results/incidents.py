"""What went wrong in a run, for whom: fallbacks, bytes in vain, evictions, crashes, hand-overs, empty batteries."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from typing import Any

from layerlift.emulator.results.sums import rows_of
from layerlift.models.sums import int_sum

Tables = Callable[[str], Any]


def incidents(tables: Tables) -> dict[str, Any]:
    """Return counts over the whole run, all JSON.

    `fallbacks`: queries that were finished on their client, by cause (`server`, `link`, `lost`, `refused`);
    `wasted_bytes` of uploads; `refused`, `evicted` and `lost` as servers reported them (`evicted` counts disruptions:
    one user losing something at one instant); `changes` by kind; `replans`: plans but for those on arrival, by cause.
    """
    events = Counter(tables("allocations")["event"].to_pylist())
    causes = (cause for cause in tables("queries")["fallback_cause"].to_pylist() if cause)
    return {
        "fallbacks": dict(Counter(causes)),
        "wasted_bytes": int_sum(tables("uploads")["wasted_bytes"].to_pylist()),
        **{event: events.get(event, 0) for event in ("refused", "evicted", "lost")},
        "changes": dict(Counter(tables("changes")["kind"].to_pylist())),
        "replans": dict(Counter(cause for cause in tables("plans")["cause"].to_pylist() if cause != "arrival")),
    }


def incidents_of_users(tables: Tables, world: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return by user: `fallbacks`, `wasted_bytes`, `disruptions`, `handovers`, and `lifetime_s` (s) of its battery.

    The lifetime is from the user's arrival to the empty battery; None for a battery that lasted or that there is not.
    """
    found: dict[str, dict[str, Any]] = defaultdict(
        lambda: {"fallbacks": 0, "wasted_bytes": 0, "disruptions": 0, "handovers": 0, "lifetime_s": None}
    )
    arrived = {user["name"]: float(user["arrival_s"]) for user in world["users"]}
    for user, cause in _columns(tables("queries"), "user", "fallback_cause"):
        found[user]["fallbacks"] += bool(cause)
    for user, wasted in _columns(tables("uploads"), "user", "wasted_bytes"):
        found[user]["wasted_bytes"] += wasted
    for user, event in _columns(tables("allocations"), "user", "event"):
        found[user]["disruptions"] += event == "evicted"
    for row in rows_of(tables("changes").select(["at_s", "kind", "user"])):
        found[row["user"]]["handovers"] += row["kind"] == "hand-over"
        if row["kind"] == "battery empty":
            found[row["user"]]["lifetime_s"] = row["at_s"] - arrived.get(row["user"], 0.0)
    return found


def _columns(table: Any, *names: str) -> Any:
    return zip(*(table[name].to_pylist() for name in names), strict=True)

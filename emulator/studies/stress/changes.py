"""A world made harder: more users, less bandwidth, more faults. Pure functions of a scenario's plain fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any, Final

World = dict[str, Any]
_RATES: Final = ("_mb_s", "_mbit_s")
"""How the names of fields end that are bandwidths."""


def changed(world: Mapping[str, Any], change: str, factor: float) -> World:
    """The fields of `world` with `factor` times the `users`, `bandwidth` or `faults`; the original stays."""
    made = deepcopy(dict(world))
    CHANGES[change](made, factor)
    return made


def more_users(world: World, factor: float) -> None:
    """As many times the users, who come as many times as often: the time over which they come stays."""
    for kind in world.get("users", ()):
        kind["count"] = max(1, round(kind.get("count", 1) * factor))
        arrival = kind.get("arrival")
        if isinstance(arrival, dict) and "per_s" in arrival:
            arrival["per_s"] = _times(arrival["per_s"], factor)


def more_bandwidth(world: World, factor: float) -> None:
    """Every bandwidth: of tiers, of single pairs, of machines' ports and of shared media."""
    named = [*world.get("links", {}).values(), *world.get("media", {}).values()]
    for section in [*named, *world.get("pairs", ()), *world.get("nodes", ())]:
        for field in section:
            if field.endswith(_RATES):
                section[field] = _times(section[field], factor)


def more_faults(world: World, factor: float) -> None:
    """Links break as many times as often, messages are lost as many times as often, crashes last as much longer."""
    for fault in world.get("faults", ()):
        for field in ("on_s", "good_s"):
            if field in fault:
                fault[field] = _times(fault[field], 1.0 / factor)
        for field in ("share", "bad_share"):
            if field in fault:
                fault[field] = min(0.95, _times(fault[field], factor))
        if "crash" in fault and "for_s" in fault:
            fault["for_s"] = _times(fault["for_s"], factor)


CHANGES: Final[dict[str, Callable[[World, float], None]]] = {
    "users": more_users,
    "bandwidth": more_bandwidth,
    "faults": more_faults,
}


def _times(value: Any, factor: float) -> Any:
    """A number, or every number of a list or a law, times a factor; texts stay."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, list):
        return [_times(item, factor) for item in value]
    if isinstance(value, dict):
        return {key: _times(item, factor) for key, item in value.items()}
    return value * factor

"""Which transports a run's links had, in a sentence: what its numbers rest on where they are not fluid and fair."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from layerlift.emulator.report.formatting import seconds
from layerlift.models.sums import int_sum

_NAMED: Final = 3
"""Links that are named of those that are alike."""


def transports(world: Mapping[str, Any]) -> str | None:
    """The links and media with a transport, those that are alike together; None where all are fluid and fair."""
    found = [*(world.get("links") or {}).items(), *(world.get("pairs") or {}).items()]
    found += [(medium["name"], medium) for medium in world.get("media") or ()]
    alike: dict[str, list[str]] = {}
    for name, link in found:
        words = _words(link)
        if words:
            alike.setdefault(words, []).append(name)
    if not alike:
        return None
    told = [f"{_listed(names)}: {words}" for words, names in alike.items()]
    rest = "" if int_sum(map(len, alike.values())) == len(found) else " All others are fluid and fair."
    return f"Transport of {'; '.join(told)}.{rest}"


def _words(link: Mapping[str, Any]) -> str:
    efficiency, weight = float(link.get("efficiency", 1.0)), float(link.get("query_weight", 1.0))
    queue_s = float(link.get("queue_s", 0.0))
    words = []
    if efficiency != 1.0:
        words.append(f"{100.0 * efficiency:.3g} % payload")
    if queue_s:
        words.append(f"{seconds(queue_s)} behind an upload")
    if weight != 1.0:
        words.append(f"queries {weight:.3g} to an upload's 1")
    if link.get("slow_start"):
        words.append("idle connections begin slowly")
    return ", ".join(words)


def _listed(names: list[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")

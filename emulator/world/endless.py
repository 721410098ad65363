"""How much a world asks for by the clock alone: samples, heartbeats, plans and retries, whatever else happens."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf
from typing import Final

from layerlift.emulator.world.world import World
from layerlift.models.errors import RunError

MANY: Final = 1_000_000
"""Rows, or events, of which a run says beforehand that they will come."""
TOO_MANY: Final = 100_000_000
"""Events that no run would ever get through."""
SHORTEST_SAMPLE_S: Final = 1e-6


def check_clocks(world: World) -> list[str]:
    """What is worth saying before a run, a sentence each.

    Raises `RunError`, with the number and the field, for a world whose clocks alone would keep a run busy for ever.
    """
    if world.sample_s < SHORTEST_SAMPLE_S:
        raise RunError(f"sample_s is {world.sample_s:g} s, expected at least {SHORTEST_SAMPLE_S:g}: try 1")
    span_s = world.until_s if world.until_s < inf else max((user.arrival_s for user in world.users), default=0.0)
    said = []
    rows = len(world.nodes) * span_s / world.sample_s
    if rows > MANY:
        said.append(
            f"Up to {rows:,.0f} rows of usage will come, one for each sample_s ({world.sample_s:g} s) in which a node "
            "is used: raise sample_s if that is too many"
        )
    for field, period_s, each in _clocks(world):
        events = each * max(span_s, 1.0) / period_s
        if events >= TOO_MANY:
            raise RunError(
                f"{field} is {period_s:g} s, which makes {events:.3g} events in {max(span_s, 1.0):g} s: expected fewer "
                f"than {TOO_MANY:g}; raise {field}, or end the run with until_s"
            )
        if events > MANY:
            said.append(f"{field} ({period_s:g} s) makes {events:,.0f} events: raise it if that takes too long")
    return said


def _clocks(world: World) -> Iterator[tuple[str, float, int]]:
    """Each field by which something comes again and again, its period (s), and how many do so."""
    if world.planning.heartbeat_s < inf:
        yield "planner.heartbeat_s", world.planning.heartbeat_s, len(world.servers)
    regular = [user.replan_s for user in world.users if user.replan == "every"]
    if regular:
        yield "users.*.replan", min(regular), len(regular)
    waiting = [user.retry_wait_s for user in world.users if user.on_refusal == "wait" and user.retries > MANY]
    if waiting:
        yield "users.*.retry_wait_s", min(waiting), len(waiting)

"""How much a world asks for by the clock alone: samples, heartbeats, plans, retries and crashes, and for how long."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import inf
from typing import Final

from layerlift.emulator.world import streams
from layerlift.emulator.world.faults import Crash
from layerlift.emulator.world.laws import Asks
from layerlift.emulator.world.users import UserSpec
from layerlift.emulator.world.world import World
from layerlift.models.errors import RunError

MANY: Final = 1_000_000
"""Rows, or events, of which a run says beforehand that they will come."""
TOO_MANY: Final = 100_000_000
"""Events that no run would ever get through."""
SHORTEST_SAMPLE_S: Final = 1e-6
YEAR_S: Final = 365.25 * 86_400
LONG_S: Final = YEAR_S
"""A run that nobody ends and that takes longer is worth a word: most often a unit was meant otherwise."""
_MOST_ASKED: Final = 100_000
"""Questions of a user that are looked at."""


def check_clocks(world: World) -> list[str]:
    """What is worth saying before a run, a sentence each.

    Raises `RunError`, with the number and the field, for a world whose clocks alone would keep a run busy for ever.
    """
    if world.sample_s < SHORTEST_SAMPLE_S:
        raise RunError(f"sample_s is {world.sample_s:g} s, expected at least {SHORTEST_SAMPLE_S:g}: try 1")
    span_s = world.until_s if world.until_s < inf else _foreseen_s(world.users)
    said = []
    if LONG_S < span_s < world.until_s:
        said.append(
            f"The run goes on for {span_s:.3g} s or more ({span_s / YEAR_S:,.1f} years), by when its users arrive, ask "
            "and think: give them smaller times, or end it with until_s"
        )
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


def _foreseen_s(users: Iterable[UserSpec]) -> float:
    """When the last user will have asked its last question, at the earliest and on average, in seconds."""
    lasts: dict[tuple[Asks, int], float] = {}  # as many as there are kinds, while users are many
    longest = 0.0
    for user in users:
        count = min(user.queries or _MOST_ASKED, _MOST_ASKED)
        asking_s = user.think.mean_s * (count - 1) if user.queries else 0.0
        if user.asks is not None:
            key = (user.asks, count)
            if key not in lasts:
                lasts[key] = max(user.asks.times(count, streams.user(0, "foreseen", user.kind)), default=0.0)
            asking_s = lasts[key]
        staying_s = user.stay.mean_s if user.stay is not None else inf
        longest = max(longest, user.arrival_s + min(asking_s, staying_s))
    return longest


def _clocks(world: World) -> Iterator[tuple[str, float, int]]:
    """Each field by which something comes again and again, its period (s), and how many do so."""
    if world.planning.heartbeat_s < inf:
        yield "planner.heartbeat_s", world.planning.heartbeat_s, len(world.servers)
    for number, group in enumerate(world.scaling):
        yield f"autoscale.check_s of group {number}", group.check_s, len(group.servers)
    regular = [user.replan_s for user in world.users if user.replan == "every"]
    if regular:
        yield "users.*.replan", min(regular), len(regular)
    waiting = [user.retry_wait_s for user in world.users if user.on_refusal == "wait" and user.retries > MANY]
    if waiting:
        yield "users.*.retry_wait_s", min(waiting), len(waiting)
    for number, fault in enumerate(world.faults):
        if isinstance(fault, Crash) and fault.mean_up_s is not None and fault.mean_down_s is not None:
            yield f"faults.{number}.mean_up_s + mean_down_s", fault.mean_up_s + fault.mean_down_s, len(fault.nodes)
        elif isinstance(fault, Crash) and fault.every_s is not None:
            yield f"faults.{number}.every_s", fault.every_s, len(fault.nodes)

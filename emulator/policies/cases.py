"""Servers and users that every policy must cope with: small, deterministic, and each awkward in its own way."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf

from layerlift.emulator.policies.allocation import Capacity, Claim

MB = 2.0**20


@dataclass(frozen=True, slots=True)
class Case:
    """One server and who is there."""

    capacity: Capacity
    claims: tuple[Claim, ...]


def claim(user: int, **changes: float) -> Claim:
    """A user like others: 100 MB of parameters, 50 ms of work and 0.5 MB over the link, four times a second."""
    made = Claim(user, user, weight=1.0, memory_bytes=100 * MB, work_s=0.05, link_bytes=0.5 * MB, period_s=0.25)
    return replace(made, **changes)  # type: ignore[arg-type]


def random_claim(rng: random.Random, user: int) -> Claim:
    """Somebody with uneven wants; now and then one who wants nothing of something."""

    def amount(most: float) -> float:
        return 0.0 if rng.random() < 0.1 else round(most * rng.random() ** 3, 9)

    return Claim(
        user=user,
        order=user,
        weight=rng.choice((0.5, 1.0, 1.0, 2.0, 5.0)),
        memory_bytes=float(round(amount(600 * MB))),
        work_s=amount(0.4),
        link_bytes=float(round(amount(4 * MB))),
        period_s=rng.choice((0.03, 0.2, 1.0)),
    )


def capacities() -> dict[str, Capacity]:
    """Servers: small, large, and with no limit to something."""
    return {
        "a small server": Capacity(512 * MB, 2, 10 * MB),
        "a large server": Capacity(16_384 * MB, 32, 100 * MB),
        "endless memory": Capacity(inf, 2, 10 * MB),
        "an endless link": Capacity(512 * MB, 2, inf),
        "endless memory and link": Capacity(inf, 1, inf),
        "no memory": Capacity(0.0, 4, 10 * MB),
    }


def crowds() -> dict[str, tuple[Claim, ...]]:
    """Users."""
    rng = random.Random("battery/crowds")
    everything: dict[str, float] = {"memory_bytes": 1e13, "work_s": 1e3, "link_bytes": 1e12}
    nothing: dict[str, float] = {"memory_bytes": 0.0, "work_s": 0.0, "link_bytes": 0.0}
    return {
        "nobody": (),
        "one": (claim(0),),
        "one who wants more than there is": (claim(0, **everything),),
        "two alike": (claim(0), claim(1)),
        "eight alike, too many": tuple(claim(n, memory_bytes=150 * MB, work_s=0.2) for n in range(8)),
        "a giant among others": (claim(0), claim(1, **everything), claim(2)),
        "weights from 1 to 8": tuple(claim(n, weight=2.0**n, memory_bytes=300 * MB, work_s=0.2) for n in range(4)),
        "one without parameters": (claim(0, memory_bytes=0.0), claim(1), claim(2)),
        "one without work": (claim(0, work_s=0.0), claim(1), claim(2)),
        "one without bytes to carry": (claim(0), claim(1, link_bytes=0.0), claim(2)),
        "one who wants nothing": (claim(0), claim(1, **nothing), claim(2)),
        "who wants only memory, only CPU, only link": (
            claim(0, **{**nothing, "memory_bytes": 900 * MB}),
            claim(1, **{**nothing, "work_s": 0.9}),
            claim(2, **{**nothing, "link_bytes": 9 * MB}),
        ),
        "crumbs and giants": (claim(0, memory_bytes=1e-3, work_s=1e-9), claim(1, memory_bytes=1e12, work_s=0.2)),
        "who has listed themselves backwards": tuple(claim(n, order=9 - n) for n in range(10)),
        "forty": tuple(random_claim(rng, user) for user in range(40)),
    }


def battery() -> dict[str, Case]:
    """Every crowd on every server, by a name that says what is awkward."""
    return {
        f"{who} on {where}": Case(capacity, claims)
        for where, capacity in capacities().items()
        for who, claims in crowds().items()
    }


def comings_and_goings(seed: object, steps: int) -> Sequence[tuple[Claim | None, int]]:
    """A random sequence: each step is (who comes, -1) or (None, which user leaves)."""
    rng = random.Random(f"battery/{seed}")
    present: list[int] = []
    made: list[tuple[Claim | None, int]] = []
    for user in range(steps):
        if present and rng.random() < 0.35:
            made.append((None, present.pop(rng.randrange(len(present)))))
        else:
            present.append(user)
            made.append((random_claim(rng, user), -1))
    return made

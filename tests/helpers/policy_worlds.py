"""Servers and users for tests of policies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from typing import Any

from hypothesis import strategies as st

from layerlift.emulator.policies.allocation import Capacity, Claim, Grant, PolicyBase
from layerlift.models.errors import LayerliftError

SERVER = Capacity(memory_bytes=100.0, cores=2, link_bytes_s=10.0)


class Refusing(PolicyBase):
    """Offers everything, and refuses who comes, in words that could be taken for something else: `Refusing:words=1`."""

    WORDS = ("failed: we are full", "gone fishing", "failed:12:server", "confirmed", "")
    revokes = False

    def __init__(self, words: int = 0) -> None:
        self.words = self.WORDS[words]

    def divide(self, capacity: Capacity, claims: Sequence[Claim], before: Mapping[int, Grant]) -> list[Grant]:
        """Who only asks is imagined to ask back to back; a plan's claim has the time of the links in its period."""
        asks = Grant(capacity.memory_bytes, float(capacity.cores), 1.0)
        refused = Grant(0.0, 0.0, 0.0, reason=self.words)
        return [asks if claim.period_s == claim.work_s else refused for claim in claims]


class Odd(PolicyBase):
    """Answers what is no list of sound grants: `Odd:what=text`."""

    def __init__(self, what: str = "nothing") -> None:
        self.what = what

    def grants(self, capacity: Capacity, claims: Sequence[Claim], before: Mapping[int, Grant]) -> Any:
        if self.what == "quits":
            raise SystemExit(3)
        if self.what == "silent":
            raise LayerliftError
        answers: dict[str, Any] = {
            "nothing": None,
            "text": "x" * len(claims),
            "pairs": [(1.0, 1.0)] * len(claims),
            "words": [Grant("1", 1.0, 1.0)] * len(claims),  # type: ignore[arg-type]
            "huge": [Grant(10**400, 1.0, 1.0)] * len(claims),
            "capped": [Grant(1e9, 1.0, 1.0, cpu_cap=0.0)] * len(claims),
            "number": [Grant(1e9, 1.0, 1.0, reason=7)] * len(claims),  # type: ignore[arg-type]
        }
        return answers[self.what]


def user(number: int, **wants: float) -> Claim:
    """Who wants nothing but what is said, once a second."""
    given = {"order": number, "weight": 1.0, "memory_bytes": 0.0, "work_s": 0.0, "link_bytes": 0.0, "period_s": 1.0}
    return Claim(number, **{**given, **wants})  # type: ignore[arg-type]


@st.composite
def servers(draw: st.DrawFn, endless: bool = True) -> Capacity:
    some = st.floats(1.0, 1e6)
    maybe = st.one_of(some, st.just(inf)) if endless else some
    return Capacity(draw(maybe), draw(st.integers(1, 16)), draw(maybe))


@st.composite
def users(draw: st.DrawFn, most: int = 6, equal_weights: bool = False, wants_all: bool = False) -> list[Claim]:
    """Users who want anything from nothing to several times what servers have."""
    amount = st.one_of(st.floats(1e-3, 30.0), st.sampled_from((1.0, 2.0)))
    if not wants_all:
        amount = st.one_of(amount, st.just(0.0))
    made = []
    for number in range(draw(st.integers(1, most))):
        made.append(
            Claim(
                user=number + 100,
                order=number,
                weight=1.0 if equal_weights else draw(st.sampled_from((0.5, 1.0, 3.0))),
                memory_bytes=draw(amount) * 1e4,
                work_s=draw(amount),
                link_bytes=draw(amount) * 1e4,
                period_s=draw(st.sampled_from((0.1, 1.0, 4.0))),
            )
        )
    return made


def parts_needed(capacity: Capacity, claim: Claim) -> list[float]:
    """What a user needs at full speed, as parts of what there is."""
    return [
        claim.memory_bytes / capacity.memory_bytes,
        claim.work_s / claim.period_s / capacity.cores,
        claim.link_bytes / claim.period_s / capacity.link_bytes_s,
    ]


def parts_granted(capacity: Capacity, grant: Grant) -> list[float]:
    memory = 1.0 if capacity.memory_bytes == inf else grant.memory_bytes / capacity.memory_bytes
    return [memory, grant.cpu / capacity.cores, grant.link]


def speed(capacity: Capacity, claim: Claim, grant: Grant) -> float:
    """How fast a user could go with nothing but a grant: 1 is full speed."""
    needed, granted = parts_needed(capacity, claim), parts_granted(capacity, grant)
    return min([1.0] + [has / need for has, need in zip(granted, needed, strict=True) if need > 0.0])

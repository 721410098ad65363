"""When users come: a tagged union in which the first key tells the law. A new law is one more class and tag."""

from __future__ import annotations

import random
from typing import Annotated, Any

from pydantic import Discriminator, Tag

from emulator.fields import NonNegative, Part, Positive, assume


class AtOnce(Part):
    """Everybody at one instant."""

    at_s: NonNegative = assume(0.0)

    def times(self, count: int, rng: random.Random) -> list[float]:
        """Return arrival times in seconds, ascending, shape (count,)."""
        return [self.at_s] * count


class Every(Part):
    """One after the other, at a fixed distance."""

    every_ms: Positive
    start_s: NonNegative = 0.0

    def times(self, count: int, rng: random.Random) -> list[float]:
        """Return arrival times in seconds, ascending, shape (count,)."""
        return [self.start_s + number * self.every_ms / 1000.0 for number in range(count)]


class Poisson(Part):
    """At random, `per_s` a second on average."""

    per_s: Positive
    start_s: NonNegative = 0.0

    def times(self, count: int, rng: random.Random) -> list[float]:
        """Return arrival times in seconds, ascending, shape (count,), rounded to 1 ns."""
        now, found = self.start_s, []
        for _ in range(count):
            now += rng.expovariate(self.per_s)
            found.append(round(now, 9))
        return found


def _arrival(value: Any) -> str | None:
    keys = value if isinstance(value, dict) else type(value).model_fields if isinstance(value, Part) else ()
    return next((f"<{key}>" for key in ("every_ms", "per_s", "at_s") if key in keys), None)


Arrival = Annotated[
    Annotated[AtOnce, Tag("<at_s>")] | Annotated[Every, Tag("<every_ms>")] | Annotated[Poisson, Tag("<per_s>")],
    Discriminator(
        _arrival,
        custom_error_type="arrival",
        custom_error_message="one of {at_s: seconds}, {every_ms: distance} or {per_s: rate}",
    ),
]

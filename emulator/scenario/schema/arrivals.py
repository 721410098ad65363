"""When users come and when they ask: a tagged union in which the first key tells the law.

A new law is one more class here, one more tag, and one more `Asks` in `layerlift.emulator.world.laws`.
"""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import Discriminator, Tag, model_validator

from layerlift.emulator.scenario.schema.arrival_files import recorded
from layerlift.emulator.scenario.schema.fields import NonNegative, Positive, Section, Text, assume, flaw
from layerlift.emulator.world import laws

MOST_A_PERIOD: Final = 1e9
FEWEST_A_BURST: Final = 1e-3


class Law(Section):
    """What all laws can do."""

    @abstractmethod
    def law(self, folder: str) -> laws.Asks:
        """Return the law as a world carries it. `folder` is where relative file names begin.

        Raises `ScenarioError` for a trace that cannot be used.
        """


class AtOnce(Law):
    """All at one instant."""

    at_s: NonNegative = assume(0.0)

    def law(self, folder: str) -> laws.Asks:
        """See `Law`."""
        return laws.AllAt(self.at_s)


class Every(Law):
    """One after the other, at a fixed distance."""

    every_ms: Positive
    start_s: NonNegative = 0.0

    def law(self, folder: str) -> laws.Asks:
        """See `Law`."""
        return laws.Regular(self.every_ms, self.start_s)


class Poisson(Law):
    """At random, `per_s` a second on average."""

    per_s: Positive
    start_s: NonNegative = 0.0

    def law(self, folder: str) -> laws.Asks:
        """See `Law`."""
        return laws.Steady(self.per_s, self.start_s)


class Burst(Section):
    """Two rates, and how long each holds on average."""

    quiet_per_s: NonNegative
    busy_per_s: Positive
    quiet_s: Positive
    busy_s: Positive

    @model_validator(mode="after")
    def _possible(self) -> Burst:
        if self.busy_per_s < self.quiet_per_s:
            raise flaw(("busy_per_s",), f"is {self.busy_per_s:g}, expected at least quiet_per_s ({self.quiet_per_s:g})")
        if self.quiet_per_s * self.quiet_s + self.busy_per_s * self.busy_s < FEWEST_A_BURST:
            raise flaw(
                ("busy_s",),
                f"is {self.busy_s:g}, with which not one of {1 / FEWEST_A_BURST:,.0f} bursts holds anything: "
                "expected longer times or higher rates",
            )
        return self


class Bursting(Law):
    """At random at a rate that switches between quiet and busy (MMPP), quiet at first."""

    burst: Burst
    start_s: NonNegative = 0.0

    def law(self, folder: str) -> laws.Asks:
        """See `Law`."""
        burst = self.burst
        return laws.Bursts(burst.quiet_per_s, burst.busy_per_s, burst.quiet_s, burst.busy_s, self.start_s)


class Diurnal(Section):
    """The rates at the trough and at the peak, and when the peak is."""

    low_per_s: NonNegative
    high_per_s: Positive
    period_s: Positive = 86400.0
    peak_s: NonNegative = 43200.0

    @model_validator(mode="after")
    def _possible(self) -> Diurnal:
        if self.high_per_s < self.low_per_s:
            raise flaw(("high_per_s",), f"is {self.high_per_s:g}, expected at least low_per_s ({self.low_per_s:g})")
        if self.high_per_s * self.period_s > MOST_A_PERIOD:
            raise flaw(
                ("high_per_s",),
                f"is {self.high_per_s:g}, which makes more than {MOST_A_PERIOD:,.0f} in a period: expected fewer",
            )
        return self


class Daily(Law):
    """At random at a rate that swings between a trough and a peak once a period."""

    diurnal: Diurnal
    start_s: NonNegative = 0.0

    def law(self, folder: str) -> laws.Asks:
        """See `Law`."""
        day = self.diurnal
        return laws.Day(day.low_per_s, day.high_per_s, day.period_s, day.peak_s, self.start_s)


class Recorded(Law):
    """As a file says: CSV or Parquet, one row each."""

    trace: Text
    column: Text = "time_s"
    start_s: NonNegative = 0.0
    """Second 0 of the file."""
    repeat_s: Positive | None = None
    """The rows come again after this long."""

    def law(self, folder: str) -> laws.Asks:
        """See `Law`."""
        return laws.RecordedInstants(
            recorded(Path(folder) / self.trace, self.column, self.repeat_s), self.start_s, self.repeat_s
        )


_KEYS: Final = ("every_ms", "per_s", "burst", "diurnal", "trace", "at_s")


def _arrival(value: Any) -> str | None:
    keys = value if isinstance(value, dict) else type(value).model_fields if isinstance(value, Section) else ()
    return next((f"<{key}>" for key in _KEYS if key in keys), None)


Arrival = Annotated[
    Annotated[AtOnce, Tag("<at_s>")]
    | Annotated[Every, Tag("<every_ms>")]
    | Annotated[Poisson, Tag("<per_s>")]
    | Annotated[Bursting, Tag("<burst>")]
    | Annotated[Daily, Tag("<diurnal>")]
    | Annotated[Recorded, Tag("<trace>")],
    Discriminator(
        _arrival,
        custom_error_type="arrival",
        custom_error_message="one of {at_s: seconds}, {every_ms: distance}, {per_s: rate}, "
        "{burst: {...}}, {diurnal: {...}} or {trace: file}",
    ),
]

"""When users come and when they ask: a tagged union in which the first key tells the law.

A new law is one more class here, in `ARRIVALS`, and one more `Asks` in `layerlift.emulator.world.laws`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final

from pydantic import ConfigDict, model_validator

from layerlift.emulator.scenario.schema.arrival_files import recorded
from layerlift.emulator.scenario.schema.fields import NonNegative, Positive, Section, Text, assume, flaw
from layerlift.emulator.scenario.schema.files import Files
from layerlift.emulator.scenario.schema.instants import Start
from layerlift.emulator.scenario.schema.unions import one_of
from layerlift.emulator.world import laws

MOST_A_PERIOD: Final = 1e9
FEWEST_A_BURST: Final = 1e-3


class Law(Section):
    """What all laws can do. The first field is the key that tells the law."""

    example: ClassVar[str]
    """How it is written, as an error message shows it."""

    @abstractmethod
    def law(self, files: Files) -> laws.Asks:
        """Return the law as a world carries it. `files` has those that a scenario names.

        Raises `ScenarioError` for a trace that cannot be used.
        """

    @property
    def ends(self) -> bool:
        """Whether a user that asks by it has asked everything some day, however many it may ask."""
        return False

    @property
    def stands_still(self) -> bool:
        """Whether all its instants are one, so that somebody must say how many there are."""
        return False


class AtOnce(Law):
    """All at one instant."""

    # What tells a law from the others must be there, though its value could be left out.
    model_config = ConfigDict(json_schema_extra={"required": ["at_s"]})
    example = "{at_s: seconds}"

    at_s: NonNegative = assume(0.0)

    @property
    def stands_still(self) -> bool:
        """See `Law`."""
        return True

    def law(self, files: Files) -> laws.Asks:
        """See `Law`."""
        return laws.AllAt(self.at_s)


class Every(Law):
    """One after the other, at a fixed distance."""

    example = "{every_ms: distance}"

    every_ms: Positive
    start_s: NonNegative = 0.0

    def law(self, files: Files) -> laws.Asks:
        """See `Law`."""
        return laws.Regular(self.every_ms, self.start_s)


class Poisson(Law):
    """At random, `per_s` a second on average."""

    example = "{per_s: rate}"

    per_s: Positive
    start_s: NonNegative = 0.0

    def law(self, files: Files) -> laws.Asks:
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

    example = "{burst: {...}}"

    burst: Burst
    start_s: NonNegative = 0.0

    def law(self, files: Files) -> laws.Asks:
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

    example = "{diurnal: {...}}"

    diurnal: Diurnal
    start_s: NonNegative = 0.0

    def law(self, files: Files) -> laws.Asks:
        """See `Law`."""
        day = self.diurnal
        return laws.Day(day.low_per_s, day.high_per_s, day.period_s, day.peak_s, self.start_s)


class Recorded(Law):
    """As a file says: CSV or Parquet, one row each."""

    example = "{trace: file}"

    trace: Text
    column: Text = "time_s"
    start_s: Start = 0.0
    """When second 0 of the file is; below 0 for a file that counts from long ago, such as from 1970."""
    repeat_s: Positive | None = None
    """The rows come again after this long."""

    @property
    def ends(self) -> bool:
        """See `Law`."""
        return self.repeat_s is None

    def law(self, files: Files) -> laws.Asks:
        """See `Law`."""
        # What a file counts from 1970 would lose its fractions where it is shifted later.
        early_s = min(self.start_s, 0.0)
        times = recorded(files, self.trace, self.column, self.repeat_s, early_s)
        return laws.RecordedInstants(times, max(self.start_s, 0.0), self.repeat_s)


ARRIVALS: Final[tuple[type[Law], ...]] = (AtOnce, Every, Poisson, Bursting, Daily, Recorded)
"""Every law."""


def any_arrival(sections: Sequence[type[Law]]) -> Any:
    """The type of a field that takes one of these laws."""
    *examples, last = (section.example for section in sections)
    return one_of(sections, "arrival", f"one of {', '.join(examples)} or {last}")


if TYPE_CHECKING:
    Arrival = Law
else:
    Arrival = any_arrival(ARRIVALS)

"""Laws of time as a world carries them: when things happen (`Asks`), and how long they take (`Draw`).

Plain frozen values that can be pickled. What they draw comes from the generator that they are handed, is rounded to
1 ns and made of + - x /, `random` and `expovariate`, so that the same seed gives the same instants everywhere.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count as numbers
from itertools import cycle, islice, pairwise, repeat
from math import inf

from layerlift.models.sums import left_sum


class Asks(ABC):
    """When one instant follows another: the arrivals of a kind's users, or the questions of one user."""

    __slots__ = ()

    @abstractmethod
    def instants(self, rng: random.Random) -> Iterator[float]:
        """Yield times in seconds, ascending: without end, but for a trace that is not repeated."""

    @abstractmethod
    def words(self) -> str:
        """Return the law as a person reads it, such as `every 33 ms`."""

    @property
    @abstractmethod
    def mean_per_s(self) -> float:
        """Instants a second, in the long run; infinite where all come at once."""

    @property
    def gap_variation(self) -> float:
        """Squared coefficient of variation of the gaps: 0 regular, 1 at random. Bursts are more, and count as 1."""
        return 1.0

    def times(self, count: int, rng: random.Random) -> list[float]:
        """Return the first `count` times in seconds, ascending; fewer only where a trace ends before."""
        return list(islice(self.instants(rng), count))


@dataclass(frozen=True, slots=True)
class AllAt(Asks):
    """All at one instant."""

    at_s: float = 0.0

    def instants(self, rng: random.Random) -> Iterator[float]:
        """See `Asks`; time stands still, so nobody should ask for all of them."""
        return repeat(self.at_s)

    @property
    def mean_per_s(self) -> float:
        """See `Asks`."""
        return inf

    @property
    def gap_variation(self) -> float:
        """See `Asks`."""
        return 0.0

    def words(self) -> str:
        """See `Asks`."""
        return f"all at {self.at_s:g} s"


@dataclass(frozen=True, slots=True)
class Regular(Asks):
    """One after the other at a fixed distance, the first at `start_s`."""

    every_ms: float
    start_s: float = 0.0

    def instants(self, rng: random.Random) -> Iterator[float]:
        """See `Asks`."""
        return (self.start_s + number * self.every_ms / 1000.0 for number in numbers())

    @property
    def mean_per_s(self) -> float:
        """See `Asks`."""
        return 1000.0 / self.every_ms

    @property
    def gap_variation(self) -> float:
        """See `Asks`."""
        return 0.0

    def words(self) -> str:
        """See `Asks`."""
        return f"every {self.every_ms:g} ms"


@dataclass(frozen=True, slots=True)
class Steady(Asks):
    """Poisson: gaps are exponential, `per_s` a second on average."""

    per_s: float
    start_s: float = 0.0

    def instants(self, rng: random.Random) -> Iterator[float]:
        """See `Asks`."""
        now = self.start_s
        while True:
            now += rng.expovariate(self.per_s)
            yield round(now, 9)

    @property
    def mean_per_s(self) -> float:
        """See `Asks`."""
        return self.per_s

    def words(self) -> str:
        """See `Asks`."""
        return f"{self.per_s:g} a second at random"


@dataclass(frozen=True, slots=True)
class Bursts(Asks):
    """A Poisson process modulated by two states (MMPP), each held for an exponential time; the first is quiet."""

    quiet_per_s: float
    busy_per_s: float
    quiet_s: float
    """Mean time in the quiet state."""
    busy_s: float
    start_s: float = 0.0

    def instants(self, rng: random.Random) -> Iterator[float]:
        """See `Asks`. A gap that a change of state cuts is drawn anew, which the exponential law does not notice."""
        now = 0.0
        for per_s, mean_s in cycle(((self.quiet_per_s, self.quiet_s), (self.busy_per_s, self.busy_s))):
            ends = now + rng.expovariate(1.0 / mean_s)
            while per_s:
                now += rng.expovariate(per_s)
                if now >= ends:
                    break
                yield round(self.start_s + now, 9)
            now = ends

    @property
    def mean_per_s(self) -> float:
        """See `Asks`."""
        asked = self.quiet_per_s * self.quiet_s + self.busy_per_s * self.busy_s
        return asked / (self.quiet_s + self.busy_s)

    def words(self) -> str:
        """See `Asks`."""
        return (
            f"{self.quiet_per_s:g} a second at random for {self.quiet_s:g} s, "
            f"then {self.busy_per_s:g} for {self.busy_s:g} s, on average"
        )


@dataclass(frozen=True, slots=True)
class Day(Asks):
    """A Poisson process whose rate swings between `low_per_s` and `high_per_s`, once a period.

    At the share u of half a period away from the nearest peak the rate is low + (high - low) (1 - u)^2 (1 + 2u):
    within 1.01 % of the swing of a raised cosine, flat at the peak and at the trough, its mean midway between the two.
    It is not a cosine because that differs between processors in its last bit.
    """

    low_per_s: float
    high_per_s: float
    period_s: float
    peak_s: float
    """On the same clock as the instants."""
    start_s: float = 0.0

    def rate(self, at_s: float) -> float:
        """Return the rate per second at an instant, never outside [low_per_s, high_per_s]."""
        return self._rate(at_s - self.peak_s)

    def _rate(self, since_peak_s: float) -> float:
        phase = since_peak_s % self.period_s
        away = min(1.0, 2.0 * min(phase, self.period_s - phase) / self.period_s)
        swing = (1.0 - away) * (1.0 - away) * (1.0 + 2.0 * away)
        return min(self.high_per_s, self.low_per_s + (self.high_per_s - self.low_per_s) * swing)

    def instants(self, rng: random.Random) -> Iterator[float]:
        """See `Asks`. Thinning (Lewis and Shedler, 1979): instants at the highest rate, each kept by its chance."""
        began = (self.start_s - self.peak_s) % self.period_s
        now = 0.0
        while True:
            now += rng.expovariate(self.high_per_s)
            if rng.random() * self.high_per_s < self._rate(began + now):
                yield round(self.start_s + now, 9)

    @property
    def mean_per_s(self) -> float:
        """See `Asks`."""
        return (self.low_per_s + self.high_per_s) / 2.0

    def words(self) -> str:
        """See `Asks`."""
        return (
            f"{self.low_per_s:g} to {self.high_per_s:g} a second at random over {self.period_s:g} s, "
            f"most at {self.peak_s:g} s"
        )


@dataclass(frozen=True, slots=True)
class RecordedInstants(Asks):
    """Instants that somebody wrote down."""

    recorded_s: tuple[float, ...]
    """Ascending, at least one."""
    start_s: float = 0.0
    repeat_s: float | None = None
    """They come again after this long; None: once."""

    def instants(self, rng: random.Random) -> Iterator[float]:
        """See `Asks`."""
        for turn in (0,) if self.repeat_s is None else numbers():
            began = self.start_s + turn * (self.repeat_s or 0.0)
            for at in self.recorded_s:
                yield round(began + at, 9)

    @property
    def mean_per_s(self) -> float:
        """See `Asks`."""
        gaps = self._gaps()
        return len(gaps) / left_sum(gaps) if left_sum(gaps) > 0.0 else 0.0

    @property
    def gap_variation(self) -> float:
        """See `Asks`."""
        gaps = self._gaps()
        if not left_sum(gaps) > 0.0:
            return 0.0
        mean = left_sum(gaps) / len(gaps)
        return left_sum((gap - mean) * (gap - mean) for gap in gaps) / len(gaps) / (mean * mean)

    def _gaps(self) -> list[float]:
        """Seconds between the instants, with the one to the first of the next turn where they come again."""
        gaps = [later - earlier for earlier, later in pairwise(self.recorded_s)]
        if self.repeat_s is not None:
            gaps.append(self.repeat_s - (self.recorded_s[-1] - self.recorded_s[0]))
        return gaps

    def words(self) -> str:
        """See `Asks`."""
        again = "" if self.repeat_s is None else f", again every {self.repeat_s:g} s"
        return f"a trace of {len(self.recorded_s):,}{again}"


class Draw(ABC):
    """A number of seconds that is drawn each time it is needed."""

    __slots__ = ()

    @abstractmethod
    def value(self, rng: random.Random) -> float:
        """Return one value in seconds, at least 0; drawn ones are rounded to 1 ns."""

    @property
    @abstractmethod
    def mean_s(self) -> float:
        """The mean in seconds."""

    def left_s(self, passed_s: float) -> float:
        """The mean of what is left of a time that has lasted so many seconds (at least 0) and is not over."""
        return max(0.0, self.mean_s - passed_s)

    @property
    def memoryless(self) -> bool:
        """Whether what is left of it is as long as the whole was."""
        return False

    @abstractmethod
    def words(self) -> str:
        """Return the law as a person reads it, such as `2 s on average (exponential)`."""


@dataclass(frozen=True, slots=True)
class Fixed(Draw):
    """Always the same; draws nothing."""

    seconds: float = 0.0

    def value(self, rng: random.Random) -> float:
        """See `Draw`."""
        return self.seconds

    @property
    def mean_s(self) -> float:
        """See `Draw`."""
        return self.seconds

    def words(self) -> str:
        """See `Draw`."""
        return f"{self.seconds:g} s"


@dataclass(frozen=True, slots=True)
class Exponential(Draw):
    """Without memory."""

    mean: float

    def value(self, rng: random.Random) -> float:
        """See `Draw`."""
        return round(rng.expovariate(1.0 / self.mean), 9)

    @property
    def mean_s(self) -> float:
        """See `Draw`."""
        return self.mean

    def left_s(self, passed_s: float) -> float:
        """See `Draw`."""
        return self.mean

    @property
    def memoryless(self) -> bool:
        """See `Draw`."""
        return True

    def words(self) -> str:
        """See `Draw`."""
        return f"{self.mean:g} s on average (exponential)"


@dataclass(frozen=True, slots=True)
class Uniform(Draw):
    """Anything between two ends alike."""

    low_s: float
    high_s: float

    def value(self, rng: random.Random) -> float:
        """See `Draw`."""
        return round(rng.uniform(self.low_s, self.high_s), 9)

    @property
    def mean_s(self) -> float:
        """See `Draw`."""
        return (self.low_s + self.high_s) / 2.0

    def left_s(self, passed_s: float) -> float:
        """See `Draw`."""
        return max(0.0, (max(self.low_s, passed_s) + self.high_s) / 2.0 - passed_s)

    def words(self) -> str:
        """See `Draw`."""
        return f"{self.low_s:g} to {self.high_s:g} s (uniform)"

"""How far the emulation is from what really happened, what it may be off by, and when nothing is to be said."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from layerlift.emulator.studies.validate.pace import MOST_DRIFT, pace
from layerlift.emulator.studies.validate.records import AFTER, BEFORE, Query, Round
from layerlift.models.timing.profile import TRUSTED, within

Kind = Literal["computing", "network", "upload"]
Word = Literal["holds", "beyond", "few", "drifted", "none"]

QUIET: Final = 0.05
"""Interference up to which a machine counts as idle."""
MOST_INTERFERENCE: Final = 0.25
MOST_RATE_ERROR: Final = 0.02
FEWEST: Final = 5
"""Queries of a phase that are judged."""
NETWORK, SHORT_COMPUTING, LONG_UPLOAD, BUSY = 0.05, 0.15, 0.03, 0.10
SHORT_S: Final = 0.010
LONG_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Standing:
    """How the machine stood while it was tried."""

    interference: float
    """What share of the time for computing others had the processor."""
    rate_error: float
    """By how much the link was faster than it should be while it was busy; NaN where nobody paces himself."""
    coverage: float
    """Of the profile (`layerlift.models.timing.profile.Profile`)."""

    @property
    def busy(self) -> bool:
        """Whether values without the others' share are judged."""
        return self.interference > QUIET

    @property
    def refusal(self) -> str:
        """Why there is no verdict; empty where there is one."""
        if self.interference > MOST_INTERFERENCE:
            return (
                f"others had the processor for {self.interference:.0%} of the time for computing, "
                f"more than {MOST_INTERFERENCE:.0%}"
            )
        if abs(self.rate_error) > MOST_RATE_ERROR:
            return (
                f"the link that was made here was {self.rate_error:+.1%} off its rate, more than {MOST_RATE_ERROR:.0%}"
            )
        if not within(self.coverage):
            return (
                f"the layers of the profile take {self.coverage:.2f} of the whole network's time, expected "
                f"{TRUSTED[0]:g} to {TRUSTED[1]:g}"
            )
        return ""


@dataclass(frozen=True, slots=True)
class Row:
    """One phase of a situation, or its upload: what was seen, and what the emulation says."""

    situation: str
    phase: str
    kind: Kind
    real_s: tuple[float, ...]
    corrected_s: tuple[float, ...]
    """The same without what others had of the processor."""
    emulated_s: tuple[float, ...]
    widest: float | None = None
    """The bound, where it is another than that of its kind."""
    pace: float = 1.0
    """Of this machine meanwhile (`pace.pace`), which the emulation was told."""

    @property
    def median_s(self) -> float:
        """The median that was seen."""
        return statistics.median(self.real_s)

    @property
    def emulation_s(self) -> float:
        """The emulation's median."""
        return statistics.median(self.emulated_s)

    @property
    def drift(self) -> float:
        """By how much layers took longer than their profile says (less: below 0), by their threads' own clocks."""
        return self.pace - 1

    def judged_s(self, standing: Standing) -> float:
        """The real value that is judged."""
        return statistics.median(self.corrected_s) if standing.busy else self.median_s

    def difference(self, standing: Standing) -> float:
        """The emulation's median over the real one, less 1."""
        return self.emulation_s / self.judged_s(standing) - 1

    def bound(self, standing: Standing) -> float:
        """How much that may be, either way."""
        short = self.kind == "computing" and self.emulation_s < SHORT_S
        if self.widest is not None and self.kind != "computing":
            return self.widest
        if standing.busy:
            return max(BUSY, SHORT_COMPUTING if short else 0.0)
        if self.kind == "upload":
            return LONG_UPLOAD if self.emulation_s >= LONG_S else NETWORK
        return SHORT_COMPUTING if short else NETWORK

    def word(self, standing: Standing) -> Word:
        """The verdict."""
        if standing.refusal:
            return "none"
        if self.kind != "upload" and min(len(self.real_s), len(self.corrected_s)) < FEWEST:
            return "few"
        if self.kind == "computing" and abs(self.drift) > MOST_DRIFT:
            return "drifted"
        return "holds" if abs(self.difference(standing)) <= self.bound(standing) else "beyond"

    def as_dict(self, standing: Standing) -> dict[str, Any]:
        """Everything as JSON."""
        return {
            "situation": self.situation,
            "phase": self.phase,
            "kind": self.kind,
            "n": len(self.real_s),
            "median_s": self.median_s,
            "low_s": min(self.real_s),
            "high_s": max(self.real_s),
            "corrected_s": statistics.median(self.corrected_s),
            "drift": self.drift,
            "emulated_n": len(self.emulated_s),
            "emulated_s": self.emulation_s,
            "difference": self.difference(standing),
            "bound": self.bound(standing),
            "verdict": self.word(standing),
        }


def rows(
    situation: str,
    rounds: Sequence[Round],
    profile_s: float,
    emulation: Callable[[float], Round],
    widest: float | None = None,
) -> Iterator[Row]:
    """The phases of a situation, and its upload; a phase that either side has not met is left out.

    `emulation` says what the emulation says of a machine of such a pace; `profile_s` is what all layers take by the
    profile that it has.
    """
    by_phase: dict[str, list[Query]] = {phase: [] for phase in rounds[0].phases()}
    for each in rounds:
        for query in each.queries:
            by_phase[each.phase(query)].append(query)
    for number, (phase, seen) in enumerate(by_phase.items()):
        drifted = pace(seen, profile_s)
        emulated = emulation(drifted)
        told = tuple(query.latency_s for query in emulated.queries if emulated.phase(query) == phase)
        if seen and told:
            kind: Kind = "computing" if phase == BEFORE or number == 1 else "network"
            real = tuple(query.latency_s for query in seen)
            corrected = tuple(query.corrected_s for query in seen)
            yield Row(situation, phase, kind, real, corrected, told, widest, drifted)
    beside = [query for phase, seen in by_phase.items() if phase not in (BEFORE, AFTER) for query in seen]
    drifted = pace(beside, profile_s)
    uploads = tuple(each.upload_s for each in rounds)
    yield Row(situation, "upload", "upload", uploads, uploads, (emulation(drifted).upload_s,), widest, drifted)


def worst(found: Sequence[Row], standing: Standing) -> float:
    """The largest difference of judged rows with the network; NaN where there is none."""
    judged = [row for row in found if row.word(standing) in ("holds", "beyond")]
    off = [abs(row.difference(standing)) for row in judged if row.kind != "computing"]
    return max(off, default=float("nan"))

"""A report card: what each contender made of each family, against the best that is known."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from layerlift.emulator.studies.compare.statistics import Interval, difference, interval
from layerlift.emulator.studies.stress.measures import NUMBERS
from layerlift.emulator.studies.stress.ratios import Ratio, geometric, paired

MARGIN: Final = 0.02
"""Ratios nearer to 1 than this are equal for a person."""
MISSES: Final = 0.01
"""So much of all queries more may fail, or come late, before it is told."""
Verdict = Literal["reference", "better", "as good", "undecided", "worse", "misses more", "no plans", "nothing known"]
BAD: Final = ("worse", "misses more", "no plans")
Worlds = Mapping[int, Mapping[str, Any]]
"""Outcomes of one contender in one family, by number of the world; `{"failed": reason}` among them."""


@dataclass(frozen=True, slots=True)
class Row:
    """One contender in one family."""

    contender: str
    family: str
    reference: str
    """Of whom its ratio is; empty where nobody's runs are known."""
    ratio: Ratio
    """Of the value (what a query costs users against the same at home) to the reference's, world by world."""
    value: Ratio
    optimum: Ratio
    """Of the value to what the cost model proves that nobody can go below, over the worlds in which it proves it."""
    missed: Interval
    """Share of queries that failed or came late."""
    missed_more: Interval
    """The same less the reference's, world by world."""
    means: Mapping[str, float]
    """Means over the worlds of the other numbers of `layerlift.emulator.studies.stress.measures`; nan where none."""
    verdict: Verdict
    worst: int | None
    """Number of the world with the largest ratio (of equals the first); None where none is known."""
    worst_ratio: float
    failed: tuple[str, ...] = ()
    """Why runs could not be made."""
    why: str = ""
    """The first reason of a plan that was none."""
    digests: tuple[str, ...] = ()
    times: Mapping[str, float] = field(default_factory=dict, compare=False)
    """Of this machine: CPU seconds of a run, and seconds of a plan, median over worlds and most. In no comparison."""

    def as_dict(self) -> dict[str, Any]:
        """As JSON, without times."""
        return {
            "contender": self.contender, "family": self.family, "reference": self.reference or None,
            "verdict": self.verdict, "ratio": self.ratio.as_dict(), "value": self.value.as_dict(),
            "optimum": self.optimum.as_dict(), "missed": _number(self.missed.mean),
            "missed_more": _number(self.missed_more.mean),
            **{key: _number(value) for key, value in self.means.items()},
            "worst_world": self.worst, "worst_ratio": _number(self.worst_ratio), "failed": list(self.failed),
            "why": self.why, "digests": list(self.digests),
        }  # fmt: skip


def best_of(found: Mapping[str, Worlds], names: Iterable[str]) -> str:
    """Who of `names` is a family's reference: of those who miss hardly more than the least, the least mean value.

    Only worlds that all of them finished count; empty where there are none.
    """
    known = {name: _finished(found[name]) for name in names if found.get(name)}
    known = {name: worlds for name, worlds in known.items() if worlds}
    common = set.intersection(*(set(worlds) for worlds in known.values())) if known else set()
    if not common:
        return ""
    missed = {name: interval(known[name][world]["missed"] for world in common).mean for name in known}
    least = min(missed.values())
    fit = [name for name in known if missed[name] <= least + MISSES]
    return min(fit, key=lambda name: geometric(known[name][world]["value"] for world in sorted(common)).mean)


def row(contender: str, family: str, found: Worlds, reference: str, theirs: Worlds, optima: Mapping[int, float]) -> Row:
    """Put together what the worlds of one family gave; `theirs` are those of the reference."""
    mine, other = _finished(found), _finished(theirs)
    ratios = {w: paired({w: mine[w]["value"]}, {w: other[w]["value"]}).mean for w in sorted(mine.keys() & other.keys())}
    worst = max(ratios, key=lambda world: (ratios[world], -world), default=None)
    failed = dict.fromkeys(f"{each['failed']}" for _, each in sorted(found.items()) if "failed" in each)
    missed = {world: each["missed"] for world, each in mine.items()}
    more = difference(missed, {world: each["missed"] for world, each in other.items()})
    means = {key: interval(_known(each[key] for each in mine.values())).mean for key in NUMBERS if key not in _APART}
    ratio = geometric(ratios.values())
    proved = [mine[world]["value"] / optima[world] for world in sorted(mine.keys() & optima.keys())]
    return Row(
        contender,
        family,
        reference,
        ratio,
        geometric(each["value"] for each in mine.values()),
        geometric(proved),
        interval(missed.values()),
        more,
        means,
        verdict_of(ratio, more, means.get("plans_failed", math.nan), bool(failed), contender == reference),
        worst,
        ratios[worst] if worst is not None else math.nan,
        tuple(failed),
        next((each["why"] for _, each in sorted(mine.items()) if each["why"]), ""),
        tuple(each["digest"] for _, each in sorted(mine.items())),
        _times([each["timing"] for each in mine.values()]),
    )


def verdict_of(ratio: Ratio, more: Interval, plans_failed: float, failed: bool, itself: bool) -> Verdict:
    """What is to be said of a row: by whole intervals, and never by their middle alone."""
    if failed or plans_failed > MISSES:
        return "no plans"
    if itself:
        return "reference"
    if ratio.n < 2:
        return "nothing known" if not ratio.n else "undecided"
    if more.mean - more.half > MISSES:
        return "misses more"
    if ratio.low > 1.0 + MARGIN:
        return "worse"
    if ratio.high < 1.0 - MARGIN:
        return "better"
    return "as good" if ratio.high <= 1.0 + 5 * MARGIN else "undecided"


_APART: Final = ("value", "missed")


def _finished(worlds: Worlds) -> dict[int, Mapping[str, Any]]:
    return {number: each for number, each in worlds.items() if "failed" not in each and each["value"] is not None}


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _times(found: Sequence[Mapping[str, float]]) -> dict[str, float]:
    if not found:
        return {}
    plans = sorted(each["plan_s"] for each in found)
    return {
        "cpu_s": interval(each["cpu_s"] for each in found).mean,
        "plan_s": plans[len(plans) // 2],
        "plan_most_s": max(each["plan_most_s"] for each in found),
    }


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None

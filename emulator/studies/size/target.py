"""`--until 'p95_ms <= 300'`: a number of a run, and the bound that it has to keep."""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from layerlift.emulator.studies.compare.metrics import BY_KEY, Metric
from layerlift.emulator.studies.compare.statistics import Interval
from layerlift.models.errors import RunError, near

SHORT: Final = {
    "p95_s": "latency_p95_queries_s",
    "mean_s": "latency_mean_queries_s",
    "p95_users_s": "latency_p95_users_s",
    "mean_users_s": "latency_mean_users_s",
}
"""What may be written for it."""
OF_KINDS: Final = (
    "answered", "open", "failed", "latency_mean_queries_s", "latency_p95_queries_s", "latency_mean_users_s",
    "latency_p95_users_s", "jain", "min_max", "gini", "envy", "unanswered", "deadline_queries", "deadline_users",
    "energy_j", "money",
)  # fmt: skip
"""Numbers that each kind of users has of its own."""
WITHOUT: Final = frozenset(key for key in BY_KEY if key.startswith("slowdown") or key in ("total", "price"))
"""Numbers that a run alone does not have: they are against other runs."""
_UNITS: Final = {"_ms": ("_s", 1e-3), "_kj": ("_j", 1e3)}
_ASKED: Final = re.compile(r"\s*(?:([^\s.<>=]+)\.)?(\w+)\s*(<=|>=|<|>)\s*([-+.\deE]+)\s*(%|ms|s)?\s*")


@dataclass(frozen=True, slots=True)
class Target:
    """A bound on a number of a run."""

    metric: Metric
    kind: str
    """Of which kind of users; empty: of the whole run."""
    at_most: bool
    strict: bool
    limit: float
    """In the metric's own unit."""
    text: str
    """As it was given."""

    def holds(self, found: Interval) -> bool:
        """Whether the whole interval keeps the bound; the mean alone where there is only one value."""
        half = 0.0 if found.n == 1 else found.half
        edge = found.mean + half if self.at_most else found.mean - half
        if math.isnan(edge):
            return False
        if self.strict:
            return edge < self.limit if self.at_most else edge > self.limit
        return edge <= self.limit if self.at_most else edge >= self.limit

    @property
    def title(self) -> str:
        """`latency, p95 over queries of camera`."""
        return f"{self.metric.title} of {self.kind}" if self.kind else self.metric.title


def parsed(text: str, kinds: Collection[str]) -> Target:
    """Read `[KIND.]METRIC <= NUMBER`; metrics are compare's keys, `_ms` may stand for `_s`, and % for a share.

    `kinds` are those of the scenario's users. Raises `RunError` for what is no such bound.
    """
    found = _ASKED.fullmatch(text)
    if found is None:
        raise RunError(f"the target is {text!r}, expected METRIC <= NUMBER, as in 'p95_ms <= 300' or 'jain >= 0.9'")
    kind, word, sign, number, unit = found.groups()
    metric, factor = metric_of(word, f"the target {text!r}")
    if kind is not None and kind not in kinds:
        raise RunError(f"the target {text!r} is of {kind!r}, which is no kind of its users{near(kind, kinds)}")
    if kind is not None and metric.key not in OF_KINDS:
        raise RunError(f"the target {text!r} is of {kind!r}, but {metric.key} is a number of the whole run only")
    return Target(metric, kind or "", sign[0] == "<", len(sign) == 1, _limit(number, unit, factor, metric, text), text)


def metric_of(word: str, said: str) -> tuple[Metric, float]:
    """The metric that a word means, and how many of its unit one of the word's is (`_ms`: 0.001).

    Raises `RunError`, which begins with `said`, for a word that is none, or of a number that is against other runs.
    """
    others = ((word.removesuffix(end) + to, factor) for end, (to, factor) in _UNITS.items() if word.endswith(end))
    for name, factor in ((word, 1.0), *others):
        key = SHORT.get(name, name)
        if key in WITHOUT:
            raise RunError(f"{said} is against other runs: expected a number of one, such as p95_ms")
        if key in BY_KEY:
            return BY_KEY[key], factor
    known = [*SHORT, *(key for key in BY_KEY if key not in WITHOUT)]
    known += [key.removesuffix("_s") + "_ms" for key in known if key.endswith("_s")]
    raise RunError(f"{said} has no metric {word!r}, expected one such as p95_ms{near(word, known)}")


def _unit(metric: Metric, factor: float) -> str:
    ends = {("s", 1e-3): "ms", ("J", 1e3): "kJ"}
    return ends.get((metric.unit, factor), {"share": "parts of 1, or in %"}.get(metric.unit, metric.unit))


def _limit(number: str, unit: str | None, factor: float, metric: Metric, text: str) -> float:
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    fits = {None: True, "%": metric.unit == "share", "ms": metric.unit == "s", "s": metric.unit == "s"}[unit]
    if not math.isfinite(value) or not fits or (unit in ("ms", "s") and factor != 1.0):
        expected = "a number" if metric.unit in ("count", "number") else f"a number in {_unit(metric, factor)}"
        raise RunError(f"the target {text!r} has the bound {number}{unit or ''}, expected {expected} without its unit")
    return value * {None: factor, "%": 0.01, "ms": 1e-3, "s": 1.0}[unit]

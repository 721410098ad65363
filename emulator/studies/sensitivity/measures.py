"""`--metric p95_ms`, `--metric camera.mean_ms`: the numbers of a run that assumptions may move."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple

from layerlift.emulator.studies.compare.metrics import Metric
from layerlift.emulator.studies.size.target import OF_KINDS, metric_of
from layerlift.models.errors import RunError, near

_ASKED: Final = re.compile(r"(?:([^\s.<>=]+)\.)?(\w+)")
USUAL: Final = ("mean_ms",)
"""What is looked at when nothing is said."""


class Measure(NamedTuple):
    """A number of a run."""

    metric: Metric
    kind: str
    """Of which kind of users; empty: of the whole run."""

    @property
    def title(self) -> str:
        """`latency, p95 over queries of camera`."""
        return f"{self.metric.title} of {self.kind}" if self.kind else self.metric.title

    @property
    def key(self) -> str:
        """As it may be asked for: `camera.latency_p95_queries_s`."""
        return f"{self.kind}.{self.metric.key}" if self.kind else self.metric.key

    def of(self, outcome: Mapping[str, Any]) -> float | None:
        """Its value in what is kept of a run; None where the run has none."""
        numbers = outcome["kinds"].get(self.kind, {}) if self.kind else outcome["numbers"]
        value = numbers.get(self.metric.key)
        return None if value is None else float(value)

    def worth(self, value: float) -> float:
        """What is smaller the better it is; 0 for a number of which neither more nor less is better."""
        return {"less": value, "more": -value, "zero": abs(value), "": 0.0}[self.metric.better]


def measures(texts: str | Sequence[str], kinds: Collection[str]) -> tuple[Measure, ...]:
    """Read `[KIND.]METRIC`s; metrics are compare's keys, or `p95_ms` and its like, each once.

    `kinds` are those of the scenario's users. Raises `RunError` for what is no such number.
    """
    given = [texts] if isinstance(texts, str) else texts
    if not isinstance(given, Sequence) or not all(isinstance(text, str) for text in given):
        raise RunError(f"metrics is {given!r:.80}, expected a list of texts such as ['p95_ms']")
    return tuple(dict.fromkeys(_measure(text, kinds) for text in given or USUAL))


def _measure(text: str, kinds: Collection[str]) -> Measure:
    found = _ASKED.fullmatch(text.strip())
    if found is None:
        raise RunError(f"the metric is {text!r:.80}, expected [KIND.]METRIC, as in p95_ms or camera.mean_ms")
    kind, word = found.groups()
    metric, _ = metric_of(word, f"--metric {text}")
    if kind is not None and kind not in kinds:
        raise RunError(f"the metric {text!r} is of {kind!r}, which is no kind of its users{near(kind, kinds)}")
    if kind is not None and metric.key not in OF_KINDS:
        raise RunError(f"the metric {text!r} is of {kind!r}, but {metric.key} is a number of the whole run only")
    return Measure(metric, kind or "")

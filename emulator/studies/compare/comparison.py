"""Runs side by side: what was seen of each, by variant and seed, becomes means with intervals and paired differences.

Pure: from `Trial`s to numbers. Who makes trials is `layerlift.emulator.studies.compare.jobs` (runs) and
`layerlift.emulator.studies.compare.directories` (what has been run).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from layerlift.emulator.report.formatting import NOTHING, count
from layerlift.emulator.results.notebook import html_table
from layerlift.emulator.results.writer import jsonable
from layerlift.emulator.studies.compare.metrics import BY_KEY, METRICS
from layerlift.emulator.studies.compare.statistics import CONFIDENCE, Interval, difference, interval
from layerlift.emulator.studies.compare.trials import Trial, Variant
from layerlift.emulator.studies.compare.written import scale_of, shown
from layerlift.emulator.studies.fairness.indices import price_of_fairness
from layerlift.models.errors import RunError, near


@dataclass(frozen=True)
class Comparison:
    """Everything that a comparison knows. `trials` may lack some variants and seeds (it was interrupted)."""

    title: str
    variants: tuple[Variant, ...]
    trials: tuple[Trial, ...]
    swept: str = ""
    """The path of the swept field, or `users`; empty without a sweep."""
    notes: tuple[str, ...] = ()
    complete: bool = True
    """Whether all that was asked for was tried; not so when the user stopped it."""
    signal: int = 0
    """The number of the signal that stopped it; 0: none did."""

    def __post_init__(self) -> None:
        pairs = [(trial.variant, trial.seed) for trial in self.trials]
        if len(set(pairs)) < len(pairs):
            raise RunError("a variant has two results for one seed: expected one each")

    def __repr__(self) -> str:
        return f"<Comparison {self._told}>"

    def _repr_html_(self) -> str:
        """The means with their intervals: a row for each metric that is not nothing everywhere."""
        lines, numbers = [], range(len(self.variants))
        for metric in METRICS:
            means = [self.mean(metric.key, number) for number in numbers]
            none_given = metric.missing != NOTHING and not any(mean.n for mean in means)
            if none_given or any(mean.mean or mean.half > 0 for mean in means if mean.n):
                scale = scale_of(metric, [mean.mean for mean in means])
                lines.append([scale.title(metric), *(self.told(metric.key, n, scale.factor) for n in numbers)])
        return html_table(f"Comparison {self._told}", ["mean", *(v.label for v in self.variants)], lines)

    @property
    def _told(self) -> str:
        """Everything but the numbers, on one line."""
        done = sum(trial.status == "done" for trial in self.trials)
        variants = ", ".join(variant.label for variant in self.variants[:4]) + ", ..." * (len(self.variants) > 4)
        swept = f"{self.swept} swept, " * bool(self.swept)
        stopped = "" if self.complete else ", stopped by the user"
        told = (
            f"{self.title}: {count(len(self.variants), 'variant')} ({variants}), {swept}"
            f"{count(len(self.seeds), 'seed')}, {done} of {count(len(self.trials), 'run')} done{stopped}"
        )
        return "".join(letter if letter.isprintable() else " " for letter in told)

    @property
    def slow(self) -> bool:
        """Whether costs are slowdowns; else they are latencies."""
        return any(
            not math.isnan(trial.seen.numbers["slowdown_mean_users"]) for trial in self.trials if trial.seen is not None
        )

    @property
    def seeds(self) -> list[int]:
        """The seeds of all trials, ascending."""
        return sorted({trial.seed for trial in self.trials})

    @property
    def names(self) -> list[str]:
        """Names of variants, whatever the swept value, in order."""
        return list(dict.fromkeys(variant.name for variant in self.variants))

    def of(self, variant: int) -> list[Trial]:
        """The trials of a variant that saw something, by seed."""
        found = [trial for trial in self.trials if trial.variant == variant and trial.seen is not None]
        return sorted(found, key=lambda trial: trial.seed)

    def baseline(self, variant: int) -> int | None:
        """Which variant this one is held against: the first at the same swept value; of one name only, the first.

        None for that one itself.
        """
        own = self.variants[variant]
        alike = len(self.names) == 1
        first = next(n for n, other in enumerate(self.variants) if alike or other.value == own.value)
        return None if first == variant else first

    @cached_property
    def _values(self) -> dict[tuple[str, int], dict[int, float]]:
        found: dict[tuple[str, int], dict[int, float]] = defaultdict(dict)
        for trial in self.trials:
            for key, value in trial.seen.numbers.items() if trial.seen is not None else ():
                if not math.isnan(value):
                    found[key, trial.variant][trial.seed] = value
        for (variant, seed), price in self._prices().items():
            found["price", variant][seed] = price
        return found

    def _prices(self) -> dict[tuple[int, int], float]:
        """The price of fairness of each trial, against the best total of the same world and seed."""
        totals: dict[tuple[str, int], dict[int, float]] = defaultdict(dict)
        for trial in self.trials:
            if trial.seen is not None and trial.status == "done":
                world = self.variants[trial.variant].world
                totals[world, trial.seed][trial.variant] = trial.seen.numbers["total"]
        found = {}
        for (world, seed), group in totals.items():
            if world and len(group) > 1:
                best = max(group.values())
                found.update({(v, seed): price_of_fairness(total, best) for v, total in group.items()})
        return {key: price for key, price in found.items() if not math.isnan(price)}

    def values(self, key: str, variant: int) -> Mapping[int, float]:
        """Return a metric of a variant by seed, where it has a value."""
        return self._values.get((key, variant), {})

    def mean(self, key: str, variant: int) -> Interval:
        """Return the mean over seeds of a metric of a variant."""
        return interval(self.values(key, variant).values())

    def told(self, key: str, variant: int, factor: float = 1.0) -> str:
        """A mean with its interval as text; of a variant that was run without that number, why there is none."""
        text = shown(self.mean(key, variant), factor)
        return BY_KEY[key].missing if text == NOTHING and self.of(variant) else text

    def against(self, key: str, variant: int) -> Interval | None:
        """Return the paired difference to the baseline, over seeds that both have; None where there is no pair.

        `key` is a metric's (`layerlift.emulator.studies.compare.metrics.METRICS`), `variant` a place in `variants`.
        Raises `RunError` for one that there is not.
        """
        if key not in BY_KEY:
            raise RunError(f"there is no metric {key!r}{near(key, BY_KEY)}: expected one such as {METRICS[0].key}")
        if not 0 <= variant < len(self.variants):
            raise RunError(f"there is no variant {variant}: expected 0 to {len(self.variants) - 1}, as in `variants`")
        first = self.baseline(variant)
        found = difference(self.values(key, variant), self.values(key, first)) if first is not None else None
        return found if found is not None and found.n else None

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield a row for every variant, seed and metric; of a failed trial one row with its reason."""
        for trial in sorted(self.trials, key=lambda trial: (trial.variant, trial.seed)):
            variant, first = self.variants[trial.variant], self.baseline(trial.variant)
            told = {
                "variant": variant.label, "planner": variant.planner, "policy": variant.policy, "swept": self.swept,
                "swept_value": variant.value, "seed": trial.seed, "status": trial.status, "reason": trial.reason,
            }  # fmt: skip
            if trial.seen is None:
                yield {**told, "metric": "", "unit": "", "value": None, "vs_first": None}
                continue
            for metric in METRICS:
                value = self.values(metric.key, trial.variant).get(trial.seed)
                other = self.values(metric.key, first).get(trial.seed) if first is not None else None
                apart = None if value is None or other is None else 0.0 if value == other else value - other
                yield {**told, "metric": metric.key, "unit": metric.unit, "value": value, "vs_first": apart}

    def to_arrow(self) -> Any:
        """Return `rows` as a `pyarrow.Table`: what compare.parquet holds."""
        import pyarrow as pa

        texts = ("variant", "planner", "policy", "swept", "swept_value"), ("status", "reason", "metric", "unit")
        fields = [*((name, pa.string()) for name in texts[0]), ("seed", pa.int64())]
        fields += [*((name, pa.string()) for name in texts[1]), ("value", pa.float64()), ("vs_first", pa.float64())]
        return pa.Table.from_pylist(list(self.rows()), schema=pa.schema(fields))

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON: what compare.json holds."""
        return dict(
            jsonable(
                {
                    "title": self.title,
                    "swept": self.swept or None,
                    "cost": "slowdown" if self.slow else "latency_s",
                    "confidence": CONFIDENCE,
                    "seeds": self.seeds,
                    "notes": self.notes,
                    "metrics": [metric._asdict() for metric in METRICS],
                    "variants": [self._variant(number) for number in range(len(self.variants))],
                }
            )
        )

    def _variant(self, number: int) -> dict[str, Any]:
        variant, first = self.variants[number], self.baseline(number)
        trials = sorted((t for t in self.trials if t.variant == number), key=lambda trial: trial.seed)
        return {
            "label": variant.label,
            "planner": variant.planner,
            "policy": variant.policy,
            "value": variant.value or None,
            "baseline": self.variants[first].label if first is not None else None,
            "seeds": [
                {
                    "seed": trial.seed,
                    "status": trial.status,
                    "reason": trial.reason,
                    "digest": trial.seen.digest if trial.seen is not None else None,
                    "note": trial.seen.note if trial.seen is not None else "",
                }
                for trial in trials
            ],
            "metrics": {key: self._metric(key, number) for key in BY_KEY if self.values(key, number)},
        }

    def _metric(self, key: str, variant: int) -> dict[str, Any]:
        apart = self.against(key, variant)
        return {
            **self.mean(key, variant)._asdict(),
            "by_seed": dict(self.values(key, variant)),
            "vs_first": apart._asdict() if apart is not None else None,
        }

    def remarks(self) -> list[str]:
        """Return the notes, and a sentence for each variant that failed or has something to be known, once each."""
        said: dict[str, list[int]] = {}
        for trial in sorted(self.trials, key=lambda trial: (trial.variant, trial.seed)):
            label = self.variants[trial.variant].label
            if trial.seen is None:
                said.setdefault(f"{label} failed: {trial.reason}", []).append(trial.seed)
            elif trial.seen.note:
                said.setdefault(f"{label}: {trial.seen.note}", []).append(trial.seed)
        told = [*self.notes, *(f"{text} ({_seeds(seeds)})" for text, seeds in said.items())]
        told += [f"the same for every user: {', '.join(labels)}" for labels in self._twins()]
        if self._same():
            told.append("all seeds gave the same: nothing in this scenario is drawn, so intervals have no width")
        return told

    def _twins(self) -> list[list[str]]:
        """Labels of variants whose users met the same at every seed: on charts they cover each other."""
        groups: dict[str, list[str]] = defaultdict(list)
        for number, variant in enumerate(self.variants):
            met = [(trial.seed, trial.seen.users) for trial in self.of(number) if trial.seen]
            groups[repr([(seed, [user[:2] for user in users]) for seed, users in met])].append(variant.label)
        return [labels for met, labels in groups.items() if len(labels) > 1 and met != "[]"]

    def _same(self) -> bool:
        groups = [[trial.seen for trial in self.of(variant)] for variant in range(len(self.variants))]
        several = [[(seen.users, seen.numbers["answered"]) for seen in group if seen] for group in groups if group[1:]]
        return bool(several) and all(repr(seen) == repr(group[0]) for group in several for seen in group)


def _seeds(seeds: Sequence[int]) -> str:
    shown = ", ".join(map(str, seeds[:8])) + (", ..." if len(seeds) > 8 else "")
    return f"seed {shown}" if len(seeds) == 1 else f"seeds {shown}"

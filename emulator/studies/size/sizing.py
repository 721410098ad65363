"""What a sizing found: every step, which of them keep the target, and the smallest that does."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from layerlift.emulator.report.formatting import NOTHING
from layerlift.emulator.studies.compare.metrics import BY_KEY
from layerlift.emulator.studies.compare.statistics import Interval, interval
from layerlift.emulator.studies.compare.written import Scale, scale_of, shown
from layerlift.emulator.studies.size.target import Target
from layerlift.models.text import escaped


@dataclass(frozen=True, slots=True)
class Step:
    """One value of each field under one planner, over all seeds."""

    planner: str
    values: tuple[str, ...]
    place: tuple[int, ...]
    """Of each value among its field's: smaller ones come first."""
    found: Interval
    """Of the target's number."""
    holds: bool
    money: Interval
    energy_j: Interval
    binds: str
    """What is full for a tenth of the time or more, at the first seed; empty for nothing."""
    failed: tuple[str, ...] = ()
    """Why runs could not be made."""
    notes: tuple[str, ...] = ()
    """What is to be known of those that were."""
    digests: tuple[str, ...] = ()

    @property
    def cost(self) -> tuple[float, float, tuple[int, ...]]:
        """What ranks steps that hold: money, then energy, where they are known; then the values."""
        known = [math.inf if math.isnan(value.mean) else value.mean for value in self.spent.values()]
        return known[0], known[1], self.place

    @property
    def spent(self) -> dict[str, Interval]:
        """Money and energy, by metric."""
        return {"money": self.money, "energy_j": self.energy_j}


@dataclass(frozen=True, slots=True)
class Sizing:
    """What `size` found; see `sentences` for the answer."""

    title: str
    fields: tuple[str, ...]
    target: Target
    seeds: tuple[int, ...]
    steps: tuple[Step, ...]
    complete: bool = True
    notes: tuple[str, ...] = ()
    signal: int = 0
    """The number of the signal that stopped it; 0: none did."""

    @property
    def planners(self) -> tuple[str, ...]:
        """In the order asked for."""
        return tuple(dict.fromkeys(step.planner for step in self.steps))

    def of(self, planner: str) -> list[Step]:
        """The steps under one planner, smallest values first."""
        return sorted((step for step in self.steps if step.planner == planner), key=lambda step: step.place)

    def answers(self, planner: str) -> list[Step]:
        """The smallest step that holds; of two fields every one that holds and is not dominated, cheapest first."""
        holding = [step for step in self.of(planner) if step.holds]
        best = [step for step in holding if not any(_below(other, step) for other in holding)]
        return sorted(best, key=lambda step: step.cost)

    def sentences(self) -> list[str]:
        """The answer in words, a sentence or two for each planner."""
        return [text for planner in self.planners for text in self._told(planner)]

    def scale(self) -> Scale:
        """The unit that the target's number is shown in."""
        known = [step.found.mean for step in self.steps if math.isfinite(step.found.mean)]
        return scale_of(self.target.metric, [*known, self.target.limit])

    def shown(self, found: Interval) -> str:
        """The target's number with its interval and unit."""
        scale = self.scale()
        text = shown(found, scale.factor)
        return text if text == NOTHING or not scale.unit else f"{text} {scale.unit}"

    def _told(self, planner: str) -> Iterator[str]:
        steps, answers = self.of(planner), self.answers(planner)
        tried = f"{len(steps)} steps" if len(self.fields) > 1 else f"{steps[0].values[0]} to {steps[-1].values[0]}"
        if not any(step.failed or step.found.n for step in steps):
            yield f"With {planner} no run has a number for {self.target.title}, so {self.target.text} cannot be judged."
            return
        if not answers:
            best, names = min(steps, key=lambda step: _distance(step, self.target)), " and ".join(self.fields)
            yield (
                f"With {planner} no value of {names} ({tried}) keeps {self.target.text}: the nearest is "
                f"{self._named(best)} with {self.shown(best.found)}{_because(best)}."
            )
            return
        first, *others = answers
        yield (
            f"With {planner} {self._named(first)} is enough for {self.target.text}: {self.target.title} is "
            f"{self.shown(first.found)}{self._spent(first)}."
        )
        for other in others:
            yield f"So is {self._named(other)}: {self.shown(other.found)}{self._spent(other)}."
        before = [step for step in steps if len(self.fields) == 1 and step.place < first.place]
        if before:
            yield f"{self._named(before[-1])} is not: {self.shown(before[-1].found)}{_because(before[-1])}."
        after = [
            step for step in steps if not step.holds and not step.failed and any(_below(one, step) for one in answers)
        ]
        if after:
            names = ", ".join(" and ".join(step.values) for step in after[:8]) + (", ..." if after[8:] else "")
            yield f"More is not always better: {names} {'does' if len(after) == 1 else 'do'} not keep it."
        broken = [" and ".join(step.values) for step in steps if step.failed]
        if broken:
            names = ", ".join(broken[:8]) + (", ..." if broken[8:] else "")
            yield f"Runs failed at {names}, so that nothing is known there."

    def _named(self, step: Step) -> str:
        return " and ".join(f"{name} = {value}" for name, value in zip(self.fields, step.values, strict=True))

    def _spent(self, step: Step) -> str:
        told = [
            f"{shown(value, scale.factor)} {scale.unit}"
            for key, value in step.spent.items()
            if value.n and value.mean and not self._is_target(key)
            for scale in [scale_of(BY_KEY[key], [value.mean])]
        ]
        return f", and a run costs {' and '.join(told)}" if told else ""

    def _spending(self) -> dict[str, Scale]:
        """What runs cost, each with its unit: of money and energy what is spent at all, and is not the target."""
        keys = [key for key in ("money", "energy_j") if not self._is_target(key)]
        found = {key: [step.spent[key].mean for step in self.steps if step.spent[key].n] for key in keys}
        return {key: scale_of(BY_KEY[key], means) for key, means in found.items() if any(means)}

    def _is_target(self, key: str) -> bool:
        """Whether this number of a whole run is what the target is about: then it is shown once."""
        return key == self.target.metric.key and not self.target.kind

    def as_dict(self) -> dict[str, Any]:
        """Everything as JSON."""
        return {
            "title": self.title,
            "fields": list(self.fields),
            "target": {"text": self.target.text, "metric": self.target.metric.key, "unit": self.target.metric.unit,
                       "kind": self.target.kind or None, "limit": self.target.limit},
            "seeds": list(self.seeds),
            "complete": self.complete,
            "sentences": self.sentences(),
            "notes": list(self.notes),
            "answers": {planner: [list(step.values) for step in self.answers(planner)] for planner in self.planners},
            "steps": [
                {
                    "planner": step.planner, "values": list(step.values), "holds": step.holds,
                    "found": _plain(step.found), "money": _plain(step.money), "energy_j": _plain(step.energy_j),
                    "binds": step.binds, "failed": list(step.failed), "notes": list(step.notes),
                    "digests": list(step.digests),
                }
                for step in self.steps
            ],
        }  # fmt: skip

    def to_arrow(self) -> Any:
        """Return every step as a row of a `pyarrow.Table`: planner, a column for each field, the number, cost, why."""
        import pyarrow as pa

        steps = [step for planner in self.planners for step in self.of(planner)]
        columns: dict[str, Any] = {"planner": pa.array([step.planner for step in steps], pa.string())}
        for place, name in enumerate(self.fields):
            columns[name] = pa.array([float(step.values[place]) for step in steps], pa.float64())
        key = self.target.metric.key
        for name, found in ((key, "found"), ("money", "money"), ("energy_j", "energy_j")):
            told = [_plain(getattr(step, found)) for step in steps]
            columns[name] = pa.array([each["mean"] for each in told], pa.float64())
            columns[f"{name}_half"] = pa.array([each["half"] for each in told], pa.float64())
        columns["holds"] = pa.array([step.holds for step in steps], pa.bool_())
        columns["binds"] = pa.array([step.binds for step in steps], pa.string())
        columns["failed"] = pa.array(["; ".join(step.failed) for step in steps], pa.string())
        return pa.table(columns)

    def __repr__(self) -> str:
        return f"<Sizing of {self.title}: {' '.join(self.sentences())}>"

    def _repr_html_(self) -> str:
        rows = "".join(
            "<tr>" + "".join(f"<td>{escaped(cell)}</td>" for cell in cells) + "</tr>" for cells in self.table()[1]
        )
        heads = "".join(f"<th>{escaped(head)}</th>" for head in self.table()[0])
        return f"<p>{escaped(' '.join(self.sentences()))}</p><table><tr>{heads}</tr>{rows}</table>"

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Heads and lines of the table of all steps."""
        scale = self.scale()
        several = len(self.planners) > 1
        heads = [*(["planner"] if several else []), *self.fields, scale.title(self.target.metric), "holds"]
        spending = self._spending()
        heads += [*(of.title(BY_KEY[key]) for key, of in spending.items()), "what binds"]
        lines = []
        for planner in self.planners:
            for step in self.of(planner):
                spent = [shown(step.spent[key], of.factor) for key, of in spending.items()]
                told = step.binds.removeprefix("What binds: ").rstrip(".") or NOTHING
                lines.append(
                    [*([planner] if several else []), *step.values, shown(step.found, scale.factor),
                     "yes" if step.holds else "no", *spent, "; ".join([*step.failed, *step.notes, told])]
                )  # fmt: skip
        return heads, lines


def step(
    planner: str, values: Sequence[str], place: Sequence[int], outcomes: Mapping[int, Mapping[str, Any]], target: Target
) -> Step:
    """Put together what the seeds of one step gave; a step with a run that failed does not hold."""
    ended = [outcomes[seed] for seed in sorted(outcomes)]  # they end in any order
    whole = [each for each in ended if "failed" not in each]
    numbers = [each["kinds"].get(target.kind, {}) if target.kind else each["numbers"] for each in whole]
    found = interval(each[target.metric.key] for each in numbers if target.metric.key in each)
    failed = [f"failed: {each['failed']}" for each in ended if "failed" in each]
    notes = [each["note"] for each in whole if each["note"]]
    return Step(
        planner,
        tuple(values),
        tuple(place),
        found,
        not failed and found.n == len(outcomes) and target.holds(found),
        interval(each["numbers"]["money"] for each in whole if "money" in each["numbers"]),
        interval(each["numbers"]["energy_j"] for each in whole if "energy_j" in each["numbers"]),
        whole[0]["binds"] if whole else "",
        tuple(dict.fromkeys(failed)),
        tuple(dict.fromkeys(notes)),
        tuple(each["digest"] for each in whole),
    )


def _below(one: Step, other: Step) -> bool:
    """Whether `one` takes no more of any field than `other`, and less of some."""
    pairs = list(zip(one.place, other.place, strict=True))
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


def _distance(step: Step, target: Target) -> float:
    if math.isnan(step.found.mean):
        return math.inf
    return step.found.mean - target.limit if target.at_most else target.limit - step.found.mean


def _because(step: Step) -> str:
    if step.failed:
        return f" ({step.failed[0]})"
    told = step.binds.removeprefix("What binds: ").rstrip(".")
    return f", where what binds is {told}" if told else ""


def _plain(found: Interval) -> dict[str, float | int | None]:
    mean, half = (None if not math.isfinite(value) else value for value in (found.mean, found.half))
    return {"mean": mean, "half": half, "n": found.n}

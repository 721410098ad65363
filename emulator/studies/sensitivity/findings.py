"""What `sensitivity` found: what matters most, what turns the ranking of planners, and every number."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from layerlift.emulator.report.formatting import NOTHING, count, share
from layerlift.emulator.results.notebook import html_table
from layerlift.emulator.studies.compare.statistics import CONFIDENCE, Interval
from layerlift.emulator.studies.compare.written import Scale, scale_of, shown
from layerlift.emulator.studies.sensitivity.factors import TIMES, Fixed
from layerlift.emulator.studies.sensitivity.levels import Levels, Step, Swing, Turn, failures
from layerlift.emulator.studies.sensitivity.measures import Measure
from layerlift.emulator.studies.sensitivity.screening import Screening
from layerlift.models.text import escaped

MOST_NAMED: Final = 3
"""Assumptions that a sentence names, beside the first."""


@dataclass(frozen=True)
class Sensitivity:
    """What `sensitivity` found; see `sentences` for the answer, `to_arrow` for the numbers."""

    title: str
    measures: tuple[Measure, ...]
    seeds: tuple[int, ...]
    levels: Levels
    fixed: tuple[Fixed, ...]
    """What was not varied, and why."""
    screening: Screening | None = None
    complete: bool = True
    notes: tuple[str, ...] = ()
    signal: int = 0
    """The number of the signal that stopped it; 0: none did."""

    @property
    def planners(self) -> tuple[str, ...]:
        """In the order asked for."""
        return self.levels.planners

    def sentences(self) -> list[str]:
        """The answer in words: what matters most under each planner, then what turns their ranking."""
        told = [self._most(measure, planner) for measure in self.measures for planner in self.planners]
        if len(self.planners) > 1:
            told += [text for measure in self.measures for text in self._ranked(measure)]
        if self.screening is not None:
            told += [text for measure in self.measures for text in self._screened(measure, self.screening)]
        return [text for text in told if text]

    def remarks(self) -> list[str]:
        """What else is to be known: notes, levels that could not be had, and how much was not varied."""
        told = [*self.notes, *failures(self.levels)]
        for measure in self.measures:
            still = self._still(measure)
            if still:
                told.append(f"{measure.title} is the same at half and double of {', '.join(still)}")
        if self.fixed:
            told.append(
                f"not varied: {len(self.fixed)} of the assumptions that a run lists, each with its reason "
                "(on the page, and in sensitivity.json)"
            )
        return told

    def scale(self, measure: Measure) -> Scale:
        """The unit that a number is shown in."""
        found = [self.levels.base(measure, planner).mean for planner in self.planners]
        found += [
            level.mean
            for planner in self.planners
            for swing in self.levels.swings(measure, planner)
            for level in swing.levels.values()
        ]
        return scale_of(measure.metric, found)

    def shown(self, measure: Measure, found: Interval) -> str:
        """A number with its interval and unit."""
        scale = self.scale(measure)
        text = bare(found, scale.factor)
        return text if text == NOTHING or not scale.unit else f"{text} {scale.unit}"

    def change(self, measure: Measure, planner: str, found: Interval) -> str:
        """How far a level is from the scenario as it is: in per cent of that, or as it stands where that is 0."""
        base = self.levels.base(measure, planner).mean
        if math.isfinite(base) and base and math.isfinite(found.mean):
            return f"{bare(found, 100 / abs(base), signed=True)} %"
        return bare(found, self.scale(measure).factor, signed=True)

    def table(self, measure: Measure) -> tuple[list[str], list[list[str]]]:
        """Heads and lines of the table of one number: a line for each planner and assumption, most first.

        What moves nothing has no line.
        """
        several, scale = len(self.planners) > 1, self.scale(measure)
        unit = f" ({scale.unit})" if scale.unit else ""
        heads = ["assumption", *(["planner"] if several else []), "is", f"at half{unit}", f"at double{unit}"]
        heads += ["half", "double", *(["ranking"] if several else [])]
        turns, lines = self.levels.turns(measure), []
        for planner in self.planners:
            for swing in self.levels.moving(measure, planner):
                factor = self.levels.factors[swing.factor]
                cells = [bare(swing.levels.get(level), scale.factor) for level in TIMES]
                away = [self._away(measure, planner, swing, level) for level in TIMES]
                own = [turn for turn in turns if turn.step.factor == swing.factor and planner == turn.ahead]
                told = "; ".join(f"{turn.step.level}: {turn.told()}" for turn in own)
                lines.append([factor.name, *([planner] if several else []), _brief(factor.values()), *cells, *away,
                              *([told] if several else [])])  # fmt: skip
        return heads, lines

    def effects(self, measure: Measure) -> tuple[list[str], list[list[str]]]:
        """Heads and lines of the screening: a line for each planner and assumption, most first; none without one."""
        if self.screening is None:
            return [], []
        lines, scale = [], self.scale(measure)
        unit = f" ({scale.unit})" if scale.unit else ""
        for planner in self.planners:
            found = list(enumerate(self.screening.effects(measure, planner)))
            for number, effect in sorted(found, key=lambda each: (-_known(each[1].size.mean), each[0])):
                cells = [bare(effect.size, scale.factor)]
                cells += [shown(Interval(each, math.nan, 1), scale.factor) for each in (effect.mean, effect.spread)]
                lines.append([self.levels.factors[number].name, planner, *cells])
        return ["assumption", "planner", f"mean size{unit}", f"mean{unit}", f"spread{unit}"], lines

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield a row for every number, planner, assumption and level, that of the scenario itself first."""
        for measure in self.measures:
            turns = self.levels.turns(measure)
            for planner in self.planners:
                told = {"metric": measure.key, "unit": measure.metric.unit, "planner": planner}
                yield told | _row("", "", "as it is", self.levels.base(measure, planner), None, "")
                for swing in self.levels.swings(measure, planner):
                    factor = self.levels.factors[swing.factor]
                    for level, found in swing.levels.items():
                        here = Step(swing.factor, level)
                        own = [turn.told() for turn in turns if turn.step == here and planner in turn.pair]
                        change = swing.changes[level]
                        yield told | _row(factor.name, factor.source, level, found, change, "; ".join(own))

    def to_arrow(self) -> Any:
        """Return `rows` as a `pyarrow.Table`: the mean over seeds, half its interval, and the paired change."""
        import pyarrow as pa

        texts, numbers = ("metric", "unit", "planner", "assumption", "source", "level"), ("mean", "half", "change")
        fields = [(name, pa.string()) for name in texts] + [("n", pa.int64())]
        fields += [(name, pa.float64()) for name in (*numbers, "change_half")] + [("ranking", pa.string())]
        return pa.Table.from_pylist(list(self.rows()), schema=pa.schema(fields))

    def as_dict(self) -> dict[str, Any]:
        """Everything as JSON."""
        return {
            "title": self.title,
            "seeds": list(self.seeds),
            "planners": list(self.planners),
            "confidence": CONFIDENCE,
            "complete": self.complete,
            "sentences": self.sentences(),
            "notes": self.remarks(),
            "factors": [
                {"name": factor.name, "source": factor.source,
                 "fields": [{"path": moved.path, "value": moved.value,
                             **{level: moved.at(times) for level, times in TIMES.items()}} for moved in factor.moved]}
                for factor in self.levels.factors
            ],
            "not_varied": [fixed._asdict() for fixed in self.fixed],
            "levels": list(self.rows()),
            "turns": [
                {"metric": measure.key, "assumption": self.levels.factors[turn.step.factor].name,
                 "level": turn.step.level, "how": turn.how, "ahead": turn.ahead, "behind": turn.behind}
                for measure in self.measures for turn in self.levels.turns(measure)
            ],
            "screening": self._screening(),
        }  # fmt: skip

    def __repr__(self) -> str:
        return f"<Sensitivity of {self.title}: {' '.join(self.sentences())}>"

    def _repr_html_(self) -> str:
        told = "".join(f"<p>{escaped(text)}</p>" for text in [*self.sentences(), *self.remarks()])
        return told + "".join(html_table(measure.title, *self.table(measure)) for measure in self.measures)

    def _most(self, measure: Measure, planner: str) -> str:
        base, swings = self.levels.base(measure, planner), self.levels.swings(measure, planner)
        known = [swing for swing in swings if any(change.n for change in swing.changes.values())]
        if not base.n:
            why = "there is" if self.complete else "there is as yet"
            return f"With {planner} {why} no {measure.title}: nothing can be said."
        moving = self.levels.moving(measure, planner)
        what = f"With {planner} {measure.title} is {self.shown(measure, base)}"
        if not known:
            return f"{what}; of no level there is a number to hold it against."
        if not moving:
            return f"{what}, whichever of {count(len(known), 'assumption')} is halved or doubled."
        first, *others = moving
        more = [f"{self._name(swing)} ({self._ends(measure, swing)})" for swing in others[:MOST_NAMED]]
        then = f"; then on {', '.join(more)}" if more else ""
        return f"{what} and rests most on {self._name(first)}: {self._ends(measure, first)}{then}."

    def _ends(self, measure: Measure, swing: Swing) -> str:
        told = [f"{self.shown(measure, swing.levels[level])} at {level}" for level in TIMES if level in swing.levels]
        return f"{', '.join(told)}{'' if swing.sure else ', which chance may do too'}"

    def _name(self, swing: Swing) -> str:
        return self.levels.factors[swing.factor].name

    def _ranked(self, measure: Measure) -> Iterator[str]:
        if not measure.metric.better:
            yield f"Neither more nor less {measure.title} is better: it ranks no planner."
            return
        groups = self.levels.ranking(measure)
        order = [" and ".join(self._at(measure, planner) for planner in group) for group in groups]
        turns = self.levels.turns(measure)
        told = [self._turned(turn) for turn in turns if turn.how == "turns"]
        said = f"By {measure.title} the ranking is {', then '.join(order)}"
        yield f"{said}; {f'it turns with {_listed(told)}' if told else 'no assumption turns it'}."
        weaker = [self._turned(turn) for turn in turns if turn.how != "turns"]
        if weaker:
            yield f"By {measure.title} a lead is lost or won with {_listed(weaker)}."

    def _at(self, measure: Measure, planner: str) -> str:
        return f"{planner} ({self.shown(measure, self.levels.base(measure, planner))})"

    def _still(self, measure: Measure) -> list[str]:
        """The assumptions that move a number under no planner."""
        moving = {swing.factor for planner in self.planners for swing in self.levels.moving(measure, planner)}
        seen = {step.factor for step in self.levels.steps()}
        return [each.name for at, each in enumerate(self.levels.factors) if at in seen and at not in moving]

    def _turned(self, turn: Turn) -> str:
        return f"{self.levels.factors[turn.step.factor].name} at {turn.step.level} ({turn.told()})"

    def _screened(self, measure: Measure, screening: Screening) -> Iterator[str]:
        for planner in self.planners:
            effects = screening.effects(measure, planner)
            known = [(number, effect) for number, effect in enumerate(effects) if effect.size.mean > 0]
            if known:
                number, effect = max(known, key=lambda each: (each[1].size.mean, -each[0]))
                name, size = self.levels.factors[number].name, self.shown(measure, effect.size)
                yield (
                    f"With all moved together ({len(screening.paths)} paths) and {planner} {measure.title} rests most "
                    f"on {name}: {size} from half to double."
                )
        best = screening.best(measure)
        if len(best) > 1 and measure.metric.better:
            told = ", ".join(f"{planner} {share(each)}" for planner, each in best.items())
            yield f"Best by {measure.title} in the {screening.points} worlds of the screening: {told}."

    def _away(self, measure: Measure, planner: str, swing: Swing, level: str) -> str:
        return self.change(measure, planner, swing.changes[level]) if level in swing.changes else NOTHING

    def _screening(self) -> Any:
        if self.screening is None:
            return None
        found = []
        for measure in self.measures:
            for planner in self.planners:
                for factor, effect in zip(self.levels.factors, self.screening.effects(measure, planner), strict=True):
                    found.append(
                        {"metric": measure.key, "planner": planner, "assumption": factor.name, **_plain(effect.size),
                         "signed_mean": _finite(effect.mean), "spread": _finite(effect.spread)}
                    )  # fmt: skip
        best = {measure.key: self.screening.best(measure) for measure in self.measures}
        return {"paths": len(self.screening.paths), "worlds": self.screening.points, "effects": found, "best": best}


def bare(found: Interval | None, factor: float = 1.0, signed: bool = False) -> str:
    """A number with its interval; without one that has no width."""
    exact = found is not None and found.half == 0
    return shown(found._replace(half=math.nan) if found is not None and exact else found, factor, signed)


def _row(name: str, source: str, level: str, found: Interval, change: Interval | None, ranking: str) -> dict[str, Any]:
    away = (_finite(change.mean), _finite(change.half)) if change is not None else (None, None)
    told = {"assumption": name, "source": source, "level": level, **_plain(found)}
    return told | {"change": away[0], "change_half": away[1], "ranking": ranking}


def _plain(found: Interval) -> dict[str, float | int | None]:
    return {"mean": _finite(found.mean), "half": _finite(found.half), "n": found.n}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _known(value: float) -> float:
    return value if math.isfinite(value) else -1.0


def _brief(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."


def _listed(texts: Sequence[str]) -> str:
    return "; ".join(texts[:6]) + (f"; and {len(texts) - 6} more" if texts[6:] else "")

"""What a stress study found: cards, ladders and promises, in words, as tables and as JSON."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from layerlift.emulator.report.formatting import NOTHING, count, seconds, share
from layerlift.emulator.studies.compare.terminal import Grid
from layerlift.emulator.studies.compare.written import plain, shown
from layerlift.emulator.studies.stress.axioms import Axioms
from layerlift.emulator.studies.stress.card import BAD, Row
from layerlift.emulator.studies.stress.ladders import Ladder
from layerlift.emulator.studies.stress.ratios import Ratio, geometric
from layerlift.models.errors import RunError, sentence
from layerlift.models.text import escaped

SCHEMA: Final = 1
"""Of the JSON: it grows when what is there changes its meaning or goes."""
_ENDS: Final = {"": "mean", "_low": "low", "_high": "high"}
SLOW_S: Final = 1.0
"""Seconds for one plan from which a planner is told to be slow."""


@dataclass(frozen=True, slots=True)
class Stress:
    """What `stress` found; see `sentences` for the answer."""

    kind: str
    """planner | policy."""
    contenders: tuple[str, ...]
    references: tuple[str, ...]
    worlds: dict[str, int]
    """How many of each family were asked for."""
    rows: tuple[Row, ...]
    """Of contenders, then of references that are not among them."""
    ladders: tuple[Ladder, ...] = ()
    axioms: tuple[Axioms, ...] = ()
    complete: bool = True
    notes: tuple[str, ...] = ()
    signal: int = 0
    """The number of the signal that stopped it; 0: none did."""
    slow: tuple[str, ...] = field(default=(), compare=False)
    """Who was so slow here that fewer worlds were run, and where."""

    def of(self, contender: str) -> list[Row]:
        """A contender's card, in the order of families."""
        return [row for row in self.rows if row.contender == contender]

    def overall(self, contender: str) -> Ratio:
        """The geometric mean of its ratios over the families that know one."""
        known = (row.ratio.mean for row in self.of(contender))
        return geometric(value for value in known if not math.isnan(value))

    def above(self, limit: float) -> list[str]:
        """Why a contender fails: families in which its whole interval is above `limit`, or its plans were none.

        Raises `RunError` for a limit that nothing could be above.
        """
        if not 0.0 < limit < math.inf:
            raise RunError(f"the limit of a ratio is {limit:g}, expected a positive number such as 1.5")
        return [
            f"{row.contender} in {row.family}: "
            + (f"{row.ratio} times {row.reference}" if row.verdict != "no plans" else _trouble(row))
            for row in self.rows
            if row.contender in self.contenders
            and (row.verdict == "no plans" or (row.ratio.low if row.ratio.n > 1 else row.ratio.mean) > limit)
        ]

    @property
    def measure(self) -> str:
        """Whom ratios are to, in words."""
        return "the best known" if len(self.references) > 1 else self.references[0]

    def sentences(self) -> list[str]:
        """The answer in words, some sentences for each contender."""
        return [text for contender in self.contenders for text in self._told(contender)]

    def _told(self, contender: str) -> Iterator[str]:
        rows = [row for row in self.of(contender) if not math.isnan(row.ratio.mean)]
        if rows:
            worst = max(rows, key=lambda row: row.ratio.mean)
            among = " over" if len(rows) > 1 else " in"
            told = f"{count(len(rows), 'family')}" if len(rows) > 1 else worst.family
            told = told.replace("familys", "families")
            text = f"{contender} is {plain(self.overall(contender).mean)} times {self.measure}{among} {told}"
            if len(rows) > 1:
                text += f", at worst {worst.ratio} times {worst.reference} in {worst.family}"
            yield f"{text}; {self._verdicts(contender)}."
        for row in self.of(contender):
            if row.verdict == "no plans":
                yield f"In {row.family} it gave no plans: {_trouble(row)}."
        broken = [ladder for ladder in self.ladders if ladder.contender == contender and ladder.steps]
        for ladder in broken:
            yield f"With {_named(ladder.push.change)} it {ladder.told}."
        for each in self.axioms:
            if each.policy == contender:
                yield _promises(each)

    def _verdicts(self, contender: str) -> str:
        found = [row.verdict for row in self.of(contender)]
        kinds = list(dict.fromkeys(found))
        return ", ".join(f"{kind} in {found.count(kind)}" for kind in sorted(kinds, key=lambda k: -found.count(k)))

    def table(self, contender: str) -> Grid:
        """A contender's card, a line for each family."""
        proved = self.kind == "planner"
        heads = ["family", "worlds", "ratio", "to", "times home", *(["optimum"] if proved else [])]
        heads += [
            "missed",
            "refused",
            "disrupted",
            "Jain",
            "worst user",
            "wasted MB",
            *(["waited s", "late/early"] if self.kind == "policy" else []),
        ]
        rows, lines = self.of(contender), []
        priced = any(not math.isnan(row.means["money"]) for row in rows)
        heads += ["USD/1000"] if priced else []
        for row in rows:
            means = row.means
            own = [plain(means["waited_s"]), plain(means["late_comers"])] if self.kind == "policy" else []
            own += [plain(1000.0 * means["money"])] if priced else []
            lines.append(
                [row.family, str(row.value.n), str(row.ratio), row.reference or NOTHING, plain(row.value.mean),
                 *([plain(row.optimum.mean)] if proved else []),
                 shown(row.missed._replace(half=math.nan), 100.0) + " %",
                 share(means["refused"]) if not math.isnan(means["refused"]) else NOTHING,
                 plain(means["disruptions"]), plain(means["jain"]), plain(means["worst"]), plain(means["wasted_mb"]),
                 *own, row.verdict]
            )  # fmt: skip
        return Grid([*heads, "verdict"], lines)

    def ladder_table(self, contender: str) -> Grid:
        """Every step of a contender's ladders."""
        lines = [
            [ladder.push.family, step.label, plain(step.value), plain(step.p95),
             share(step.missed) if not math.isnan(step.missed) else NOTHING, step.breaks or "holds"]
            for ladder in self.ladders if ladder.contender == contender for step in ladder.steps
        ]  # fmt: skip
        return Grid(["family", "pushed", "times home", "p95 of users", "missed", "bound"], lines)

    def time_table(self, contender: str) -> Grid:
        """Seconds on this machine, in no comparison of runs."""
        lines = [
            [row.family, seconds(row.times["plan_s"]), seconds(row.times["plan_most_s"]), seconds(row.times["cpu_s"]),
             "slow" if row.times["plan_s"] > SLOW_S else ""]
            for row in self.of(contender) if row.times
        ]  # fmt: skip
        return Grid(["family", "a plan", "at most", "CPU time of a run", ""], lines)

    def slow_families(self, contender: str) -> list[str]:
        """Where a plan took longer than `SLOW_S` here, by the median: one alone may have met a busy machine."""
        return [row.family for row in self.of(contender) if row.times and row.times["plan_s"] > SLOW_S]

    def as_dict(self) -> dict[str, Any]:
        """Everything as JSON. All but `timing` is the same on every machine, however many runs are made at once."""
        return {
            "schema": SCHEMA,
            "study": "stress",
            "kind": self.kind,
            "contenders": list(self.contenders),
            "references": list(self.references),
            "worlds": self.worlds,
            "complete": self.complete,
            "sentences": self.sentences(),
            "notes": list(self.notes),
            "overall": {name: self.overall(name).as_dict() for name in self.contenders},
            "cards": [row.as_dict() for row in self.rows],
            "ladders": [ladder.as_dict() for ladder in self.ladders],
            "axioms": [each.as_dict() for each in self.axioms],
            "timing": {
                "slow": list(self.slow),
                "rows": [{"contender": row.contender, "family": row.family, **row.times} for row in self.rows],
            },
        }

    def to_arrow(self) -> Any:
        """Return the cards as a `pyarrow.Table`: a row for each contender and family; null where nothing is known."""
        import pyarrow as pa

        columns = {
            "contender": pa.array([row.contender for row in self.rows], pa.string()),
            "family": pa.array([row.family for row in self.rows], pa.string()),
            "reference": pa.array([row.reference or None for row in self.rows], pa.string()),
            "verdict": pa.array([row.verdict for row in self.rows], pa.string()),
            "worlds": pa.array([row.value.n for row in self.rows], pa.int64()),
        }
        numbers = {f"ratio{end}": [getattr(row.ratio, at) for row in self.rows] for end, at in _ENDS.items()}
        numbers |= {
            "times_home": [row.value.mean for row in self.rows],
            "missed": [row.missed.mean for row in self.rows],
        }
        for name in dict.fromkeys(name for row in self.rows for name in row.means):
            numbers[name] = [row.means.get(name, math.nan) for row in self.rows]
        columns |= {
            name: pa.array([None if math.isnan(value) else value for value in values], pa.float64())
            for name, values in numbers.items()
        }
        return pa.table(columns)

    def __repr__(self) -> str:
        return f"<Stress of {', '.join(self.contenders)}: {' '.join(self.sentences())}>"

    def _repr_html_(self) -> str:
        tables = "".join(html(self.table(name)) for name in self.contenders)
        return f"<p>{escaped(' '.join(self.sentences()))}</p>{tables}"


def html(grid: Grid) -> str:
    """A table of texts as HTML."""
    rows = [f"<tr>{''.join(f'<th>{escaped(cell)}</th>' for cell in grid.heads)}</tr>"]
    rows += [f"<tr>{''.join(f'<td>{escaped(cell)}</td>' for cell in line)}</tr>" for line in grid.lines]
    return f"<table>{''.join(rows)}</table>"


def bad(stress: Stress, contender: str) -> list[str]:
    """The families in which a contender is found bad."""
    return [row.family for row in stress.of(contender) if row.verdict in BAD]


def _trouble(row: Row) -> str:
    if row.failed:
        return f"a run failed ({sentence(row.failed[0])})"
    return f"{share(row.means['plans_failed'])} of its plans were not used ({sentence(row.why)})"


def _named(change: str) -> str:
    return {"users": "more users", "bandwidth": "less bandwidth", "faults": "more faults"}[change]


def _promises(each: Axioms) -> str:
    kept = "everybody does at least as well as alone with an even share"
    broken = f"{share(each.sharing_broken)} of users would do better alone with an even share"
    gain = plain(each.liars_gain)
    lies = f"who claims twice what it needs is {'no faster' if gain == '1' else f'{gain} times as fast'}"
    return (
        f"On {each.servers} random servers {broken if each.sharing_broken else kept}, "
        f"{share(each.envious)} of pairs envy, {lies}, and {share(each.starved)} of users get next to nothing."
    )

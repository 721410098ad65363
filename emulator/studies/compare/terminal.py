"""A comparison on a terminal: a readable part of the numbers, within 110 columns but for long names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from layerlift.emulator.report.formatting import NOTHING, count
from layerlift.emulator.studies.compare.comparison import Comparison
from layerlift.emulator.studies.compare.metrics import BY_KEY
from layerlift.emulator.studies.compare.statistics import Interval
from layerlift.emulator.studies.compare.words import verdicts
from layerlift.emulator.studies.compare.written import scale_of, shown

WIDEST: Final = 110
_GAP: Final = 2
_LONG: Final = (
    "answered", "open", "failed", "latency_mean_queries_s", "latency_p95_queries_s", "latency_mean_users_s",
    "latency_p95_users_s", "slowdown_mean_users", "slowdown_p95_users", "slowdown_worst_user", "jain", "min_max",
    "gini", "envy", "starved", "arrival_bias", "fairness_ratio", "disruptions", "deadline_queries", "price",
    "busy_share", "node_balance", "coordination", "energy_j", "money", "upload_s", "plans_failed",
)  # fmt: skip
_SHORT: Final = ("answered", "slowdown_mean_users", "slowdown_worst_user", "latency_p95_users_s", "jain", "price")
_SHORT_LATENCY: Final = ("answered", "latency_mean_users_s", "latency_p95_users_s", "jain", "price")
_HEADS: Final = {
    "answered": "answered",
    "slowdown_mean_users": "slowdown",
    "slowdown_worst_user": "worst",
    "latency_mean_users_s": "latency",
    "latency_p95_users_s": "p95 latency",
    "jain": "Jain",
    "price": "price",
}

Pick = Callable[[str, int], Interval | None]


class Grid(NamedTuple):
    """A table of texts: the first column is aligned to the left."""

    heads: list[str]
    lines: list[list[str]]

    @property
    def width(self) -> int:
        """Columns that it takes on a terminal."""
        widths = [max(map(len, column)) for column in zip(self.heads, *self.lines, strict=True)]
        return sum(widths) + _GAP * (len(widths) - 1)


def show(comparison: Comparison, console: Console) -> None:
    """Print the means with their intervals, the paired differences to the first variant, sentences and remarks.

    Variants are columns where they fit, else rows of fewer metrics.
    """
    seeds = comparison.seeds
    means = f"means over {count(len(seeds), 'seed')} ±95 % confidence" if len(seeds) > 1 else "one seed, no intervals"
    console.print(Text(f"{comparison.title}: {means}", style="bold"))
    everyone = range(len(comparison.variants))
    grid = _grid(comparison, everyone, comparison.mean, False)
    others = [number for number in everyone if comparison.baseline(number) is not None]
    apart = _grid(comparison, others, comparison.against, True)
    if grid.lines:
        console.print(_rich(grid))
    if others and apart.lines:
        paired = " (paired by seed)" if len(seeds) > 1 else ""
        console.print(Text(f"\nDifference to {_first(comparison)}{paired}", style="bold"))
        console.print(_rich(apart))
    for number, text in enumerate([*verdicts(comparison), *comparison.remarks()]):
        console.print(Text(f"{'' if number else chr(10)}- {text}"), soft_wrap=not console.is_terminal)


def _first(comparison: Comparison) -> str:
    firsts = [comparison.baseline(number) for number in range(len(comparison.variants))]
    found = [number for number in dict.fromkeys(firsts) if number is not None]
    if len(found) == 1:
        return comparison.variants[found[0]].label
    return f"{comparison.variants[found[0]].name} at the same {comparison.swept}"


def _grid(comparison: Comparison, variants: Sequence[int], pick: Pick, signed: bool) -> Grid:
    tall = _tall(comparison, variants, pick, signed)
    return tall if tall.width <= WIDEST or not tall.lines else _flat(comparison, variants, pick, signed)


def _tall(comparison: Comparison, variants: Sequence[int], pick: Pick, signed: bool) -> Grid:
    """A row for each metric that has a value, a column for each variant."""
    lines = []
    for key in _LONG:
        cells, title = _cells(comparison, key, variants, pick, signed)
        if any(cell not in (NOTHING, "0 ±0", "0") for cell in cells) or (key == "price" and set(cells) != {NOTHING}):
            lines.append([title, *cells])
    return Grid(["", *(comparison.variants[number].label for number in variants)], lines)


def _flat(comparison: Comparison, variants: Sequence[int], pick: Pick, signed: bool) -> Grid:
    """A row for each variant, a column for each of a few metrics."""
    keys = _SHORT if comparison.slow else _SHORT_LATENCY
    columns, heads = [], []
    for key in keys:
        cells, title = _cells(comparison, key, variants, pick, signed)
        unit = title[title.rindex(" (") :] if title.endswith(")") else ""
        heads.append(f"{_HEADS[key]}{unit}")
        columns.append(cells)
    names = [comparison.variants[number].label for number in variants]
    return Grid(
        [f"variant, {comparison.swept}" if comparison.swept else "variant", *heads],
        [[name, *cells] for name, *cells in zip(names, *columns, strict=True)],
    )


def _cells(
    comparison: Comparison, key: str, variants: Iterable[int], pick: Pick, signed: bool
) -> tuple[list[str], str]:
    chosen = list(variants)
    means = [comparison.mean(key, number).mean for number in range(len(comparison.variants))]
    scale = scale_of(BY_KEY[key], means)
    if not signed:
        return [comparison.told(key, number, scale.factor) for number in chosen], scale.title(BY_KEY[key])
    return [shown(pick(key, number), scale.factor, signed) for number in chosen], scale.title(BY_KEY[key])


def _rich(grid: Grid) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, _GAP, 0, 0))
    for number, head in enumerate(grid.heads):
        table.add_column(Text(head), justify="right" if number else "left", overflow="fold", no_wrap=False)
    for line in grid.lines:
        table.add_row(*map(Text, line))
    return table

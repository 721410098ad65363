"""The cards of all shipped planners in docs/stress.md. What has been run is kept in the cache: it is made in pieces.

A table that is stopped (Ctrl-C) is made of the planners that were done by then, and names the others.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from functools import cache
from typing import Final

from benchmarks.docs.blocks import prose, table
from layerlift.emulator.report.formatting import NOTHING
from layerlift.emulator.studies.compare.written import plain
from layerlift.emulator.studies.stress.battery import REFERENCES
from layerlift.emulator.studies.stress.card import BAD, Row
from layerlift.emulator.studies.stress.result import Stress
from layerlift.emulator.studies.stress.study import stress
from layerlift.planners import registry

_EFFORTS: Final = {
    "pso": "particles=20,evaluations=1000",
    "ga": "population=20,evaluations=1000",
    "sa": "evaluations=1000",
}
"""Of planners that search as long as they are told to."""
_FIRST: Final = (*REFERENCES, "direct", "greedy", "random", "all_remote", "min_cut+recursive")
"""Those that most is asked about."""
_ALSO: Final = ("units:stay_s=known+ionn",)
_NOT: Final = ("exhaustive", "optimal", "local")
"""For questions smaller than these; and who stays at home, which is what everybody is measured by."""


def planners() -> str:
    """Two tables: what is to be said of each planner, and its ratio in every family."""
    found, left = cards()
    if not found:
        return "Not made for this version yet."
    missing = [prose(f"Not run for this version yet: {', '.join(f'`{name}`' for name in left)}.")] if left else []
    return "\n\n".join([_said(found), *missing, _apart(found), _ratios(found)])


def everybody() -> tuple[str, ...]:
    """All planners that ship, by what they are called here: who only places has its uploads ordered by `recursive`."""
    made = []
    for each in registry.specs():
        if each.source != "layerlift" or each.name in _NOT:
            continue
        text = f"{each.name}:{_EFFORTS[each.name]}" if each.name in _EFFORTS else each.name
        joint = each.attribute("multi_user")
        made.append(text if each.uploads or each.name in _FIRST else f"{text}+{'ionn' if joint else 'recursive'}")
    return tuple(dict.fromkeys([*_FIRST, *made, *_ALSO]))


@cache
def cards() -> tuple[dict[str, Stress], tuple[str, ...]]:
    """The card of each planner, as far as they were made, and the planners that are left."""
    names = everybody()
    made: dict[str, Stress] = {}
    for number, name in enumerate(names):

        def progress(ended: int, total: int, name: str = name) -> None:
            print(f"stress: {name}: {ended} of {total} runs ", file=sys.stderr, end="\r", flush=True)

        found = stress(name, push=False, progress=progress)
        if not found.complete:
            return made, names[number:]
        made[name] = found
    return made, ()


def _said(found: dict[str, Stress]) -> str:
    rows = []
    for name, card in sorted(found.items(), key=lambda pair: pair[1].overall(pair[0]).mean):
        known = [row for row in card.of(name) if not math.isnan(row.ratio.mean)]
        worst = max(known, key=lambda row: row.ratio.mean, default=None)
        verdicts = [row.verdict for row in card.of(name)]
        bad = [verdict for verdict in verdicts if verdict in BAD]
        told = f"{worst.ratio} in `{worst.family}`" if worst else NOTHING
        rows.append([f"`{name}`", plain(card.overall(name).mean), told, f"{len(bad)} of {len(verdicts)}"])
    slow = list(dict.fromkeys(text for card in found.values() for text in card.slow))
    fewer = [prose(f"Fewer worlds than the others met: {'; '.join(slow)}.")] if slow else []
    heads = ["planner", "over all families", "at worst", "found bad in"]
    return "\n\n".join([table(heads, rows), *fewer])


def _apart(found: dict[str, Stress]) -> str:
    """In each family the best and the worst, and whether their intervals are apart."""
    lines = []
    for family, rows in _families(found).items():
        known = [row for row in rows if row.ratio.n > 1]
        if not known:
            continue
        best, worst = min(known, key=lambda row: row.ratio.mean), max(known, key=lambda row: row.ratio.mean)
        apart = "yes" if worst.ratio.low > best.ratio.high else "no"
        lines.append([f"`{family}`", *(f"`{row.contender}` {row.ratio}" for row in (best, worst)), apart])
    return table(["family", "best", "worst", "apart"], lines, left=4)


def _ratios(found: dict[str, Stress]) -> str:
    rows = []
    worlds = next(iter(found.values())).worlds
    for family, each in _families(found).items():
        cells = [_cell(row, worlds[family]) for row in each]
        rows.append([f"`{family}`", f"`{each[0].reference}`", str(worlds[family]), *cells])
    return table(["family", "against", "worlds", *(f"`{name}`" for name in found)], rows, left=2)


def _cell(row: Row, worlds: int) -> str:
    """A ratio; with the number of its worlds where it is not that of the family, and a mark where plans were none."""
    if math.isnan(row.ratio.mean):
        return NOTHING
    none = " (no plans)" if row.verdict == "no plans" else ""
    return plain(row.ratio.mean) + (f" ({row.ratio.n})" if row.ratio.n != worlds else "") + none


def _families(found: dict[str, Stress]) -> dict[str, Sequence[Row]]:
    """The rows of all planners in each family."""
    made: dict[str, list[Row]] = {}
    for name, card in found.items():
        for row in card.of(name):
            made.setdefault(row.family, []).append(row)
    return dict(made)

"""The cards of all shipped planners in docs/stress.md. What has been run is kept, so that it can be made in pieces."""

from __future__ import annotations

import math
import sys
from functools import cache
from typing import Final

from benchmarks.docs.blocks import prose, table
from layerlift.emulator.report.formatting import NOTHING
from layerlift.emulator.studies.compare.written import plain
from layerlift.emulator.studies.stress.card import BAD
from layerlift.emulator.studies.stress.result import Stress
from layerlift.emulator.studies.stress.study import stress
from layerlift.models.loading.disk_cache import cache_dir

_SWARM: Final = "particles=20,evaluations=1000"
PLANNERS: Final = (
    "local", "all_remote", "random", "greedy", "one_step", "direct", "efficiency", "recursive", "ionn",
    "one_climb+recursive", "min_cut+recursive", "labels+recursive", "shortest_path+recursive",
    "shortest_path:stay_s=known+recursive", "units:stay_s=known+ionn", "pipeline+recursive", "spread+ionn",
    "best_response+ionn", "gibbs+ionn", f"pso:{_SWARM}+recursive", "ga:population=20,evaluations=1000+recursive",
    "sa:evaluations=1000+recursive",
)  # fmt: skip
"""`exhaustive` and `optimal` are for questions smaller than these."""


def planners() -> str:
    """Two tables: what is to be said of each planner, and its ratio in every family."""
    found = cards(None)
    return "\n\n".join([_said(found), _ratios(found)])


@cache
def cards(worlds: int | None) -> Stress:
    """The cards of all planners, with so many worlds of each family."""

    def progress(ended: int, total: int) -> None:
        print(f"stress: {ended} of {total} runs", file=sys.stderr, end="\r", flush=True)

    out = cache_dir() / "stress"
    return stress(PLANNERS, worlds=worlds, push=False, out=out, force=True, progress=progress)


def _said(found: Stress) -> str:
    rows = []
    for name in sorted(found.contenders, key=lambda each: found.overall(each).mean):
        known = [row for row in found.of(name) if not math.isnan(row.ratio.mean)]
        worst = max(known, key=lambda row: row.ratio.mean, default=None)
        verdicts = [row.verdict for row in found.of(name)]
        bad = [verdict for verdict in verdicts if verdict in BAD]
        told = f"{worst.ratio} in `{worst.family}`" if worst else NOTHING
        rows.append([f"`{name}`", plain(found.overall(name).mean), told, f"{len(bad)} of {len(verdicts)}"])
    slow = [prose(f"Fewer worlds than the others met: {'; '.join(found.slow)}.")] if found.slow else []
    heads = ["planner", "over all families", "at worst", "found bad in"]
    return "\n\n".join([table(heads, rows), *slow])


def _ratios(found: Stress) -> str:
    references = {row.family: row.reference for row in found.rows}
    rows = []
    for family in found.worlds:
        cells = {row.contender: plain(row.ratio.mean) for row in found.rows if row.family == family}
        rows.append(
            [f"`{family}`", f"`{references[family]}`", *(cells.get(name, NOTHING) for name in found.contenders)]
        )
    return table(["family", "against", *(f"`{name}`" for name in found.contenders)], rows, left=2)

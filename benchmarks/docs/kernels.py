"""What docs/validate.md says of the kernel's links: needs root, a quiet machine and twenty minutes."""

from __future__ import annotations

from benchmarks.docs.blocks import table
from layerlift.emulator.report.formatting import count
from layerlift.emulator.studies.validate.kernel import SHAPES, Shape
from layerlift.emulator.studies.validate.study import validate
from layerlift.emulator.studies.validate.validation import Validation
from layerlift.emulator.studies.validate.verdicts import Row

TRIES = 3
"""A machine whose pace drifts while it is profiled has no verdict, and is tried again."""


def links() -> str:
    """Each shape, at both usual sizes: how far the emulation is off beside an upload, and anywhere else."""
    head = [
        "`--kernel`",
        "",
        "worst beside an upload",
        "of an upload",
        "else, with the network",
        "bound",
        "rows that hold",
    ]
    return table(head, [_row(shape, full) for full in (False, True) for shape in SHAPES])


def _row(shape: Shape, full: bool) -> list[str]:
    for _ in range(TRIES):
        found = validate(kernel=shape, full=full, keep=False)
        if found.holds is not None:
            break
    name = f"`{shape}{' --full' if full else ''}`"
    rows = [row for row in found.rows if row.word(found.standing) in ("holds", "beyond")]
    network = [row for row in rows if row.kind == "network"]
    beside = [row for row in network if "up" in row.phase]
    uploads = [row for row in rows if row.kind == "upload"]
    others = [row for row in network if row not in beside]
    holding = [row for row in rows if row.word(found.standing) == "holds"]
    bound = max((row.bound(found.standing) for row in (*network, *uploads)), default=0.0)
    return [
        name,
        f"{found.network}, {count(found.repeats, 'repeat')}",
        *(_worst(found, some) for some in (beside, uploads, others)),
        f"{bound:.0%}",
        f"{len(holding)} of {len(rows)}",
    ]


def _worst(found: Validation, rows: list[Row]) -> str:
    off = [row.difference(found.standing) for row in rows]
    return f"{max(off, key=abs):+.1%}" if off else "not judged"

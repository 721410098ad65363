"""What docs/sensitivity.md shows: what `paper` and `late-arrival` rest on."""

from __future__ import annotations

from typing import Any, Final

from benchmarks.docs.blocks import prose
from layerlift.emulator.studies.sensitivity.findings import Sensitivity
from layerlift.emulator.studies.sensitivity.study import sensitivity

PAPER: Final[dict[str, Any]] = {"metrics": ["mean_ms", "energy_j"], "planners": ["ionn", "direct"], "seeds": 1}
LATE: Final[dict[str, Any]] = {
    "metrics": ["late.mean_ms"],
    "planners": ["ionn", "direct"],
    "seeds": 3,
    "only": ["nodes", "links", "users", "until_s", "reference_ghz"],
}


def paper() -> str:
    """Every assumption of `paper`, nothing of which is drawn."""
    return _told(sensitivity("paper", **PAPER))


def late() -> str:
    """The lines of `sources` of `late-arrival`, and what they do to those who come late."""
    return _told(sensitivity("late-arrival", **LATE))


def _told(found: Sensitivity) -> str:
    parts = ["\n".join(f"* {prose(_safe(text))}" for text in [*found.sentences(), *found.remarks()])]
    for measure in found.measures:
        heads, lines = found.table(measure)
        rows = [[_code(line[0]), *map(_safe, line[1:])] for line in lines]
        parts += [f"{measure.title[0].upper()}{measure.title[1:]}:", _table(heads, rows)]
    return "\n\n".join(parts)


def _table(heads: list[str], rows: list[list[str]]) -> str:
    """All columns are text: numbers stand with their intervals."""
    return "\n".join(f"| {' | '.join(line)} |" for line in [heads, ["---"] * len(heads), *rows])


def _code(text: str) -> str:
    return f"`{text}`"


def _safe(text: str) -> str:
    """Stars of patterns are no emphasis."""
    return text.replace("*", r"\*")

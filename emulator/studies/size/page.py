"""A sizing in files: size.json, and size.html, one page that needs no network."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Final

from layerlift.emulator.report.pages import page as with_charts
from layerlift.emulator.studies import answer_files
from layerlift.emulator.studies.size.sizing import Sizing
from layerlift.models.text import escaped

FILES: Final = ("size.json", "size.html")
_TICKS: Final = 20
_STYLE: Final = """
body { font: 15px/1.45 system-ui, sans-serif; color: #222; margin: 24px auto; max-width: 1080px; padding: 0 16px }
h1 { font-size: 22px } h2 { font-size: 17px; margin-top: 32px }
.wide { overflow-x: auto }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums }
th, td { padding: 3px 12px 3px 0; text-align: right; border-bottom: 1px solid #eee }
th:last-child, td:last-child { text-align: left }
"""


def check(out: Path | None, force: bool) -> None:
    """Raise `RunError` for a folder that a sizing cannot be written to."""
    answer_files.check(out, FILES, "sizing", force)


def clear(out: Path) -> None:
    """Take an earlier sizing away."""
    answer_files.clear(out, FILES)


def write(sizing: Sizing, out: Path) -> None:
    """Write both files, each whole or not at all. Raises `RunError` when they cannot be written."""
    answer_files.clear(out, FILES)
    told = json.dumps(sizing.as_dict(), indent=1, allow_nan=False) + "\n"
    answer_files.write(out, dict(zip(FILES, (told, page(sizing)), strict=True)))


def page(sizing: Sizing) -> str:
    """The page: the answer in words, a chart, every step."""
    title = f"Size: {sizing.title}"
    heads, lines = sizing.table()
    body = [
        f"<h1>{escaped(title)}</h1>",
        "<ul>",
        *(f"<li>{escaped(text)}</li>" for text in [*sizing.sentences(), *sizing.notes]),
        "</ul>",
        '<div id="steps"></div>',
        "<h2>All steps</h2>",
        '<div class="wide"><table>',
        _row("th", heads),
        *(_row("td", line) for line in lines),
        "</table></div>",
    ]
    return with_charts(title, {"steps": _chart(sizing)}, body, _STYLE)


def _row(tag: str, cells: list[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{escaped(cell)}</{tag}>" for cell in cells) + "</tr>"


def _chart(sizing: Sizing) -> dict[str, Any]:
    """One field: the number against its value, with its interval and the bound. Two: a tile for each pair."""
    import altair

    alt: Any = altair

    scale = sizing.scale()
    title = scale.title(sizing.target.metric)
    rows = [
        {
            "planner": step.planner,
            "x": float(step.values[0]),
            "y": float(step.values[-1]),
            "found": step.found.mean * scale.factor,
            "low": (step.found.mean - (0.0 if math.isnan(step.found.half) else step.found.half)) * scale.factor,
            "high": (step.found.mean + (0.0 if math.isnan(step.found.half) else step.found.half)) * scale.factor,
            "holds": "yes" if step.holds else "no",
        }
        for step in sizing.steps
        if math.isfinite(step.found.mean)
    ]
    data: Any = alt.Data(values=rows)
    if len(sizing.fields) == 2:
        tiles = alt.Chart(data, width=320, height=280).mark_rect().encode(
            x=alt.X("x:O", title=sizing.fields[0], axis=alt.Axis(labelAngle=0)),
            y=alt.Y("y:O", title=sizing.fields[1], sort="descending"),
            color=alt.Color("holds:N", title="holds", scale=alt.Scale(domain=["yes", "no"], range=["#7fbf7b", "#ddd"])),
            tooltip=["planner:N", "x:Q", "y:Q", alt.Tooltip("found:Q", title=title)],
        )  # fmt: skip
        return dict(tiles.facet("planner:N").to_dict())
    # Ticks stand at the values that were run: between two numbers of servers there is none.
    tried = sorted({row["x"] for row in rows})
    x = alt.X("x:Q", title=sizing.fields[0], axis=alt.Axis(values=tried) if len(tried) <= _TICKS else alt.Axis())
    who = alt.Color("planner:N", legend=alt.Legend() if len(sizing.planners) > 1 else None)
    base = alt.Chart(data, width=760, height=320)
    line = base.mark_line(point=True).encode(x=x, y=alt.Y("found:Q", title=title), color=who)
    band = base.mark_area(opacity=0.2).encode(x=x, y="low:Q", y2="high:Q", color=who)
    limit: Any = alt.Data(values=[{"limit": sizing.target.limit * scale.factor}])
    rule = alt.Chart(limit).mark_rule(strokeDash=[6, 4]).encode(y="limit:Q")
    return dict((band + line + rule).to_dict())

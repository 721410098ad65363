"""Tornado charts: how far each assumption moves a number, the furthest on top; on a page, and in a terminal."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final

from layerlift.emulator.studies.compare.statistics import Interval
from layerlift.emulator.studies.sensitivity.findings import Sensitivity
from layerlift.emulator.studies.sensitivity.levels import Swing
from layerlift.emulator.studies.sensitivity.measures import Measure

MOST: Final = 12
"""Bars of one chart."""
_COLOURS: Final = {"half": "#4c78a8", "double": "#e08214"}
_SIDE: Final = 24
"""Characters of a bar in a terminal, on either side."""


def drawn(found: Sensitivity, measure: Measure, planner: str) -> list[Swing]:
    """The factors that move a number, the furthest first; not more than a chart bears."""
    return found.levels.moving(measure, planner)[:MOST]


def bars(found: Sensitivity, measure: Measure, planner: str) -> list[tuple[str, str]]:
    """A tornado in letters, (assumption, bar) from the top: h is the way to half, D that to double."""
    swings = drawn(found, measure, planner)
    most = max((abs(change.mean) for swing in swings for change in swing.changes.values()), default=0.0)
    return [(found.levels.factors[swing.factor].name, _bar(swing, most)) for swing in swings]


def _bar(swing: Swing, most: float) -> str:
    sides = {-1: "", 1: ""}
    ways = [(change.mean, "h" if level == "half" else "D") for level, change in swing.changes.items()]
    # Where both go one way, the shorter lies on the longer.
    for away, letter in sorted(ways, key=lambda way: -abs(way[0]) if math.isfinite(way[0]) else 0.0):
        if math.isfinite(away) and away:
            side = -1 if away < 0 else 1
            length = max(1, round(abs(away) / most * _SIDE))
            sides[side] = letter * length + sides[side][length:]
    return f"{sides[-1][::-1]:>{_SIDE}}|{sides[1]:<{_SIDE}}"


def tornado(found: Sensitivity, measure: Measure) -> dict[str, Any] | None:
    """A chart for each planner, in Vega-Lite; None where nothing moves the number."""
    import altair as alt

    scale, panels = found.scale(measure), []
    for planner in found.planners:
        rows = list(_rows(found, measure, planner, scale.factor))
        if rows:
            panels.append(_panel(rows, scale.title(measure.metric), planner, found, measure))
    if not panels:
        return None
    several = alt.vconcat(*panels, spacing=28).resolve_scale(x="shared", color="shared")
    return dict(several.to_dict())


def effects(found: Sensitivity, measure: Measure) -> dict[str, Any] | None:
    """Of a screening, the mean size of effects against their spread; None without one."""
    import altair as alt

    if found.screening is None:
        return None
    factor, rows = found.scale(measure).factor, []
    for planner in found.planners:
        for number, effect in enumerate(found.screening.effects(measure, planner)):
            if effect.size.mean > 0 and math.isfinite(effect.spread):
                name = found.levels.factors[number].name
                rows.append({"planner": planner, "assumption": name, "size": effect.size.mean * factor,
                             "spread": effect.spread * factor})  # fmt: skip
    if not rows:
        return None
    base = alt.Chart(_data(rows), width=520, height=300, title="All moved together").encode(
        x=alt.X("size:Q", title="mean size of an effect, from half to double"),
        y=alt.Y("spread:Q", title="spread: how much it depends on the others"),
        tooltip=["assumption:N", "planner:N", alt.Tooltip("size:Q", format=".4g")],
    )
    dots = base.mark_point(filled=True, size=60).encode(color=alt.Color("planner:N", title=None))
    names = base.mark_text(align="left", dx=7, fontSize=10, limit=220).encode(text="assumption:N")
    return dict((dots + names).to_dict())


def _rows(found: Sensitivity, measure: Measure, planner: str, factor: float) -> Iterator[dict[str, Any]]:
    base = found.levels.base(measure, planner)
    for swing in drawn(found, measure, planner):
        for level, seen in swing.levels.items():
            if math.isfinite(seen.mean) and seen.mean != base.mean:
                name = found.levels.factors[swing.factor].name
                yield {"assumption": name, "level": level, "from": base.mean * factor, "to": seen.mean * factor,
                       **_ends(base, swing.changes[level], factor)}  # fmt: skip


def _ends(base: Interval, change: Interval, factor: float) -> dict[str, float]:
    """The interval of the paired change, where the bar ends."""
    half = 0.0 if math.isnan(change.half) else change.half
    return {"low": (base.mean + change.mean - half) * factor, "high": (base.mean + change.mean + half) * factor}


def _panel(rows: list[dict[str, Any]], title: str, planner: str, found: Sensitivity, measure: Measure) -> Any:
    import altair as alt

    names = list(dict.fromkeys(row["assumption"] for row in rows))
    colour = alt.Color(
        "level:N", title=None, scale=alt.Scale(domain=list(_COLOURS), range=list(_COLOURS.values())), legend=alt.Legend(
            orient="top"
        )
    )  # fmt: skip
    y = alt.Y("assumption:N", sort=names, title=None, axis=alt.Axis(labelLimit=260))
    base = alt.Chart(_data(rows))
    tips = ["assumption:N", "level:N", alt.Tooltip("from:Q", format=".4g"), alt.Tooltip("to:Q", format=".4g")]
    spans = base.mark_bar(opacity=0.85, height={"band": 0.7}).encode(
        x=alt.X("from:Q", title=title, scale=alt.Scale(zero=False)), x2="to:Q", y=y, color=colour, tooltip=tips
    )
    intervals = base.mark_rule(strokeWidth=1.3).encode(x="low:Q", x2="high:Q", y=y)
    middle = alt.Chart(_data(rows[:1])).mark_rule(strokeDash=[4, 3]).encode(x="from:Q")
    said = f"{planner}: {found.shown(measure, found.levels.base(measure, planner))} as it is"
    return alt.layer(spans, intervals, middle).properties(width=640, height=22 * len(names), title=said)


def _data(rows: list[dict[str, Any]]) -> Any:
    import altair as alt

    return alt.Data(values=rows)  # type: ignore[no-untyped-call]

"""A crowd's training as one page that needs no network: the curve, the numbers set by hand beside it, every point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from layerlift.emulator.report.pages import page as with_charts
from layerlift.emulator.studies.learning.crowd.points import CrowdPoint
from layerlift.emulator.studies.learning.page import STYLE, row, words
from layerlift.models.text import escaped

_LINES: Final = {
    "ratio": "mean ratio of users to home",
    "latency": "mean latency, home = 1",
    "hand_ratio": "ratio, by hand",
    "hand_latency": "latency, by hand",
}
_HEADS: Final = {
    "round": "round",
    "cpu_s": "CPU s",
    "cost": "cost of what was tried",
    "ratio": "mean ratio",
    "latency": "mean latency",
    "away": "plans that leave home",
    "hand_ratio": "mean ratio, by hand",
    "hand_latency": "mean latency, by hand",
}


def page(title: str, sentences: Sequence[str], points: Sequence[CrowdPoint], asked: Mapping[str, Any]) -> str:
    """The page: the answer in words, the curve, what was asked for, every point."""
    body = [
        f"<h1>{escaped(title)}</h1>",
        *(f"<p>{escaped(text)}</p>" for text in sentences),
        '<div id="curve"></div>',
        "<h2>What it was asked for</h2>",
        '<div class="wide"><table>',
        *(row("td", [key, words(value)]) for key, value in asked.items()),
        "</table></div>",
        "<h2>All points</h2>",
        "<p>In worlds that were not learned from; 1 is what there is at home.</p>",
        '<div class="wide"><table>',
        row("th", list(_HEADS.values())),
        *(row("td", [_told(value) for value in asdict(point).values()]) for point in points),
        "</table></div>",
    ]
    return with_charts(title, {"curve": _chart(points)}, body, STYLE)


def _told(value: float) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _chart(points: Sequence[CrowdPoint]) -> dict[str, Any]:
    """What users get against rounds, and home as a line."""
    import altair

    alt: Any = altair
    rows = [
        {"round": point.round, "answer": name, "value": point.numbers()[key]}
        for point in points
        for key, name in _LINES.items()
    ]
    lines = (
        alt.Chart(alt.Data(values=rows), width=640, height=320)
        .mark_line(point=True)
        .encode(
            x=alt.X("round:Q", title="rounds of training"),
            y=alt.Y("value:Q", title="times what there is at home", scale=alt.Scale(zero=False)),
            color=alt.Color("answer:N", title=None, sort=list(_LINES.values()), legend=alt.Legend(orient="bottom")),
            tooltip=["answer:N", "round:Q", alt.Tooltip("value:Q", format=".3f")],
        )
    )
    home = alt.Chart(alt.Data(values=[{"value": 1.0}])).mark_rule(strokeDash=[4, 4], color="#888").encode(y="value:Q")
    return dict((lines + home).to_dict())

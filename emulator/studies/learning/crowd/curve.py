"""The curve of a crowd's training: its points as a table, and the numbers set by hand beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

from layerlift.emulator.studies.learning.crowd.points import CrowdPoint

REMARK: Final = "In worlds that were not learned from; 1 is what there is at home."
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


def table(points: Sequence[CrowdPoint]) -> tuple[list[str], list[list[str]]]:
    """Heads and lines."""
    return list(_HEADS.values()), [[_told(asdict(point)[key]) for key in _HEADS] for point in points]


def _told(value: float) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def chart(points: Sequence[CrowdPoint]) -> dict[str, Any]:
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

"""A training as one page that needs no network: the curve, held-out networks beside the others, and every number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from layerlift.emulator.report.pages import page as with_charts
from layerlift.emulator.studies.learning.kept import Point
from layerlift.models.text import escaped

STYLE: Final = """
body { font: 15px/1.45 system-ui, sans-serif; color: #222; margin: 24px auto; max-width: 1080px; padding: 0 16px }
h1 { font-size: 22px } h2 { font-size: 17px; margin-top: 32px }
.wide { overflow-x: auto }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums }
th, td { padding: 3px 12px 3px 0; text-align: right; border-bottom: 1px solid #eee }
"""
_LINES: Final = {
    "greedy_mean": "the best step, always",
    "best_mean": "best of 64 walks",
    "cut_mean": "best single cut, untrained",
}
_HEADS: Final = (
    ("round", "round"),
    ("cpu_s", "CPU s"),
    ("loss", "loss"),
    ("group", "networks"),
    ("greedy_mean", "greedy"),
    ("best_mean", "best of 64"),
    ("best_p95", "its p95"),
    ("best_near", "within 1 %"),
    ("right", "steps right"),
    ("cut_mean", "single cut"),
    ("local_mean", "local"),
)
_SHARES: Final = ("greedy_mean", "best_mean", "best_p95", "best_near", "right", "cut_mean", "local_mean")


def page(title: str, sentences: Sequence[str], points: Sequence[Point], asked: Mapping[str, Any]) -> str:
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
        "<p>Gaps to the exact answer, in percent of it.</p>",
        '<div class="wide"><table>',
        row("th", [head for _, head in _HEADS]),
        *(row("td", _cells(point)) for point in points),
        "</table></div>",
    ]
    return with_charts(title, {"curve": _chart(points)}, body, STYLE)


def words(value: Any) -> str:
    """What was asked for, as a cell says it."""
    return ", ".join(value) if isinstance(value, list) else str(value)


def _cells(point: Point) -> list[str]:
    values = asdict(point)
    return [_told(key, values[key]) for key, _ in _HEADS]


def _told(key: str, value: Any) -> str:
    if key in _SHARES:
        return f"{round(100.0 * value, 2) + 0.0:.2f}"  # nothing is not less than nothing
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def row(tag: str, cells: Sequence[str]) -> str:
    """A line of a table; `tag` is th or td."""
    return "<tr>" + "".join(f"<{tag}>{escaped(cell)}</{tag}>" for cell in cells) + "</tr>"


def _chart(points: Sequence[Point]) -> dict[str, Any]:
    """Gaps against rounds, a panel for each group of networks."""
    import altair

    alt: Any = altair
    # A gap of nothing has no place on a logarithmic axis: the least is drawn at a hundredth of a percent.
    rows = [
        {
            "round": point.round,
            "networks": point.group,
            "answer": answer,
            "gap": max(100.0 * float(asdict(point)[key]), 0.01),
        }
        for point in points
        for key, answer in _LINES.items()
    ]
    data: Any = alt.Data(values=rows)
    lines = (
        alt.Chart(data, width=430, height=300)
        .mark_line(point=True)
        .encode(
            x=alt.X("round:Q", title="rounds of training"),
            y=alt.Y("gap:Q", title="mean gap to the exact answer, %", scale=alt.Scale(type="log")),
            color=alt.Color("answer:N", title=None, sort=list(_LINES.values()), legend=alt.Legend(orient="bottom")),
            tooltip=["answer:N", "round:Q", alt.Tooltip("gap:Q", format=".2f")],
        )
    )
    return dict(lines.facet(column=alt.Column("networks:N", title=None)).to_dict())

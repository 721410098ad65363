"""The curve of a training on one user's problems: its points as a table, and held-out networks beside the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

from layerlift.emulator.studies.learning.kept import Point

REMARK: Final = "Gaps to the exact answer, in percent of it."
_SHARES: Final = ("greedy_mean", "best_mean", "best_p95", "best_near", "right", "cut_mean", "local_mean")


def heads(walks: int) -> dict[str, str]:
    """By field of a point, what its column says; `walks` is among how many ways its planner chooses."""
    return {
        "round": "round", "cpu_s": "CPU s", "loss": "loss", "group": "networks", "greedy_mean": "greedy",
        "best_mean": f"best of {walks}", "best_p95": "its p95", "best_near": "within 1 %", "right": "steps right",
        "cut_mean": "single cut", "local_mean": "local",
    }  # fmt: skip


def table(points: Sequence[Point], walks: int) -> tuple[list[str], list[list[str]]]:
    """Heads and lines."""
    named = heads(walks)
    return list(named.values()), [[_told(key, asdict(point)[key]) for key in named] for point in points]


def percent(share: float) -> str:
    """A share in percent, with two places."""
    return f"{round(100.0 * share, 2) + 0.0:.2f}"  # nothing is not less than nothing


def _told(key: str, value: Any) -> str:
    if key in _SHARES:
        return percent(value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def chart(points: Sequence[Point], walks: int) -> dict[str, Any]:
    """Gaps against rounds, a panel for each group of networks."""
    import altair

    alt: Any = altair
    drawn = {
        "greedy_mean": "the best step, always",
        "best_mean": f"best of {walks} walks",
        "cut_mean": "best single cut, untrained",
    }
    # A gap of nothing has no place on a logarithmic axis: the least is drawn at a hundredth of a percent.
    rows = [
        {
            "round": point.round,
            "networks": point.group,
            "answer": answer,
            "gap": max(100.0 * float(asdict(point)[key]), 0.01),
        }
        for point in points
        for key, answer in drawn.items()
    ]
    data: Any = alt.Data(values=rows)
    lines = (
        alt.Chart(data, width=430, height=300)
        .mark_line(point=True)
        .encode(
            x=alt.X("round:Q", title="rounds of training"),
            y=alt.Y("gap:Q", title="mean gap to the exact answer, %", scale=alt.Scale(type="log")),
            color=alt.Color("answer:N", title=None, sort=list(drawn.values()), legend=alt.Legend(orient="bottom")),
            tooltip=["answer:N", "round:Q", alt.Tooltip("gap:Q", format=".2f")],
        )
    )
    return dict(lines.facet(column=alt.Column("networks:N", title=None)).to_dict())

"""The table and the picture of the least money."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from layerlift.emulator.report.formatting import seconds
from layerlift.emulator.studies.reproduce.lin.runs import MICRO, PLANNERS, Paid
from layerlift.emulator.studies.reproduce.reproduction import Table


def main_table(found: Sequence[Paid]) -> Table:
    """A line for each deadline."""
    planners = list(PLANNERS)
    rows = []
    by = {(each.network, each.slack, each.planner): each for each in found}
    for network, slack in dict.fromkeys((each.network, each.slack) for each in found):
        some = [by[network, slack, planner] for planner in planners]
        proved = "not proved" not in some[-1].note
        cells = [f"{each.money * MICRO:.4g}" if each.met else "missed" for each in some]
        cells[-1] += "" if proved else " *"
        rows.append((network if slack == found[0].slack else "", f"{slack:g}", seconds(some[0].deadline_s), *cells))
    return Table(
        "Millionths of a USD a query",
        ("network", "x least", "deadline", *planners),
        tuple(rows),
        "Missed: the emulated query took longer than its deadline. *: optimal has not proved that its plan is the "
        "cheapest.",
    )


def picture(found: Sequence[Paid]) -> dict[str, Any]:
    """Return the picture in Vega-Lite: a panel for each network."""
    import altair

    alt: Any = altair
    colours = ["#c1121f", "#ff9f1c", "#1f77b4", "#7f7f7f", "#2a9d3f", "#222222"]
    below, scale = alt.Legend(orient="bottom"), alt.Scale(domain=list(PLANNERS), range=colours)
    colour = alt.Color("planner:N", title=None, sort=list(PLANNERS), scale=scale, legend=below)
    panels = []
    for network in dict.fromkeys(each.network for each in found):
        data = [
            {
                "deadline": float(f"{each.deadline_s:.5g}"),
                "money": float(f"{each.money * MICRO:.6g}"),
                "planner": each.planner,
                "met": "met" if each.met else "missed",
            }
            for each in found
            if each.network == network
        ]
        x = alt.X("deadline:Q", title="deadline (s)", scale=alt.Scale(type="log", nice=False))
        y = alt.Y("money:Q", title="millionths of a USD a query")
        base = alt.Chart(alt.Data(values=data)).encode(x=x, y=y, color=colour)
        lines = base.transform_filter("datum.met == 'met'").mark_line(strokeWidth=1.5)
        shapes = alt.Scale(domain=["met", "missed"], range=["circle", "cross"])
        shape = alt.Shape("met:N", title=None, scale=shapes, legend=below)
        dots = base.mark_point(size=46).encode(shape=shape)
        panels.append((lines + dots).properties(width=270, height=250, title=network))
    made: dict[str, Any] = alt.hconcat(*panels).to_dict()
    return made

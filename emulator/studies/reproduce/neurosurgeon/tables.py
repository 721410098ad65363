"""The tables and the picture of Neurosurgeon."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import inf, sqrt
from typing import Any

from layerlift.emulator.report.formatting import seconds, size
from layerlift.emulator.studies.reproduce.neurosurgeon.cuts import best
from layerlift.emulator.studies.reproduce.neurosurgeon.runs import AGREES, MBIT, NAMED_MBIT_S, Input, Point, place_of
from layerlift.emulator.studies.reproduce.reproduction import Table


def crossing_table(given: Sequence[Input], points: Sequence[Point]) -> Table:
    """A line for each stretch of bandwidths."""
    made = []
    for each in given:
        held = [p for p in points if p.input == each.name and p.place not in NAMED_MBIT_S]
        for number, stretch in enumerate(each.stretches):
            inside = [p for p in held if stretch.above < p.mbit_s * MBIT <= stretch.up_to]
            middle = next(p for p in inside if p.place == "middle")
            made.append(
                (
                    each.name if number == 0 else "",
                    place_of(stretch.line.layers),
                    str(stretch.line.layers),
                    "0" if stretch.above == 0 else f"{stretch.above / MBIT:.4f}",
                    "any" if stretch.up_to == inf else f"{stretch.up_to / MBIT:.4f}",
                    size(stretch.line.bits / 8),
                    f"{seconds(middle.latency_s)} at {middle.mbit_s:.3g}",
                    f"{len([p for p in inside if p.agrees])} of {len(inside)}",
                )
            )
    return Table(
        "Which cut is best where",
        (
            "input",
            "cut after",
            "layers on the device",
            "above (Mbit/s)",
            "up to",
            "sent both ways",
            "emulated",
            "agree",
        ),
        tuple(made),
        "Crossings are exact: the latency of a cut is a line in seconds per bit, and two lines cross once. Agree: "
        "emulated bandwidths of the stretch at which the planner's cut is the best of all and the latency is the "
        f"line's, within {AGREES:g}.",
    )


def named_table(points: Sequence[Point], cloud: Mapping[tuple[str, str], Mapping[str, Any]]) -> Table:
    """A line for each of the typical links."""
    return Table(
        "On typical links",
        ("input", "link", "Mbit/s", "cut after", "latency", "cloud alone", "gain"),
        tuple(
            (
                each.input,
                each.place,
                f"{each.mbit_s:g}",
                place_of(each.layers),
                seconds(each.latency_s),
                seconds(cloud[each.input, each.place]["latency_s"]),
                f"{cloud[each.input, each.place]['latency_s'] / each.latency_s:.2f}",
            )
            for each in points
            if each.place in NAMED_MBIT_S
        ),
    )


def picture(given: Sequence[Input], points: Sequence[Point]) -> dict[str, Any]:
    """Return the picture in Vega-Lite: a panel for each input."""
    import altair

    alt: Any = altair
    panels = []
    for each in given:
        crossings = [stretch.above / MBIT for stretch in each.stretches[1:]]
        low, high = crossings[0] / 4, crossings[-1] * 4
        grid = sorted({low * (high / low) ** (step / 120) for step in range(121)} | set(crossings))
        ends = {"device alone": each.cuts[-1], "cloud alone": each.cuts[0]}
        curves = [
            {"cut": name, "mbit": round(rate, 5), "latency": float(f"{line.at(rate * MBIT):.6g}")}
            for rate in grid
            for name, line in [("best cut", best(each.cuts, rate * MBIT)), *ends.items()]
        ]
        dots = [
            {"mbit": round(p.mbit_s, 5), "latency": float(f"{p.latency_s:.6g}")}
            for p in points
            if p.input == each.name and low <= p.mbit_s <= high
        ]
        names = [
            {"mbit": round(sqrt(a * b), 5), "place": place_of(stretch.line.layers)}
            for stretch, (a, b) in zip(each.stretches, pairwise([low, *crossings, high]), strict=True)
        ]
        x = alt.X("mbit:Q", title="bandwidth (Mbit/s)", scale=alt.Scale(type="log", domain=[low, high], nice=False))
        y = alt.Y("latency:Q", title="latency (s)", scale=alt.Scale(type="log"))
        legend = alt.Legend(orient="bottom")
        colours = alt.Scale(range=["#c1121f", "#1f77b4", "#7f7f7f"])
        colour = alt.Color("cut:N", title=None, scale=colours, sort=None, legend=legend)
        drawn = alt.layer(
            alt.Chart(alt.Data(values=[{"mbit": round(at, 5)} for at in crossings]))
            .mark_rule(color="#999999", strokeDash=[2, 3])
            .encode(x=x),
            alt.Chart(alt.Data(values=curves)).mark_line(strokeWidth=2, clip=True).encode(x=x, y=y, color=colour),
            alt.Chart(alt.Data(values=dots)).mark_point(filled=True, size=30, color="#222222").encode(x=x, y=y),
            alt.Chart(alt.Data(values=names)).mark_text(dy=-6, fontSize=11).encode(
                x=x, y=alt.value(0), text="place:N"
            ),
        )  # fmt: skip
        title = alt.Title(f"input: {each.name}", fontSize=13, offset=18)
        panels.append(drawn.properties(width=460, height=280, title=title))
    made: dict[str, Any] = alt.hconcat(*panels).to_dict()
    return made

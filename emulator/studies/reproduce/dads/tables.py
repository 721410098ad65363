"""The tables and the picture of DADS."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from layerlift.emulator.report.formatting import rate, seconds
from layerlift.emulator.studies.reproduce.dads.runs import LINKS_MBIT_S, PLANNERS, TOO_FAST, Measured
from layerlift.emulator.studies.reproduce.reproduction import Table


def main_table(found: Sequence[Measured]) -> Table:
    """Every planner on every link."""
    return Table(
        "Latency and throughput",
        ("network", "link", "planner", "on the cloud", "latency alone", "queries/s", "busiest", "keeps up"),
        tuple(
            (
                each.network if number % (len(PLANNERS) * len(LINKS_MBIT_S)) == 0 else "",
                f"{each.link}, {each.mbit_s:g}" if number % len(PLANNERS) == 0 else "",
                each.planner,
                str(each.remote),
                seconds(each.lone_s),
                rate(each.per_s),
                each.stage,
                "yes" if each.keeps_up else "no",
            )
            for number, each in enumerate(found)
        ),
        "On the cloud: layers. Busiest: the stage that bounds the throughput. Keeps up: the last query of a stream "
        "at that rate took at most 5 % longer than a lone one.",
    )


def piled_table(found: Sequence[Measured]) -> Table:
    """What a stream that is too fast does."""
    return Table(
        f"A stream that is {1 - TOO_FAST:.0%} too fast, under DADS's plan for heavy load",
        ("network", "link", "latency alone", "last of the stream", "5 % faster"),
        tuple(
            (each.network, each.link, seconds(each.lone_s), seconds(each.last_s), seconds(each.rushed_s))
            for each in found
            if each.rushed_s is not None
        ),
        "The busiest stage is where it piles up: the last query waits for what came before.",
    )


def picture(found: Sequence[Measured]) -> dict[str, Any]:
    """Return the picture in Vega-Lite: a column for each network."""
    import altair

    alt: Any = altair
    colours = ["#7f7f7f", "#1f77b4", "#2a9d3f", "#ff9f1c", "#c1121f", "#222222"]
    below, scale = alt.Legend(orient="bottom"), alt.Scale(domain=list(PLANNERS), range=colours)
    colour = alt.Color("planner:N", title=None, sort=list(PLANNERS), scale=scale, legend=below)
    rows = []
    for key, title in (("latency", "latency alone (s)"), ("per_s", "queries a second")):
        panels = []
        for network in dict.fromkeys(each.network for each in found):
            data = [
                {
                    "link": each.link,
                    "planner": each.planner,
                    "latency": float(f"{each.lone_s:.6g}"),
                    "per_s": float(f"{each.per_s:.6g}"),
                }
                for each in found
                if each.network == network
            ]
            drawn = alt.Chart(alt.Data(values=data)).mark_line(point=True, strokeWidth=1.5).encode(
                x=alt.X("link:N", title=None, sort=list(LINKS_MBIT_S)),
                y=alt.Y(f"{key}:Q", title=title, scale=alt.Scale(type="log")),
                color=colour,
            )  # fmt: skip
            panels.append(drawn.properties(width=230, height=210, title=network))
        rows.append(alt.hconcat(*panels))
    made: dict[str, Any] = alt.vconcat(*rows).to_dict()
    return made

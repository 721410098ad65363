"""The pictures of Figure 5: system delay against upload time, a step for every confirm result."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from layerlift.emulator.report.chart import save
from layerlift.emulator.studies.reproduce.figure5 import LABELS, Curve, Result

_COLOURS: Final = {
    "Direct": "#7f7f7f", "IONN": "#1f77b4", "Efficiency": "#ff9f1c", "Recursive": "#c1121f",
    "Recursive, shared": "#2a9d3f",
}  # fmt: skip
_DASHES: Final = {
    "Direct": [1, 0], "IONN": [1, 0], "Efficiency": [5, 3], "Recursive": [1, 0], "Recursive, shared": [7, 2],
}  # fmt: skip
_FINEST: Final = 0.002
"""Changes below this share of the first delay are not drawn."""
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"


def draw(results: Sequence[Result], folder: Path) -> list[Path]:
    """Write `figure5` (a panel per network: the highest factor, the first kind of links) and, when there is more,
    `figure5-factors` (a panel per case), each as .svg, .png and one .html file that needs no network.

    Raises `RunError` for files that cannot be written. Of several seeds the first is drawn.
    """
    first = [result for result in results if result.case.seed == results[0].case.seed]
    factor = max(result.case.factor for result in first)
    main = [r for r in first if r.case.factor == factor and r.case.links == first[0].case.links]
    pictures = {"figure5": _row(main)}
    if len(first) > len(main):
        pictures["figure5-factors"] = _grid(first)
    written = []
    for name, picture in pictures.items():
        for suffix in (".svg", ".png", ".html"):
            written.append(folder / f"{name}{suffix}")
            save(picture.to_dict, written[-1])
    return written


def _row(results: Sequence[Result]) -> Any:
    """The paper's figure: its panels side by side."""
    case = results[0].case
    panels = [
        _panel(result, 420, 300, f"({_LETTERS[number % 26]}) {result.case.model}")
        for number, result in enumerate(results)
    ]
    text = [
        f"mean over both clients of the latency of a query begun then; offloading by {case.offloading}, "
        f"{case.links} links, factor {case.factor:g}",
        "dots: confirm results; rule: end of the longest upload; the area up to it is the total system delay",
    ]
    return _dressed(_tiles(panels, 2 if len(panels) <= 4 else 3), "System delay while the model is uploaded", text)


def _grid(results: Sequence[Result]) -> Any:
    """All cases: a row for each network and kind of links, a column for each factor."""
    factors = sorted({result.case.factor for result in results})
    ranked = sorted(results, key=lambda r: factors.index(r.case.factor))
    rows = dict.fromkeys((result.case.model, result.case.links) for result in results)
    panels = [
        _panel(result, 260, 170, f"{result.case.model}, {result.case.links}, factor {result.case.factor:g}")
        for row in rows
        for result in ranked
        if (result.case.model, result.case.links) == row
    ]
    text = [
        "columns: how many times slower per cycle than onnxruntime the machines are; axes differ",
        "dots: confirm results; rule: end of the longest upload; the area up to it is the total system delay",
    ]
    return _dressed(_tiles(panels, len(factors)), "System delay while the model is uploaded, all cases", text)


def _tiles(panels: Sequence[Any], columns: int) -> Any:
    import altair as alt

    return alt.concat(*panels, columns=columns, bounds="flush", spacing={"row": 96, "column": 76})


def _dressed(picture: Any, title: str, text: list[str]) -> Any:
    import altair as alt

    heading = alt.Title(
        title, subtitle=text, anchor="start", frame="bounds", fontSize=16, subtitleFontSize=12, offset=14
    )
    return (
        picture.properties(title=heading, padding=12)
        .resolve_scale(color="shared", strokeDash="shared", x="independent", y="independent")
        .configure_legend(
            orient="top", title=None, labelFontSize=12, symbolType="stroke", symbolStrokeWidth=3, symbolSize=400
        )
        .configure_axis(
            labelFontSize=11, titleFontSize=12, titleFontWeight="normal", gridColor="#ececec", domainColor="#999999"
        )
        .configure_title(anchor="start", frame="group")
        .configure_view(stroke="#dddddd")
    )


def _panel(result: Result, width: int, height: int, title: str) -> Any:
    import altair as alt

    names = [LABELS[curve.algorithm] for curve in result.curves]
    lines = [point for curve in result.curves for point in _line(curve, result.until_s)]
    dots = [point for curve in result.curves for point in _dots(curve)]
    end = result.until_s or 1.0
    x = alt.X("time:Q", title="upload time (s)", scale=alt.Scale(domain=[0, end * 1.06], nice=False))
    top = 1.06 * max(point["delay"] for point in lines) or 1.0
    y = alt.Y("delay:Q", title="system delay (s)", scale=alt.Scale(domain=[0, top], nice=False))
    colour = alt.Color("algorithm:N", scale=alt.Scale(domain=names, range=[_COLOURS[name] for name in names]))
    dash = alt.StrokeDash("algorithm:N", scale=alt.Scale(domain=names, range=[_DASHES[name] for name in names]))
    curves = alt.Chart(_data(lines)).mark_line(interpolate="step-after", strokeWidth=2, clip=True)
    points = alt.Chart(_data(dots)).mark_point(filled=True, size=14, opacity=0.9, clip=True)
    rule = alt.Chart(_data([{"time": result.until_s}])).mark_rule(color="#999999", strokeDash=[2, 3])
    totals = ", ".join(f"{LABELS[c.algorithm]} {result.total(c):.3g}" for c in result.curves)
    heading = alt.Title(
        title, subtitle=f"total (s x s): {totals}", fontSize=13, subtitleFontSize=10 if width < 300 else 11
    )
    layers = [rule.encode(x="time:Q"), curves.encode(x=x, y=y, color=colour, strokeDash=dash)]
    if dots:
        layers.append(points.encode(x=x, y=y, color=colour))
    return alt.layer(*layers).properties(width=width, height=height, title=heading)


def _line(curve: Curve, until_s: float) -> Iterator[dict[str, Any]]:
    steps, drawn = curve.delay, float("inf")
    for at_s, delay_s in zip(steps.at_s, steps.values, strict=True):
        if at_s <= until_s and abs(delay_s - drawn) >= _FINEST * steps.values[0]:
            drawn = delay_s
            yield _point(curve, at_s, delay_s)
    yield _point(curve, 1.06 * (until_s or 1.0), steps.at(until_s))


def _dots(curve: Curve) -> Iterator[dict[str, Any]]:
    times = sorted({at for client in curve.sighting.clients for at in client.changes_s})
    yield from (_point(curve, at, curve.delay.at(at)) for at in times)


def _point(curve: Curve, at_s: float, delay_s: float) -> dict[str, Any]:
    return {"algorithm": LABELS[curve.algorithm], "time": round(at_s, 4), "delay": float(f"{delay_s:.5g}")}


def _data(rows: list[dict[str, Any]]) -> Any:
    import altair as alt

    return alt.Data(values=rows)  # type: ignore[no-untyped-call]

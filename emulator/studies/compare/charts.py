"""The pictures of a comparison: distribution, arrival, trade-off, time, main metrics, and the curve of a sweep."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from layerlift.emulator.studies.compare.captions import (
    arrival_told,
    bars_told,
    spread_told,
    sweep_told,
    time_told,
    trade_told,
)
from layerlift.emulator.studies.compare.comparison import Comparison
from layerlift.emulator.studies.compare.metrics import BY_KEY
from layerlift.emulator.studies.compare.points import arrivals, ecdf, fair_line
from layerlift.emulator.studies.compare.written import scale_of
from layerlift.models.errors import RunError

MOST: Final = 8
"""Variants on one chart."""
_COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f3c8d", "#444444")
_WIDTH: Final = 460
_HEIGHT: Final = 260
_WRAP: Final = 92


class Figure(NamedTuple):
    """One chart: an Altair chart whose title and sentence are on it."""

    key: str
    chart: Any


def figures(comparison: Comparison) -> list[Figure]:
    """Return the charts for which there are numbers. Raises `RunError` when nothing was seen at all.

    At most eight variants are drawn; of a larger sweep those of its last value.
    """
    variants = drawn(comparison)
    if not variants:
        raise RunError("no variant has a result: there is nothing to draw")
    made = [("sweep", _sweep(comparison))] if comparison.swept else []
    made += [
        ("spread", _spread(comparison, variants)),
        ("arrival", _arrival(comparison, variants)),
        ("trade", _trade(comparison, variants)),
        ("time", _time(comparison, variants)),
        ("bars", _bars(comparison, variants)),
    ]
    return [Figure(key, chart) for key, chart in made if chart is not None]


def drawn(comparison: Comparison) -> list[int]:
    """Return the variants that are drawn."""
    found = [number for number in range(len(comparison.variants)) if comparison.of(number)]
    if len(found) > MOST and comparison.swept:
        last = comparison.variants[found[-1]].value
        found = [number for number in found if comparison.variants[number].value == last]
    return found[:MOST]


def picture(comparison: Comparison) -> Any:
    """Return all charts as one, for a file of its own."""
    import altair as alt

    charts = [figure.chart for figure in figures(comparison)]
    return dressed(alt.concat(*charts, columns=2, spacing=44).resolve_scale(color="independent"), comparison.title)


def dressed(chart: Any, title: str = "") -> Any:
    """Give a chart the look of the page."""
    import altair as alt

    if title:
        chart = chart.properties(title=alt.Title(title, anchor="start", frame="bounds", fontSize=17, offset=16))
    return (
        chart.properties(padding=10)
        .configure_axis(labelFontSize=11, titleFontSize=12, titleFontWeight="normal", gridColor="#ececec")
        .configure_legend(
            orient="bottom",
            title=None,
            labelFontSize=11,
            labelLimit=330,
            columns=2,
            symbolStrokeWidth=3,
            symbolOpacity=1,
        )
        .configure_title(anchor="start", frame="group", fontSize=14, subtitleFontSize=11.5, subtitleColor="#444444")
        .configure_header(title=None, labelFontSize=11, labelLimit=220)
        .configure_view(stroke="#dddddd")
    )


def _spread(comparison: Comparison, variants: Sequence[int]) -> Any:
    import altair as alt

    lines = {_label(comparison, number): ecdf(comparison, number) for number in variants}
    rows = [{"variant": name, "cost": cost, "share": share} for name, line in lines.items() for cost, share in line]
    if not rows:
        return None
    costs = [cost for line in lines.values() for cost, _ in line]
    wide = min(costs) > 0 and max(costs) > 20 * min(costs)
    scale = alt.Scale(type="log") if wide else alt.Scale(zero=False, nice=True)
    chart = alt.Chart(_data(rows)).mark_line(interpolate="step-after", strokeWidth=2)
    chart = chart.encode(
        x=alt.X("cost:Q", title=_cost_title(comparison), scale=scale),
        y=alt.Y(
            "share:Q", title="share of users at or below", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format="%")
        ),
        color=_colour(comparison, variants),
        tooltip=["variant:N", alt.Tooltip("cost:Q", format=".3g"), alt.Tooltip("share:Q", format=".1%")],
    )
    what = "Slowdown" if comparison.slow else "Latency"
    return _titled(chart, f"{what} of users", spread_told(comparison, variants))


def _arrival(comparison: Comparison, variants: Sequence[int]) -> Any:
    import altair as alt

    rows, instants = arrivals(comparison, variants)
    if not rows:
        return None
    title = "arrival (s)" if instants else "place in order"
    cost = alt.Y("cost:Q", title="slowdown" if comparison.slow else "latency (s)", scale=alt.Scale(zero=False))
    base = alt.Chart()
    points = base.transform_filter("datum.what == 'user'").mark_point(filled=True, size=14, opacity=0.35)
    means = base.transform_filter("datum.what == 'half'").mark_rule(strokeWidth=3)
    layers = alt.layer(
        points.encode(x=alt.X("at:Q", title=title), y=cost, color=_colour(comparison, variants, legend=False)),
        means.encode(x="at:Q", x2="to:Q", y=cost, color=_colour(comparison, variants, legend=False)),
        data=_data(rows),
    )
    columns = 1 if len(variants) == 1 else 2 if len(variants) <= 4 else 4
    width = (_WIDTH - 24 * (columns - 1)) / columns
    order = [_label(comparison, number) for number in variants]
    panels = layers.properties(width=width, height=_HEIGHT if len(variants) == 1 else 104)
    chart = panels.facet(alt.Facet("variant:N", sort=order), columns=columns, spacing=14)
    said = f"{arrival_told(comparison, variants)} Bars: means of the early and the late half."
    what = "Slowdown" if comparison.slow else "Latency"
    return _titled(chart, f"{what} by arrival: who comes late", said, size=False)


def _trade(comparison: Comparison, variants: Sequence[int]) -> Any:
    import altair as alt

    rows = []
    for number in variants:
        total, jain = comparison.mean("total", number), comparison.mean("jain", number)
        if math.isfinite(total.mean) and math.isfinite(jain.mean):
            rows.append({"variant": _label(comparison, number), **_bounds("total", total), **_bounds("jain", jain)})
    if not rows:
        return None
    what = "sum over users of alone / latency" if comparison.slow else "sum over users of 1 / latency (1/s)"
    x = alt.X("total:Q", title=f"total benefit: {what}", scale=alt.Scale(zero=False, padding=16))
    y = alt.Y("jain:Q", title="Jain's index (1: all alike)", scale=alt.Scale(zero=False, padding=16))
    colour = _colour(comparison, variants)
    base = alt.Chart(_data(rows))
    sideways = base.mark_rule().encode(x="total_low:Q", x2="total_high:Q", y=y, color=colour)
    upright = base.mark_rule().encode(x=x, y="jain_low:Q", y2="jain_high:Q", color=colour)
    tips = ["variant:N", alt.Tooltip("total:Q", format=".4g"), alt.Tooltip("jain:Q", format=".3g")]
    dots = base.mark_point(filled=True, size=110, opacity=1).encode(x=x, y=y, color=colour, tooltip=tips)
    said = trade_told(comparison, variants)
    return _titled(alt.layer(sideways, upright, dots), "Fairness against the total: what it costs", said)


def _time(comparison: Comparison, variants: Sequence[int]) -> Any:
    import altair as alt

    lines = {number: fair_line(comparison, number) for number in variants}
    rows = [
        {"variant": _label(comparison, number), "at": at_s, "jain": value}
        for number, line in lines.items()
        for at_s, value in line
    ]
    if not rows:
        return None
    chart = alt.Chart(_data(rows)).mark_line(strokeWidth=2)
    chart = chart.encode(
        x=alt.X("at:Q", title="virtual seconds"),
        y=alt.Y("jain:Q", title="Jain's index (1: all alike)", scale=alt.Scale(zero=False)),
        color=_colour(comparison, variants),
        tooltip=["variant:N", alt.Tooltip("at:Q", format=".4g"), alt.Tooltip("jain:Q", format=".3g")],
    )
    return _titled(chart, "Fairness over time", time_told(comparison, variants, lines))


def _bars(comparison: Comparison, variants: Sequence[int]) -> Any:
    import altair as alt

    keys = ["slowdown_mean_users", "slowdown_worst_user"] if comparison.slow else ["latency_mean_users_s"]
    keys += ["latency_p95_users_s", "jain", "answered", "price", "starved"]
    panels = [panel for key in keys[:6] if (panel := _bar(comparison, variants, key)) is not None]
    if not panels:
        return None
    chart = alt.concat(*panels, columns=3, spacing=16).resolve_scale(color="shared")
    several = " Lines: 95 % confidence over seeds." if len(comparison.seeds) > 1 else ""
    return _titled(chart, "The main numbers", f"{bars_told(comparison, variants)}{several}", size=False)


def _bar(comparison: Comparison, variants: Sequence[int], key: str) -> Any:
    import altair as alt

    means = {number: comparison.mean(key, number) for number in variants}
    scale = scale_of(BY_KEY[key], (found.mean for found in means.values()))
    rows = [
        {"variant": _label(comparison, number), **_bounds("value", found, scale.factor)}
        for number, found in means.items()
        if math.isfinite(found.mean)
    ]
    if not rows:
        return None
    order = [_label(comparison, number) for number in variants]
    x = alt.X("value:Q", title=scale.title(BY_KEY[key]), axis=alt.Axis(tickCount=4))
    y = alt.Y("variant:N", sort=order, title=None, axis=alt.Axis(labels=False, ticks=False))
    tips = ["variant:N", alt.Tooltip("value:Q", format=".4g")]
    bars = alt.Chart(_data(rows)).mark_bar().encode(x=x, y=y, color=_colour(comparison, variants), tooltip=tips)
    rules = alt.Chart(_data(rows)).mark_rule(strokeWidth=1.5)
    layers = alt.layer(bars, rules.encode(x="value_low:Q", x2="value_high:Q", y=y))
    return layers.properties(width=(_WIDTH - 60) / 3, height=max(16 * len(variants), 48))


def _sweep(comparison: Comparison) -> Any:
    import altair as alt

    cost = ("slowdown_mean_users", "slowdown_p95_users") if comparison.slow else ("latency_mean_users_s",)
    keys = [*cost, "jain", "latency_p95_users_s", "answered"][:4]
    panels = [panel for key in keys if (panel := _curve(comparison, key)) is not None]
    if not panels:
        return None
    chart = alt.concat(*panels, columns=2, spacing=20).resolve_scale(color="shared")
    several = " Bands: 95 % confidence over seeds." if len(comparison.seeds) > 1 else ""
    said = f"{sweep_told(comparison, cost[0])}{several}"
    return _titled(chart, f"Against {comparison.swept}", said, size=False)


def _curve(comparison: Comparison, key: str) -> Any:
    import altair as alt

    found = [comparison.mean(key, number) for number in range(len(comparison.variants))]
    scale = scale_of(BY_KEY[key], (each.mean for each in found))
    names = comparison.names[:MOST]
    numeric = all(_number(variant.value) is not None for variant in comparison.variants)
    rows = [
        {
            "variant": variant.name,
            "swept": _number(variant.value) if numeric else variant.value,
            **_bounds("value", each, scale.factor),
        }
        for variant, each in zip(comparison.variants, found, strict=True)
        if math.isfinite(each.mean) and variant.name in names
    ]
    if not rows:
        return None
    order = list(dict.fromkeys(variant.value for variant in comparison.variants))
    x = alt.X("swept:Q", title=comparison.swept, scale=alt.Scale(zero=False))
    x = x if numeric else alt.X("swept:N", title=comparison.swept, sort=order)
    colour = alt.Color("variant:N", scale=alt.Scale(domain=names, range=list(_COLOURS[: len(names)])))
    y = alt.Y("value:Q", title=scale.title(BY_KEY[key]), scale=alt.Scale(zero=False))
    base = alt.Chart(_data(rows))
    bands = base.mark_area(opacity=0.16).encode(x=x, y=alt.Y("value_low:Q"), y2="value_high:Q", color=colour)
    tips = ["variant:N", "swept:N", alt.Tooltip("value:Q", format=".4g")]
    lines = base.mark_line(point=True, strokeWidth=2).encode(x=x, y=y, color=colour, tooltip=tips)
    return alt.layer(bands, lines).properties(width=(_WIDTH - 70) / 2, height=150)


def _titled(chart: Any, title: str, sentence: str, size: bool = True) -> Any:
    import altair as alt

    heading = alt.Title(title, subtitle=list(_wrapped(sentence)), anchor="start", frame="bounds", offset=10)
    chart = chart.properties(width=_WIDTH, height=_HEIGHT) if size else chart
    return chart.properties(title=heading)


def _wrapped(text: str) -> Iterator[str]:
    line = ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > _WRAP:
            yield line
            line = word
        else:
            line = f"{line} {word}".strip()
    yield line


def _colour(comparison: Comparison, variants: Sequence[int], legend: bool = True) -> Any:
    import altair as alt

    names = [_label(comparison, number) for number in variants]
    scale = alt.Scale(domain=names, range=list(_COLOURS[: len(names)]))
    return alt.Color("variant:N", scale=scale) if legend else alt.Color("variant:N", scale=scale, legend=None)


def _bounds(name: str, found: Any, factor: float = 1.0) -> dict[str, float]:
    half = 0.0 if math.isnan(found.half) else found.half
    ends = {"": found.mean, "_low": found.mean - half, "_high": found.mean + half}
    return {f"{name}{end}": value * factor for end, value in ends.items()}


def _cost_title(comparison: Comparison) -> str:
    return "slowdown (times as long as alone)" if comparison.slow else "mean latency (s)"


def _label(comparison: Comparison, variant: int) -> str:
    return comparison.variants[variant].label


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _data(rows: list[dict[str, Any]]) -> Any:
    import altair as alt

    return alt.Data(values=rows)  # type: ignore[no-untyped-call]

"""What one term of a user's query buys of another: the front of its placements, as a table and as a chart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from layerlift.emulator.report.formatting import count, dollars, joules, placement, seconds
from layerlift.emulator.report.plan_report import asked
from layerlift.emulator.world import streams
from layerlift.emulator.world.world import World
from layerlift.planners import Problem, make
from layerlift.planners.cost.judge import Term, term_of
from layerlift.planners.cost.query import Cost, evaluate
from layerlift.planners.offloading.drawn_front import drawn_front
from layerlift.planners.offloading.front import TERMS, Front, front_of

DELAY: Final = 0.1
"""How much more delay the last sentence is about."""

_SHOWN: Final = 16
_MARKS: Final = ("knee", "today")
_HEADS: Final[dict[Term, str]] = {"latency": "latency", "energy": "energy", "money": "USD", "period": "period"}
_UNITS: Final[dict[Term, str]] = {
    "latency": "latency (seconds)",
    "energy": "energy (joules)",
    "money": "money (USD)",
    "period": "period (seconds)",
}


def front_report(world: World, user: str, terms: Sequence[str], by: str | None = None) -> dict[str, Any]:
    """The front of a user's first query while nobody else is there, and today's plan; all in JSON's terms.

    Beside it, the front that the planner `by` draws when it is asked under some tens of weightings of the terms.
    Raises `RunError` for a user that the world has not, `PlanError` for other terms or when the planner fails.
    """
    found = asked(world, user)
    front = front_of(found.problem, terms)
    today = evaluate(found.problem, found.outcome.placement)
    layers = [layer.name for layer in found.problem.graph.layers]
    knee = front.knee
    points = [
        {
            **_terms(point.costs),
            "runs": _runs(found.problem, point.placement, layers),
            "knee": point is knee,
            "today": point.placement == found.outcome.placement,
        }
        for point in front.points
    ]
    fastest = min(front.points, key=lambda point: point.costs.latency_s)
    return {
        "scenario": world.name,
        "user": user,
        "model": world.models[found.spec.model].name,
        "planner": found.spec.planner,
        "terms": list(front.terms),
        "complete": front.complete,
        "points": points,
        "today": {**_terms(today), "runs": _runs(found.problem, found.outcome.placement, layers)},
        "more_delay": DELAY,
        "bought": front.bought(fastest, "latency", DELAY) if "latency" in front.terms else {},
        "bought_of_today": _bought_of(front, today),
        "by": None if by is None else _drawn(found.problem, front, by, layers),
    }


def _drawn(problem: Problem, exact: Front, by: str, layers: list[str]) -> dict[str, Any]:
    """The front that a planner draws."""
    drawn = drawn_front(problem, exact, make(by), streams.plan(0, problem.digest))
    points = [{**_terms(each.costs), "runs": _runs(problem, each.placement, layers)} for each in drawn.points]
    return {
        "planner": by,
        "weightings": drawn.weightings,
        "candidates": drawn.candidates,
        "points": points,
        "hypervolume_share": drawn.share,
    }


def _terms(costs: Cost) -> dict[str, float]:
    return {term: term_of(costs, term) for term in TERMS}


def _bought_of(front: Front, today: Cost) -> dict[str, float]:
    """By what share the other terms may fall below today's plan's for `DELAY` more than its latency."""
    if "latency" not in front.terms:
        return {}
    among = [point.costs for point in front.points if point.costs.latency_s <= today.latency_s * (1.0 + DELAY)]
    found = {}
    for term in front.terms:
        now = term_of(today, term)
        if term != "latency" and now > 0.0:
            found[str(term)] = max(0.0, 1.0 - min((term_of(costs, term) for costs in among), default=now) / now)
    return found


def _runs(problem: Problem, chosen: tuple[int, ...], layers: list[str]) -> list[dict[str, Any]]:
    return [
        {
            "node": problem.nodes[run.node],
            "first_layer": run.first,
            "last_layer": run.last,
            "first": layers[run.first],
            "last": layers[run.last],
        }
        for run in problem.graph.segments(chosen)
    ]


def show_front(told: dict[str, Any], console: Console) -> None:
    """Print what `front_report` found."""
    terms, points = told["terms"], told["points"]
    _say(console, f"{told['user']} asks {told['model']}: {count(len(points), 'placement')} that none beats", "bold")
    kind = "all there are" if told["complete"] else "a good spread"
    among = "pipelines and single cuts" if "period" in terms else "those that keep each module on one node"
    _say(console, f"By {', '.join(terms)}; {kind} among {among}.", "dim")
    console.print()
    console.print(_table(told))
    _say_left_out(points, terms, console)
    console.print()
    for sentence in _sentences(told):
        _say(console, sentence)
    if told["by"] is not None:
        _show_drawn(told["by"], told["terms"], console)
    _say(console, "Reckoned with idle servers and links; in a run, others may use them.", "dim")


def _show_drawn(drawn: dict[str, Any], terms: Sequence[Term], console: Console) -> None:
    """What a planner draws, beside."""
    share = f"{100.0 * drawn['hypervolume_share']:.2f}"
    console.print()
    _say(
        console,
        f"{drawn['planner']}, asked under {drawn['weightings']} weightings, looks at "
        f"{count(drawn['candidates'], 'placement')} and draws {len(drawn['points'])}: {share} % of the hypervolume of "
        "the front above.",
        "bold",
    )
    console.print()
    console.print(_table_of(drawn["points"], terms))
    _say_left_out(drawn["points"], terms, console)


def _say_left_out(points: list[dict[str, Any]], terms: Sequence[Term], console: Console) -> None:
    """Say how many points a table leaves out, where it does."""
    if left := len(points) - len(_shown(points, terms)):
        _say(console, f"{left:,} more lie between these; --json has them all.", "dim")


def _sentences(told: dict[str, Any]) -> list[str]:
    """What 10 % more delay buys, of the fastest placement and of today's plan."""
    made = []
    for whose, bought in (("the fastest of these", told["bought"]), ("today's plan", told["bought_of_today"])):
        parts = [f"{100.0 * value:.2g} % less {term}" for term, value in bought.items()]
        if parts:
            made.append(f"{100.0 * told['more_delay']:.0f} % more delay than {whose} buys {' or '.join(parts)}.")
    return made


def _table(told: dict[str, Any]) -> Table:
    points, today = told["points"], told["today"]
    table = _table_of(points, told["terms"])
    if not any(point["today"] for point in points):
        table.add_row(*_cells(today, told["terms"]), Text(placement(today["runs"], "client")), "today", style="dim")
    return table


def _table_of(points: list[dict[str, Any]], terms: Sequence[Term]) -> Table:
    """Some of the points, evenly, all that are marked, and the first that has the least of each term."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for term in terms:
        table.add_column(_HEADS[term], justify="right")
    table.add_column("layers", overflow="fold")
    table.add_column("")
    among = _shown(points, terms)
    for number, point in enumerate(points):
        if number in among:
            marks = [word for word in _MARKS if point.get(word)]
            table.add_row(*_cells(point, terms), Text(placement(point["runs"], "client")), ", ".join(marks))
    return table


def _shown(points: list[dict[str, Any]], terms: Sequence[Term]) -> set[int]:
    """Which points a table has."""
    if not points:
        return set()
    found = {*range(0, len(points), max(1, -(-len(points) // _SHOWN))), len(points) - 1}
    for term in terms:
        values = [point[term] for point in points]
        found.add(values.index(min(values)))
    return found | {number for number, point in enumerate(points) if any(point.get(word) for word in _MARKS)}


def _cells(point: dict[str, Any], terms: Sequence[Term]) -> list[str]:
    written = {"latency": seconds, "energy": joules, "money": dollars, "period": seconds}
    return [written[term](point[term]) for term in terms]


def _say(console: Console, text: str, style: str = "") -> None:
    console.print(Text(text, style=style))


def draw_front(told: dict[str, Any], path: Path) -> None:
    """Draw the front: a line through its points, the knee and today's plan marked; three terms give two charts.

    `path` is as for `layerlift.emulator.report.chart.chart`.
    """
    from layerlift.emulator.report.chart import save  # altair takes a second to import

    save(lambda: _spec(told), path)


def _spec(told: dict[str, Any]) -> dict[str, Any]:
    import altair as alt

    across, *upward = told["terms"]
    charts = [_one(told, across, term) for term in upward]
    picture = charts[0] if len(charts) == 1 else alt.hconcat(*charts)
    title = alt.Title(
        f"{told['user']}, {told['model']}: what {_HEADS[across]} buys", subtitle="placements that none beats"
    )
    made: dict[str, Any] = picture.properties(title=title).to_dict()
    return made


def _one(told: dict[str, Any], across: Term, upward: Term) -> Any:
    import altair as alt

    x = alt.X("x:Q", title=_UNITS[across], scale=alt.Scale(zero=False))
    y = alt.Y("y:Q", title=_UNITS[upward], scale=alt.Scale(zero=False))
    rows = [{"x": point[across], "y": point[upward]} for point in told["points"]]
    marked = [{"x": p[across], "y": p[upward], "which": "knee"} for p in told["points"] if p["knee"]]
    if told["by"] is not None:
        name = f"drawn by {told['by']['planner']}"
        marked += [{"x": p[across], "y": p[upward], "which": name} for p in told["by"]["points"]]
    marked.append({"x": told["today"][across], "y": told["today"][upward], "which": "today's plan"})
    points = alt.Chart(_data(rows)).mark_point(filled=True, size=20, opacity=0.6).encode(x=x, y=y)
    marks = (
        alt.Chart(_data(marked))
        .mark_point(filled=True, size=140)
        .encode(x=x, y=y, color=alt.Color("which:N", title=None))
    )
    layers = [points, marks]
    if len(told["terms"]) == 2:
        # In steps: between two points lies no placement, and the later one holds from its own value on.
        line = alt.Chart(_data(rows)).mark_line(interpolate="step-after", opacity=0.5).encode(x=x, y=y)
        layers = [line, points, marks]
    return alt.layer(*layers).properties(width=420, height=320)


def _data(rows: list[dict[str, Any]]) -> Any:
    import altair as alt

    return alt.Data(values=rows)  # type: ignore[no-untyped-call]

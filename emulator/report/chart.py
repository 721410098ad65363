"""One picture of a run: the latency of every query against the time at which it began."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from layerlift.emulator.report.pages import page
from layerlift.emulator.results.reader import RunResult
from layerlift.models.errors import RunError
from layerlift.models.text import drawable

_POINTS: Final = 5000
_COLOURS: Final = 10
SUFFIXES: Final = (".html", ".svg", ".png")


def chart(result: RunResult, path: Path | str) -> None:
    """Draw a run: a dot per answered query, a rule per confirm result; by client, or by kind when there are many.

    `path` ends in .html (one file that needs no network), .svg or .png. Runs with more than 5,000 answers are
    thinned evenly. Raises `RunError` for another suffix, a run without an answer, or a path that cannot be written.
    """
    save(lambda: _spec(result), Path(path))


def check(path: Path, made: Path | None = None) -> None:
    """Raise `RunError` unless `save` knows how to draw a file of that name, in a folder that is there or is `made`."""
    if path.suffix not in SUFFIXES:
        raise RunError(f"cannot draw {path.name!r}: expected a name that ends in {', '.join(SUFFIXES)}")
    if not path.parent.is_dir() and path.parent != made:
        raise RunError(f"cannot write {path}: there is no folder {path.parent}; choose another place")


def save(spec_of: Callable[[], dict[str, Any]], path: Path) -> None:
    """Draw a Vega-Lite specification; `path` says how, see `chart`. Raises `RunError`, before it asks for the spec."""
    check(path)
    import vl_convert

    spec = drawable(spec_of())
    try:
        if path.suffix == ".html":
            path.write_text(page("Chart", {"chart": spec}), encoding="utf-8")
        elif path.suffix == ".svg":
            path.write_text(vl_convert.vegalite_to_svg(spec), encoding="utf-8")
        else:
            path.write_bytes(vl_convert.vegalite_to_png(spec, scale=2))
    except OSError as failure:
        raise RunError(f"cannot write {path}: {failure.strerror or failure}; choose another place") from failure


def _spec(result: RunResult) -> dict[str, Any]:
    import altair as alt

    users = result.summary["users"]
    key = "client" if len(users) <= _COLOURS else "kind"
    series = {user["user"]: user[key] for user in users}
    queries = [
        {"begun": begun, "latency": latency, key: series.get(user, user)}
        for user, begun, latency, status in zip(
            *(result.queries[name].to_pylist() for name in ("user", "begun_s", "latency_s", "status")), strict=True
        )
        if status == "answered"
    ]
    if not queries:
        raise RunError("the run has no answered query: there is nothing to draw")
    step = -(-len(queries) // _POINTS)
    ends = {user["user"]: user["upload"]["ended_s"] for user in users}
    confirmed = [
        {"at": at, "last": at == ends.get(user), key: series.get(user, user)}
        for user, at, status in zip(
            *(result.uploads[name].to_pylist() for name in ("user", "ended_s", "status")), strict=True
        )
        if status == "confirmed" and (key == "client" or at == ends.get(user))
    ]
    colour = alt.Color(f"{key}:N", title=key, sort=list(dict.fromkeys(series.values())))
    dots = (
        alt.Chart(_data(queries[::step]))
        .mark_point(filled=True, size=24, opacity=0.7)
        .encode(
            x=alt.X("begun:Q", title="query began (virtual seconds)"),
            y=alt.Y("latency:Q", title="latency (seconds)", scale=alt.Scale(zero=True)),
            color=colour,
        )
    )
    faint = 0.35 if key == "client" else 0.15
    rules = (
        alt.Chart(_data(confirmed))
        .mark_rule()
        .encode(
            x="at:Q",
            color=colour,
            strokeDash=alt.condition("datum.last", alt.value([1, 0]), alt.value([3, 3])),
            opacity=alt.condition("datum.last", alt.value(2 * faint), alt.value(faint)),
        )
    )
    name = result.run.get("world", {}).get("name", "run")
    title = alt.Title(
        f"{name}: latency of each query", subtitle="rules: confirm results of uploads, the last one unbroken"
    )
    picture = alt.layer(dots, rules).properties(width=640, height=360, title=title)
    made: dict[str, Any] = picture.to_dict()
    return made


def _data(rows: list[dict[str, Any]]) -> Any:
    import altair as alt

    return alt.Data(values=rows)  # type: ignore[no-untyped-call]

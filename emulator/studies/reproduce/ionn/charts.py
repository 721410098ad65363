"""The picture of the reproduction of IONN: answers against the time of the upload."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from layerlift.emulator.studies.reproduce.ionn.runs import Upload

_COLOURS: Final = ["#7f7f7f", "#1f77b4", "#ff9f1c", "#c1121f"]


def answers(uploads: Sequence[Upload]) -> dict[str, Any]:
    """Return the picture in Vega-Lite: a step for each answer, a dot for each confirmed part."""
    import altair

    alt: Any = altair
    end_s = uploads[0].until_s
    lines, dots = [], []
    for each in uploads:
        lines.append({"planner": each.planner, "time": 0.0, "answers": 0})
        times = [at for at in each.client.answered_s if 0.0 < at <= end_s]
        lines += [
            {"planner": each.planner, "time": round(at, 4), "answers": number} for number, at in enumerate(times, 1)
        ]
        lines.append({"planner": each.planner, "time": round(end_s, 4), "answers": len(times)})
        dots += [
            {"planner": each.planner, "time": round(at, 4), "answers": each.by(at)} for at in each.client.changes_s
        ]
    names = [each.planner for each in uploads]
    colour = alt.Color("planner:N", title=None, sort=names, scale=alt.Scale(domain=names, range=_COLOURS[: len(names)]))
    x = alt.X("time:Q", title="time since the upload began (s)", scale=alt.Scale(domain=[0, end_s], nice=False))
    y = alt.Y("answers:Q", title="queries answered")
    steps = alt.Chart(alt.Data(values=lines)).mark_line(interpolate="step-after", strokeWidth=2)
    parts = alt.Chart(alt.Data(values=dots)).mark_point(filled=True, size=46)
    drawn = alt.layer(steps.encode(x=x, y=y, color=colour), parts.encode(x=x, y=y, color=colour))
    title = alt.Title(f"Queries answered while {uploads[0].network} is uploaded", subtitle="dots: confirmed parts")
    made: dict[str, Any] = drawn.properties(width=640, height=320, title=title).to_dict()
    return made

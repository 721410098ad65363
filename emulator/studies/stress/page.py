"""A stress study in files: stress.json, stress.html (one page that needs no network), and the worst worlds."""

from __future__ import annotations

import json
import math
import re
import shutil
from pathlib import Path
from typing import Any, Final

from layerlift.emulator.report.pages import page as with_charts
from layerlift.emulator.scenario import families
from layerlift.emulator.scenario.schema.document import written
from layerlift.emulator.studies import answer_files
from layerlift.emulator.studies.stress.asked import Asked
from layerlift.emulator.studies.stress.card import Row
from layerlift.emulator.studies.stress.ladders import BOUNDS, MOST_MEAN
from layerlift.emulator.studies.stress.result import Stress, html
from layerlift.models.errors import RunError
from layerlift.models.text import escaped

FILES: Final = ("stress.json", "stress.html")
WORST: Final = "worst"
"""The folder of the worlds in which each contender is worst."""
_STYLE: Final = """
body { font: 15px/1.45 system-ui, sans-serif; color: #222; margin: 24px auto; max-width: 1240px; padding: 0 16px }
h1 { font-size: 22px } h2 { font-size: 17px; margin-top: 32px } h3 { font-size: 15px }
.wide { overflow-x: auto } .small { color: #555; font-size: 13px }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums }
th, td { padding: 3px 10px 3px 0; text-align: right; border-bottom: 1px solid #eee; white-space: nowrap }
th:first-child, td:first-child, th:last-child, td:last-child { text-align: left }
"""
_COLOURS: Final = {
    "better": "#3b7dd8", "reference": "#8c8c8c", "as good": "#5aa469", "undecided": "#c9b458", "worse": "#d1495b",
    "misses more": "#9d2a4b", "no plans": "#222222", "nothing known": "#dddddd",
}  # fmt: skip


def check(out: Path | None, force: bool) -> None:
    """Raise `RunError` for a folder that a study cannot be written to."""
    answer_files.check(out, FILES, "stress study", force)


def clear(out: Path) -> None:
    """Take an earlier answer away: a study that is stopped must not look as if it had that."""
    answer_files.clear(out, FILES)
    try:
        if (out / WORST).is_dir():
            shutil.rmtree(out / WORST)
    except OSError as error:
        raise RunError(f"cannot write to {out}: {error.strerror or error}; give another with --out") from error


def write(stress: Stress, out: Path, asked: Asked) -> None:
    """Write all files, each whole or not at all. Raises `RunError` when they cannot be written."""
    answer_files.write(out / WORST, worst_worlds(stress, asked))
    told = json.dumps(stress.as_dict(), indent=1, allow_nan=False) + "\n"
    answer_files.write(out, {"stress.html": page(stress), "stress.json": told})


def worst_worlds(stress: Stress, asked: Asked) -> dict[str, str]:
    """For each contender and family the world in which it is worst, as a scenario that can be run, by file name."""
    found: dict[str, str] = {}
    for row in stress.rows:
        if row.contender in stress.contenders and row.worst is not None:
            seed = families.HELD_OUT_FROM + row.worst
            document = asked.document(row.contender, row.family, seed)
            world = asked.scenario(row.contender, row.family, document)
            plain = _with_choices(document, world.model_dump(mode="json"))
            head = f"# {row.family}, seed {seed}: {row.worst_ratio:.3g} times {row.reference}\n"
            found[f"{_slug(row.contender)}-{_slug(row.family)}.yaml"] = head + written(plain)
    return found


def _with_choices(document: dict[str, Any], made: dict[str, Any]) -> dict[str, Any]:
    """The drawn world with the planners and policies that it was run with."""
    users = [{**kind, "planner": own["planner"]} for kind, own in zip(document["users"], made["users"], strict=True)]
    nodes = [
        group if group.get("tier") == "client" else {**group, "policy": own["policy"]}
        for group, own in zip(document["nodes"], made["nodes"], strict=True)
    ]
    return {**document, "users": users, "nodes": nodes}


def page(stress: Stress) -> str:
    """The page: the answer in words, a chart of all ratios, a card for each contender, its ladders and its times."""
    title = f"Stress: {', '.join(stress.contenders)}"
    body = [f"<h1>{escaped(title)}</h1>", "<ul>"]
    body += [f"<li>{escaped(text)}</li>" for text in [*stress.sentences(), *stress.notes, *stress.slow]]
    body += ["</ul>", '<div id="ratios"></div>']
    pushed = any(ladder.steps for ladder in stress.ladders)
    for name in stress.contenders:
        body += [f"<h2>{escaped(name)}</h2>", f'<div class="wide">{html(stress.table(name))}</div>']
    if pushed:
        body += ["<h2>Pushed</h2>", f'<p class="small">{escaped(f"Bounds: {BOUNDS}.")}</p>', '<div id="ladders"></div>']
        for name in stress.contenders:
            body += [f"<h3>{escaped(name)}</h3>", f'<div class="wide">{html(stress.ladder_table(name))}</div>']
    body += ["<h2>Times on this machine</h2>", '<p class="small">In no comparison of runs.</p>']
    for name in stress.contenders:
        body += [f"<h3>{escaped(name)}</h3>", f'<div class="wide">{html(stress.time_table(name))}</div>']
    charts = {"ratios": _ratios(stress), **({"ladders": _ladders(stress)} if pushed else {})}
    return with_charts(title, charts, body, _STYLE)


def _ratios(stress: Stress) -> dict[str, Any]:
    """A line for each family: the ratio with its interval, coloured by the verdict."""
    import altair

    alt: Any = altair
    data: Any = alt.Data(values=[_point(row) for row in stress.rows if not math.isnan(row.ratio.mean)])
    colours = alt.Scale(domain=list(_COLOURS), range=list(_COLOURS.values()))
    x = alt.X("ratio:Q", title=f"times {stress.measure} (less is better)", scale=alt.Scale(type="log"))
    base = alt.Chart(data, width=300, height=alt.Step(17)).encode(y=alt.Y("family:N", title=None, sort=None))
    dots = base.mark_point(filled=True, size=60, opacity=1).encode(
        x=x, color=alt.Color("verdict:N", scale=colours), tooltip=["contender:N", "family:N", "told:N", "verdict:N"]
    )
    spans = base.mark_rule(strokeWidth=2).encode(x="low:Q", x2="high:Q", color=alt.Color("verdict:N", scale=colours))
    even = alt.Chart(data).mark_rule(strokeDash=[5, 4], color="#888").encode(x=alt.datum(1))
    order = list(dict.fromkeys(row.contender for row in stress.rows))
    return dict((even + spans + dots).facet(alt.Facet("contender:N", title=None, sort=order), columns=3).to_dict())


def _point(row: Row) -> dict[str, Any]:
    low, high = ((row.ratio.mean if math.isnan(end) else end) for end in (row.ratio.low, row.ratio.high))
    kept = {key: min(max(value, 0.05), 50.0) for key, value in (("low", low), ("high", high))}
    return {"contender": row.contender, "family": row.family, "ratio": row.ratio.mean, **kept,
            "told": f"{row.ratio} times {row.reference}", "verdict": row.verdict}  # fmt: skip


def _ladders(stress: Stress) -> dict[str, Any]:
    """Times home at every step of every ladder."""
    import altair

    alt: Any = altair
    rows = [
        {"contender": ladder.contender, "ladder": f"{ladder.push.change}, {ladder.push.family}", "place": number,
         "step": step.label, "value": step.value, "bound": step.breaks or "holds"}
        for ladder in stress.ladders for number, step in enumerate(ladder.steps) if math.isfinite(step.value)
    ]  # fmt: skip
    charts = []
    for name in dict.fromkeys(row["ladder"] for row in rows):
        data: Any = alt.Data(values=[row for row in rows if row["ladder"] == name])
        labels = list(dict.fromkeys(row["step"] for row in rows if row["ladder"] == name))
        x = alt.X("step:N", sort=labels, title=None, axis=alt.Axis(labelAngle=-35))
        y = alt.Y("value:Q", title="times home", scale=alt.Scale(type="log"))
        tips = ["contender:N", "step:N", "value:Q", "bound:N"]
        base = alt.Chart(data, title=name, width=280, height=220)
        line = base.mark_line(point=True).encode(x=x, y=y, color="contender:N", tooltip=tips)
        bound = base.mark_rule(strokeDash=[5, 4], color="#888").encode(y=alt.datum(MOST_MEAN))
        charts.append(line + bound)
    return dict(alt.hconcat(*charts).to_dict())


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.=-]+", "_", text)[:80]

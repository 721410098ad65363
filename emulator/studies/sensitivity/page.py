"""A sensitivity in files: sensitivity.json, and sensitivity.html, one page that needs no network."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from layerlift.emulator.report.pages import page as with_charts
from layerlift.emulator.studies import answer_files
from layerlift.emulator.studies.sensitivity.charts import effects, tornado
from layerlift.emulator.studies.sensitivity.findings import Sensitivity
from layerlift.models.text import escaped

FILES: Final = ("sensitivity.json", "sensitivity.html")
_SHORT: Final = 24
"""Characters of a cell that is not broken."""
_STYLE: Final = """
body { font: 15px/1.45 system-ui, sans-serif; color: #222; margin: 24px auto; max-width: 1180px; padding: 0 16px }
h1 { font-size: 22px } h2 { font-size: 17px; margin-top: 36px }
.wide { overflow-x: auto }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums }
th, td { padding: 3px 14px 3px 0; text-align: left; border-bottom: 1px solid #eee; vertical-align: top }
.short { white-space: nowrap }
details { margin-top: 28px } summary { font-weight: 600; cursor: pointer }
"""


def check(out: Path | None, force: bool) -> None:
    """Raise `RunError` for a folder that a sensitivity cannot be written to."""
    answer_files.check(out, FILES, "sensitivity", force)


def clear(out: Path) -> None:
    """Take an earlier sensitivity away."""
    answer_files.clear(out, FILES)


def write(found: Sensitivity, out: Path) -> None:
    """Write both files, each whole or not at all. Raises `RunError` when they cannot be written."""
    answer_files.clear(out, FILES)
    told = json.dumps(found.as_dict(), indent=1, allow_nan=False) + "\n"
    answer_files.write(out, dict(zip(FILES, (told, page(found)), strict=True)))


def page(found: Sensitivity) -> str:
    """The page: the answer in words, a tornado and a table for each number, and what was not varied."""
    title = f"Sensitivity: {found.title}"
    specs = dict[str, dict[str, Any]]()
    body = [f"<h1>{escaped(title)}</h1>", *_list(found.sentences()), *_list(found.remarks())]
    for number, measure in enumerate(found.measures):
        body += [f"<h2>{escaped(measure.title)}</h2>"]
        for key, spec in ((f"tornado{number}", tornado(found, measure)), (f"effects{number}", effects(found, measure))):
            if spec is not None:
                specs[key] = spec
                body.append(f'<div class="wide" id="{key}"></div>')
        body += _table(*found.table(measure))
        if found.screening is not None:
            body += ["<h3>All moved together</h3>", *_table(*found.effects(measure))]
    assumed = [[factor.name, factor.values(), factor.source] for factor in found.levels.factors]
    body += ["<details open><summary>What was varied</summary>", *_table(["assumption", "is", "source"], assumed)]
    body += ["</details><details><summary>What was not varied, and why</summary>"]
    body += [*_table(["field", "why"], [list(each) for each in found.fixed]), "</details>"]
    return with_charts(title, specs, body, _STYLE)


def _list(texts: Sequence[str]) -> list[str]:
    return ["<ul>", *(f"<li>{escaped(text)}</li>" for text in texts), "</ul>"] if texts else []


def _table(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> Iterator[str]:
    yield '<div class="wide"><table>'
    yield _row("th", heads)
    for line in lines:
        yield _row("td", line)
    yield "</table></div>"


def _row(tag: str, cells: Sequence[str]) -> str:
    whole = [' class="short"' if len(cell) <= _SHORT else "" for cell in cells]
    told = (f"<{tag}{how}>{escaped(cell)}</{tag}>" for how, cell in zip(whole, cells, strict=True))
    return f"<tr>{''.join(told)}</tr>"

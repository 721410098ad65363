"""A validation in files: validate.json, and validate.html, one page that needs no network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from layerlift.emulator.report.pages import page as with_charts
from layerlift.emulator.studies import answer_files
from layerlift.emulator.studies.validate.validation import Validation
from layerlift.models.text import escaped

FILES: Final = ("validate.json", "validate.html")
_STYLE: Final = """
body { font: 15px/1.45 system-ui, sans-serif; color: #222; margin: 24px auto; max-width: 1080px; padding: 0 16px }
h1 { font-size: 22px } h2 { font-size: 17px; margin-top: 32px }
.wide { overflow-x: auto }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums }
th, td { padding: 3px 12px 3px 0; text-align: right; border-bottom: 1px solid #eee }
th:first-child, td:first-child, th:nth-child(2), td:nth-child(2) { text-align: left }
tr.beyond td { color: #b00; font-weight: 600 }
"""


def check(out: Path | None, force: bool) -> None:
    """Raise `RunError` for a folder that a validation cannot be written to."""
    answer_files.check(out, FILES, "validation", force)


def write(found: Validation, out: Path) -> None:
    """Write both files, each whole or not at all. Raises `RunError` when they cannot be written."""
    answer_files.clear(out, FILES)
    told = json.dumps(found.as_dict(), indent=1, allow_nan=False) + "\n"
    answer_files.write(out, dict(zip(FILES, (told, page(found)), strict=True)))


def page(found: Validation) -> str:
    """The page: the answer in words, a chart, every phase, the machine."""
    title = f"Is the emulation true here? {found.network} over {found.link}"
    heads, lines = found.table()
    kept = [(row.word(found.standing), line) for row, line in zip(found.rows, lines, strict=True)]
    versions = ", ".join(f"{name} {version}" for name, version in found.versions.items())
    body = [
        f"<h1>{escaped(title)}</h1>",
        *(f"<p>{escaped(text)}</p>" for text in found.sentences()),
        "<p>Lines: what was seen, least to most, with a dot at the median; ticks: what the emulation says.</p>",
        '<div id="phases"></div>',
        "<h2>Phase by phase</h2>",
        '<div class="wide"><table>',
        _row("th", heads, ""),
        *(_row("td", line, word) for word, line in kept),
        "</table></div>",
        f"<p>{escaped(found.date)}, {escaped(found.host)}; {escaped(versions)}.</p>",
    ]
    return with_charts(title, {"phases": _chart(found)}, body, _STYLE)


def _row(tag: str, cells: list[str], word: str) -> str:
    return f'<tr class="{word}">' + "".join(f"<{tag}>{escaped(cell)}</{tag}>" for cell in cells) + "</tr>"


def _chart(found: Validation) -> dict[str, Any]:
    import altair

    alt: Any = altair

    told = [row.as_dict(found.standing) for row in found.rows if row.kind != "upload"]
    rows = [
        {
            "phase": f"{row['situation']}: {row['phase']}",
            "median": row["median_s"] * 1e3,
            "low": row["low_s"] * 1e3,
            "high": row["high_s"] * 1e3,
            "emulated": row["emulated_s"] * 1e3,
        }
        for row in told
    ]
    base = alt.Chart(alt.Data(values=rows), width=640)
    y = alt.Y("phase:N", title=None, sort=None, axis=alt.Axis(labelLimit=300))
    title = "latency of a query (ms)"
    spread = base.mark_rule(color="#4c78a8").encode(y=y, x=alt.X("low:Q", title=title), x2="high:Q")
    seen = base.mark_point(filled=True, size=70, color="#4c78a8").encode(y=y, x="median:Q")
    said = base.mark_tick(color="#e45756", thickness=3, size=18).encode(y=y, x="emulated:Q")
    return dict((spread + seen + said).to_dict())

"""A training as one page that needs no network: what it is worth, the curve, what was asked for, and every number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from layerlift.emulator.report.pages import page as with_charts
from layerlift.models.text import escaped

_STYLE: Final = """
body { font: 15px/1.45 system-ui, sans-serif; color: #222; margin: 24px auto; max-width: 1080px; padding: 0 16px }
h1 { font-size: 22px } h2 { font-size: 17px; margin-top: 32px }
.wide { overflow-x: auto }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums }
th, td { padding: 3px 12px 3px 0; text-align: right; border-bottom: 1px solid #eee }
"""


def page(
    title: str,
    sentences: Sequence[str],
    asked: Mapping[str, Any],
    chart: Mapping[str, Any],
    remark: str,
    table: tuple[Sequence[str], Sequence[Sequence[str]]],
) -> str:
    """The page: the answer in words, the curve, what was asked for, a remark on the table, and the table."""
    heads, lines = table
    body = [
        f"<h1>{escaped(title)}</h1>",
        *(f"<p>{escaped(text)}</p>" for text in sentences),
        '<div id="curve"></div>',
        "<h2>What it was asked for</h2>",
        '<div class="wide"><table>',
        *(_row("td", [key, _words(value)]) for key, value in asked.items()),
        "</table></div>",
        "<h2>All points</h2>",
        f"<p>{escaped(remark)}</p>",
        '<div class="wide"><table>',
        _row("th", heads),
        *(_row("td", line) for line in lines),
        "</table></div>",
    ]
    return with_charts(title, {"curve": dict(chart)}, body, _STYLE)


def _words(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value)


def _row(tag: str, cells: Sequence[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{escaped(cell)}</{tag}>" for cell in cells) + "</tr>"

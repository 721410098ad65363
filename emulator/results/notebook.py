"""What a notebook shows of a result: one line, and a small HTML table.

All texts are escaped: names of users, servers and scenarios come from strangers, and a run.json may hold anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from layerlift.models.sums import int_sum
from layerlift.models.text import escaped

MOST_LINES: Final = 50


def html_table(title: str, heads: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Return a table under a title: the first column is aligned to the left. Whatever is given is shown as text."""
    return "\n".join(
        [
            f"<div><strong>{escaped(title)}</strong>",
            "<table>",
            f"<thead><tr>{_cells('th', heads)}</tr></thead>",
            "<tbody>",
            *(f"<tr>{_cells('td', line)}</tr>" for line in lines),
            "</tbody></table></div>",
        ]
    )


def run_line(run: Mapping[str, Any], directory: Path | None) -> str:
    """Return one line on a run, from run.json alone: name, state, users, queries and virtual seconds, digest, place."""
    said = [_text(run.get("status")), *_counts(run)]
    if run.get("digest"):
        said.append(f"digest {_text(run['digest'])[:8]}")
    said.append(_text(directory) if directory is not None else "in memory")
    return f"<RunResult {_name(run)}: {', '.join(said)}>"


def run_page(run: Mapping[str, Any], directory: Path | None) -> str:
    """Return what `run_line` says, and a line for each kind of user, as HTML."""
    lines = []
    for entry in _at(run, "summary", "kinds", otherwise=[])[:MOST_LINES]:
        after = _at(entry, "latency_s", "after", "median")
        failed = int_sum(number for number in _at(entry, "failed", otherwise={}).values() if isinstance(number, int))
        cells = (_at(entry, "users"), _at(entry, "answered"), failed, after)
        energy = _at(entry, "energy_j")
        lines.append(
            [_text(_at(entry, "kind")), *map(_number, cells), "not given" if energy is None else _number(energy)]
        )
    heads = ["kind", "users", "answered", "failed", "median latency after upload (s)", "energy (J)"]
    return html_table(run_line(run, directory)[1:-1], heads, lines)


def _counts(run: Mapping[str, Any]) -> list[str]:
    totals = _at(run, "summary", "totals", otherwise={})
    if not {"answered", "failed", "virtual_s"} <= set(totals):
        return []
    users = len(_at(run, "world", "users", otherwise=[]))
    answered = f"{_number(totals['answered'])} queries answered, {_number(totals['failed'])} failed"
    return [f"{users} user{'s' * (users != 1)}", f"{answered} in {_number(totals['virtual_s'])} s of virtual time"]


def _name(run: Mapping[str, Any]) -> str:
    return _text(_at(run, "world", "name", otherwise="run"))


def _at(value: Any, *path: str, otherwise: Any = None) -> Any:
    """What is at a path of a stranger's JSON; `otherwise` where it is not, or is of another type than that."""
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value if otherwise is None or isinstance(value, type(otherwise)) else otherwise


def _number(value: Any) -> str:
    """Three significant digits; counts in full."""
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.3g}" if isinstance(value, float) else "-"


def _text(value: Any) -> str:
    """On one line, and not longer than a line."""
    text = "".join(c if c.isprintable() else " " for c in str(value))
    return text if len(text) <= 120 else f"{text[:117]}..."


def _cells(tag: str, texts: Sequence[str]) -> str:
    left, right = ' style="text-align: left"', ' style="text-align: right"'
    return "".join(f"<{tag}{right if place else left}>{escaped(text)}</{tag}>" for place, text in enumerate(texts))

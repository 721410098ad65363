"""A comparison in files: compare.json, compare.parquet, and compare.html, one page that needs no network."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pyarrow.parquet as pq

from layerlift.emulator.report.chart import check as check_chart
from layerlift.emulator.report.chart import save
from layerlift.emulator.report.formatting import NOTHING, count
from layerlift.emulator.report.pages import page as with_charts
from layerlift.emulator.results.places import check_place
from layerlift.emulator.studies import answer_files
from layerlift.emulator.studies.compare.charts import dressed, figures, picture
from layerlift.emulator.studies.compare.comparison import Comparison
from layerlift.emulator.studies.compare.metrics import METRICS
from layerlift.emulator.studies.compare.words import verdicts
from layerlift.emulator.studies.compare.written import scale_of, shown
from layerlift.models.errors import RunError
from layerlift.models.text import escaped

FILES: Final = ("compare.json", "compare.parquet", "compare.html")
_STYLE: Final = """
body { font: 15px/1.45 system-ui, sans-serif; color: #222; margin: 24px auto; max-width: 1180px; padding: 0 16px }
h1 { font-size: 22px } h2 { font-size: 17px; margin-top: 32px }
.charts { display: flex; flex-wrap: wrap; gap: 20px 28px }
.wide { overflow-x: auto }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums }
th, td { padding: 3px 12px 3px 0; text-align: right; white-space: nowrap; border-bottom: 1px solid #eee }
th:first-child, td:first-child { text-align: left }
.apart { color: #777 }
"""


def check(out: Path | None, chart: Path | None, force: bool) -> None:
    """Raise `RunError` for places that a comparison cannot be written to; nothing is written."""
    if chart is not None:
        check_chart(chart, out)
    if out is None:
        return
    check_place(out)
    if out.exists() and not out.is_dir():
        raise RunError(f"{out} is a file, expected a directory for the comparison; give another with --out")
    if not force and any((out / name).exists() for name in FILES):
        raise RunError(f"{out} already holds a comparison: give another directory, or replace it with --force")


def write(comparison: Comparison, out: Path) -> list[Path]:
    """Write the files, each whole or not at all, and return their paths; the page only where something was seen.

    Raises `RunError` when they cannot be written.
    """
    rows = io.BytesIO()
    pq.write_table(comparison.to_arrow(), rows, compression="zstd")
    texts: list[str | bytes] = [json.dumps(comparison.as_dict(), indent=1, allow_nan=False) + "\n", rows.getvalue()]
    if any(trial.seen for trial in comparison.trials):
        texts.append(page(comparison))
    answer_files.clear(out, FILES)
    answer_files.write(out, dict(zip(FILES, texts, strict=False)))
    return [out / name for name in FILES[: len(texts)]]


def draw(comparison: Comparison, path: Path) -> None:
    """Write all charts as one picture: .png, .svg or .html. Raises `RunError` for one that cannot be written."""
    save(lambda: dressed(picture(comparison)).to_dict(), path)


def page(comparison: Comparison) -> str:
    """Return the page: what differs in words, the charts, all means and differences, and remarks."""
    specs = {figure.key: dressed(figure.chart).to_dict() for figure in figures(comparison)}
    title = f"Comparison: {comparison.title}"
    body = [
        f"<h1>{escaped(title)}</h1>",
        f"<p>{escaped(_how(comparison))}</p>",
        *_listed(verdicts(comparison)),
        '<div class="charts">',
        *(f'<div id="{key}"></div>' for key in specs),
        "</div>",
        "<h2>All numbers</h2>",
        '<div class="wide"><table>',
        *_table(comparison),
        "</table></div>",
        *_listed(comparison.remarks()),
    ]
    return with_charts(title, specs, body, _STYLE)


def _how(comparison: Comparison) -> str:
    seeds = comparison.seeds
    text = f"{count(len(comparison.variants), 'variant')}, {count(len(seeds), 'seed')} ({', '.join(map(str, seeds))})."
    if len(seeds) < 2:
        return f"{text} With one seed there are no confidence intervals."
    return (
        f"{text} Means over seeds with 95 % confidence intervals; in grey the difference to the first variant, "
        "paired by seed."
    )


def _listed(sentences: list[str]) -> Iterator[str]:
    if sentences:
        yield "<ul>"
        yield from (f"<li>{escaped(text)}</li>" for text in sentences)
        yield "</ul>"


def _table(comparison: Comparison) -> Iterator[str]:
    variants = range(len(comparison.variants))
    yield _row("th", ["", *(escaped(comparison.variants[number].label) for number in variants)])
    for metric in METRICS:
        means = [comparison.mean(metric.key, number) for number in variants]
        scale = scale_of(metric, (found.mean for found in means))
        cells: list[Any] = [comparison.told(metric.key, number, scale.factor) for number in variants]
        if set(cells) == {NOTHING}:
            continue
        for number in variants:
            apart = shown(comparison.against(metric.key, number), scale.factor, signed=True)
            cells[number] += f'<br><span class="apart">{apart}</span>' if apart != NOTHING else ""
        yield _row("td", [escaped(scale.title(metric)), *cells])


def _row(tag: str, cells: list[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{cell}</{tag}>" for cell in cells) + "</tr>"

"""Figure 5 on disk: charts, the numbers behind them, and the page."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from layerlift.emulator.results.writer import jsonable
from layerlift.emulator.studies import answer_files
from layerlift.emulator.studies.reproduce.charts import draw
from layerlift.emulator.studies.reproduce.claims import verdicts
from layerlift.emulator.studies.reproduce.figure5 import Result
from layerlift.emulator.studies.reproduce.page import page, row
from layerlift.models.errors import RunError

NUMBERS: Final = "figure5.json"
_COLUMNS: Final = ("model", "links", "servers", "factor", "seed", "algorithm", "time_s", "delay_s")


def prepare(folder: Path, force: bool) -> None:
    """Make the folder. Raises `RunError` when it cannot be, or when it holds a figure and `force` is not set."""
    if (folder / NUMBERS).exists() and not force:
        raise RunError(f"{folder} holds a figure 5 already: choose another --out, or --force to replace it")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"cannot write to {folder}: {error.strerror or error}; choose another --out") from error


def write(results: Sequence[Result], folder: Path, command: str, note: str = "") -> list[Path]:
    """Write everything, each file whole or not at all; return them. `note` says what is missing, where something is.

    Raises `RunError` for a file that cannot be written.
    """
    rows = [row(result, curve) for result in results for curve in result.curves]
    texts = {
        "figure5.md": page(results, command, note),
        NUMBERS: json.dumps(jsonable(_numbers(results, rows, command) | {"note": note}), indent=1) + "\n",
        "figure5.csv": _table(list(rows[0]), ([_cell(value) for value in each.values()] for each in rows)),
        "figure5-delay.csv": _table(_COLUMNS, _delays(results)),
    }
    answer_files.write(folder, texts)
    return [*draw(results, folder), *(folder / name for name in texts)]


def _numbers(results: Sequence[Result], rows: list[dict[str, Any]], command: str) -> dict[str, Any]:
    claims = [
        {
            **{key: getattr(result.case, key) for key in ("model", "links", "servers", "factor", "seed")},
            "claim": verdict.claim,
            "outcome": verdict.outcome,
            "why": verdict.why,
        }
        for result in results
        for verdict in verdicts(result)
    ]
    return {"command": command, "layerlift": version("layerlift"), "claims": claims, "rows": rows}


def _delays(results: Sequence[Result]) -> Iterable[Sequence[object]]:
    for result in results:
        case = result.case
        for curve in result.curves:
            named = (case.model, case.links, case.servers, case.factor, case.seed, curve.algorithm)
            for at_s, delay_s in zip(curve.delay.at_s, curve.delay.values, strict=True):
                yield *named, at_s, delay_s


def _table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def _cell(value: object) -> object:
    return " | ".join(map(str, value)) if isinstance(value, list) else value

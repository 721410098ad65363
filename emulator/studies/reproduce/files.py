"""Figure 5 on disk: charts, the numbers behind them, and the page."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from layerlift.emulator.results.writer import jsonable
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
    """Write everything; return the files. `note` says what is missing, where something is.

    Raises `RunError` for a file that cannot be written.
    """
    rows = [row(result, curve) for result in results for curve in result.curves]
    paths = [folder / name for name in ("figure5.md", NUMBERS, "figure5.csv", "figure5-delay.csv")]
    try:
        paths[0].write_text(page(results, command, note), encoding="utf-8")
        paths[1].write_text(
            json.dumps(jsonable(_numbers(results, rows, command) | {"note": note}), indent=1) + "\n", encoding="utf-8"
        )
        _table(paths[2], list(rows[0]), ([_cell(value) for value in each.values()] for each in rows))
        _table(paths[3], _COLUMNS, _delays(results))
    except OSError as error:
        raise RunError(f"cannot write {error.filename}: {error.strerror}; choose another --out") from error
    return [*draw(results, folder), *paths]


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


def _table(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)


def _cell(value: object) -> object:
    return " | ".join(map(str, value)) if isinstance(value, list) else value

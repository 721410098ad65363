"""A run's results on disk: `run.json` and one folder of Parquet part files per table, readable at any time.

```
DIR/run.json                        status running | complete | interrupted, digest, row counts, summary, world
DIR/queries/part-00000.parquet      rows in order, each part written under a temporary name and then renamed
```
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from layerlift.emulator.results.columns import Row, batch, schema
from layerlift.emulator.results.digest import RunDigest
from layerlift.emulator.results.plain import jsonable
from layerlift.emulator.results.reader import COSTS_FILE, INPUTS, RunResult
from layerlift.emulator.results.record import RECORD_DIGEST, RUN_FILE, record_digest
from layerlift.emulator.results.summary import summarise
from layerlift.emulator.results.tables import TABLES
from layerlift.models.errors import RunError, near

__all__ = ["ResultWriter", "jsonable"]

_BATCH_ROWS: Final = 8192
_STATISTICS: Final = ["at_s"]

Status = Literal["running", "complete", "interrupted"]


@dataclass(slots=True)
class _Part:
    """What is known of one table: rows that wait, batches that wait for a part file, what is already written."""

    rows: list[Row] = field(default_factory=list)
    batches: list[Any] = field(default_factory=list)
    batched: int = 0
    written: int = 0
    parts: int = 0


class ResultWriter:
    """Takes rows as a run makes them, digests them, and writes them in part files.

    `directory` None keeps all rows in memory, as Arrow batches; otherwise at most `part_rows` rows a table are held.
    As a context manager it marks the run `interrupted` when its block ends without `close`.
    Raises `RunError` for a directory that already holds a run (unless `force`, which removes that run's files and
    nothing else), or that cannot be written.
    """

    def __init__(
        self,
        directory: Path | str | None,
        part_rows: int = 65536,
        *,
        force: bool = False,
        run: Mapping[str, Any] | None = None,
    ) -> None:
        if part_rows < 1:
            raise RunError(f"part_rows is {part_rows}, expected at least 1")
        self.directory = Path(directory) if directory is not None else None
        self.part_rows = part_rows
        self.run: dict[str, Any] = jsonable({**(run or {}), "status": "running"})
        self._digest = RunDigest()
        self._tables = {table: _Part() for table in TABLES}
        self._limit = min(part_rows, _BATCH_ROWS)
        if self.directory is not None:
            _claim(self.directory, force)
            _write_run(self.directory, self.run)

    def __enter__(self) -> ResultWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if self.run["status"] == "running":
            self.interrupt(f"{kind.__name__}: {error}" if kind else "the run ended without a close")

    def add(self, table: str, rows: Iterable[Row]) -> None:
        """Append rows, tuples with exactly the columns of `TABLES[table]`, already in the table's order.

        Kinds are checked when rows become columns, so a `RunError` for a wrong one may come from a later `add`.
        """
        part = self._tables.get(table)
        if part is None:
            raise RunError(f"there is no result table {table!r}{near(table, TABLES)}")
        if self.run["status"] != "running":
            raise RunError(f"rows for {table} after the run was {self.run['status']}: expected them before its end")
        part.rows.extend(rows)
        if len(part.rows) >= self._limit:
            self._convert(table, part)

    def flush(self) -> None:
        """Write what is held as part files, so that a reader sees every row added so far."""
        for table, part in self._tables.items():
            self._convert(table, part, everything=True)
            if part.batched and self.directory is not None:
                self._write(table, part)

    def close(self, run: Mapping[str, Any]) -> str:
        """Write the rest and `run.json` (`run` with status, digest, row counts, summary); return the digest."""
        return self._end("complete", run)

    def interrupt(self, reason: str, run: Mapping[str, Any] | None = None) -> str:
        """End the run early, keeping all that was added; `run.json` says why. Returns the digest of what there is."""
        return self._end("interrupted", {**(run or {}), "reason": reason})

    def result(self) -> RunResult:
        """What was written, to read; of a run in memory, what was kept. Expects `close` or `interrupt` before."""
        if self.run["status"] == "running":
            raise RunError("the run has not ended: expected close() or interrupt() before result()")
        if self.directory is not None:
            return RunResult(self.directory, self.run)
        kept = {table: pa.Table.from_batches(part.batches, schema(table)) for table, part in self._tables.items()}
        return RunResult(None, self.run, kept)

    def _end(self, status: Status, run: Mapping[str, Any]) -> str:
        if self.run["status"] != "running":
            raise RunError(f"the run has already ended ({self.run['status']}): expected one close() or interrupt()")
        self.flush()
        for table, part in self._tables.items():
            if not part.parts and self.directory is not None:
                self._write(table, part)
        digest = self._digest.hexdigest()
        self.run = jsonable(
            {
                **self.run,
                **run,
                "status": status,
                "digest": digest,
                "tables": {
                    table: {"rows": part.written + part.batched, "parts": part.parts}
                    for table, part in self._tables.items()
                },
                "table_digests": self._digest.tables(),
            }
        )
        if "world" in self.run and "summary" not in self.run:
            self.run["summary"] = jsonable(summarise(self.result().table, self.run))
        self.run[RECORD_DIGEST] = record_digest(self.run)
        if self.directory is not None:
            _write_run(self.directory, self.run)
        return digest

    def _convert(self, table: str, part: _Part, everything: bool = False) -> None:
        """Turn held rows into batches; when they make up a part file, write it."""
        at = 0
        while True:
            room = min(self._limit, self.part_rows - part.batched) if self.directory is not None else self._limit
            left = len(part.rows) - at
            if not left or (left < room and not everything):
                break
            try:
                made = batch(table, part.rows[at : at + room])
                self._digest.add(table, made)
            except RunError:
                part.rows.clear()  # so that what was good can still be kept by interrupt()
                raise
            at += made.num_rows
            part.batches.append(made)
            part.batched += made.num_rows
            if self.directory is not None and part.batched == self.part_rows:
                self._write(table, part)
        del part.rows[:at]

    def _write(self, table: str, part: _Part) -> None:
        assert self.directory is not None
        whole = pa.Table.from_batches(part.batches, schema(table))
        text = [name for name, kind in TABLES[table] if kind == "text"]
        final = self.directory / table / f"part-{part.parts:05d}.parquet"
        hidden = final.with_name(f".{final.name}.tmp")
        try:
            final.parent.mkdir(exist_ok=True)
            pq.write_table(whole, hidden, compression="zstd", use_dictionary=text, write_statistics=_STATISTICS)
            hidden.replace(final)
        except OSError as error:
            raise RunError(
                f"cannot write {final}: {error.strerror or error}; give another directory (--out)"
            ) from error
        part.batches.clear()
        part.written += whole.num_rows
        part.batched = 0
        part.parts += 1


def check_free(directory: Path | str, force: bool) -> None:
    """Raise `RunError` when `directory` cannot take a run: it is a file, or holds a run and `force` is not set."""
    path = Path(directory)
    if path.exists() and not path.is_dir():
        raise RunError(f"{path} is a file, expected a directory for the run; give another with --out")
    if not force and any(found.exists() for found in _stale(path)):
        raise RunError(f"{path} already holds a run: give another directory with --out, or replace it with --force")


def _stale(directory: Path) -> list[Path]:
    return [directory / RUN_FILE, directory / COSTS_FILE, directory / INPUTS, *(directory / table for table in TABLES)]


def _claim(directory: Path, force: bool) -> None:
    """Make `directory` ready for a run, or raise `RunError`."""
    check_free(directory, force)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for path in _stale(directory):
            if path.is_dir():
                for pattern in ("*",) if path.name == INPUTS else ("part-*.parquet", ".part-*.parquet.tmp"):
                    for file in path.glob(pattern):
                        file.unlink()
            else:
                path.unlink(missing_ok=True)
    except OSError as error:
        raise RunError(f"cannot write to {directory}: {error.strerror or error}; give another with --out") from error


def _write_run(directory: Path, run: Mapping[str, Any]) -> None:
    hidden = directory / f".{RUN_FILE}.tmp"
    try:
        hidden.write_text(json.dumps(run, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        os.replace(hidden, directory / RUN_FILE)
    except OSError as error:
        raise RunError(f"cannot write {directory / RUN_FILE}: {error.strerror or error}; try another --out") from error

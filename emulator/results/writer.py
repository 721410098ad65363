"""A run's results on disk: `run.json` and one folder of Parquet part files per table, readable at any time.

```
DIR/run.json                        status running | complete | interrupted, digest, row counts, summary, world
DIR/queries/part-00000.parquet      rows in order, each part written under a temporary name and then renamed
DIR/.writing                        who writes (`heartbeat`), until the end
```

While a run is under way the last part of each table is written again every `FLUSH_S` seconds with what has come since,
so that a killed run has lost no more than that.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from layerlift.emulator.results import heartbeat
from layerlift.emulator.results.columns import Row, batch, schema
from layerlift.emulator.results.digest import RunDigest
from layerlift.emulator.results.places import check_place
from layerlift.emulator.results.plain import jsonable
from layerlift.emulator.results.reader import COSTS_FILE, INPUTS, RunResult
from layerlift.emulator.results.record import RECORD_DIGEST, RUN_FILE, record_digest
from layerlift.emulator.results.summary import summarise
from layerlift.emulator.results.tables import TABLES
from layerlift.models.errors import RunError, near, words_of

__all__ = ["ResultWriter", "jsonable"]

FLUSH_S: Final = 2.0
"""How often (seconds of wall clock) all that has been added is written."""
_BATCH_ROWS: Final = 8192
_STATISTICS: Final = ["at_s"]

Status = Literal["running", "complete", "interrupted"]


@dataclass(slots=True)
class _Part:
    """What is known of one table: rows that wait, batches that wait for a part file, what is already written."""

    rows: list[Row] = field(default_factory=list)
    batches: list[Any] = field(default_factory=list)
    batched: int = 0
    shown: int = 0
    """Of what is batched, how much the part file that is still growing has."""
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
        self._lock = threading.RLock()
        self._stop = threading.Event()
        self._keeper: threading.Thread | None = None
        self._trouble: RunError | None = None
        self._hidden: list[tuple[Path, Path]] = []
        """Part files that are written, and the names that they are to have: all tables are shown at once."""
        if self.directory is not None:
            _claim(self.directory, force)
            _write_run(self.directory, self.run)
            _begin(self.directory)

    def __enter__(self) -> ResultWriter:
        if self.directory is not None:
            self._keeper = threading.Thread(target=self._keep, name="layerlift results", daemon=True)
            self._keeper.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        try:
            if self.run["status"] == "running":
                with contextlib.suppress(RunError) if error else contextlib.nullcontext():
                    self.interrupt(_reason(error))
        finally:
            self._stop.set()

    def _keep(self) -> None:
        """Write what has come, now and then, and give a sign of life; in a thread, whatever the run waits for."""
        assert self.directory is not None
        while not self._stop.wait(FLUSH_S):
            with self._lock:
                if self.run["status"] != "running" or self._trouble is not None:
                    return
                try:
                    self.flush()
                except RunError as error:
                    self._trouble = error  # told by the next `add`
            heartbeat.beat(self.directory)

    def add(self, table: str, rows: Iterable[Row]) -> None:
        """Append rows, tuples with exactly the columns of `TABLES[table]`, already in the table's order.

        Kinds are checked when rows become columns, so a `RunError` for a wrong one may come from a later `add`.
        """
        part = self._tables.get(table)
        if part is None:
            raise RunError(f"there is no result table {table!r}{near(table, TABLES)}")
        with self._lock:
            if self._trouble is not None:
                raise self._trouble
            if self.run["status"] != "running":
                raise RunError(f"rows for {table} after the run was {self.run['status']}: expected them before its end")
            part.rows.extend(rows)
            if len(part.rows) >= self._limit:
                self._convert(table, part)
                if self._hidden:
                    self.flush()  # a part is full, and no table is to be behind another

    def flush(self) -> None:
        """Write what is held, so that a reader sees every row added so far; parts that are not full grow later."""
        with self._lock:
            for table, part in self._tables.items():
                self._convert(table, part, everything=True)
                if part.batched > part.shown and self.directory is not None:
                    self._write(table, part)
            self._show()

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
        with self._lock:
            if self.run["status"] != "running":
                raise RunError(f"the run has already ended ({self.run['status']}): expected one close() or interrupt()")
            trouble = self._write_all()
            if trouble is not None:
                status, run = "interrupted", {**run, "reason": str(trouble)}
                if self.directory is not None:
                    heartbeat.give_back(self.directory)
            known = self._known(status, trouble)
            self.run = jsonable({**self.run, **run, "status": status, **known})
            # A disk that is full has no room for a summary; readers make it from the tables.
            if "world" in self.run and "summary" not in self.run and trouble is None:
                self.run["summary"] = jsonable(summarise(self.result().table, self.run))
            self.run[RECORD_DIGEST] = record_digest(self.run)
            if self.directory is not None:
                _write_run(self.directory, self.run)
                heartbeat.end(self.directory)
        if trouble is not None:
            raise trouble
        return str(self.run["digest"])

    def _write_all(self) -> RunError | None:
        """Write the rest, and an empty part of each table without rows; what went wrong, if something did."""
        if self._trouble is not None:
            return self._trouble
        try:
            self.flush()
            for table, part in self._tables.items():
                if not part.parts and not part.shown and self.directory is not None:
                    self._write(table, part)
            self._show()
        except RunError as error:
            return error
        return None

    def _known(self, status: Status, trouble: RunError | None) -> dict[str, Any]:
        """Row counts and digests: as kept, or read again from the disk when not all that was added came there."""
        rows = {table: part.written + part.batched for table, part in self._tables.items()}
        digest = self._digest
        if trouble is not None and self.directory is not None:
            digest, rows = digest_again(RunResult(self.directory, {"status": status}))
        parts = {table: part.parts + bool(part.shown) for table, part in self._tables.items()}
        if trouble is not None and self.directory is not None:
            parts = {table: len(list((self.directory / table).glob("part-*.parquet"))) for table in TABLES}
        tables = {table: {"rows": rows[table], "parts": parts[table]} for table in TABLES}
        return {"digest": digest.hexdigest(), "tables": tables, "table_digests": digest.tables()}

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
        """Write the part file that grows; when it is full the next one begins."""
        assert self.directory is not None
        # In one piece, so that the bytes do not tell how often it was written.
        whole = pa.Table.from_batches(part.batches, schema(table)).combine_chunks()
        text = [name for name, kind in TABLES[table] if kind == "text"]
        final = self.directory / table / f"part-{part.parts:05d}.parquet"
        hidden = final.with_name(f".{final.name}.tmp")
        try:
            self._hidden.append((hidden, final))
            final.parent.mkdir(exist_ok=True)
            pq.write_table(whole, hidden, compression="zstd", use_dictionary=text, write_statistics=_STATISTICS)
        except OSError as error:
            self._drop()
            raise RunError(f"cannot write {final}: {_why(error)}; give another directory (--out)") from error
        part.shown = whole.num_rows
        if part.batched >= self.part_rows:
            part.batches.clear()
            part.written += whole.num_rows
            part.batched = part.shown = 0
            part.parts += 1

    def _show(self) -> None:
        """Give part files their names, one right after the other: who is killed here has tables of one moment."""
        for hidden, final in self._hidden:
            try:
                hidden.replace(final)
            except OSError as error:
                self._drop()
                raise RunError(f"cannot write {final}: {_why(error)}; give another directory (--out)") from error
        self._hidden.clear()

    def _drop(self) -> None:
        """Remove what is written and not shown, where there is no room for all of it."""
        for hidden, _ in self._hidden:
            with contextlib.suppress(OSError):
                hidden.unlink(missing_ok=True)
        self._hidden.clear()


def _reason(error: BaseException | None) -> str:
    """Why a run ended that was not closed; signals say it themselves."""
    if error is None:
        return "the run ended without a close"
    return str(error) if isinstance(error, KeyboardInterrupt) and str(error) else words_of(error)


def digest_again(result: RunResult) -> tuple[RunDigest, dict[str, int]]:
    """The digest of what is on disk, and the rows of each table."""
    digest, rows = RunDigest(), dict.fromkeys(TABLES, 0)
    for table in TABLES:
        for part in result.in_pieces(table):
            digest.add(table, part)
            rows[table] += part.num_rows
    return digest, rows


def _why(error: OSError) -> str:
    """Why something cannot be written, in the system's words: Arrow has them in its own."""
    return os.strerror(error.errno) if error.errno else str(error).rpartition("Detail: ")[2]


def check_free(directory: Path | str, force: bool) -> None:
    """Raise `RunError` when `directory` cannot take a run: it is a file, or holds a run and `force` is not set."""
    path = Path(directory)
    check_place(path)
    if path.exists() and not path.is_dir():
        raise RunError(f"{path} is a file, expected a directory for the run; give another with --out")
    writer = heartbeat.writer_of(path)
    if writer.alive and f"process {os.getpid()} " not in writer.words:
        raise RunError(f"{path} holds a run that is under way ({writer.words}): give another directory with --out")
    if not force and any(found.exists() for found in _stale(path)):
        raise RunError(f"{path} already holds a run: give another directory with --out, or replace it with --force")


def _stale(directory: Path) -> list[Path]:
    return [directory / RUN_FILE, directory / COSTS_FILE, directory / INPUTS, *(directory / table for table in TABLES)]


def _claim(directory: Path, force: bool) -> None:
    """Make `directory` ready for a run, or raise `RunError`."""
    check_free(directory, force)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        heartbeat.end(directory)
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
        with contextlib.suppress(OSError):
            hidden.unlink(missing_ok=True)
        raise RunError(f"cannot write {directory / RUN_FILE}: {_why(error)}; try another --out") from error


def _begin(directory: Path) -> None:
    try:
        heartbeat.begin(directory, (directory / RUN_FILE).stat().st_size)
    except OSError as error:
        for name in (RUN_FILE, heartbeat.HEARTBEAT_FILE, heartbeat.RESERVE_FILE):
            (directory / name).unlink(missing_ok=True)
        raise RunError(f"cannot write to {directory}: {_why(error)}; try another --out") from error

"""A run to read: from its directory, or from the memory of the process that made it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from layerlift.emulator.results.columns import schema
from layerlift.emulator.results.digest import RunDigest
from layerlift.emulator.results.heartbeat import writer_of
from layerlift.emulator.results.notebook import run_line, run_page
from layerlift.emulator.results.summary import summarise
from layerlift.emulator.results.tables import TABLES
from layerlift.models.errors import RunError
from layerlift.models.files import open_regular, read_regular

RUN_FILE: Final = "run.json"
_MOST_BYTES: Final = 4 << 30
"""Of one file of a run."""


class RunResult:
    """A run to read: `run` is the content of run.json, the tables are `pyarrow.Table`s, read when first asked for."""

    def __init__(self, directory: Path | None, run: dict[str, Any], kept: Mapping[str, Any] | None = None) -> None:
        self.directory = directory
        self.run = run
        self._kept = dict(kept or {})

    @classmethod
    def load(cls, directory: Path | str) -> RunResult:
        """Open a run directory. An interrupted run opens too, with `complete` False.

        Raises `RunError` for a path that is not a run or a `run.json` that cannot be read.
        """
        path = Path(directory)
        file = path / RUN_FILE
        if not file.is_file():
            what = "is not a directory" if path.exists() and not path.is_dir() else "holds no run.json"
            what = what if path.exists() else "does not exist"
            raise RunError(f"{path} {what}: expected the directory that `layerlift run --out` wrote")
        try:
            run = json.loads(read_regular(file, _MOST_BYTES))
        except (OSError, ValueError) as error:
            raise RunError(f"{file} cannot be read: {error}; expected the JSON that a run writes") from error
        if not isinstance(run, dict) or run.get("status") not in ("running", "complete", "interrupted"):
            raise RunError(f"{file} has no status of a run: expected running, complete or interrupted")
        return cls(path, run)

    def __repr__(self) -> str:
        return run_line(self.run, self.directory)

    def _repr_html_(self) -> str:
        return run_page(self.run, self.directory)

    @property
    def complete(self) -> bool:
        """Whether the run reached its end."""
        return bool(self.run["status"] == "complete")

    @property
    def standing(self) -> str:
        """How it stands with the run, in words: complete, interrupted and why, running, or abandoned by whom."""
        status, reason = str(self.run["status"]), self.run.get("reason")
        if status != "running" or self.directory is None:
            return f"{status} ({reason})" if reason else status
        writer = writer_of(self.directory)
        return f"{'running' if writer.alive else 'abandoned'} ({writer.words})"

    @property
    def digest(self) -> str:
        """What names the run's rows; empty while it is running."""
        return str(self.run.get("digest", ""))

    @cached_property
    def summary(self) -> dict[str, Any]:
        """The numbers that a person asks for (`layerlift.emulator.results.summary.summarise`), from run.json or from
        the tables.
        """
        return dict(self.run.get("summary") or summarise(self.table, self.run))

    @property
    def queries(self) -> Any:
        """One row per query, when it ended."""
        return self.table("queries")

    @property
    def segments(self) -> Any:
        """One row per segment that ran."""
        return self.table("segments")

    @property
    def uploads(self) -> Any:
        """One row per attempt to upload a part."""
        return self.table("uploads")

    @property
    def plans(self) -> Any:
        """One row per plan, accepted or failed."""
        return self.table("plans")

    @property
    def usage(self) -> Any:
        """One row per node and sampling period."""
        return self.table("usage")

    @property
    def allocations(self) -> Any:
        """One row per admission, refusal or release at a server."""
        return self.table("allocations")

    @property
    def changes(self) -> Any:
        """One row per crash, hand-over, empty battery, and link that a client has found down or up again."""
        return self.table("changes")

    @property
    def measured(self) -> Any:
        """Wall-clock measurements and output errors, outside the digest."""
        return self.table("measured")

    def table(self, name: str) -> Any:
        """A table as `pyarrow.Table`. Raises `RunError` for a part that is missing, corrupt or of other columns."""
        if name not in self._kept:
            columns = schema(name)
            self._kept[name] = pa.Table.from_batches(list(self.batches(name)), columns)
        return self._kept[name]

    def verify(self) -> str:
        """Digest the tables again from their cells and return the digest.

        Raises `RunError` naming the table whose rows are not those that the run wrote, or a run without a digest.
        """
        if not self.digest:
            remedy = "wait for its end" if self.standing.startswith("running") else "run it again with --force"
            raise RunError(f"{self._name} has no digest: the run is {self.standing}; {remedy}")
        again = RunDigest()
        for table in TABLES:
            for part in self.batches(table):
                again.add(table, part)
        found, told = again.tables(), self.run.get("table_digests", {})
        changed = [table for table in found if found[table] != told.get(table, found[table])]
        if changed or again.hexdigest() != self.digest:
            raise RunError(
                f"{self._name} is not what the run wrote: {', '.join(changed) or 'run.json'} changed "
                f"(digest {again.hexdigest()}, expected {self.digest})"
            )
        return self.digest

    @property
    def _name(self) -> str:
        return str(self.directory) if self.directory is not None else "the run in memory"

    def batches(self, table: str) -> Iterable[Any]:
        """A table in pieces; raises as `table` does."""
        if self.directory is None:
            yield from self._kept[table].to_batches()
            return
        rows = 0
        for number, file in enumerate(self._parts(table)):
            try:
                with open_regular(file, _MOST_BYTES) as content, pq.ParquetFile(content) as part:
                    found, expected = part.schema_arrow.names, schema(table).names
                    if found != expected:
                        raise RunError(f"{file} has columns {', '.join(found)}; expected {', '.join(expected)}")
                    for read in part.iter_batches(65536):
                        rows += read.num_rows
                        yield read.cast(schema(table))
            except (OSError, pa.ArrowException) as error:
                raise RunError(f"{file} (part {number} of {table}) cannot be read: {error}") from error
        told = self.run.get("tables", {}).get(table, {}).get("rows", rows)
        if told != rows:
            raise RunError(f"{self._name} has {rows} rows of {table}, run.json says {told}: a part file is missing")

    def _parts(self, table: str) -> list[Path]:
        assert self.directory is not None
        files = sorted((self.directory / table).glob("part-*.parquet"))
        for number, file in enumerate(files):
            if file.name != f"part-{number:05d}.parquet":
                raise RunError(f"{file.parent} lacks part-{number:05d}.parquet: copy the whole run directory again")
        return files

"""A run to read: from its directory, or from the memory of the process that made it."""

from __future__ import annotations

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
from layerlift.emulator.results.plain import jsonable
from layerlift.emulator.results.record import RECORD_DIGEST, RUN_FILE, place, read_run, record_digest
from layerlift.emulator.results.summary import summarise
from layerlift.emulator.results.tables import TABLES
from layerlift.emulator.results.versions import other_versions
from layerlift.models.errors import RunError
from layerlift.models.files import bytes_digest, open_regular, read_regular

__all__ = ["COSTS_FILE", "INPUTS", "RUN_FILE", "RunResult"]

INPUTS: Final = "inputs"
"""The folder of what a run was driven by, each file named by its digest."""
COSTS_FILE: Final = "costs.parquet"
_NODES: Final = ("node", "client", "server")
"""The columns that name machines."""
_OF_THE_RUN: Final = ("conductor", "planner")
"""Who also writes rows, and is no machine."""
_MOST_BYTES: Final = 4 << 30
"""Of one file of a run."""


class RunResult:
    """A run to read: `run` is the content of run.json, the tables are `pyarrow.Table`s, read when first asked for."""

    def __init__(self, directory: Path | None, run: dict[str, Any], kept: Mapping[str, Any] | None = None) -> None:
        self.directory = directory
        self.run = run
        self._kept = dict(kept or {})
        self._of_a_stranger = False

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
            raise RunError(f"{place(path)} {what}: expected the directory that `layerlift run --out` wrote")
        result = cls(path, read_run(file))
        result._of_a_stranger = True
        return result

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
            # "interrupted by the user" says it already; other reasons ("disk full") do not.
            return f"{status} ({reason})" if reason and not str(reason).startswith(status) else str(reason or status)
        writer = writer_of(self.directory)
        return f"{'running' if writer.alive else 'abandoned'} ({writer.words})"

    @property
    def digest(self) -> str:
        """What names the run's rows; empty while it is running."""
        return str(self.run.get("digest", ""))

    @cached_property
    def summary(self) -> dict[str, Any]:
        """The numbers that a person asks for (`layerlift.emulator.results.summary.summarise`).

        Of a run that was opened they are made from its tables, whatever its run.json says.
        """
        told = None if self._of_a_stranger else self.run.get("summary")
        return dict(told or jsonable(summarise(self.table, self.run)))

    @property
    def summary_is_told(self) -> bool:
        """Whether run.json has the summary that the tables give; true where it has none yet."""
        told = self.run.get("summary")
        return told is None or told == self.summary

    @property
    def queries(self) -> Any:
        """One row per query, when it ended."""
        return self.table("queries")

    @property
    def segments(self) -> Any:
        """One row per segment that ran."""
        return self.table("segments")

    @property
    def batches(self) -> Any:
        """One row per batch that ran; none but of servers with `discipline: batch`."""
        return self.table("batches")

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
            self._kept[name] = pa.Table.from_batches(list(self.in_pieces(name)), columns)
        return self._kept[name]

    def check_names(self) -> None:
        """Raise `RunError` unless all machines and users of the tables are in the world of run.json, as who shows a run
        counts on; a run that was made here has them.
        """
        world = self.run.get("world")
        if not self._of_a_stranger:
            return
        if world is None:
            raise RunError("the run has no `world` in its run.json, expected that of a run: run it again")
        nodes = {*(node["name"] for node in world["nodes"]), *_OF_THE_RUN}
        known = {"user": {"", *(user["name"] for user in world["users"])}, **dict.fromkeys(_NODES, nodes)}
        for table in TABLES:
            for name in known.keys() & set(schema(table).names):
                strange = set(self.table(table)[name].unique().to_pylist()) - known[name]
                if strange:
                    told = f"{name} {min(strange)[:40]!r} of {table}"
                    raise RunError(
                        f"{self._name}: the world in run.json does not have {told}: expected that of the run"
                    )

    def verify(self) -> str:
        """Digest the tables and the record again from what they hold now, and return the tables' digest.

        Raises `RunError` naming the table whose rows are not those that the run wrote, run.json when anything in it is
        not (its summary must be what the tables give), a file beside them, or a run without a digest.
        """
        if not self.digest:
            remedy = "wait for its end" if self.standing.startswith("running") else "run it again with --force"
            raise RunError(f"{self._name} has no digest: the run is {self.standing[:120]}; {remedy}")
        self._verify_tables()
        told, found = self.run.get(RECORD_DIGEST, ""), record_digest(self.run)
        if told != found:
            what = f"record_digest {found}, expected {told[:32]}" if told else "it has no record_digest; run it again"
            raise RunError(f"{self._name} is not what the run wrote: run.json changed ({what})")
        if "summary" in self.run and self.run["summary"] != jsonable(summarise(self.table, self.run)):
            raise RunError(
                f"{self._name}: the summary in run.json is not what the tables give{self._made_elsewhere()}: "
                "layerlift show makes it again"
            )
        self._verify_files()
        return self.digest

    def _verify_tables(self) -> None:
        again = RunDigest()
        for table in TABLES:
            for part in self.in_pieces(table):
                again.add(table, part)
        found, told = again.tables(), self.run.get("table_digests", {})
        changed = [table for table in found if found[table] != told.get(table, found[table])]
        if changed or again.hexdigest() != self.digest:
            raise RunError(
                f"{self._name} is not what the run wrote: {', '.join(changed) or 'run.json'} changed "
                f"(digest {again.hexdigest()}, expected {self.digest[:32]})"
            )

    def _verify_files(self) -> None:
        for told in self.run.get("inputs") or []:
            if told["kept"]:
                self.kept_input(told)
        costs = self.run.get("costs_digest")
        if costs is not None and self.directory is not None:
            self._beside(self.directory / COSTS_FILE, costs)

    def kept_input(self, told: Mapping[str, Any]) -> bytes:
        """The content of one of `inputs` of run.json that the run has kept. Raises `RunError` for another or none."""
        if self.directory is None:
            raise RunError(f"the run in memory has not kept {str(told['name'])[:80]!r}: write it to a directory (out)")
        return self._beside(self.directory / INPUTS / told["digest"], told["digest"])

    def _beside(self, file: Path, digest: str) -> bytes:
        try:
            content = read_regular(file, _MOST_BYTES)
        except (OSError, ValueError) as error:
            said = getattr(error, "strerror", None) or error
            raise RunError(f"{place(file)} cannot be read: {said}; copy the whole run directory again") from None
        if bytes_digest(content) != digest:
            raise RunError(f"{place(file)} is not what the run wrote: copy the whole run directory again")
        return content

    def _made_elsewhere(self) -> str:
        other = other_versions(self.run)
        return f" ({other})" if other else ""

    @property
    def _name(self) -> str:
        return place(self.directory) if self.directory is not None else "the run in memory"

    def in_pieces(self, table: str) -> Iterable[Any]:
        """A table in pieces; raises as `table` does."""
        if self.directory is None:
            yield from self._kept[table].to_batches()
            return
        told = self.run.get("tables", {}).get(table, {}).get("rows")
        rows = 0
        for number, file in enumerate(self._parts(table)):
            try:
                with open_regular(file, _MOST_BYTES) as content, pq.ParquetFile(content) as part:
                    found, expected = part.schema_arrow.names, schema(table).names
                    if found != expected:
                        raise RunError(f"{place(file)} has other columns than {table}: expected what a run writes")
                    rows += part.metadata.num_rows
                    if told is not None and rows > told:
                        raise RunError(f"{self._name} has more rows of {table} than run.json says ({told})")
                    for read in part.iter_batches(65536):
                        yield _sound(read.cast(schema(table)), place(file))
            except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
                said = " ".join(str(error).split())[:100]
                raise RunError(f"{place(file)} (part {number} of {table}) cannot be read: {said}") from error
        if told is not None and told != rows:
            raise RunError(f"{self._name} has {rows} rows of {table}, run.json says {told}: a part file is missing")

    def _parts(self, table: str) -> list[Path]:
        assert self.directory is not None
        files = sorted((self.directory / table).glob("part-*.parquet"))
        for number, file in enumerate(files):
            if file.name != f"part-{number:05d}.parquet":
                lacks = f"part-{number:05d}.parquet"
                raise RunError(f"{place(file.parent)} lacks {lacks}: copy the whole run directory again")
            if not file.is_file():
                raise RunError(f"{place(file)} is no regular file: copy the whole run directory again")
        return files


def _sound(batch: Any, where: str) -> Any:
    """The batch, when its cells are what a run writes: no nulls, text that is text, numbers that are numbers."""
    batch.validate(full=True)
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if column.null_count:
            raise RunError(f"{where} has no value in {name}: expected what a run writes")
    return batch

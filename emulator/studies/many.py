"""Many runs of one study: here, in processes or as Ray tasks; what has ended is kept, so that a study can go on."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from layerlift.emulator.runtime.interruption import heed
from layerlift.emulator.studies.processes import Processes, in_processes, workers_of
from layerlift.models.errors import LayerliftError, RunError
from layerlift.models.files import read_regular

Job = TypeVar("Job")
Found = TypeVar("Found")
_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")
"""Ray paints its errors."""
_MOST_BYTES: Final = 1 << 28
"""Of a file of outcomes: a hundred thousand runs have less."""


class Lost(str):
    """Why a run that was to be made elsewhere has no answer, in words."""


class Work(Protocol):
    """One run to be made: picklable, and told apart from others by what it says."""

    def told(self) -> dict[str, Any]:
        """All that its outcome depends on, as JSON."""
        ...


Outcome = dict[str, Any]
"""What came of a run, as JSON; `{"failed": reason}` of one that could not be made."""


class Keeps(Protocol):
    """Where outcomes are kept."""

    def get(self, work: Any) -> Outcome | None:
        """The outcome of a run that was made before."""
        ...

    def put(self, work: Any, outcome: Outcome) -> None:
        """Keep an outcome. Raises `RunError` when it cannot be written."""
        ...


class Kept:
    """Outcomes in a file, a line each with its checksum: one that is there is not made again.

    A line that was being written when the study was killed, or that was changed by hand, is as if it were not there.
    """

    def __init__(self, path: Path, version: str, sound: Callable[[Any], bool]) -> None:
        """Read what is there and `sound`. Raises `RunError` for a file that cannot be, before anything is run."""
        self._path, self._version = path, version
        self._found: dict[str, Outcome] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lines = read_regular(path, _MOST_BYTES).split(b"\n") if path.exists() else []
            if not os.access(path if path.exists() else path.parent, os.W_OK):
                raise PermissionError(0, "it may not be written to")
        except OSError as error:
            raise RunError(
                f"cannot keep runs in {path} ({error.strerror or error}); give another folder with --out"
            ) from None
        for line in lines:
            try:
                entry = json.loads(line)
                key, found, told = entry["key"], entry["outcome"], entry["sum"]
                whole = isinstance(key, str) and told == _sum(key, found)
            except (ValueError, KeyError, TypeError, RecursionError):
                continue
            if whole and sound(found):
                self._found[key] = found
        self._begun = bool(lines)
        """Whether the file may end within a line."""

    def key(self, work: Work) -> str:
        """What a run is known by: its description, and the version that made it."""
        text = json.dumps([self._version, work.told()], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def get(self, work: Work) -> Outcome | None:
        """The outcome of a run that was made before."""
        return self._found.get(self.key(work))

    def put(self, work: Work, outcome: Outcome) -> None:
        """Keep an outcome. Raises `RunError` when it cannot be written."""
        key = self.key(work)
        line = json.dumps({"key": key, "outcome": outcome, "sum": _sum(key, outcome)}) + "\n"
        left = memoryview(f"{chr(10) if self._begun else ''}{line}".encode())
        try:
            # In one piece: others may keep what they run in the same file.
            with self._path.open("ab", buffering=0) as stream:
                while left:
                    left = left[stream.write(left) :]
            self._begun = False
        except OSError as error:
            raise RunError(
                f"cannot keep runs in {self._path} ({error.strerror or error}); give another --out"
            ) from None


def _sum(key: str, outcome: Any) -> str:
    """What tells whether a line is as it was written."""
    return hashlib.sha256(json.dumps([key, outcome], sort_keys=True).encode()).hexdigest()[:16]


def outcomes(
    call: Callable[[Any], Outcome],
    works: Sequence[Work],
    *,
    local: bool,
    address: str | None = None,
    kept: Keeps | None = None,
    workers: int | None = None,
) -> Iterator[tuple[int, Outcome]]:
    """Yield (number, outcome) of each of `works` as it ends.

    `call` is a module's own function. Where they are made `each_of` says: outcomes do not depend on it. What was kept
    is answered first.
    """
    todo = []
    for number, work in enumerate(works):
        found = kept.get(work) if kept is not None else None
        if found is None:
            todo.append(number)
            continue
        yield number, found
    for place, made in each_of(call, [works[number] for number in todo], local=local, address=address, workers=workers):
        outcome = {"failed": str(made)} if isinstance(made, Lost) else made
        if kept is not None and "failed" not in outcome:
            kept.put(works[todo[place]], outcome)
        yield todo[place], outcome


def each_of(
    call: Callable[[Job], Found],
    jobs: Sequence[Job],
    *,
    local: bool,
    address: str | None = None,
    workers: int | None = None,
) -> Iterator[tuple[int, Found | Lost]]:
    """Yield (number, answer) of each of `jobs` as it ends.

    With `local` one follows the other in this process. Without an `address` they are made in `workers` processes of
    this machine (`layerlift.emulator.studies.processes`; None: one for each CPU), with one as Ray tasks there
    (`layerlift.emulator.cluster.tasks`). Raises `RunError` when that cannot be joined.
    """
    if local or not jobs:
        for number, job in enumerate(jobs):
            found = call(job)
            yield number, found
            heed()
    elif address is None:
        yield from _told(in_processes(call, jobs, workers_of(workers)))
    else:
        from layerlift.emulator.cluster.tasks import in_tasks

        yield from _told(in_tasks(call, jobs, address))


def _told(made: Iterator[tuple[int, Any]]) -> Iterator[tuple[int, Any]]:
    for number, found in made:
        yield number, Lost(_COLOUR.sub("", str(found))) if isinstance(found, LayerliftError) else found


class Workers:
    """Who makes one lot of jobs after another, for the length of a `with` block.

    That is this process for one worker, processes that stay for more of them, and with an `address` Ray tasks there.
    Raises `RunError` when that cannot be joined.
    """

    def __init__(self, workers: int, address: str | None) -> None:
        self._workers, self._address, self._stack = workers, address, ExitStack()
        self._processes: Processes | None = None

    def __enter__(self) -> Workers:
        if self._address is not None:
            from layerlift.emulator.cluster.session import RayCluster

            self._stack.enter_context(RayCluster(self._address))
        elif self._workers > 1:
            self._processes = self._stack.enter_context(Processes(self._workers))
        return self

    def __exit__(self, *raised: object) -> None:
        self._stack.close()

    def all(self, call: Callable[[Job], Found], jobs: Sequence[Job]) -> list[Found]:
        """The answers, in the jobs' order, whoever ends first. Raises `RunError` where one was lost."""
        if self._processes is not None:
            found = dict(_told(self._processes.each(call, jobs)))
        else:
            found = dict(each_of(call, jobs, local=self._address is None, address=self._address))
        made: list[Found] = []
        for number in range(len(jobs)):
            answer = found[number]
            if isinstance(answer, Lost):
                raise RunError(f"a worker gave no answer: {answer}")
            made.append(answer)
        return made

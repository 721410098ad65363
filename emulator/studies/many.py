"""Many runs of one study: here or as Ray tasks, and what has ended is kept, so that a study can go on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from layerlift.models.errors import LayerliftError, RunError


class Work(Protocol):
    """One run to be made: picklable, and told apart from others by what it says."""

    def told(self) -> dict[str, Any]:
        """All that its outcome depends on, as JSON."""
        ...


Outcome = dict[str, Any]
"""What came of a run, as JSON; `{"failed": reason}` of one that could not be made."""


class Kept:
    """Outcomes in a file, a line each: one that is there is not made again."""

    def __init__(self, path: Path, version: str) -> None:
        """Read what is there. Raises `RunError` when the file cannot be read or written."""
        self._path, self._version = path, version
        self._found: dict[str, Outcome] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        except (OSError, UnicodeDecodeError) as error:
            raise RunError(f"cannot keep runs in {path} ({error}); give another folder with --out") from None
        for line in lines:
            # A line that was being written when the study was killed is not whole: its run is made again.
            try:
                entry = json.loads(line)
                self._found[entry["key"]] = dict(entry["outcome"])
            except (ValueError, KeyError, TypeError):
                continue

    def key(self, work: Work) -> str:
        """What a run is known by: its description, and the version that made it."""
        text = json.dumps([self._version, work.told()], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def get(self, work: Work) -> Outcome | None:
        """The outcome of a run that was made before."""
        return self._found.get(self.key(work))

    def put(self, work: Work, outcome: Outcome) -> None:
        """Keep an outcome. Raises `RunError` when it cannot be written."""
        line = json.dumps({"key": self.key(work), "outcome": outcome})
        try:
            torn = self._path.exists() and not self._path.read_bytes().endswith(b"\n")
            with self._path.open("a", encoding="utf-8") as stream:
                stream.write(f"{chr(10) if torn and self._path.stat().st_size else ''}{line}\n")
        except OSError as error:
            raise RunError(
                f"cannot keep runs in {self._path} ({error.strerror or error}); give another --out"
            ) from None


def outcomes(
    call: Callable[[Any], Outcome],
    works: Sequence[Work],
    *,
    local: bool,
    address: str | None = None,
    kept: Kept | None = None,
    done: Callable[[], None] = lambda: None,
) -> Iterator[tuple[int, Outcome]]:
    """Yield (number, outcome) of each of `works` as it ends; `done` is called after each.

    `call` is a module's own function. With `local` one run follows the other in this process; else they are Ray tasks
    (`layerlift.emulator.cluster.tasks`). What was kept is answered first. Outcomes depend on neither.
    """
    todo = []
    for number, work in enumerate(works):
        found = kept.get(work) if kept is not None else None
        if found is None:
            todo.append(number)
            continue
        yield number, found
        done()
    for number, outcome in _made(call, works, todo, local, address):
        if kept is not None and "failed" not in outcome:
            kept.put(works[number], outcome)
        yield number, outcome
        done()


def _made(
    call: Callable[[Any], Outcome], works: Sequence[Work], todo: Sequence[int], local: bool, address: str | None
) -> Iterator[tuple[int, Outcome]]:
    if local or not todo:
        for number in todo:
            yield number, call(works[number])
        return
    from layerlift.emulator.cluster.tasks import in_tasks

    for place, found in in_tasks(call, [works[number] for number in todo], address):
        yield todo[place], {"failed": str(found)} if isinstance(found, LayerliftError) else found

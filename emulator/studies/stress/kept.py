"""Where outcomes of a stress study are kept: beside its answer, and those of what ships for all studies to come."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Final

from layerlift.emulator.results.versions import versions
from layerlift.emulator.studies.many import Kept, Outcome
from layerlift.emulator.studies.stress.jobs import Job, sound
from layerlift.emulator.studies.stress.sources import of_layerlift
from layerlift.models.errors import RunError
from layerlift.models.loading.disk_cache import cache_dir

RUNS: Final = "runs.jsonl"
_LEFT: Final = 4
"""Files of other versions that are left in the cache."""


def version() -> str:
    """What outcomes are known by, beside what was run: a version, and the code that makes runs."""
    return f"{versions()['layerlift']} {of_layerlift()}"


class Stores:
    """Outcomes in a folder, where there is one, and in the cache those of planners and families that ship."""

    def __init__(self, folder: Path | None) -> None:
        """Raises `RunError` for a folder that cannot be; a cache that cannot be is done without."""
        self._own = Kept(folder / RUNS, version(), sound) if folder is not None else None
        self._shared: Kept | None = None
        with contextlib.suppress(RunError):
            self._shared = Kept(_of_this_version(), version(), sound)

    def get(self, job: Job) -> Outcome | None:
        """The outcome of a run that was made before; one from the cache is kept in the folder, too."""
        found = self._own.get(job) if self._own is not None else None
        if found is None and self._shared is not None and job.shared:
            found = self._shared.get(job)
            if found is not None and self._own is not None:
                self._own.put(job, found)
        return found

    def put(self, job: Job, outcome: Outcome) -> None:
        """Keep an outcome. Raises `RunError` when it cannot be written to the folder."""
        if self._own is not None:
            self._own.put(job, outcome)
        if self._shared is not None and job.shared:
            with contextlib.suppress(RunError):
                self._shared.put(job, outcome)


def _of_this_version() -> Path:
    """The file in the cache; those of the oldest other versions go."""
    place = cache_dir() / "stress" / f"{of_layerlift()}.jsonl"
    with contextlib.suppress(OSError):
        others = sorted(set(place.parent.glob("*.jsonl")) - {place}, key=lambda path: path.stat().st_mtime)
        for path in others[:-_LEFT]:
            path.unlink(missing_ok=True)
    return place

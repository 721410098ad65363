"""`size`: what a program calls, and what `layerlift size` calls for it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from layerlift.emulator.report.formatting import count
from layerlift.emulator.results.places import folder_of
from layerlift.emulator.results.versions import versions
from layerlift.emulator.runtime.interruption import Stopped, felt
from layerlift.emulator.scenario import Scenario
from layerlift.emulator.scenario.schema.document import Given
from layerlift.emulator.studies import answer_files
from layerlift.emulator.studies.compare.study import SEEDS, Progress, counted, listed
from layerlift.emulator.studies.compare.sweep import Sweep
from layerlift.emulator.studies.many import Kept, Outcome, outcomes
from layerlift.emulator.studies.size import page, vary
from layerlift.emulator.studies.size.jobs import Job, perform, sound
from layerlift.emulator.studies.size.sizing import Sizing, Step, step
from layerlift.emulator.studies.size.target import Target, parsed
from layerlift.models.errors import RunError, quoted

MOST_STEPS: Final = 10_000


def size(
    scenario: Scenario | str | Path,
    fields: dict[str, Sequence[float]],
    until: str,
    *,
    planners: str | Sequence[str] = (),
    seeds: int | Sequence[int] = SEEDS,
    overrides: Sequence[str] = (),
    local: bool = False,
    address: str | None = None,
    out: Path | str | None = None,
    force: bool = False,
    progress: Progress | None = None,
    allow_code: bool = False,
) -> Sizing:
    """Find the smallest value of a field with which `scenario` keeps a target; of two fields, every smallest pair.

    `fields` are one or two dotted paths, as overrides name them (`nodes.0.count`, `links.client-edge.bandwidth_mb_s`,
    in the field's own unit; `users`: how many in all), each with two or more numbers that grow. Every value is run,
    with the same seeds, so that a target which is kept, lost and kept again is seen. `until` is a bound on a number of
    `layerlift compare`: `p95_ms <= 300`, `jain >= 0.9`, `camera.latency_mean_users_s < 0.2` of one kind of users. A
    step holds when the number's whole 95 % interval over seeds keeps it and no run failed. With `planners` each
    gets an answer; left out, users keep the scenario's own. Nothing is executed.

    `seeds` says how many, from the scenario's own on, or lists them. With `local` one run follows the other in this
    process; else there is a process for each CPU, or they are Ray tasks in the cluster at `address`. `out` is a folder
    for size.json, size.html and runs.jsonl: what was run stands in the last one and is not run again; `force` replaces
    the first two. Raises a `LayerliftError` before anything runs for what cannot be run at any step. An interrupt ends
    with what had ended, and `complete` False.
    """
    folder = folder_of(out) if out is not None else None
    page.check(folder, force)
    _check(scenario, fields, until)
    sweeps = [vary.of(path, values) for path, values in fields.items()]
    asked = _Asked(scenario, sweeps, until, planners, seeds, overrides, allow_code)
    with answer_files.held(folder):
        page.check(folder, force)  # another study may have ended meanwhile
        return asked.carried_out(local, address, folder, progress)


def _check(scenario: object, fields: object, until: object) -> None:
    """Raise `RunError` for what a program gives that is of another kind."""
    if not isinstance(scenario, Scenario | str | Path):
        raise RunError(f"the scenario is {quoted(scenario, 80)}, expected a Scenario, or the name or path of one")
    if not isinstance(fields, Mapping) or not all(map(_values, fields.values())):
        raise RunError(
            f"fields is {quoted(fields, 80)}, expected values by field, as in {{'nodes.0.count': [1, 2, 4]}}"
        )
    if not isinstance(until, str):
        raise RunError(f"until is {quoted(until, 80)}, expected a text such as 'p95_ms <= 300'")


def _values(given: object) -> bool:
    return isinstance(given, Iterable) and not isinstance(given, str | bytes)


class _Asked:
    """What was asked for, checked: nothing has been run."""

    def __init__(
        self,
        scenario: Scenario | str | Path,
        sweeps: Sequence[Sweep],
        until: str,
        planners: str | Sequence[str],
        seeds: int | Sequence[int],
        overrides: Sequence[str],
        allow_code: bool,
    ) -> None:
        if not 1 <= len(sweeps) <= 2:
            raise RunError(f"{count(len(sweeps), 'field')} to vary, expected one or two")
        self._source, self._allow_code, self.sweeps = scenario, allow_code, list(sweeps)
        base = self._load(overrides)
        if base.compute == "measured":
            raise RunError("the scenario has compute: measured, but nothing is executed here: try compute: profile")
        self.overrides = [*overrides, "execution=none"]
        self.base = self._load(self.overrides)
        self.target: Target = parsed(until, list(dict.fromkeys(user.kind for user in self.base.resolve().users)))
        self.planners = tuple(dict.fromkeys([planners] if isinstance(planners, str) else planners)) or ("",)
        self.seeds = tuple(range(base.seed, base.seed + counted(seeds))) if isinstance(seeds, int) else listed(seeds)
        self.places = list(itertools.product(*(range(len(sweep.values)) for sweep in sweeps)))
        if len(self.places) * len(self.planners) > MOST_STEPS:
            raise RunError(f"{len(self.places)} steps are to be run, expected {MOST_STEPS} at most: vary less")
        self.jobs = list(self._jobs())
        self.names = [self._named(planner) for planner in self.planners]

    def carried_out(self, local: bool, address: str | None, folder: Path | None, progress: Progress | None) -> Sizing:
        """Make the runs, and write what they gave."""
        kept = Kept(folder / "runs.jsonl", versions()["layerlift"], sound) if folder is not None else None
        say: Progress = progress or (lambda ended, total: None)
        found = dict[int, Outcome]()
        if folder is not None:
            page.clear(folder)
        say(0, len(self.jobs))
        try:
            with felt():
                for number, outcome in outcomes(perform, self.jobs, local=local, address=address, kept=kept):
                    found[number] = outcome
                    say(len(found), len(self.jobs))
        except KeyboardInterrupt as error:
            stopped = Stopped.of(error)
            note = f"{stopped.reason}: {len(found)} of {count(len(self.jobs), 'run')} had ended"
            note += f", kept in {folder / 'runs.jsonl'}" if folder is not None else ""
            return replace(self._sizing(found), complete=False, notes=(note,), signal=stopped.number)
        sizing = self._sizing(found)
        if folder is not None:
            page.write(sizing, folder)
        return sizing

    def _jobs(self) -> Iterator[Job]:
        for planner in self.planners:
            for number, place in enumerate(self.places):
                made = self._made(planner, place)
                made.resolve()
                plain = made.model_dump(mode="json")
                for seed in self.seeds:
                    yield Job(number, planner, seed, plain | {"seed": seed}, made.trust)

    def _made(self, planner: str, place: Sequence[int]) -> Scenario:
        own = [*self.overrides, f"seed={self.seeds[0]}"]
        for sweep, at in zip(self.sweeps, place, strict=True):
            value = sweep.values[at]
            own += [Given.by(f"--vary {sweep.path}={value}", text) for text in sweep.settings(value, self.base)]
        if planner:
            texts = (f"users.{number}.planner={planner}" for number in range(len(self.base.users)))
            own += [Given.by(f"--planner {planner}", text) for text in texts]
        return self._load(own)

    def _load(self, settings: Sequence[str]) -> Scenario:
        if isinstance(self._source, Scenario):
            return self._source.changed(settings, allow_code=self._allow_code)
        return Scenario.load(self._source, settings, allow_code=self._allow_code)

    def _named(self, planner: str) -> str:
        return planner or " and ".join(dict.fromkeys(kind.planner for kind in self.base.users))

    def _sizing(self, found: dict[int, Outcome]) -> Sizing:
        by_step: dict[tuple[str, int], dict[int, Any]] = {}
        for number, outcome in found.items():
            job = self.jobs[number]
            by_step.setdefault((job.planner, job.step), {})[job.seed] = outcome
        names = dict(zip(self.planners, self.names, strict=True))
        steps: list[Step] = []
        for planner in self.planners:
            for number, place in enumerate(self.places):
                # A step that was interrupted has not all seeds: it says nothing yet.
                if len(by_step.get((planner, number), {})) == len(self.seeds):
                    values = [sweep.values[at] for sweep, at in zip(self.sweeps, place, strict=True)]
                    steps.append(step(names[planner], values, place, by_step[planner, number], self.target))
        notes = ("one seed: a step holds by its number alone, without an interval",) if len(self.seeds) == 1 else ()
        paths = tuple(sweep.path for sweep in self.sweeps)
        return Sizing(self.base.name, paths, self.target, self.seeds, tuple(steps), notes=notes)

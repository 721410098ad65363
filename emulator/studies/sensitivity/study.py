"""`sensitivity`: what a program calls, and what `layerlift sensitivity` calls for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
from layerlift.emulator.studies.many import Kept, Outcome, outcomes
from layerlift.emulator.studies.processes import workers_of
from layerlift.emulator.studies.sensitivity import page, screening
from layerlift.emulator.studies.sensitivity.factors import TIMES, factors
from layerlift.emulator.studies.sensitivity.findings import Sensitivity
from layerlift.emulator.studies.sensitivity.levels import BASE, Levels, Step
from layerlift.emulator.studies.sensitivity.measures import measures
from layerlift.emulator.studies.sensitivity.screening import Point, Screening
from layerlift.emulator.studies.size.jobs import Job, perform, sound
from layerlift.models.errors import LayerliftError, RunError

MOST_RUNS: Final = 100_000


def sensitivity(
    scenario: Scenario | str | Path,
    metrics: str | Sequence[str] = (),
    *,
    planners: str | Sequence[str] = (),
    seeds: int | Sequence[int] = SEEDS,
    overrides: Sequence[str] = (),
    also: Sequence[str] = (),
    only: Sequence[str] = (),
    each: bool = False,
    morris: bool = False,
    trajectories: int = screening.TRAJECTORIES,
    workers: int | None = None,
    address: str | None = None,
    out: Path | str | None = None,
    force: bool = False,
    progress: Progress | None = None,
    allow_code: bool = False,
) -> Sensitivity:
    """Run `scenario` with each of its assumptions at half and at double, and say which of them matter.

    An assumption is a line of the scenario's `sources`, whose numbers move together, or a default of Layerlift that is
    in use; with `each` every field is one by itself. `also` names more fields, as `sources` would; `only` are patterns
    of those that are wanted. Counts are rounded and every field keeps its bounds; what cannot be varied is listed with
    the reason (`fixed`). `metrics` are numbers of one run as `size` knows them, `[KIND.]METRIC`: the mean latency over
    queries where none is given. With several `planners` it says which assumptions turn their ranking.

    With `morris` all are moved together on so many random paths (`trajectories`); this takes SALib, which
    `pip install 'layerlift[studies]'` brings. Seeds are paired: what is told is the difference that a level makes to
    the same users and arrivals. `seeds` says how many, from the scenario's own on, or lists them. Nothing is executed.

    Runs are made in `workers` processes of this machine (None: one for each CPU; 1: here, one after the other), or as
    Ray tasks in the cluster at `address`; results depend on none of it. `out` is a folder for sensitivity.json,
    sensitivity.html and runs.jsonl: what was run stands in the last one and is not run again; `force` replaces the
    first two. Raises a `LayerliftError` before anything runs for what cannot be run. An interrupt ends with what had
    ended, and `complete` False.
    """
    folder = folder_of(out) if out is not None else None
    page.check(folder, force)
    processes = workers_of(workers)
    if morris:
        screening.check(trajectories)
    asked = _Asked(scenario, metrics, planners, seeds, overrides, also, only, each, allow_code)
    asked.prepare(trajectories if morris else 0)
    with answer_files.held(folder):
        page.check(folder, force)  # another study may have ended meanwhile
        return asked.carried_out(processes, address, folder, progress)


class _Asked:
    """What was asked for, checked: nothing has been run."""

    def __init__(
        self,
        scenario: Scenario | str | Path,
        metrics: str | Sequence[str],
        planners: str | Sequence[str],
        seeds: int | Sequence[int],
        overrides: Sequence[str],
        also: Sequence[str],
        only: Sequence[str],
        each: bool,
        allow_code: bool,
    ) -> None:
        base = (
            scenario.changed(overrides, allow_code=allow_code)
            if isinstance(scenario, Scenario)
            else Scenario.load(scenario, overrides, allow_code=allow_code)
        )
        if base.compute == "measured":
            raise RunError("the scenario has compute: measured, but nothing is executed here: try compute: profiled")
        self.base = base.changed(["execution=none"])
        self.measures = measures(metrics, list(dict.fromkeys(user.kind for user in self.base.resolve().users)))
        self.planners = tuple(dict.fromkeys([planners] if isinstance(planners, str) else planners)) or ("",)
        own_seed = self.base.seed
        self.seeds = tuple(range(own_seed, own_seed + counted(seeds))) if isinstance(seeds, int) else listed(seeds)
        found, fixed = factors(self.base, also=also, only=only, each=each)
        self.factors, self.fixed = tuple(found), tuple(fixed)
        self.paths: tuple[tuple[Point, ...], ...] = ()
        self.jobs: list[Job] = []
        self.where: list[Step | tuple[int, int]] = []
        """Of each step of a job: a level, or a place on a path."""
        self.impossible: list[str] = []
        self.names = tuple(self._named(planner) for planner in self.planners)

    def prepare(self, trajectories: int) -> None:
        """Make the jobs. Raises `RunError` for too many."""
        if trajectories:
            self.paths = screening.paths(len(self.factors), trajectories, self.seeds[0])
        steps = list(self._steps())
        runs = len(steps) * len(self.seeds) + trajectories * (len(self.factors) + 1)
        if runs * len(self.planners) > MOST_RUNS:
            raise RunError(
                f"{runs * len(self.planners)} runs are to be made, expected {MOST_RUNS} at most: choose with --only"
            )
        self.where = [
            *(step for step, _ in steps),
            *((a, b) for a, path in enumerate(self.paths) for b in range(len(path))),
        ]
        for planner in self.planners:
            for number, (_, settings) in enumerate(steps):
                made = self._made(planner, settings)
                made.resolve()
                self.jobs += [self._job(number, planner, seed, made) for seed in self.seeds]
            self.jobs += self._on_paths(planner, len(steps))

    def carried_out(
        self, processes: int, address: str | None, folder: Path | None, progress: Progress | None
    ) -> Sensitivity:
        """Make the runs, and write what they gave."""
        kept = Kept(folder / "runs.jsonl", versions()["layerlift"], sound) if folder is not None else None
        say: Progress = progress or (lambda ended, total: None)
        found = dict[int, Outcome]()
        if folder is not None:
            page.clear(folder)
        say(0, len(self.jobs))
        local = address is None and processes == 1
        try:
            with felt():
                made = outcomes(perform, self.jobs, local=local, address=address, kept=kept, workers=processes)
                for number, outcome in made:
                    found[number] = outcome
                    say(len(found), len(self.jobs))
        except KeyboardInterrupt as error:
            stopped = Stopped.of(error)
            note = f"{stopped.reason}: {len(found)} of {count(len(self.jobs), 'run')} had ended"
            note += f", kept in {folder / 'runs.jsonl'}" if folder is not None else ""
            half = self._found(found)
            return replace(half, complete=False, notes=(*half.notes, note), signal=stopped.number)
        sensitivity = self._found(found)
        if folder is not None:
            page.write(sensitivity, folder)
        return sensitivity

    def _steps(self) -> Iterator[tuple[Step, list[str]]]:
        yield Step(-1, BASE), []
        for number, factor in enumerate(self.factors):
            for level, times in TIMES.items():
                settings = factor.settings(times)
                if not settings:
                    continue
                try:
                    self.base.changed(settings).resolve()
                except LayerliftError as error:
                    self.impossible.append(f"{factor.name} cannot be had at {level}: {error}")
                    continue
                yield Step(number, level), settings

    def _on_paths(self, planner: str, first: int) -> Iterator[Job]:
        number = first
        for at, path in enumerate(self.paths):
            # One seed for a whole path: what a step on it changes is not chance's.
            seed = self.seeds[at % len(self.seeds)]
            for point in path:
                pairs = zip(self.factors, screening.times(point), strict=True)
                settings = [text for factor, times in pairs for text in factor.settings(times)]
                try:
                    yield self._job(number, planner, seed, self._made(planner, settings))
                except LayerliftError as error:
                    text = f"some of the screening's worlds cannot be: {error}"
                    self.impossible += [text] if text not in self.impossible else []
                number += 1

    def _made(self, planner: str, settings: Sequence[str]) -> Scenario:
        own = [f"seed={self.seeds[0]}", *settings]
        if planner:
            texts = (f"users.{number}.planner={planner}" for number in range(len(self.base.users)))
            own += [Given.by(f"--planner {planner}", text) for text in texts]
        return self.base.changed(own)

    @staticmethod
    def _job(step: int, planner: str, seed: int, made: Scenario) -> Job:
        return Job(step, planner, seed, made.model_dump(mode="json") | {"seed": seed}, made.trust)

    def _named(self, planner: str) -> str:
        return planner or " and ".join(dict.fromkeys(kind.planner for kind in self.base.users))

    def _found(self, found: dict[int, Outcome]) -> Sensitivity:
        names = dict(zip(self.planners, self.names, strict=True))
        levels: dict[tuple[str, Step], dict[int, Any]] = {}
        points: dict[str, dict[tuple[int, int], Any]] = {name: {} for name in self.names}
        for number, outcome in sorted(found.items()):  # they end in any order
            job = self.jobs[number]
            where, name = self.where[job.step], names[job.planner]
            if isinstance(where, Step):
                levels.setdefault((name, where), {})[job.seed] = outcome
            else:
                points[name][where] = outcome
        # A step that was interrupted has not all seeds: it says nothing yet.
        whole = {key: levels[key] for key in sorted(levels) if len(levels[key]) == len(self.seeds)}
        return Sensitivity(
            self.base.name,
            self.measures,
            self.seeds,
            Levels(self.factors, self.names, whole),
            self.fixed,
            Screening(self.paths, points) if self.paths else None,
            notes=(*self._notes(whole), *self.impossible),
        )

    def _notes(self, levels: dict[tuple[str, Step], dict[int, Any]]) -> Iterator[str]:
        if len(self.seeds) == 1:
            yield "one seed: every change counts as it is, without an interval"
        elif levels and all(_alike(outcomes.values()) for outcomes in levels.values()):
            yield "all seeds gave the same: nothing in this scenario is drawn, so intervals have no width"
        for (planner, step), seen in levels.items():
            told = {outcome["note"] for outcome in seen.values() if outcome.get("note")}
            if step.factor < 0 and told:
                yield f"{planner}, as it is: {'; '.join(sorted(told))}"


def _alike(found: Any) -> bool:
    numbers = [outcome.get("numbers") for outcome in found]
    return all(each == numbers[0] for each in numbers)

"""`stress`: what a program calls, and what `layerlift stress` calls for it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from layerlift.emulator.report.formatting import count
from layerlift.emulator.results.places import folder_of
from layerlift.emulator.runtime.interruption import Stopped, felt
from layerlift.emulator.studies import answer_files
from layerlift.emulator.studies.compare.study import Progress
from layerlift.emulator.studies.many import Outcome, outcomes
from layerlift.emulator.studies.processes import workers_of
from layerlift.emulator.studies.stress import battery, page
from layerlift.emulator.studies.stress.asked import GATHER_S, Asked, asked
from layerlift.emulator.studies.stress.axioms import axioms
from layerlift.emulator.studies.stress.battery import Push
from layerlift.emulator.studies.stress.card import Row, best_of, row
from layerlift.emulator.studies.stress.jobs import Job, perform
from layerlift.emulator.studies.stress.kept import RUNS, Stores
from layerlift.emulator.studies.stress.ladders import Ladder, ladder
from layerlift.emulator.studies.stress.result import Stress
from layerlift.models.errors import RunError, quoted
from layerlift.models.sums import int_sum

Place = tuple[str, str, str, float]
"""Contender, family, change and factor."""
UNPUSHED: Final = ("", 1.0)


def stress(
    planners: str | Sequence[str] = (),
    *,
    against: str | Sequence[str] = (),
    families: Sequence[str | os.PathLike[str]] = (),
    policy: str | Sequence[str] = (),
    worlds: int | None = None,
    thorough: bool = False,
    push: bool = True,
    gather_s: float = GATHER_S,
    local: bool = False,
    address: str | None = None,
    workers: int | None = None,
    out: Path | str | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> Stress:
    """Judge planners, or policies, in families of worlds that tell them apart, and push planners until they break.

    Each is run in the same worlds, of held-out seeds, as the references (`against`; left out
    `layerlift.emulator.studies.stress.battery.REFERENCES`); in every family the ratio is to the best of these, world
    by world. `families` are names of those that ship or files; left out all that ship. `worlds` are how many of each;
    left out by a rule of its users, `thorough` for five times as many. With planners, `policy` is that of all servers;
    alone, policies are judged, against `first_come`, with every user planned by `ionn`. `push` climbs the ladders.
    `gather_s` is how long planners wait for others who know of them only where they plan them together.

    A run that takes 120 CPU seconds is given up, and who would take more than 150 for the worlds of a family meets
    fewer of them: `Stress.slow` says who and where. Else nothing depends on how fast or how many at once they are run.
    Runs are made in `workers` processes of this machine (None: one for each CPU; with 1, or `local`: here, one after
    the other), or as Ray tasks in the cluster at `address`. `out` is a folder for stress.json,
    stress.html, the worlds in which each contender is worst, and runs.jsonl: what was run stands in that and is not
    run again; `force` replaces the others. Raises a `LayerliftError` before anything runs for what cannot be run. An
    interrupt ends with what had ended, and `complete` False.
    """
    folder = folder_of(out) if out is not None else None
    processes = workers_of(workers)
    page.check(folder, force)
    question = asked(
        _list("planners", planners),
        against=_list("against", against),
        names=families,
        policies=_list("policy", policy),
        worlds=worlds,
        thorough=thorough,
        push=push,
        gather_s=gather_s,
    )
    study = Study(question, local or (address is None and processes == 1), address, processes)
    with answer_files.held(folder):
        page.check(folder, force)  # another study may have ended meanwhile
        return study.carried_out(folder, progress)


class Study:
    """A question on its way to an answer: what has been run."""

    def __init__(self, question: Asked, local: bool, address: str | None, processes: int) -> None:
        self._asked, self._local, self._address = question, local, address
        self._workers = processes
        self._found: dict[Place, dict[int, Outcome]] = {}
        self._slow: dict[tuple[str, str], str] = {}
        """What is to be said of who meets fewer worlds of a family."""
        self._ended = self._total = 0

    def carried_out(self, folder: Path | None, progress: Progress | None) -> Stress:
        """Make the runs, and write what they gave."""
        kept = Stores(folder)
        say: Progress = progress or (lambda ended, total: None)
        if folder is not None:
            page.clear(folder)
        self._total = self._expected()
        say(0, self._total)
        try:
            with felt():
                for jobs in self._rounds():
                    self._run(jobs, kept, say)
                self._total = self._ended
                say(self._ended, self._total)
        except KeyboardInterrupt as error:
            stopped = Stopped.of(error)
            note = f"{stopped.reason}: {self._ended} of about {count(self._total, 'run')} had ended"
            note += f", kept in {folder / RUNS}" if folder is not None else ""
            return self.answer((note,), complete=False, signal=stopped.number)
        found = self.answer()
        if folder is not None:
            page.write(found, folder, self._asked)
        return found

    def _run(self, jobs: list[Job], kept: Stores, say: Progress) -> None:
        made = outcomes(perform, jobs, local=self._local, address=self._address, kept=kept, workers=self._workers)
        for number, outcome in made:
            self.note(jobs[number], outcome)
            say(self._ended, max(self._ended, self._total))

    def note(self, job: Job, outcome: Outcome) -> None:
        """Take an outcome, in whatever order they come."""
        self._found.setdefault((job.contender, job.family, job.change, job.factor), {})[job.world] = outcome
        self._ended += 1

    def _expected(self) -> int:
        asked = self._asked
        ladders = int_sum(len(push.factors) * push.worlds for push in asked.pushes)
        first = int_sum(self._wanted(who, worlds) for who in asked.everybody for worlds in asked.worlds.values())
        return first + len(asked.contenders) * ladders

    def _rounds(self) -> Iterator[list[Job]]:
        """The runs, in rounds: what a round is depends on what came of those before, and on nothing else."""
        worlds = self._asked.worlds
        yield list(self._asked.first())
        yield [
            job
            for family, wanted in worlds.items()
            for who in self._asked.everybody
            for job in self._asked.others(who, family, 1, self._affordable(who, family, self._wanted(who, wanted)))
        ]
        yield [*self._of_references(), *self._step(0)]
        yield list(self._further())
        for number in range(1, max((len(push.factors) for push in self._asked.pushes), default=0)):
            yield list(self._step(number))

    def _wanted(self, who: str, worlds: int) -> int:
        """How many of a family's worlds somebody meets at first: who is no more than a reference, half."""
        return worlds if who in self._asked.contenders else battery.picking(worlds)

    def _of_references(self) -> Iterator[Job]:
        """The other worlds of each family's reference."""
        for family, wanted in self._asked.worlds.items():
            who = self._reference(family)
            if who and who not in self._asked.contenders:
                worlds = self._affordable(who, family, wanted)
                yield from self._asked.others(who, family, battery.picking(wanted), worlds)

    def _further(self) -> Iterator[Job]:
        """More worlds of a family for contenders of whom nothing can be said yet, and for its reference."""
        for family, known in self._asked.worlds.items():
            reference, wanted = self._reference(family), known * self._asked.further
            counts = {
                who: self._fits(who, family, wanted)
                for who in self._asked.contenders
                if self._row(who, family, reference).verdict == "undecided"
            }
            counts = {who: fits for who, fits in counts.items() if fits > known}
            if counts:
                counts[reference] = self._fits(reference, family, wanted)
            for who, worlds in counts.items():
                yield from self._asked.others(who, family, known, worlds)

    def _step(self, number: int) -> Iterator[Job]:
        """A step of all ladders; of one that has broken none, unless all is to be known thoroughly."""
        for push in self._asked.pushes:
            for who in self._asked.contenders:
                before = push.factors[:number]
                if number >= len(push.factors) or not (self._asked.thorough or self._holds(who, push, before)):
                    continue
                factor = push.factors[number]
                # A step at which nothing is harder has been run for the card.
                known = len(self._of(who, push.family)) if factor == 1.0 else 0
                yield from (job for job in self._asked.step(who, push, factor) if job.world >= known)

    def _affordable(self, who: str, family: str, wanted: int) -> int:
        """How many worlds of a family there is time for; it is told where these are fewer than wanted."""
        first, fits = self._of(who, family).get(0, {}), self._fits(who, family, wanted)
        if first.get("slow"):
            self._slow[who, family] = f"{who} in {family}: {first['failed']}, so no other world was run"
        elif fits < wanted:
            took_s = first["timing"]["cpu_s"]
            self._slow[who, family] = (
                f"{who} in {family}: a world takes {took_s:.0f} CPU seconds, so {fits} of {wanted} were run"
            )
        return fits

    def _fits(self, who: str, family: str, wanted: int) -> int:
        """How many worlds there is time for, by what the first took; who meets more has as much more time."""
        first = self._of(who, family).get(0, {})
        if first.get("slow"):
            return 1
        took_s = first["timing"]["cpu_s"] if "timing" in first else 0.0
        budget_s = battery.FAMILY_S * (battery.THOROUGH if self._asked.thorough else 1)
        budget_s *= wanted / self._asked.worlds[family]
        return min(wanted, max(1, int(budget_s / took_s))) if took_s else wanted

    def answer(self, notes: Sequence[str] = (), *, complete: bool = True, signal: int = 0) -> Stress:
        """What is known by now."""
        question = self._asked
        return Stress(
            "policy" if question.of_policies else "planner",
            question.contenders,
            question.references,
            dict(question.worlds),
            tuple(self._rows()),
            tuple(self._ladder(who, push) for who in question.contenders for push in question.pushes),
            tuple(map(axioms, question.contenders)) if question.of_policies else (),
            complete,
            tuple(notes),
            signal,
            tuple(self._slow.values()),
        )

    def _rows(self) -> Iterator[Row]:
        for who in self._asked.everybody:
            for family in self._asked.worlds:
                if self._of(who, family):
                    yield self._row(who, family, self._reference(family))

    def _row(self, who: str, family: str, reference: str) -> Row:
        return row(who, family, self._of(who, family), reference, self._of(reference, family), self._optima(family))

    def _reference(self, family: str) -> str:
        """The best of the references, by the worlds that all of them meet: whoever is judged, it is the same."""
        known = battery.picking(self._asked.worlds[family])
        found = {
            name: {world: each for world, each in self._of(name, family).items() if world < known}
            for name in self._asked.references
        }
        return best_of(found, self._asked.references)

    def _optima(self, family: str) -> dict[int, float]:
        """What is proved that nobody can go below, by world."""
        everybody = [self._of(who, family) for who in self._asked.everybody]
        return {world: each["optimum"] for found in everybody for world, each in found.items() if each.get("optimum")}

    def _of(self, who: str, family: str) -> dict[int, Outcome]:
        return self._found.get((who, family, *UNPUSHED), {})

    def _holds(self, who: str, push: Push, factors: Sequence[float]) -> bool:
        """Whether none of these steps broke; that of the card may lie beyond the first that did."""
        return not any(step.breaks for step in self._ladder(who, push).steps if step.factor in factors)

    def _ladder(self, who: str, push: Push) -> Ladder:
        steps = {factor: self._worlds(who, push, factor) for factor in push.factors}
        return ladder(who, push, steps, self._asked.users(push.family))

    def _worlds(self, who: str, push: Push, factor: float) -> dict[int, Outcome]:
        found = self._found.get((who, push.family, push.change, factor), {})
        own = self._of(who, push.family) if factor == 1.0 else {}
        return {world: each for world, each in own.items() if world < push.worlds} | found


def _list(what: str, given: str | Sequence[str]) -> tuple[str, ...]:
    """Several names, or one. Raises `RunError` for what is neither."""
    listed = (given,) if isinstance(given, str) else given
    if not isinstance(listed, Sequence) or not all(isinstance(name, str) for name in listed):
        raise RunError(f"{what} is {quoted(given)}, expected a name, or several in a list")
    return tuple(listed)

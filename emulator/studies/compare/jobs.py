"""One scenario under several planners and policies: what is to be run, and the running of one such run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from layerlift.emulator.execution.dataplane import Execution
from layerlift.emulator.planning.memory import PlanMemory
from layerlift.emulator.run import run
from layerlift.emulator.runtime.interruption import Stopped
from layerlift.emulator.scenario import Scenario
from layerlift.emulator.scenario.schema.document import Given
from layerlift.emulator.scenario.schema.trust import Trust
from layerlift.emulator.studies.compare.comparison import Comparison
from layerlift.emulator.studies.compare.metrics import see
from layerlift.emulator.studies.compare.sweep import Sweep
from layerlift.emulator.studies.compare.trials import Trial, Variant
from layerlift.emulator.studies.fairness.alone import alone_latencies
from layerlift.emulator.studies.many import Lost, each_of
from layerlift.models.errors import LayerliftError, RunError

Alone = dict[str, list[float]]


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be compared."""

    scenario: Scenario | str | Path
    """It, its name or its path."""
    planners: tuple[str, ...] = ()
    """Of all users; empty: those that the scenario has."""
    policies: tuple[str, ...] = ()
    """Of all servers; empty: those that the scenario has."""
    seeds: tuple[int, ...] = ()
    """Empty: `count` of them, from the scenario's own on."""
    count: int = 1
    sweep: Sweep | None = None
    settings: tuple[str, ...] = ()
    """`path=value` overrides for all."""
    execution: Execution | None = None
    """None: nothing is executed, but where `compute: measured` takes its seconds from that."""
    alone: bool = True
    """Whether users run alone first, so that costs are slowdowns."""
    each: bool = False
    """Every user alone, not one of each kind."""
    allow_code: bool = False
    """Whether the scenario's file may name planners and policies as `module:Class`; what is given here always may."""
    called: bool = False
    """Whether a program asks: messages then name arguments, not options."""

    def given(self, what: str, value: str, settings: Iterable[str]) -> list[str]:
        """Return settings whose messages name the option, or argument, that they stand for."""
        told = f"{what} {value}" if self.called else f"--{what} {value}"
        return [Given.by(told, setting) for setting in settings]


@dataclass(frozen=True, slots=True)
class Job:
    """One run to be made; picklable."""

    variant: int
    seed: int
    scenario: dict[str, Any]
    """As plain values."""
    baseline: dict[str, Any] | None
    """The scenario whose users alone are the yardstick of totals; None: this one's own."""
    world: str
    """Jobs of one world share what they have planned."""
    alone: bool
    each: bool
    trust: Trust
    """Which texts of both scenarios may name code."""


@dataclass(frozen=True, slots=True)
class Work:
    """All that was asked for, checked: nothing has been run."""

    title: str
    variants: tuple[Variant, ...]
    jobs: tuple[Job, ...]
    swept: str
    notes: tuple[str, ...]

    def compared(self, trials: Sequence[Trial], notes: Sequence[str] = (), *, complete: bool = True) -> Comparison:
        """Return the comparison of what was run."""
        ranked = sorted(trials, key=lambda trial: (trial.variant, trial.seed))
        return Comparison(self.title, self.variants, tuple(ranked), self.swept, (*self.notes, *notes), complete)


@dataclass(frozen=True, slots=True)
class _Made:
    variant: Variant
    scenario: Scenario


def work(asked: Asked) -> Work:
    """Return the jobs that were asked for: all pairs of planners and policies, at each swept value, with each seed.

    Seeds are paired: with one seed every variant has the same users, devices and arrivals. Jobs are ordered by world.
    Raises a `LayerliftError` for whatever cannot be run; every variant is resolved with its first seed for that.
    """
    asked = _with_execution(asked)
    base = _load(asked, asked.settings)
    seeds = asked.seeds or tuple(range(base.seed, base.seed + asked.count))
    made = [
        _made(asked, base, planner, policy, value, seeds[0])
        for value in (asked.sweep.values if asked.sweep else ("",))
        for planner in asked.planners or ("",)
        for policy in asked.policies or ("",)
    ]
    if asked.alone and base.compute == "measured":
        raise RunError(
            "the scenario has compute: measured, so users cannot run alone without execution: try --no-alone"
        )
    plain = [each.scenario.model_dump(mode="json") for each in made]
    jobs = []
    for seed in seeds:
        for number, each in enumerate(made):
            first = next(n for n, other in enumerate(made) if other.variant.value == each.variant.value)
            world = f"{each.variant.value}/{seed}"
            yardstick = None if first == number else plain[first] | {"seed": seed}
            trust, own = each.scenario.trust.also(made[first].scenario.trust), plain[number] | {"seed": seed}
            jobs.append(Job(number, seed, own, yardstick, world, asked.alone, asked.each, trust))
    values = asked.sweep.values if asked.sweep else ("",)
    jobs.sort(key=lambda job: (values.index(made[job.variant].variant.value), job.seed, job.variant))
    told = asked.sweep.told(base) if asked.sweep else ""
    notes = _notes(asked, told)
    variants = tuple(each.variant for each in made)
    return Work(base.name, variants, tuple(jobs), asked.sweep.path if asked.sweep else "", notes)


def _with_execution(asked: Asked) -> Asked:
    if asked.execution is not None:
        settings = asked.given("execution", asked.execution, [f"execution={asked.execution}"])
    else:
        settings = [] if _load(asked, asked.settings).compute == "measured" else ["execution=none"]
    return replace(asked, settings=(*asked.settings, *settings))


def _notes(asked: Asked, told: str) -> tuple[str, ...]:
    said = [told] if told else []
    if not asked.alone:
        said.append("users did not run alone: costs are mean latencies, with the differences of devices in them")
    elif not asked.each:
        said.append("one user of each kind ran alone, under each planner and policy: slowdowns are against that one")
    return tuple(said)


def _made(asked: Asked, base: Scenario, planner: str, policy: str, value: str, seed: int) -> _Made:
    own = [*asked.settings]
    if asked.sweep is not None:
        own += asked.given("sweep", asked.sweep.named(value), asked.sweep.settings(value, base))
    if planner:
        own += asked.given("planner", planner, (f"users.{n}.planner={planner}" for n in range(len(base.users))))
    if policy:
        servers = [n for n, group in enumerate(base.nodes) if group.tier != "client"]
        own += asked.given("policy", policy, (f"nodes.{n}.policy={policy}" for n in servers))
    scenario = _load(asked, [*own, f"seed={seed}"])
    scenario.resolve()
    planners = list(dict.fromkeys(kind.planner for kind in scenario.users))
    policies = list(dict.fromkeys(group.policy for group in scenario.nodes if group.tier != "client"))
    named = (" and ".join(planners), " and ".join(policies))
    shown = [text for text, choices in zip(named, (asked.planners, asked.policies), strict=True) if len(choices) > 1]
    return _Made(Variant(", ".join(shown or named), *named, value, value or "only"), scenario)


def _load(asked: Asked, settings: Sequence[str]) -> Scenario:
    if isinstance(asked.scenario, Scenario):
        return asked.scenario.changed(settings, allow_code=asked.allow_code)
    return Scenario.load(asked.scenario, settings, allow_code=asked.allow_code)


@dataclass(slots=True)
class _Shelf:
    """What runs of one world in one process share."""

    memory: PlanMemory = field(default_factory=PlanMemory)
    alone: dict[str, Alone] = field(default_factory=dict)


@lru_cache(maxsize=1)
def _shelf(world: str) -> _Shelf:
    return _Shelf()


def perform(job: Job) -> Trial:
    """Make one run, in this process; what it raises becomes a failed trial with its reason.

    Users run alone first, once per scenario and process. Raises `KeyboardInterrupt` when it is interrupted.
    """
    shelf = _shelf(job.world)
    try:
        scenario = Scenario.from_dict(job.scenario, trust=job.trust)
        alone = _alone(job.scenario, job, shelf) if job.alone else None
        yardstick = _alone(job.baseline, job, shelf) if job.alone and job.baseline else alone
        result = run(scenario, local=True, memory=shelf.memory)
        if not result.complete:
            raise Stopped.told(result.run)
        return Trial(job.variant, job.seed, "done", see(result, alone, yardstick))
    except LayerliftError as error:
        return Trial(job.variant, job.seed, "failed", reason=str(error))
    except (Exception, SystemExit) as error:  # a stranger's plug-in may raise anything; the others are still compared
        return Trial(job.variant, job.seed, "failed", reason=f"{type(error).__name__}: {error}")


def _alone(plain: dict[str, Any], job: Job, shelf: _Shelf) -> Alone:
    key = json.dumps([plain, job.each], sort_keys=True)
    if key not in shelf.alone:
        scenario = Scenario.from_dict(plain, trust=job.trust)
        shelf.alone[key] = alone_latencies(scenario, each=job.each, memory=shelf.memory)
    return shelf.alone[key]


def trials(work: Work, *, local: bool, address: str | None = None, done: Callable[[], None]) -> Iterator[Trial]:
    """Yield the trials of all jobs as they end, where `each_of` says. `done` is called after each.

    Raises `RunError` when Ray cannot be joined.
    """
    for number, found in each_of(perform, work.jobs, local=local, address=address):
        job = work.jobs[number]
        yield Trial(job.variant, job.seed, "failed", reason=found) if isinstance(found, Lost) else found
        done()

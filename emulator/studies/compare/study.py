"""`compare` and `sweep`: what a program calls, and what `layerlift compare` calls for it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Literal, TypedDict, Unpack, get_args, overload

from layerlift.emulator.report.formatting import count
from layerlift.emulator.results.places import folder_of
from layerlift.emulator.results.reader import RunResult
from layerlift.emulator.runtime.interruption import Stopped, felt
from layerlift.emulator.scenario import Scenario
from layerlift.emulator.studies import answer_files
from layerlift.emulator.studies.compare.comparison import Comparison
from layerlift.emulator.studies.compare.directories import Run, compare_runs, means_run
from layerlift.emulator.studies.compare.jobs import Asked, Work, trials, work
from layerlift.emulator.studies.compare.page import check, write
from layerlift.emulator.studies.compare.sweep import Overrides, Sweep
from layerlift.emulator.studies.compare.tabled import table
from layerlift.emulator.studies.compare.trials import Trial
from layerlift.models.errors import RunError, quoted

Execution = Literal["every", "once", "none"]
Progress = Callable[[int, int], None]
"""Told how many runs have ended, of how many: before the first one, and after each."""

SEEDS: Final = 3
MOST_SEEDS: Final = 1000


def compare(
    what: Scenario | str | Path | RunResult | Sequence[Run],
    *,
    planners: str | Sequence[str] = (),
    policies: str | Sequence[str] = (),
    seeds: int | Sequence[int] = SEEDS,
    alone: bool = True,
    each: bool = False,
    execution: Execution | None = None,
    overrides: Sequence[str] = (),
    local: bool = False,
    address: str | None = None,
    out: Path | str | None = None,
    force: bool = False,
    notice: Callable[[str], None] | None = None,
    progress: Progress | None = None,
    allow_code: bool = False,
) -> Comparison:
    """Run a scenario under all pairs of planners and policies, seeds paired; or put finished runs side by side.

    `what` is a `Scenario`, its name or its path; or a list of runs, each a `RunResult` or a run directory, and then
    only `alone`, `each`, `out`, `force`, `notice` and `allow_code` apply. Runs that differ in their seed only are one
    variant.

    `planners` and `policies` are of all users and of all servers; left out they are the scenario's own. `seeds` says
    how many, from the scenario's own on, or lists them: with one seed every variant has the same users, devices and
    arrivals. With `alone` users run alone first, one of each kind or (`each`) every one of them, and costs are
    slowdowns, a ratio; without it they are latencies in seconds. `execution` stands for the scenario's: None is
    none, for the numbers are the same and real layers take long, but where `compute: measured` takes them from those.
    `overrides` are `path=value`, as in `Scenario.load`. With `allow_code` the scenario's file, or a run's, may name
    planners and policies as `module:Class`.

    With `local` one run follows the other in this process; else there is a process for each CPU, or they are Ray tasks
    in the cluster at `address`. `out` is a folder for compare.json, .parquet and .html, which `force`
    replaces. `notice` gets a sentence before each user of a finished run who runs alone; see `Progress` for `progress`.

    Raises a `LayerliftError`, before anything runs or is written, for what cannot be run: an unknown planner, policy
    or field, no such run, a folder that is taken. A run that fails later is a `Trial` with its reason. An interrupt
    (Ctrl-C, SIGTERM, SIGHUP) ends with what had ended, and `complete` False.
    """
    if isinstance(what, Scenario) or (isinstance(what, str | Path) and not means_run(what)):
        asked = _asked(what, None, planners, policies, seeds, alone, each, execution, overrides, allow_code)
        return carry_out(asked, local=local, address=address, out=out, force=force, progress=progress)
    runs = _runs(what)
    own: dict[str, object] = {"planners": planners, "policies": policies, "overrides": overrides, "local": local}
    own |= {"seeds": seeds != SEEDS, "execution": execution is not None, "address": address, "progress": progress}
    for name in (name for name, given in own.items() if given):
        raise RunError(f"{name} was given with runs that have ended: expected it with one scenario only")
    return compare_finished(runs, alone=alone, each=each, out=out, force=force, notice=notice, allow_code=allow_code)


class Options(TypedDict, total=False):
    """What `sweep` takes by name; see `compare`."""

    planners: str | Sequence[str]
    policies: str | Sequence[str]
    seeds: int | Sequence[int]
    alone: bool
    each: bool
    execution: Execution | None
    overrides: Sequence[str]
    local: bool
    address: str | None
    out: Path | str | None
    force: bool
    progress: Progress | None
    allow_code: bool


@overload
def sweep(
    scenario: Scenario | str | Path, field: str, values: Sequence[object], **options: Unpack[Options]
) -> Comparison: ...


@overload
def sweep(
    scenario: Scenario | str | Path,
    field: Sequence[Sequence[str] | Mapping[str, object]],
    values: None = None,
    **options: Unpack[Options],
) -> Any: ...


def sweep(
    scenario: Scenario | str | Path,
    field: str | Sequence[Sequence[str] | Mapping[str, object]],
    values: Sequence[object] | None = None,
    *,
    planners: str | Sequence[str] = (),
    policies: str | Sequence[str] = (),
    seeds: int | Sequence[int] = SEEDS,
    alone: bool = True,
    each: bool = False,
    execution: Execution | None = None,
    overrides: Sequence[str] = (),
    local: bool = False,
    address: str | None = None,
    out: Path | str | None = None,
    force: bool = False,
    progress: Progress | None = None,
    allow_code: bool = False,
) -> Comparison | Any:
    """Compare as `compare` does, at each of several values of one field of the scenario; or under lists of overrides.

    `field` is a dotted path as in `Scenario.load`'s overrides (`links.client-edge.bandwidth_mb_s`, in the unit of that
    field), or `users`: how many there are in all, kinds in the proportion that they have. `values` are two or more
    different plain values: numbers, texts, booleans, None, lists or dicts of them. Variants are ordered by value, then
    planner, then policy; each is held against the first one at its value. The rest is as in `compare`.

    Without `values`, `field` is a list of lists of overrides: `[["nodes.0.ghz=8"], ["nodes.0.ghz=9", "seed=2"]]`, or
    of dicts, `{"nodes.0.ghz": 16}`. What is returned is then one `pyarrow.Table`: a row for each of them, planner,
    policy and seed, with a column for each overridden field (null where a list leaves it as it is) and each metric
    (null where a run has none). Of a sweep that was interrupted it has the runs that had ended.

    Raises a `LayerliftError`, before anything runs or is written, for a field or value that the scenario cannot have.
    """
    if isinstance(field, str):
        if values is None:
            raise RunError(f"a sweep of {field!r} has no values, expected them; or lists of overrides instead of it")
        swept = Sweep.of(field, values)
    elif values is not None or not isinstance(field, Sequence):
        raise RunError("a sweep takes a field and its values, or lists of overrides alone: expected one of them")
    else:
        swept = Overrides.of_lists(field)
    asked = _asked(scenario, swept, planners, policies, seeds, alone, each, execution, overrides, allow_code)
    found = carry_out(asked, local=local, address=address, out=out, force=force, progress=progress)
    return table(found, swept.given) if isinstance(swept, Overrides) else found


def carry_out(
    asked: Asked,
    *,
    local: bool = False,
    address: str | None = None,
    out: Path | str | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> Comparison:
    """Check, run and write what was asked for; see `compare`."""
    folder = _free(out, force)
    todo = work(asked)
    with answer_files.held(folder):
        _free(out, force)  # another study may have ended meanwhile
        return _written(_run(todo, local, address, progress), folder)


def compare_finished(
    runs: Sequence[Run],
    *,
    alone: bool = True,
    each: bool = False,
    out: Path | str | None = None,
    force: bool = False,
    notice: Callable[[str], None] | None = None,
    allow_code: bool = False,
) -> Comparison:
    """Compare runs that are there already, and write what was found; see `compare`."""
    folder = _free(out, force)
    return _written(compare_runs(runs, alone=alone, each=each, notice=notice, allow_code=allow_code), folder)


def _run(todo: Work, local: bool, address: str | None, progress: Progress | None) -> Comparison:
    """Make the runs; those that had ended when the user stopped them, with a note that says so."""
    say: Progress = progress or (lambda ended, total: None)
    total, ended, found = len(todo.jobs), itertools.count(1), list[Trial]()
    say(0, total)
    try:
        with felt():
            for trial in trials(todo, local=local, address=address, done=lambda: say(next(ended), total)):
                found.append(trial)
    except KeyboardInterrupt as error:
        stopped = Stopped.of(error)
        note = f"{stopped.reason}: {len(found)} of {count(total, 'run')} had ended"
        return replace(todo.compared(found, [note], complete=False), signal=stopped.number)
    return todo.compared(found)


def _free(out: Path | str | None, force: bool) -> Path | None:
    folder = folder_of(out, "comparison") if out is not None else None
    check(folder, None, force)
    return folder


def _written(found: Comparison, folder: Path | None) -> Comparison:
    if folder is not None:
        write(found, folder)
    return found


def _runs(what: object) -> Sequence[Run]:
    """One run or several, as a list; raises `RunError` for what is neither."""
    runs = [what] if isinstance(what, str | Path | RunResult) else what
    if not isinstance(runs, Sequence) or not all(isinstance(run, str | Path | RunResult) for run in runs) or not runs:
        raise RunError(
            f"{quoted(what, 80)} was given, expected a scenario, or a list of runs: RunResults or directories"
        )
    return runs


def _asked(
    scenario: Scenario | str | Path,
    swept: Sweep | None,
    planners: str | Sequence[str],
    policies: str | Sequence[str],
    seeds: int | Sequence[int],
    alone: bool,
    each: bool,
    execution: Execution | None,
    overrides: Sequence[str],
    allow_code: bool,
) -> Asked:
    if not isinstance(scenario, Scenario | str | Path):
        raise RunError(f"{quoted(scenario, 80)} was given, expected a Scenario, or the name or path of one")
    if each and not alone:
        raise RunError("each says how users run alone, alone that they do not: expected one of them")
    if execution is not None and execution not in get_args(Execution):
        raise RunError(f"execution is {quoted(execution, 80)}, expected {', '.join(get_args(Execution))}")
    return Asked(
        scenario,
        planners=_texts("planners", planners),
        policies=_texts("policies", policies),
        seeds=() if isinstance(seeds, int) else listed(seeds),
        count=counted(seeds) if isinstance(seeds, int) else 1,
        sweep=swept,
        settings=_texts("overrides", overrides, twice=True),
        execution=execution,
        alone=alone,
        each=each,
        called=True,
        allow_code=allow_code,
    )


def _texts(name: str, given: object, *, twice: bool = False) -> tuple[str, ...]:
    """A text, or several; each once, unless `twice`."""
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, Sequence) or not all(isinstance(text, str) and text for text in texts):
        raise RunError(f"{name} is {quoted(given, 80)}, expected a list of texts")
    return tuple(texts) if twice else tuple(dict.fromkeys(texts))


def counted(seeds: int) -> int:
    """How many seeds. Raises `RunError` for what is no such number."""
    if isinstance(seeds, bool) or not 1 <= seeds <= MOST_SEEDS:
        raise RunError(f"seeds is {quoted(seeds)}, expected how many, from 1 to {MOST_SEEDS}, or a list of seeds")
    return seeds


def listed(seeds: object) -> tuple[int, ...]:
    """Seeds, each once. Raises `RunError` for what is no list of them."""
    found = tuple(dict.fromkeys(seeds)) if isinstance(seeds, Sequence) else ()
    if not found or not all(type(seed) is int and 0 <= seed < 10**12 for seed in found):
        raise RunError(f"seeds is {quoted(seeds, 80)}, expected how many, or a list of whole numbers of at least 0")
    return found

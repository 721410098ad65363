"""Runs that have ended side by side: those that differ in their seed only are one variant."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from layerlift.emulator.planning.memory import PlanMemory
from layerlift.emulator.results.reader import RUN_FILE, RunResult
from layerlift.emulator.results.versions import other_versions
from layerlift.emulator.scenario import bundled
from layerlift.emulator.scenario.from_run import scenario_of
from layerlift.emulator.studies.compare.comparison import Comparison
from layerlift.emulator.studies.compare.metrics import see
from layerlift.emulator.studies.compare.trials import Trial, Variant
from layerlift.emulator.studies.fairness.alone import alone_latencies
from layerlift.emulator.studies.fairness.people import Alone
from layerlift.models.errors import CodeRefused, LayerliftError, RunError

Run = RunResult | str | Path
"""A run that was made, or its directory."""


def is_run(target: str | Path) -> bool:
    """Whether this is the directory of a run."""
    return (Path(target) / RUN_FILE).is_file()


def means_run(target: str | Path) -> bool:
    """Whether somebody who writes this means a run: a bundled scenario comes first, `./paper` is a folder anyway."""
    return str(target) not in bundled() and is_run(target)


def compare_runs(
    runs: Sequence[Run],
    *,
    alone: bool = True,
    each: bool = False,
    notice: Callable[[str], None] | None = None,
    allow_code: bool = False,
) -> Comparison:
    """Compare finished, interrupted or running runs by their tables.

    Their users run alone first, unless `alone` is False or one of the runs cannot tell its scenario: then costs are
    mean latencies. `notice` gets a sentence before each such run. Totals are against the first run's users
    alone (`each`: every one of them) of the same world and seed.
    Runs of one scenario and one seed are variants of their own. Raises `RunError` for what is no run, `CodeRefused`
    when users would run alone in a scenario that names code, unless `allow_code`.
    """
    results = [run if isinstance(run, RunResult) else RunResult.load(run) for run in runs]
    names = _names([result.directory for result in results])
    for name, result in zip(names, results, strict=True):
        if result.run.get("world") is None:
            raise RunError(f"the run {name} has no `world` in its run.json, expected that of a run: run it again")
    notes = [f"{name} was {text}" for name, text in zip(names, map(_elsewhere, results), strict=True) if text]
    yardsticks = [None] * len(results) if not alone else _alone(results, each, notes, notice, allow_code)
    variants: list[Variant] = []
    trials: list[Trial] = []
    taken: dict[tuple[str, int], int] = {}
    first: dict[tuple[str, int], Alone | None] = {}
    for name, result, known in zip(names, results, yardsticks, strict=True):
        key, seed, world = _content(result.run), int(result.run.get("seed", 0)), _world(result.run)
        number = taken.get((key, -1))
        if number is None or (key, seed) in taken:
            number = len(variants)
            variants.append(Variant(name, *_plans(result.run), world=world))
            taken.setdefault((key, -1), number)
        taken[key, seed] = number
        base = first.setdefault((world, seed), known)
        status: Literal["done", "interrupted"] = "done" if result.complete else "interrupted"
        trials.append(Trial(number, seed, status, see(result, known, base)))
    sizes = Counter(trial.variant for trial in trials)
    named = [v._replace(name=v.name + " and other seeds" * (sizes[n] > 1)) for n, v in enumerate(variants)]
    return Comparison(" and ".join(_titles(results)), tuple(named), tuple(trials), notes=tuple(notes))


def _elsewhere(result: RunResult) -> str:
    return other_versions(result.run)


def _titles(results: Sequence[RunResult]) -> list[str]:
    return list(dict.fromkeys(str(result.run["world"].get("name", "run")) for result in results))


def _alone(
    results: Sequence[RunResult],
    each: bool,
    notes: list[str],
    notice: Callable[[str], None] | None,
    allow_code: bool,
) -> list[Alone | None]:
    memory, known, found = PlanMemory(), dict[str, Alone](), list[Alone | None]()
    try:
        for result in results:
            if result.run.get("scenario") is None:
                raise RunError("a run.json has no scenario")
            key = json.dumps(result.run["scenario"], sort_keys=True)
            if key not in known:
                scenario = scenario_of(result, allow_code=allow_code)
                known[key] = alone_latencies(scenario, each=each, notice=notice, memory=memory)
            found.append(known[key])
    except CodeRefused:
        raise  # whoever means it says so; who does not, compares with --no-alone
    except LayerliftError as error:
        notes.append(f"costs are mean latencies, with the differences of devices in them: {error}")
        return [None] * len(results)
    if not each:
        notes.append("one user of each kind ran alone, under each planner and policy: slowdowns are against that one")
    return found


def _names(directories: Sequence[Path | None]) -> list[str]:
    """The last parts of paths where these differ, else the paths as given; `run 2` for the second, kept in memory."""
    whole = [f"run {number}" if path is None else str(path) for number, path in enumerate(directories, start=1)]
    short = [whole[number] if path is None else path.resolve().name for number, path in enumerate(directories)]
    return short if len(set(short)) == len(short) else whole


def _content(run: Mapping[str, Any]) -> str:
    """What makes runs of different seeds one variant."""
    scenario = run.get("scenario")
    return json.dumps({**scenario, "seed": None} if scenario else run["world"], sort_keys=True, default=str)


def _world(run: Mapping[str, Any]) -> str:
    """Equal for runs whose users, machines and links are the same at one seed."""
    scenario = run.get("scenario")
    if not scenario:
        return ""
    users = [{**kind, "planner": None} for kind in scenario["users"]]
    nodes = [{**group, "policy": None} for group in scenario["nodes"]]
    rest = dict.fromkeys(("seed", "execution", "name", "about", "sources", "inputs", "graph_optimization", "folder"))
    return json.dumps({**scenario, "users": users, "nodes": nodes, **rest}, sort_keys=True, default=str)


def _plans(run: Mapping[str, Any]) -> tuple[str, str]:
    planners = list(dict.fromkeys(user["planner"] for user in run["world"]["users"]))
    nodes = [node for node in run["world"]["nodes"] if node["tier"] in ("edge", "cloud")]
    policies = list(dict.fromkeys(str(node.get("policy", "greedy")) for node in nodes))
    return " and ".join(planners), " and ".join(policies)

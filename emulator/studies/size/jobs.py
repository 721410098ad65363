"""One run of a sizing: what it needs, and what is kept of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from layerlift.emulator.planning.memory import PlanMemory
from layerlift.emulator.report.bottlenecks import binding
from layerlift.emulator.results.reader import RunResult
from layerlift.emulator.run import run
from layerlift.emulator.runtime.interruption import Stopped
from layerlift.emulator.scenario import Scenario
from layerlift.emulator.scenario.schema.trust import Trust
from layerlift.emulator.studies.compare.metrics import BY_KEY, Metric, see
from layerlift.emulator.studies.fairness.measure import fairness
from layerlift.emulator.studies.many import Outcome
from layerlift.emulator.studies.size.target import OF_KINDS
from layerlift.models.errors import LayerliftError


@dataclass(frozen=True, slots=True)
class Job:
    """A step (a value for each field), under one planner, with one seed; picklable."""

    step: int
    planner: str
    """Empty: the scenario's own."""
    seed: int
    scenario: dict[str, Any]
    """As plain values."""
    trust: Trust

    def told(self) -> dict[str, Any]:
        """All that its outcome depends on."""
        return {"study": "size", "scenario": self.scenario}


@lru_cache(maxsize=1)
def _memory(planner: str) -> PlanMemory:
    # Steps differ in one field: what was planned for one may serve the next.
    return PlanMemory()


def perform(job: Job) -> Outcome:
    """Make one run in this process: `numbers` by metric, `kinds` of each kind's, `binds`, `digest`; or `failed`.

    Raises `KeyboardInterrupt` when it is interrupted.
    """
    try:
        scenario = Scenario.from_dict(job.scenario, trust=job.trust)
        result = run(scenario, local=True, memory=_memory(job.planner))
        if not result.complete:
            raise Stopped.told(result.run)
        return outcome(result)
    except LayerliftError as error:
        return {"failed": str(error)}
    except (Exception, SystemExit) as error:  # a stranger's plug-in may raise anything; the others still count
        return {"failed": f"{type(error).__name__}: {error}"}


def sound(found: Any) -> bool:
    """Whether something that was kept is an outcome: a file may have been changed by hand."""
    texts = ("binds", "note", "digest")
    if not isinstance(found, dict) or not all(isinstance(found.get(name), str) for name in texts):
        return False
    kinds = found.get("kinds")
    return isinstance(kinds, dict) and all(map(_numbers, (found.get("numbers"), *kinds.values())))


def _numbers(found: Any) -> bool:
    """Whether these are metrics with values that a run can have."""
    return isinstance(found, dict) and all(key in BY_KEY and _fits(BY_KEY[key], found[key]) for key in found)


def _fits(metric: Metric, value: Any) -> bool:
    if type(value) not in (int, float) or not abs(value) <= 1e300:
        return False
    return metric.better == "zero" or 0 <= value <= (1 + 1e-9 if metric.unit == "share" else 1e300)


def outcome(result: RunResult) -> Outcome:
    """What is kept of a run that has ended; a number without a value is left out."""
    seen = see(result)
    ended_s = float(result.summary["totals"]["virtual_s"])
    return {
        "numbers": _finite(seen.numbers),
        "kinds": {entry["kind"]: _finite(_of_kind(entry)) for entry in fairness(result)["kinds"]},
        "binds": binding(result.table, result.run["world"], ended_s) or "",
        "note": seen.note,
        "digest": seen.digest,
    }


def _of_kind(entry: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {key: entry[key] for key in OF_KINDS if key in entry}
    for over in ("queries", "users"):
        found |= {f"latency_{point}_{over}_s": (entry["latency_s"][over] or {}).get(point) for point in ("mean", "p95")}
        found[f"deadline_{over}"] = entry["deadline"][over]
    return found


def _finite(numbers: dict[str, Any]) -> dict[str, float]:
    # Infinity is a value ("nothing was answered"), and JSON has none of its own.
    found = {key: math.nan if value is None else float(value) for key, value in numbers.items()}
    return {key: min(value, 1e300) for key, value in found.items() if not math.isnan(value)}

"""One run of a stress study: what it needs, and what is kept of it."""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from layerlift.emulator.planning.problems import problem_of
from layerlift.emulator.run import run
from layerlift.emulator.runtime.interruption import Stopped
from layerlift.emulator.scenario import Scenario
from layerlift.emulator.scenario.schema.trust import Trust
from layerlift.emulator.studies.many import Outcome
from layerlift.emulator.studies.stress.limit import TooSlow, limited
from layerlift.emulator.studies.stress.measures import NUMBERS, measured, timing
from layerlift.emulator.world.world import World
from layerlift.models.errors import LayerliftError
from layerlift.planners import Objective, Problem, cost
from layerlift.planners.exact.optimal import Optimal

TIMES: Final = ("cpu_s", "plan_s", "plan_most_s")
_EFFORT: Final = (2000, 0, 0)
"""Of the exact planner: what it takes to prove the optimum of networks whose modules are narrow."""


@dataclass(frozen=True, slots=True)
class Job:
    """One world under one contender (a planner, or a policy); picklable."""

    contender: str
    family: str
    world: int
    """Number of the world, from 0: its seed is the one at that place."""
    seed: int
    scenario: dict[str, Any]
    """As plain values."""
    trust: Trust
    limit_s: float
    """CPU seconds after which it is given up."""
    change: str = ""
    factor: float = 1.0
    prove: bool = False
    """Whether the optimum of this world is to be found as well."""
    code: str = ""
    """What tells the contender's own code apart; empty for one that ships."""
    shared: bool = False
    """Whether its outcome serves other studies too: it and its world ship."""

    def told(self) -> dict[str, Any]:
        """All that its outcome depends on."""
        own = {"code": self.code} if self.code else {}
        return {"study": "stress", "scenario": self.scenario, "prove": self.prove, **own}


def perform(job: Job) -> Outcome:
    """Make one run in this process; `{"failed": reason}` of one that could not be made, with `slow` where time was up.

    Raises `KeyboardInterrupt` when it is interrupted.
    """
    began = time.process_time()
    try:
        scenario = Scenario.from_dict(job.scenario, trust=job.trust)
        with limited(job.limit_s):
            result = run(scenario, local=True)
        if not result.complete:
            raise Stopped.told(result.run)
        took = time.process_time() - began
        found = measured(result, _dearest(scenario))
        found["optimum"] = _optimum(job.scenario, scenario) if job.prove else None
        return found | {"timing": timing(result, took)}
    except TooSlow as error:
        return {"failed": str(error), "slow": True}
    except LayerliftError as error:
        return {"failed": str(error)}
    except (Exception, SystemExit) as error:  # a stranger's plug-in may raise anything; the others still count
        return {"failed": f"{type(error).__name__}: {error}"}


def sound(found: Any) -> bool:
    """Whether something that was kept is an outcome: a file may have been changed by hand."""
    if not isinstance(found, dict) or not all(isinstance(found.get(name), str) for name in ("why", "digest")):
        return False
    times = found.get("timing")
    numbers = [found.get(name, "") for name in (*NUMBERS, "optimum")]
    own = [times.get(name) for name in TIMES] if isinstance(times, dict) else [None]
    return all(value is None or _number(value) for value in numbers) and all(map(_number, own))


def _number(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and 0 <= value <= 1e300  # type: ignore[arg-type, operator]


def _dearest(scenario: Scenario) -> dict[str, float]:
    """What the dearest server takes for a whole query (USD), of users who want nothing but little money; by name."""
    wanted = [kind.objective if isinstance(kind.objective, tuple) else (kind.objective,) for kind in scenario.users]
    if not any(each.money for objectives in wanted for each in objectives):
        return {}
    world: World = scenario.resolve()
    return {
        user.name: _dear(problem_of(world, number))
        for number, user in enumerate(world.users)
        if user.objective.money and not user.objective.latency and not user.objective.energy
    }


def _dear(problem: Problem) -> float:
    layers = len(problem.graph)
    return max((cost.evaluate(problem, (server,) * layers).money for server in problem.servers), default=0.0)


def _optimum(plain: dict[str, Any], scenario: Scenario) -> float | None:
    """What the cost model proves that nobody can go below, in the unit of `value`; None where it proves nothing.

    That of a lone user who asks for little delay and meets neither faults nor limits: the least latency of any
    placement, with all of it uploaded from the first instant, over the latency at home.
    """
    kinds = scenario.users
    if len(kinds) != 1 or kinds[0].count != 1 or scenario.faults:
        return None
    # Planners share their worlds, and predictions may be wrong: the truth is asked, once a world.
    fields = {key: value for key, value in plain.items() if key != "planner"}
    fields["users"] = [{key: value for key, value in plain["users"][0].items() if key != "planner"}]
    return _proved(json.dumps(fields, sort_keys=True))


@lru_cache(maxsize=64)
def _proved(plain: str) -> float | None:
    world: World = Scenario.from_dict(json.loads(plain)).resolve()
    if world.users[0].objective != Objective():
        return None
    problem = problem_of(world, 0)
    answer = Optimal(*_EFFORT).answer(problem)
    home_s = cost.latency(problem, (0,) * len(problem.graph))
    return answer.bound / home_s if answer.proved and home_s else None

"""The conformance kit: proves of any planner, ours or a stranger's, that the emulator can rely on it.

From a test:       `check_planner("my_package.mine:Mine")` or `check_planner(Mine(...))`
From a shell:      `python -m layerlift.planners.testing my_package.mine:Mine`
"""

from __future__ import annotations

import copy
import pickle
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from layerlift.models.errors import PlanError
from layerlift.planners import cost
from layerlift.planners.cost.judge import Judge
from layerlift.planners.cost.upload_timeline import timeline
from layerlift.planners.problem.plan import Plan, validate
from layerlift.planners.problem.problem import Problem
from layerlift.planners.registry.base import CrowdPlanner, Planner, capability
from layerlift.planners.registry.combine import told
from layerlift.planners.registry.planners import make
from layerlift.planners.testing.problems import battery, told_of_crowd
from layerlift.planners.testing.runner import run_kit, trouble_of

TOLERANCE = 1e-9
"""Relative slack of "never worse": rounding, not a worse plan."""


@dataclass(frozen=True, slots=True)
class CheckedDemand:
    """One demand, checked on one problem."""

    problem: str
    demand: str
    trouble: str
    """What is wrong; empty when the demand is met."""


def check_planner(planner: str | Planner, problems: Mapping[str, Problem] | None = None) -> int:
    """Check every demand on every problem (`layerlift.planners.testing.problems` by default); returns how many
    demands were met.

    Demands: a legal plan; the same plan for the same seed, and for a copy of the planner and of the problem; the
    problem untouched; a plan that survives pickling and has a timeline; never worse than all-local on what the
    planner says it `optimises` (`nothing` exempts baselines). A planner with `handles_dag = False` gets chains
    only; one with `multi_user = True` must also plan several users together. One that does not say `wants_crowd` is
    told nothing of the crowd, as in a run; one that does gets problems with and without.
    Raises `PlanError` that names the first demand not met, the problem and the trouble.
    """
    met = 0
    for finding in findings(planner, problems):
        if finding.trouble:
            raise PlanError(f"{_name(planner)} on {finding.problem!r}: {finding.demand}: {finding.trouble}")
        met += 1
    return met


def findings(planner: str | Planner, problems: Mapping[str, Problem] | None = None) -> Iterator[CheckedDemand]:
    """Check and tell, one finding per demand and problem; a demand that fails ends its problem."""
    made = make(planner) if isinstance(planner, str) else planner
    chosen = battery() if problems is None else problems
    for name, problem in chosen.items():
        if problem.graph.is_chain or capability(made, "handles_dag"):
            yield from _check(made, name, told(problem, made))
    if capability(made, "multi_user"):
        yield from _check_crowd(made, "several users", [replace(problem, crowd=None) for problem in chosen.values()])
        if capability(made, "wants_crowd"):
            crowd = [told_of_crowd(problem, user, media=True) for user, problem in enumerate(chosen.values())]
            yield from _check_crowd(made, "several users, told of the crowd and of shared media", crowd)


def _check(planner: Planner, name: str, problem: Problem) -> Iterator[CheckedDemand]:
    answer: list[Plan] = []

    def asked() -> None:
        answer.append(planner.plan(problem, random.Random(1)))
        validate(answer[0], problem)
        used = {upload.server for upload in answer[0].uploads}
        if len(used) > 1 and not capability(planner, "multi_server"):
            raise PlanError(f"multi_server is False, but the plan uses the servers {sorted(used)}")

    demands: list[tuple[str, Callable[[], object]]] = [
        ("a legal plan", asked),
        ("the same plan for the same seed", lambda: _same(planner, problem, answer[0])),
        ("the problem untouched", lambda: _untouched(planner, problem)),
        ("a plan that survives pickling", lambda: _pickled(answer[0])),
        ("an upload that ends where the plan says", lambda: _arrives(problem, answer[0])),
        ("never worse than all-local", lambda: _no_worse(planner, problem, answer[0])),
    ]
    for demand, check in demands:
        trouble = trouble_of(check)
        yield CheckedDemand(name, demand, trouble)
        if trouble:
            return


def _check_crowd(planner: Planner, name: str, problems: Sequence[Problem]) -> Iterator[CheckedDemand]:
    width = max(len(problem.nodes) for problem in problems)
    together = [problem for problem in problems if len(problem.nodes) == width][:4]

    def asked() -> None:
        if not isinstance(planner, CrowdPlanner):
            raise PlanError("multi_user is True, but there is no method plan_all(problems, rng)")
        plans = planner.plan_all(together, random.Random(1))
        if len(plans) != len(together):
            raise PlanError(f"{len(plans)} plans for {len(together)} users")
        for plan, problem in zip(plans, together, strict=True):
            validate(plan, problem)
        if planner.plan_all(together, random.Random(1)) != plans:
            raise PlanError("two calls with the same seed differ")

    yield CheckedDemand(name, "legal plans for all, the same for the same seed", trouble_of(asked))


def _same(planner: Planner, problem: Problem, answer: Plan) -> None:
    if planner.plan(problem, random.Random(1)) != answer:
        raise PlanError("two calls with the same seed differ: draw only from rng, and keep nothing between calls")
    if copy.deepcopy(planner).plan(copy.deepcopy(problem), random.Random(1)) != answer:
        raise PlanError("a copy of the planner answers a copy of the problem differently: is id() or hash() used?")


def _untouched(planner: Planner, problem: Problem) -> None:
    """A problem remembers its digest, so the digests of fresh copies are compared."""
    before = replace(problem).digest
    planner.plan(problem, random.Random(2))
    if replace(problem).digest != before:
        raise PlanError("the problem's digest changed while it was planned: a planner must not write to it")


def _pickled(answer: Plan) -> None:
    if pickle.loads(pickle.dumps(answer)) != answer:
        raise PlanError("the plan differs after pickling: use plain ints and tuples")
    numbers = [*answer.placement, *(number for upload in answer.uploads for number in (upload.server, *upload.layers))]
    if strange := {type(number).__name__ for number in numbers} - {"int"}:
        raise PlanError(f"the plan holds {', '.join(sorted(strange))}, expected plain int")


def _arrives(problem: Problem, answer: Plan) -> None:
    lived = timeline(problem, answer)
    promised = cost.latency(problem, answer.placement)
    if lived.latencies_s[-1] != promised:
        raise PlanError(
            f"after the upload a query takes {lived.latencies_s[-1]} s, the placement promised {promised} s"
        )


def _no_worse(planner: Planner, problem: Problem, answer: Plan) -> None:
    wanted = capability(planner, "optimises")
    local = (0,) * len(problem.graph)
    if wanted == "nothing":
        return
    if wanted == "objective":
        judge = Judge(problem)
        ours, theirs = judge.key(answer.placement), judge.key(local)
        worse = ours[0] > theirs[0] or (ours[0] == theirs[0] and ours[1] > theirs[1] * (1.0 + TOLERANCE))
        if worse:
            raise PlanError(f"(violation, value) is {ours}, staying local has {theirs}")
        return
    measures = {"latency": cost.latency, "energy": cost.energy, "money": cost.money, "period": cost.period}
    measure = measures.get(wanted)
    if measure is None:
        raise PlanError(f"optimises={wanted!r}, expected latency, energy, money, period, objective or nothing")
    if measure(problem, answer.placement) > measure(problem, local) * (1.0 + TOLERANCE):
        raise PlanError(
            f"{wanted} is {measure(problem, answer.placement)}, staying local has {measure(problem, local)}"
        )


def _name(planner: str | Planner) -> str:
    return planner if isinstance(planner, str) else type(planner).__name__


def main(arguments: Sequence[str]) -> int:
    """`python -m layerlift.planners.testing PLANNER...`: print what was found; 0 all met, 1 a demand not
    met, 2 no planner.
    """
    usage = "usage: python -m layerlift.planners.testing PLANNER... (a name, a pair as ionn+recursive, or module:Class)"
    return run_kit(usage, arguments, lambda text: ((f.problem, f.demand, f.trouble) for f in findings(text)))

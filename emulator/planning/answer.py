"""Planning as real work: make the planner, ask it, check what it says. Outside virtual time, and pure."""

from __future__ import annotations

import time
from collections.abc import Callable

from layerlift.emulator.planning.job import PlanJob
from layerlift.emulator.protocol.messages import PlanOutcome
from layerlift.emulator.world import streams
from layerlift.models.errors import LayerliftError, PlanError, storable, words_of
from layerlift.planners import Plan, Planner, Problem, Upload, all_local, make, validate
from layerlift.planners.cost.query import latency


def answer(
    job: PlanJob, seed: int, timeout_s: float, maker: Callable[[str], Planner] = make
) -> tuple[tuple[PlanOutcome, ...], float]:
    """Return what the job's planner makes of its problems, in order, and the wall-clock seconds that it took.

    The planner's random numbers are named by the seed and the problems' digests, so that equal problems have equal
    plans whoever asks, and pairs with the same first half the same placements. A planner that raises, answers an
    illegal plan or is late gives outcomes with a reason. `maker` makes the planner from its text.
    """
    problems = job.together or (job.problem,)
    began = time.perf_counter()
    plans: list[Plan] = []
    reason: str | None = None
    try:
        planner, rng = maker(job.planner), streams.plan(seed, job.key[1])
        plans = planner.plan_all(problems, rng) if job.together else [planner.plan(problems[0], rng)]  # type: ignore[attr-defined]
        if len(plans) != len(problems):
            reason = f"{job.planner} answered {len(plans)} plans for {len(problems)} users"
    except LayerliftError as error:
        reason = words_of(error)
    except (Exception, SystemExit) as error:  # a stranger's planner may raise anything; the run goes on without it
        reason = f"{job.planner} raised {words_of(error)}"
    took_s = time.perf_counter() - began
    if reason is None and took_s > timeout_s:
        reason = f"late: {took_s:.3f} s, at most {timeout_s:g} s allowed"
    if reason is not None:
        return tuple(_outcome(problem, all_local(problem), reason) for problem in problems), took_s
    return tuple(_outcome(problem, plan, None) for problem, plan in zip(problems, plans, strict=True)), took_s


def solve(planner: str, problem: Problem, seed: int, timeout_s: float) -> tuple[PlanOutcome, float]:
    """`answer` for one user alone."""
    outcomes, took_s = answer(PlanJob(0.0, 0, planner, problem), seed, timeout_s)
    return outcomes[0], took_s


def _outcome(problem: Problem, plan: Plan, reason: str | None) -> PlanOutcome:
    """A checked plan, or staying local for a reason."""
    local = (0,) * len(problem.graph)
    placement: tuple[int, ...] = local
    uploads: tuple[Upload, ...] = ()
    whole, note = False, ""
    if reason is None:
        try:
            validate(plan, problem)
            note, whole = _text(plan.note), bool(plan.whole)
            placement = tuple(map(int, plan.placement))
            uploads = tuple(Upload(int(server), tuple(map(int, layers))) for server, layers in plan.uploads)
        except LayerliftError as error:
            placement, uploads, whole, note, reason = local, (), False, "", words_of(error)
        except Exception as error:  # a plan may be of anything, and `validate` can only try to read it
            placement, uploads, whole, note = local, (), False, ""
            reason = f"the plan cannot be read: {words_of(error)}"
    predicted_s = latency(problem, placement)
    accepted, words = reason is None, reason or ""
    return PlanOutcome(accepted, placement, uploads, whole, words, latency(problem, local), predicted_s, note)


def _text(note: object) -> str:
    """A planner's note, which a table of texts will hold; raises `PlanError` for anything else."""
    if not isinstance(note, str):
        raise PlanError(f"the plan's note is {type(note).__name__}, expected a text")
    return storable(note)

"""Planning as real work: make the planner, ask it, check what it says. Outside virtual time, and pure."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from layerlift.emulator.planning.job import PlanJob
from layerlift.emulator.planning.limits import broken
from layerlift.emulator.protocol.messages import PlanOutcome
from layerlift.emulator.world import streams
from layerlift.models.errors import LayerliftError, PlanError, place_of, storable, trace_of, words_of
from layerlift.planners import Plan, Planner, Problem, Upload, all_local, make, validate
from layerlift.planners.cost.query import latency
from layerlift.planners.uploading.joining import joined


class Answered(NamedTuple):
    """What came of a planning."""

    outcomes: tuple[PlanOutcome, ...]
    """Of the job's problems, in order."""
    took_s: float
    """Wall-clock seconds."""
    stopped: str = ""
    """Why it was stopped from outside, where it was: another time it might not be."""
    raised: str = ""
    """What a stranger's planner raised and where, where it did, as one sentence."""
    trace: str = ""
    """The same, as Python tells it."""


def answer(job: PlanJob, seed: int, maker: Callable[[str], Planner] = make) -> Answered:
    """Return what the job's planner makes of its problems.

    The planner's random numbers are named by the seed and the problems' digests, so that equal problems have equal
    plans whoever asks, and pairs with the same first half the same placements. A planner that raises or answers an
    illegal plan gives outcomes with a reason. `maker` makes the planner from its text.
    """
    problems = job.together or (job.problem,)
    began = time.perf_counter()
    plans: list[Plan] = []
    reason: str | None = None
    raised = trace = ""
    try:
        planner, rng = maker(job.planner), streams.plan(seed, job.key[1])
        plans = planner.plan_all(problems, rng) if job.together else [planner.plan(problems[0], rng)]  # type: ignore[attr-defined]
        if len(plans) != len(problems):
            reason = f"{job.planner} answered {len(plans)} plans for {len(problems)} users"
    except LayerliftError as error:
        reason = words_of(error)
    except (Exception, SystemExit) as error:  # a stranger's planner may raise anything; the run goes on without it
        reason = f"{job.planner} raised {words_of(error)}"
        raised, trace = f"{reason} ({place_of(error)})", trace_of(error)
    took_s = time.perf_counter() - began
    if reason is not None:
        return stayed_local(job, reason, took_s)._replace(stopped="", raised=raised, trace=trace)
    made = [_outcome(problem, plan, None, job.literal) for problem, plan in zip(problems, plans, strict=True)]
    return Answered(tuple(made), took_s)


def stayed_local(job: PlanJob, reason: str, took_s: float = 0.0) -> Answered:
    """What comes of a planning that was stopped for a reason: everything stays on the clients."""
    problems = job.together or (job.problem,)
    return Answered(tuple(_outcome(problem, all_local(problem), reason) for problem in problems), took_s, reason)


def solve(planner: str, problem: Problem, seed: int) -> tuple[PlanOutcome, float]:
    """`answer` for one user alone, and the wall-clock seconds that it took."""
    found = answer(PlanJob(0.0, 0, planner, problem), seed)
    return found.outcomes[0], found.took_s


def _outcome(problem: Problem, plan: Plan, reason: str | None, literal: bool = False) -> PlanOutcome:
    """A checked plan, or staying local for a reason; if not `literal`, no part that moves next to nothing is alone."""
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
            uploads = uploads if literal else joined(problem, uploads)
        except LayerliftError as error:
            placement, uploads, whole, note, reason = local, (), False, "", words_of(error)
        except Exception as error:  # a plan may be of anything, and `validate` can only try to read it
            placement, uploads, whole, note = local, (), False, ""
            reason = f"the plan cannot be read: {words_of(error)}"
    predicted_s = latency(problem, placement)
    if reason is None and (limits := broken(problem, placement)):
        note = f"{note}; {limits}" if note else limits
    accepted, words = reason is None, reason or ""
    return PlanOutcome(accepted, placement, uploads, whole, words, latency(problem, local), predicted_s, note)


def _text(note: object) -> str:
    """A planner's note, which a table of texts will hold; raises `PlanError` for anything else."""
    if not isinstance(note, str):
        raise PlanError(f"the plan's note is {type(note).__name__}, expected a text")
    return storable(note)

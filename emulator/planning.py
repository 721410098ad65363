"""Planning as real work: make the planner, ask it, check what it says. Outside virtual time, and pure."""

from __future__ import annotations

import random
import time

from emulator.messages import PlanOutcome
from models.errors import LayerliftError, PlanError
from planners import Problem, Upload, make, validate
from planners.cost import latency


def solve(planner: str, problem: Problem, seed: int, timeout_s: float) -> tuple[PlanOutcome, float]:
    """Return what `planner` makes of `problem`, and the wall-clock seconds that it took.

    The planner's random numbers are named by the seed and the problem's digest, so that equal problems have equal
    plans whoever asks. A planner that raises, answers an illegal plan or is late gives an outcome with a reason.
    """
    local = (0,) * len(problem.graph)
    began = time.perf_counter()
    placement: tuple[int, ...] = local
    uploads: tuple[Upload, ...] = ()
    whole, reason, note = False, "", ""
    try:
        plan = make(planner).plan(problem, random.Random(f"{seed}/plan/{planner}/{problem.digest}"))
        validate(plan, problem)
        placement = tuple(map(int, plan.placement))
        uploads = tuple(Upload(int(server), tuple(map(int, layers))) for server, layers in plan.uploads)
        whole, note = bool(plan.whole), _text(plan.note)
    except LayerliftError as error:
        reason = str(error)
    except (
        Exception,
        SystemExit,
    ) as error:  # a stranger's planner may raise anything; the run goes on without its plan
        reason = f"{planner} raised {type(error).__name__}: {error}"
    if reason:
        placement, uploads, whole = local, (), False
    took_s = time.perf_counter() - began
    if not reason and took_s > timeout_s:
        placement, uploads, whole, reason = local, (), False, f"late: {took_s:.3f} s, at most {timeout_s:g} s allowed"
    predicted_s = latency(problem, placement)
    return PlanOutcome(placement, uploads, whole, reason, latency(problem, local), predicted_s, note), took_s


def _text(note: object) -> str:
    """A planner's note, which a table of texts will hold; raises `PlanError` for anything else."""
    if not isinstance(note, str):
        raise PlanError(f"the plan's note is {type(note).__name__}, expected a text")
    return note

"""Who decides: the problem, the plan, the cost model, and the planners by name."""

from layerlift.planners.cost.judge import Judge
from layerlift.planners.cost.query import Cost, balance, energy, evaluate, fits, latency, money, period
from layerlift.planners.cost.upload_timeline import Timeline, timeline
from layerlift.planners.problem.plan import Plan, Upload, all_local, in_one_piece, offload, uploads_of, validate
from layerlift.planners.problem.problem import ClientPower, Objective, Problem, simple_problem
from layerlift.planners.registry.base import CrowdPlanner, Planner, PlannerBase, Uploader
from layerlift.planners.registry.planners import available, make, register, spec

__all__ = [
    "ClientPower",
    "Cost",
    "CrowdPlanner",
    "Judge",
    "Objective",
    "Plan",
    "Planner",
    "PlannerBase",
    "Problem",
    "Timeline",
    "Upload",
    "Uploader",
    "all_local",
    "available",
    "balance",
    "energy",
    "evaluate",
    "fits",
    "in_one_piece",
    "latency",
    "make",
    "money",
    "offload",
    "period",
    "register",
    "simple_problem",
    "spec",
    "timeline",
    "uploads_of",
    "validate",
]

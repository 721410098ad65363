"""What a planner is asked, and what it answers."""

from layerlift.planners.problem.plan import Plan, Upload
from layerlift.planners.problem.problem import Bools, ClientPower, Floats, Objective, Problem, simple_problem

__all__ = ["Bools", "ClientPower", "Floats", "Objective", "Plan", "Problem", "Upload", "simple_problem"]

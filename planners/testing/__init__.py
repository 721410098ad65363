"""The conformance kit of planners: `check_planner("my_package.mine:Mine")` in a test, `python -m` from a shell."""

from layerlift.planners.testing.demands import check_planner, findings

__all__ = ["check_planner", "findings"]

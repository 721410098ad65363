"""A mixed-integer program, row by row, and HiGHS to solve it."""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from layerlift.models.errors import PlanError

INF = math.inf

FEASIBILITY = 1e-9
"""Absolute tolerance of rows and integers; the models are scaled to about 1."""


@dataclass(frozen=True, slots=True)
class ProgramResult:
    """What HiGHS says: a proven lower bound (infinite when nothing satisfies the rows), and the best columns found."""

    bound: float
    columns: tuple[float, ...] | None


class Program:
    """Columns with bounds, costs and kinds, and rows `low <= sum of coefficient x column <= high`; minimised."""

    def __init__(self) -> None:
        self.lower: list[float] = []
        self.upper: list[float] = []
        self.cost: list[float] = []
        self.integer: list[int] = []
        self._low: list[float] = []
        self._high: list[float] = []
        self._starts: list[int] = [0]
        self._index: list[int] = []
        self._value: list[float] = []

    def column(self, cost: float = 0.0, upper: float = 1.0, integer: bool = False) -> int:
        """Add a column between 0 and `upper`; returns its number."""
        self.lower.append(0.0)
        self.upper.append(upper)
        self.cost.append(cost)
        self.integer.append(int(integer))
        return len(self.cost) - 1

    def row(self, terms: Iterable[tuple[int, float]], low: float = -INF, high: float = INF) -> None:
        """Add a row; coefficients of one column are added together."""
        total: dict[int, float] = {}
        for column, coefficient in terms:
            total[column] = total.get(column, 0.0) + coefficient
        self._index.extend(total)
        self._value.extend(total.values())
        self._starts.append(len(self._index))
        self._low.append(low)
        self._high.append(high)

    @property
    def size(self) -> int:
        """Coefficients that are not zero: what time and memory grow with."""
        return len(self._index)

    def solve(self, nodes: int, seconds: float | None, start: Mapping[int, float]) -> ProgramResult:
        """Solve with one thread, in at most `nodes` nodes of its tree and `seconds`; `start` are values to begin from.

        The same program gives the same answer unless `seconds` ends it. Raises `PlanError` where HiGHS is missing.
        """
        try:
            highspy: Any = importlib.import_module("highspy")
        except ModuleNotFoundError:
            raise PlanError(
                "optimal needs the module highspy for this problem: pip install 'layerlift[exact]'"
            ) from None
        solver = _quiet(highspy)
        options = {
            "threads": 1,
            "random_seed": 0,
            "mip_max_nodes": nodes,
            "mip_rel_gap": 0.0,
            "mip_abs_gap": FEASIBILITY,
            "mip_feasibility_tolerance": FEASIBILITY,
            "primal_feasibility_tolerance": FEASIBILITY,
            "dual_feasibility_tolerance": FEASIBILITY,
        }
        for name, value in options.items():
            solver.setOptionValue(name, value)
        if seconds is not None:
            solver.setOptionValue("time_limit", max(0.0, seconds))
        solver.passModel(self._model(highspy))
        if start:
            solver.setSolution(
                len(start), np.array(list(start), dtype=np.int32), np.array(list(start.values()), dtype=np.float64)
            )
        solver.run()
        if solver.getModelStatus() == highspy.HighsModelStatus.kInfeasible:
            return ProgramResult(INF, None)
        info, solution = solver.getInfo(), solver.getSolution()
        found = tuple(solution.col_value) if info.primal_solution_status == 2 else None
        return ProgramResult(float(info.mip_dual_bound), found)

    def _model(self, highspy: Any) -> Any:
        lp = highspy.HighsLp()
        lp.num_col_, lp.num_row_ = len(self.cost), len(self._low)
        lp.col_cost_ = np.array(self.cost)
        lp.col_lower_, lp.col_upper_ = np.array(self.lower), np.array(self.upper)
        lp.row_lower_, lp.row_upper_ = np.array(self._low), np.array(self._high)
        lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        lp.a_matrix_.start_ = np.array(self._starts, dtype=np.int32)
        lp.a_matrix_.index_ = np.array(self._index, dtype=np.int32)
        lp.a_matrix_.value_ = np.array(self._value)
        kinds = (highspy.HighsVarType.kContinuous, highspy.HighsVarType.kInteger)
        lp.integrality_ = [kinds[kind] for kind in self.integer]
        return lp


def _quiet(highspy: Any) -> Any:
    """A solver that prints nothing: its constructor prints a banner when it enables callbacks, unless told before."""

    def enable_callbacks(solver: Any) -> None:
        solver.setOptionValue("output_flag", False)
        highspy.Highs.enableCallbacks(solver)

    return type("Quiet", (highspy.Highs,), {"enableCallbacks": enable_callbacks})()

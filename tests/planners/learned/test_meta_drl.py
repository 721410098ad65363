"""meta_drl: plans as other learned planners do, and alone by what its policy says."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from some_policies import some_policy

from layerlift.planners import Judge, make, simple_problem
from layerlift.planners.learned import policy_file
from layerlift.planners.learned.features import OF_NODE
from layerlift.planners.learned.steps import weights_of
from layerlift.planners.testing import check_planner
from layerlift.planners.testing.problems import battery, chain_graph


@pytest.mark.long
@pytest.mark.parametrize("text", ["meta_drl", "meta_drl:alone=true"])
def test_meta_drl_meets_the_demands_on_planners(text: str) -> None:
    check_planner(text)


def test_alone_the_plan_is_the_policys_own_whatever_the_cost_model_says(tmp_path: Path) -> None:
    # Its scores say: away from home, always. To go there costs a thousand times staying.
    policy = some_policy(0, wide=2, narrow=1, most=0)
    target = policy.target.copy()
    target[OF_NODE - 1, 0] = -100
    first = np.array([60_000, 0])
    away = replace(policy, target=target, first=first, inner=np.array([[64], [0]]), outer=np.array([[100]]))
    path = tmp_path / "away.onnx"
    path.write_bytes(policy_file.written(weights_of([away], {})))
    problem = simple_problem(
        chain_graph([10**6] * 4, [1000] * 4), np.full((4, 2), 0.001), bandwidth_bytes_s=np.full((2, 2), 1e5)
    )
    alone, judged = (
        make(f"meta_drl:policy={path}{more}").plan(problem, random.Random(0)) for more in (",alone=true", "")
    )
    assert alone.placement == (1, 1, 1, 1)
    assert judged.placement == (0, 0, 0, 0)
    assert Judge(problem).key(alone.placement) > Judge(problem).local_key


def test_alone_nothing_is_left_to_chance() -> None:
    for problem in battery().values():
        one, other = (make("meta_drl:alone=true").plan(problem, random.Random(seed)) for seed in (0, 5))
        assert one == other


def test_alone_no_optimum_is_claimed() -> None:
    assert make("meta_drl:alone=true").optimises == "nothing" != make("meta_drl").optimises

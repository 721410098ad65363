"""The environments as Gymnasium and agents of others see them; needs the extra `learn`, and sb3 for its own checks."""

from __future__ import annotations

import gc
import importlib.util
import pickle
import random
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from test_rehearsal import rehearsals, small

from layerlift.emulator.run import run
from layerlift.emulator.scenario import families
from layerlift.emulator.studies.learning.worlds import Worlds
from layerlift.models.errors import LayerliftError, RunError
from layerlift.planners import Plan, Problem, offload
from layerlift.planners.cost import batch
from layerlift.planners.cost.judge import Judge
from layerlift.planners.registry import register, unregister
from layerlift.planners.registry.base import PlannerBase
from layerlift.planners.testing.problems import battery

gymnasium = pytest.importorskip("gymnasium", minversion="1.1")
checks = pytest.importorskip("gymnasium.utils.env_checker")

import layerlift.gym  # noqa: E402
from layerlift.gym import CROWD, PLACEMENT, Crowd, Placement, Placements  # noqa: E402

DOCS = Path(__file__).parents[5] / "docs"
FEW = {"families": "lone_random", "networks": ("squeezenet",), "nodes": 13}


def tiny() -> dict[str, Any]:
    return {"scenario": small(), "nodes": 4}


def random_walk(env: Any, seed: int, options: dict[str, Any] | None = None) -> tuple[list[float], dict[str, Any]]:
    """An episode of legal actions at random: its rewards, and what is said at its end."""
    rng, rewards, over = np.random.default_rng(seed), [], False
    env.reset(seed=seed, options=options)
    info: dict[str, Any] = {}
    while not over:
        seen, reward, terminated, truncated, info = env.step(rng.choice(np.flatnonzero(env.action_masks())))
        assert seen in env.observation_space
        assert np.array_equal(seen["action_mask"], env.action_masks())
        rewards.append(reward)
        over = terminated or truncated
    assert terminated
    return rewards, info


# What libraries ask for.


@pytest.mark.long
@pytest.mark.parametrize(("name", "given"), [(PLACEMENT, FEW), (CROWD, None)])
def test_gymnasium_and_stable_baselines3_find_nothing(name: str, given: dict[str, Any] | None) -> None:
    env = gymnasium.make(name, **(tiny() if given is None else given)).unwrapped
    checks.check_env(env)
    baselines = pytest.importorskip("stable_baselines3.common.env_checker")
    with pytest.warns(UserWarning, match="unconventional shape"):  # a row for each node: it flattens that itself
        baselines.check_env(env)
    env.close()


def test_what_is_made_by_name_has_many_side_by_side() -> None:
    envs = gymnasium.make_vec(PLACEMENT, num_envs=3, **FEW)
    assert isinstance(envs.unwrapped, Placements)
    seen, _ = envs.reset(seed=1)
    assert seen in envs.observation_space
    assert gymnasium.make(PLACEMENT, **FEW).get_wrapper_attr("action_masks") is not None


def test_environments_travel_to_other_processes() -> None:
    env = pickle.loads(pickle.dumps(Placement(**FEW)))
    assert env.reset(seed=3)[1] == Placement(**FEW).reset(seed=3)[1]
    assert gymnasium.make(f"layerlift.gym:{CROWD}", **tiny()).unwrapped.spec.kwargs["nodes"] == 4


# Placement.


def test_a_return_is_the_batched_cost() -> None:
    env = Placement(**FEW)
    for seed in range(4):
        rewards, info = random_walk(env, seed)
        rows = np.array([info["placement"], (0,) * len(env.problem.graph)])
        values = Judge(env.problem).keys(rows, batch.evaluate(env.problem, rows))[1]
        assert float(np.cumsum(rewards)[-1]) == pytest.approx(-values[0] / values[1], rel=1e-12, abs=1e-12)
        assert info["cost"] == pytest.approx(values[0] / values[1], rel=1e-12)


def test_a_seed_decides_all_that_follows() -> None:
    def told(env: Any, seed: int) -> list[dict[str, Any]]:
        return [env.reset(seed=seed)[1], *(env.reset()[1] for _ in range(6))]

    env = Placement(families=("lone_random", "lone_big"), networks=("squeezenet", "alexnet"))
    first, second = told(env, 5), told(env, 6)
    assert first == told(env, 5) == told(Placement(("lone_random", "lone_big"), ("squeezenet", "alexnet")), 5)
    assert first != second
    assert len({each["world"] for each in first}) == 2  # four problems of one world follow each other
    random.seed(1)
    np.random.seed(1)
    assert told(env, 5) == first


def test_seeds_are_held_out_where_that_is_asked_for() -> None:
    env = Placement(**FEW, held_out=True)
    assert all(env.reset(seed=seed)[1]["world"] >= families.HELD_OUT_FROM for seed in range(3))
    crowd = Crowd(families="crowd", overrides=["users.0.count=2", "users.0.queries=1"], held_out=True)
    assert crowd.reset(seed=1)[1]["world"] >= families.HELD_OUT_FROM
    crowd.close()
    with pytest.raises(RunError, match="new_networks"):
        Crowd(families="new_networks")


def test_a_reset_takes_a_world_or_a_problem() -> None:
    env = Placement(**FEW)
    world = families.HELD_OUT_FROM + 3
    assert env.reset(options={"world": world})[1]["world"] == world
    (expected, *_) = Worlds(("lone_random",), ("squeezenet",)).problems(world)
    assert env.problem.digest == expected.digest
    problem = battery()["modules"]
    env.reset(options={"problem": problem})
    assert env.problem is problem
    for wrong in ({"problem": 3}, {"problm": problem}):
        with pytest.raises(RunError, match="problem"):
            env.reset(options=wrong)
    for world in ("x", 1.5, True, None):
        with pytest.raises(RunError, match=f"world is {world!r}, expected the seed of one"):
            env.reset(options={"world": world})
    with pytest.raises(RunError, match="options is 3, expected a dict"):
        env.reset(options=3)  # type: ignore[arg-type]


def test_a_scenario_gives_the_problems_of_its_users() -> None:
    env = Placement(scenario=small())
    rewards, info = random_walk(env, 1)
    assert len(env.problem.nodes) == 3
    assert len(rewards) == len(info["placement"]) or len(rewards) < len(env.problem.graph)


@pytest.mark.parametrize("action", [12, 13, -1, 10**30, None, "edge", np.int64(12), np.array(12)])
def test_an_action_that_may_not_be_stays_home_and_says_so(action: Any) -> None:
    env = Placement(families="lone_random", networks=("squeezenet",), nodes=13)
    for seed in range(9):
        env.reset(seed=seed)
        if len(env.problem.nodes) < 12:
            break
    homely = env.step(0)
    env.reset(seed=seed)
    seen, reward, terminated, truncated, info = env.step(action)
    assert (reward, terminated, truncated) == homely[1:4]
    assert all(np.array_equal(seen[name], homely[0][name]) for name in seen)
    assert (info["illegal"], homely[4]["illegal"]) == (True, False)


def test_vectors_are_many_of_the_same() -> None:
    one = Placements(3, **FEW)
    other = gymnasium.vector.SyncVectorEnv([lambda: Placement(**FEW)] * 3)
    assert one.metadata["autoreset_mode"] == other.metadata["autoreset_mode"]
    rng = np.random.default_rng(1)
    (seen, told), (seen_2, told_2) = one.reset(seed=4), other.reset(seed=4)
    begun = 0
    for _ in range(80):
        for made, expected in ((seen, seen_2), (told, told_2)):
            assert made.keys() == expected.keys()
            assert all(np.array_equal(made[name], expected[name]) for name in made)
        actions = np.array([rng.choice(np.flatnonzero(mask)) for mask in one.action_masks()])
        seen, rewards, over, cut, told = one.step(actions)
        seen_2, rewards_2, over_2, cut_2, told_2 = other.step(actions)
        assert np.array_equal(rewards, rewards_2)
        assert np.array_equal(over, over_2)
        assert not cut.any()
        assert not cut_2.any()
        begun += int(over.sum())
    assert begun > 3
    again, _ = one.reset()  # without a seed each goes on with its own chance
    assert all(np.array_equal(table, other.reset()[0][name]) or name for name, table in again.items())


# Crowd.


class Agent(PlannerBase):
    """Takes the cheapest choice of the users with even numbers, home for others."""

    wants_crowd = True

    def plan(self, problem: Problem, rng: random.Random) -> Plan:
        from layerlift.emulator.studies.learning.environments.choices import Choices

        choices = Choices(problem)
        placement = choices.placements[decided(choices.costs, problem.crowd.user if problem.crowd else 1)]
        assert placement is not None
        return offload(placement)


def decided(costs: Any, user: int) -> int:
    return int(np.argmin(costs)) if user % 2 == 0 else 0


@pytest.fixture
def agent() -> Iterator[str]:
    register("some_agent", Agent)
    yield "some_agent"
    unregister("some_agent")


@pytest.mark.parametrize("uploads", ["", "+ionn"])
def test_an_episode_is_the_run_that_the_agent_plans(agent: str, uploads: str) -> None:
    env = Crowd(**tiny(), planner=agent + uploads)
    env.reset(seed=2)
    _, told = env.reset(options={"world": 17})
    over, steps = False, 0
    while not over:
        assert env._choices is not None
        action = decided(env._choices.costs, told["user"])
        _, reward, over, _, told = env.step(action)
        steps += 1
    assert steps == 3
    scenario = small(agent + uploads, seed=17)
    assert told["digest"] == run(scenario, local=True).digest
    assert env.scenario(17).seed == 17
    assert reward == -told["mean_ratio"]
    assert told["mean_ratio"] == pytest.approx(float(told["ratios"].mean()))
    assert told["ratios"][1] == pytest.approx(1.0)
    assert told["ratios"][0] != pytest.approx(1.0)


def test_an_episode_ends_or_is_cut_short() -> None:
    env = Crowd(**tiny(), most_requests=2)
    env.reset(seed=1)
    assert env.step(0)[1:4] == (0.0, False, False)
    seen, reward, terminated, truncated, _ = env.step(0)
    assert (reward, terminated, truncated) == (0.0, False, True)
    assert seen in env.observation_space
    assert not rehearsals()
    with pytest.raises(RunError, match=r"call reset\(\)"):
        env.step(0)
    assert len(random_walk(Crowd(**tiny()), 1)[0]) == 3


def test_a_server_that_is_not_there_means_home() -> None:
    env = Crowd(**tiny())
    _, info = env.reset(seed=1)
    assert info["users"] == 3
    assert env.action_masks().tolist() == [True, True, True, False]
    assert env.step(3)[4]["illegal"]
    assert not env.step(0)[4]["illegal"]
    last = env.step("home")
    assert last[4]["illegal"]
    assert last[1] == pytest.approx(-1.0)


def test_no_run_outlives_its_environment() -> None:
    env = Crowd(**tiny())
    env.reset(seed=1)
    env.reset(seed=2)
    assert len(rehearsals()) == 1
    del env
    gc.collect()
    assert not rehearsals()


def test_crowds_play_in_threads_and_processes_of_others() -> None:
    """As in Ray's workers: not in the main thread, and from what was pickled."""
    found: list[float] = []
    env = pickle.loads(pickle.dumps(Crowd(**tiny())))
    thread = threading.Thread(target=lambda: found.append(random_walk(env, 3)[0][-1]))
    thread.start()
    thread.join()
    assert found == [random_walk(Crowd(**tiny()), 3)[0][-1]]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"nodes": 2, "scenario": small()}, "2 servers, expected at most 1: give nodes=3"),
        ({"nodes": 1}, "nodes is 1"),
        ({"scenario": "quickstart", "families": "crowd"}, "expected one of them"),
        ({"overrides": "a=b"}, "expected a list"),
        ({"most_requests": 0}, "most_requests is 0"),
        ({"render_mode": "human"}, "render_mode is 'human'"),
        ({"families": ()}, "families is empty"),
        ({"families": 3}, "families is 3, expected a list of texts"),
        ({"overrides": 3}, "overrides is 3, expected a list of texts"),
        ({"most_requests": "x"}, "most_requests is 'x', expected a whole number of at least 1"),
        ({"scenario": small(), "overrides": ["users.0.cuont=3"]}, "cuont"),
    ],
)
def test_what_cannot_be_is_told_in_a_sentence(given: dict[str, Any], told: str) -> None:
    with pytest.raises(LayerliftError, match=told):
        Crowd(**given).reset()
    assert not rehearsals()


def test_the_same_of_placement() -> None:
    for given, told in [
        ({"nodes": 33}, "nodes is 33"),
        ({"nodes": True}, "nodes is True"),
        ({"render_mode": "human"}, "render_mode"),
        ({"networks": ("alexnt",)}, "alexnt"),
        ({"networks": 3}, "networks is 3, expected a list of texts"),
        ({"families": 3}, "families is 3, expected a list of texts"),
    ]:
        with pytest.raises(LayerliftError, match=told):
            Placement(**given).reset()
    for wrong in ({"num_envs": 0}, {"render_mode": "ansi"}):
        with pytest.raises(RunError, match=next(iter(wrong))):
            Placements(**wrong)
    with pytest.raises(RunError, match="expected one for each of 2"):
        Placements(2, **FEW).reset(seed=[1])
    for env in (Placement(**FEW), Placements(1, **FEW)):
        with pytest.raises(RunError, match=r"call reset\(\)"):
            env.step([0])


# Pictures and words.


def test_both_are_rendered() -> None:
    for kind, given in ((Placement, FEW), (Crowd, tiny())):
        words, pixels = kind(**given, render_mode="ansi"), kind(**given, render_mode="rgb_array")
        for env in (words, pixels):
            env.reset(seed=1)
            env.step(1)
        assert isinstance(words.render(), str)
        assert "edge1" in words.render()
        seen = pixels.render()
        assert seen.ndim == 3
        assert seen.dtype == np.uint8
        before = seen.copy()
        pixels.step(0)
        assert not np.array_equal(before, pixels.render())
        assert kind(**given).render() is None
        words.close()
        pixels.close()


# The examples.


def test_the_first_example_of_the_page_runs_word_for_word(capsys: pytest.CaptureFixture[str]) -> None:
    code = (DOCS / "gym.md").read_text(encoding="utf-8").partition("```python\n")[2].partition("```")[0]
    exec(compile(code, "gym.md", "exec"), {})
    cost, _, placement = capsys.readouterr().out.partition(" ")
    assert float(cost) > 0.0
    assert placement.startswith("(")


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    pytest.importorskip("sb3_contrib")
    spec = importlib.util.spec_from_file_location("gym_agent", DOCS / "gym_agent.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "gym_agent", module)
    spec.loader.exec_module(module)
    return module


@pytest.mark.long
def test_the_example_trains_an_agent_that_plans_a_run(
    example: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(example, "FILE", tmp_path / "agent.zip")
    example.main(["--steps", "64", "--rollout", "8", "--worlds", "1"])
    assert "kept in agent.zip" in capsys.readouterr().out
    result = run(small(f"gym_agent:Agent:file={tmp_path / 'agent.zip'}"), local=True)
    assert set(result.plans["status"].to_pylist()) == {"accepted"}
    again = run(small(f"gym_agent:Agent:file={tmp_path / 'agent.zip'}"), local=True)
    assert result.digest == again.digest
    assert layerlift.gym.Placement is Placement

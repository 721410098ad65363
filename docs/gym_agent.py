"""An agent of an outsider's, MaskablePPO of sb3-contrib, learns to place one user's layers and plans for Layerlift.

`python gym_agent.py` trains it, says how good it is on worlds that are held out, and writes gym_agent.zip beside this
file; then `layerlift run SCENARIO --set users.0.planner=gym_agent:Agent` plans with it. docs/gym.md tells more.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from sb3_contrib import MaskablePPO
from sb3_contrib.common.maskable.policies import MaskableMultiInputActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.vec_env import DummyVecEnv

import layerlift.gym
from layerlift.emulator.scenario.families import held_out_seeds
from layerlift.planners import Judge, Plan, PlannerBase, Problem, make, offload

FILE = Path(__file__).with_suffix(".zip")
Choose = Callable[[dict[str, Any], Any], Any]
"""An action, given what is seen and where one may go."""


class PerNode(BaseFeaturesExtractor):
    """A score of each node, by one small network for all: it need not learn what each of sixteen places means."""

    def __init__(self, space: Any) -> None:
        nodes, of_node = space["nodes"].shape
        super().__init__(space, features_dim=nodes)
        self.score = torch.nn.Sequential(
            torch.nn.Linear(of_node + space["unit"].shape[0], 64), torch.nn.ReLU(),
            torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 1),
        )  # fmt: skip

    def forward(self, seen: dict[str, torch.Tensor]) -> torch.Tensor:
        """Scores, shape (batch, nodes)."""
        unit = seen["unit"][:, None].expand(-1, seen["nodes"].shape[1], -1)
        return self.score(torch.cat([seen["nodes"], unit], 2)).squeeze(2)


class Policy(MaskableMultiInputActorCriticPolicy):
    """Scores are the logits; what a state is worth is learned apart."""

    def __init__(self, *given: Any, **options: Any) -> None:
        mine = {"features_extractor_class": PerNode, "share_features_extractor": False}
        super().__init__(*given, **options | mine | {"net_arch": {"pi": [], "vf": [64]}})

    def _build(self, rate: Any) -> None:
        super()._build(rate)
        self.action_net = torch.nn.Identity()


class Agent(PlannerBase):
    """The trained agent as a planner: it places unit by unit, and stays local where that is better."""

    def __init__(self, file: str = str(FILE)) -> None:
        self._model, self._env = loaded(file)

    def plan(self, problem: Problem, rng: random.Random) -> Plan:
        """Walk through the problem as through an episode."""
        info = walk(self._env, chosen_by(self._model), {"problem": problem})
        return offload(Judge(problem).or_local(info["placement"]))


@lru_cache
def loaded(file: str) -> tuple[MaskablePPO, layerlift.gym.Placement]:
    """The agent in a file, and an environment to walk in: read once, for planners are made for every plan."""
    return MaskablePPO.load(file, device="cpu", custom_objects={"policy_class": Policy}), layerlift.gym.Placement()


def chosen_by(model: MaskablePPO) -> Choose:
    """What a model does when nothing is left to chance."""
    return lambda seen, mask: model.predict(seen, action_masks=mask, deterministic=True)[0]


def walk(env: layerlift.gym.Placement, choose: Choose, options: dict[str, Any]) -> dict[str, Any]:
    """One episode; what the environment says of it at its end."""
    seen, info = env.reset(options=options)
    over = False
    while not over:
        seen, _, over, _, info = env.step(choose(seen, env.action_masks()))
    return info


def gaps(choose: Choose, worlds: int) -> tuple[float, float]:
    """By how much walks cost more than the exact answer on held-out worlds, as a share of it: median and mean."""
    env, found = layerlift.gym.Placement(held_out=True), []
    for seed in held_out_seeds(worlds):
        cost = walk(env, choose, {"world": seed})["cost"]
        judge = Judge(env.problem)
        exact = judge.value(make("units").plan(env.problem, random.Random(0)).placement)
        found.append(cost / (exact / judge.value((0,) * len(env.problem.graph))) - 1.0)
    return float(np.median(found)), float(np.mean(found))


def main(given: list[str] | None = None) -> None:
    """Train, measure, write."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--steps", type=int, default=40_000)
    parser.add_argument("--rollout", type=int, default=256, help="steps of each of 8 environments between updates")
    parser.add_argument("--worlds", type=int, default=100, help="held-out worlds to measure on")
    asked = parser.parse_args(given)
    torch.set_num_threads(1)  # the network is small: more threads only wait for each other
    envs = DummyVecEnv([lambda: gymnasium.make(layerlift.gym.PLACEMENT)] * 8)
    model = MaskablePPO(
        Policy, envs, n_steps=asked.rollout, batch_size=min(512, 8 * asked.rollout), n_epochs=5, gamma=1.0,
        learning_rate=2e-3, seed=1, device="cpu",
    )  # fmt: skip
    chance, began = np.random.default_rng(1), time.process_time()
    model.learn(asked.steps)
    model.save(FILE)
    print(f"{asked.steps} steps in {(time.process_time() - began) / 60:.1f} CPU minutes, kept in {FILE.name}")
    print(f"above the exact answer in {asked.worlds} worlds held out, median and mean:")
    ways: dict[str, Choose] = {
        "the agent": chosen_by(model),
        "any legal step": lambda seen, mask: chance.choice(np.flatnonzero(mask)),
        "staying local": lambda seen, mask: 0,
    }
    for name, choose in ways.items():
        median, mean = gaps(choose, asked.worlds)
        print(f"  {name}: {100.0 * median:.1f} % and {100.0 * mean:.1f} %")


if __name__ == "__main__":
    main()

"""Many users' networks side by side, on arrays: `Layerlift/Placement-v0` as a vector environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from layerlift.emulator.studies.learning.environments.drawing import Pixels
from layerlift.emulator.studies.learning.environments.placement import NODES, Draws, check_nodes, seen_space
from layerlift.emulator.studies.learning.environments.sources import Named
from layerlift.emulator.studies.learning.environments.walks import Seen, Walks
from layerlift.models.errors import RunError
from layerlift.planners.learned.priced import MOST_NODES
from layerlift.planners.problem.problem import Bools, Floats


class Placements(gymnasium.vector.VectorEnv):
    """`num_envs` environments `Placement` whose steps are taken together: the same, number by number.

    Each has a chance of its own: of `reset(seed=7)` the first gets seed 7, the second 8, as in `SyncVectorEnv`; the
    other arguments are those of `Placement`. An episode that is over begins anew at the next step, whose action is
    passed over and whose reward is 0 (`AutoresetMode.NEXT_STEP`).
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": [], "autoreset_mode": AutoresetMode.NEXT_STEP}

    def __init__(
        self,
        num_envs: int = 1,
        families: Sequence[str] | str | None = None,
        networks: Sequence[str] = (),
        scenario: Named | None = None,
        nodes: int = NODES,
        held_out: bool = False,
        render_mode: str | None = None,
    ) -> None:
        check_nodes(nodes, MOST_NODES)
        if num_envs < 1:
            raise RunError(f"num_envs is {num_envs}, expected at least 1")
        if render_mode is not None:
            raise RunError(f"render_mode is {render_mode!r}, expected None: one environment at a time is rendered")
        self.num_envs, self.render_mode = num_envs, render_mode
        self.single_observation_space, self.single_action_space = seen_space(nodes), spaces.Discrete(nodes)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._draws = [Draws(families, networks, scenario, nodes, held_out) for _ in range(num_envs)]
        self._chances: list[np.random.Generator] = []
        self._walks = Walks(num_envs, nodes)
        self._ended: Bools = np.zeros(num_envs, dtype=np.bool_)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[Seen, dict[str, Any]]:
        """Begin every environment anew."""
        self._seed(seed)
        info: dict[str, Any] = {}
        for number in range(self.num_envs):
            info = self._begin(number, info, options)
        self._ended[:] = False
        return self._walks.seen(), info

    def step(self, actions: Any) -> tuple[Seen, Floats, Bools, Bools, dict[str, Any]]:
        """Run the next unit of each on a node; those that are over begin anew."""
        if not self._chances:
            raise RunError("no episode has begun: call reset() before step()")
        begun, info = self._ended, dict[str, Any]()
        rewards, illegal = self._walks.take(np.asarray(actions, dtype=np.int64))
        over = self._walks.over & ~begun
        for number in range(self.num_envs):
            if begun[number]:
                info = self._begin(number, info, None)
                continue
            told: dict[str, Any] = {"illegal": bool(illegal[number])}
            if over[number]:
                told |= {"cost": self._walks.cost(number), "placement": self._walks.placement(number)}
            info = self._add_info(info, told, number)
        self._ended = over
        return self._walks.seen(), rewards, over.copy(), np.zeros(self.num_envs, dtype=np.bool_), info

    def action_masks(self) -> Bools:
        """Where each environment's next unit may run, shape (num_envs, nodes)."""
        return self._walks.masks

    def render(self) -> tuple[Pixels, ...] | None:
        """Nothing: one environment at a time is rendered."""
        return None

    def _seed(self, seed: int | Sequence[int | None] | None) -> None:
        seeds = [seed] * self.num_envs if seed is None else seed
        if isinstance(seeds, int | np.integer):
            seeds = [int(seeds) + number for number in range(self.num_envs)]
        if len(seeds) != self.num_envs:
            raise RunError(f"seed has {len(seeds)} numbers, expected one for each of {self.num_envs} environments")
        first = not self._chances
        for number, each in enumerate(seeds):
            if each is not None:
                self._draws[number].forget()
            if first or each is not None:
                chance, _ = seeding.np_random(each)
                self._chances[number : number + 1] = [chance]

    def _begin(self, number: int, info: dict[str, Any], options: Mapping[str, Any] | None) -> dict[str, Any]:
        course, told = self._draws[number].next(self._chances[number], options)
        self._walks.begin(number, course)
        made: dict[str, Any] = self._add_info(info, told, number)
        return made

"""DDPQN to the letter, as far as it is public: double, dueling, prioritised; rewarded for coordination and evenness.

The target is the running mean of what is learned. Widths, rates and the price of unevenness are ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from layerlift.emulator.studies.learning.parameters import fitting, one_thread
from layerlift.emulator.studies.learning.reinforced.memory import Memory
from layerlift.emulator.studies.learning.reinforced.optimised import Parameters
from layerlift.emulator.studies.learning.reinforced.routes import Route, endless, together
from layerlift.emulator.world import streams
from layerlift.models.sums import left_sum
from layerlift.planners.learned.features import LARGEST
from layerlift.planners.learned.literal.coordinated import COORDINATED, OF_STATE, SHAPES, CoordinatedJourney
from layerlift.planners.learned.literal.dense import ADDED
from layerlift.planners.learned.literal.journey import ACTIONS, Seen
from layerlift.planners.learned.policy_file import Weights

STEPS: Final = 64
"""Of the optimiser, in a round."""
BATCH: Final = 128
"""Steps of ways that one looks at."""
RATE: Final = 1e-3
ASTRAY: Final = (1.0, 0.05)
"""How often any node is taken: at first, and after `ROUNDS`."""
ROUNDS: Final = 60
WALKED: Final = 16
"""Problems of a round that are walked through: every so many-th."""
MEMORY: Final = 8192
Named = Mapping[str, Tensor]


class LiteralDdpqn:
    """A policy on its way, and what it remembers."""

    def __init__(self, seed: int) -> None:
        self.seed, self.rounds = seed, 0
        self._held = Parameters(_begun(seed), RATE)
        whole = {"seen": (OF_STATE,), "next_seen": (OF_STATE,), "taken": (), "last": ()}
        self.memory = Memory(whole, ("reward",), ACTIONS, MEMORY)

    def round(self, routes: Sequence[Route]) -> float:
        """One round of ways through some problems; the mean loss over its steps."""
        with one_thread():
            return self._round(routes)

    def _round(self, routes: Sequence[Route]) -> float:
        rng = np.random.default_rng(streams.family(self.seed, "learning", f"round {self.rounds}").getrandbits(64))
        self._explore(routes[:: max(1, len(routes) // WALKED)], rng)
        losses = []
        for _ in range(STEPS):
            chosen, weights = self.memory.drawn(BATCH, self.rounds, rng)
            told, came = self._judged({name: table[chosen] for name, table in self.memory.held.items()})
            apart = torch.nn.functional.smooth_l1_loss(told, came, reduction="none", beta=0.1)
            losses.append(self._held.step((apart * torch.from_numpy(weights).float()).mean()))
            self.memory.learned(chosen, (told.detach() - came).numpy().astype(np.float64))
        self.rounds += 1
        return left_sum(losses) / STEPS

    def _explore(self, routes: Sequence[Route], rng: np.random.Generator) -> None:
        astray = max(ASTRAY[1], ASTRAY[0] - (ASTRAY[0] - ASTRAY[1]) * self.rounds / ROUNDS)

        def choose(seen: Seen) -> NDArray[np.int64]:
            with torch.no_grad():
                best = worths(self._held.named, torch.from_numpy(seen.astype(np.float32))).argmax(1).numpy()
            return np.where(rng.random(len(seen)) < astray, rng.integers(0, ACTIONS, size=len(seen)), best)

        for way in together([CoordinatedJourney(*route, endless(route)) for route in routes], OF_STATE, choose):
            seen, taken, reward = (np.array(column) for column in zip(*way, strict=True))
            last = np.arange(len(way)) == len(way) - 1
            self.memory.take_up(
                {
                    "seen": seen, "next_seen": np.concatenate([seen[1:], seen[-1:]]), "taken": taken,
                    "last": last.astype(np.uint16), "reward": reward,
                }
            )  # fmt: skip

    def _judged(self, found: Mapping[str, NDArray[Any]]) -> tuple[Tensor, Tensor]:
        """What steps were thought to be worth, and what they came to."""
        seen, later = (torch.from_numpy(found[name].astype(np.float32)) for name in ("seen", "next_seen"))
        taken = torch.from_numpy(found["taken"].astype(np.int64))[:, None]
        with torch.no_grad():
            best = worths(self._held.named, later).argmax(1, keepdim=True)
            worth = worths(self._held.mean, later).gather(1, best)[:, 0]
            last = torch.from_numpy(found["last"].astype(np.bool_))
            came = torch.from_numpy(found["reward"]) + torch.where(last, 0.0, worth)
        return worths(self._held.named, seen).gather(1, taken)[:, 0], came

    def policy(self, notes: Mapping[str, str]) -> Weights:
        """The policy so far."""
        return Weights(COORDINATED, {name: self._held.mean[name].numpy().copy() for name in SHAPES}, dict(notes))

    def state(self) -> dict[str, NDArray[Any]]:
        """All of it as arrays: what `resume` goes on from, bit for bit."""
        made = {"seed": np.array(self.seed), "rounds": np.array(self.rounds)} | self._held.state()
        return made | {f"memory_{name}": table for name, table in self.memory.state().items()}

    def resume(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on where `state` was taken. Raises `RunError` for one that does not fit."""
        with fitting(state, self.seed) as rounds:
            self._held.take(state)
            own = {name.removeprefix("memory_"): each for name, each in state.items() if name.startswith("memory_")}
            self.memory.resume(own)
            self.rounds = rounds


def _begun(seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    made = {
        name: torch.zeros(shape) if name.endswith(ADDED) else torch.randn(shape, generator=generator) / shape[0] ** 0.5
        for name, shape in SHAPES.items()
    }
    return {name: each.requires_grad_() for name, each in made.items()}


def worths(named: Named, seen: Tensor) -> Tensor:
    """What each node is worth, shapes (B, OF_STATE) -> (B, ACTIONS)."""

    def layer(name: str, given: Tensor) -> Tensor:
        return given @ named[name] + named[name + ADDED]

    within = torch.relu(layer("middle", torch.relu(layer("inner", seen * (1.0 / LARGEST)))))
    adds = layer("action", within)
    return layer("state", within) + adds - adds.mean(1, keepdim=True)

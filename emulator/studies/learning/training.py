"""Training in rounds: each draws fresh worlds, by number, and takes some steps on what they teach.

What a round does depends on the seed, its number and what was learned before it: not on who drew the worlds, nor on
whether training stopped in between. The policy is the running mean of the parameters, which needs no end to be known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from layerlift.emulator.studies.learning.examples import Examples
from layerlift.emulator.studies.learning.network import Network, loss_of, policy_of
from layerlift.emulator.world import streams
from layerlift.models.errors import RunError
from layerlift.models.sums import left_sum
from layerlift.planners.learned.policy_file import Weights
from layerlift.planners.learned.steps import weights_of

STEPS: Final = 48
"""Of the optimiser, in a round."""
BATCH: Final = 512
"""States that a step looks at."""
RATE: Final = 2e-3
MEAN: Final = 0.998
"""How much of the running mean stays at every step."""
CROSS_ENTROPY: Final = 0.3


class Training:
    """A policy on its way: parameters, their running mean, and what the optimiser remembers."""

    def __init__(self, seed: int) -> None:
        self.seed, self.rounds = seed, 0
        self._network = Network(seed)
        self._optimiser = torch.optim.Adam(self._network.parameters.values(), RATE)
        self._mean = {name: each.detach().clone() for name, each in self._network.parameters.items()}

    def round(self, examples: Examples) -> float:
        """One round on the states of its worlds; the mean loss over its steps."""
        with _one_thread():
            return self._round(examples)

    def _round(self, examples: Examples) -> float:
        rng = np.random.default_rng(streams.family(self.seed, "learning", f"round {self.rounds}").getrandbits(64))
        losses = []
        for number in range(self.rounds * STEPS, (self.rounds + 1) * STEPS):
            seen = _tensors(examples, rng.integers(0, len(examples.open), size=BATCH))
            found = loss_of(self._network.scores(seen), seen["regret"], ~seen["open"], CROSS_ENTROPY)
            self._optimiser.zero_grad()
            found.backward()
            self._optimiser.step()
            self._remember(number)
            losses.append(float(found.detach()))
        self.rounds += 1
        return left_sum(losses) / STEPS

    def _remember(self, step: int) -> None:
        """Let the running mean follow, at first faster: so that it forgets where it began."""
        stays = min(MEAN, (1.0 + step) / (10.0 + step))
        with torch.no_grad():
            for name, each in self._network.parameters.items():
                self._mean[name].mul_(stays).add_(each, alpha=1.0 - stays)

    def policy(self, notes: Mapping[str, str]) -> Weights:
        """The policy so far."""
        return weights_of([policy_of(self._mean)], notes)

    def state(self) -> dict[str, NDArray[Any]]:
        """All of it as arrays: what `resume` goes on from, bit for bit."""
        made: dict[str, NDArray[Any]] = {"seed": np.array(self.seed), "rounds": np.array(self.rounds)}
        for name, parameter in self._network.parameters.items():
            made[f"parameter_{name}"] = parameter.detach().numpy().copy()
            made[f"mean_{name}"] = self._mean[name].numpy().copy()
            for kind, value in self._optimiser.state.get(parameter, {}).items():
                made[f"{kind}_{name}"] = value.detach().numpy().copy()
        return made

    def resume(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on where `state` was taken. Raises `RunError` for one that does not fit."""
        try:
            self._take(state)
        except (KeyError, ValueError, TypeError, RuntimeError, IndexError, OverflowError):
            raise RunError(
                "what was kept of the training does not fit it: give another folder with --out, or leave --resume away"
            ) from None

    def _take(self, state: Mapping[str, NDArray[Any]]) -> None:
        if int(state["seed"]) != self.seed:
            raise RunError(f"what was kept is of --seed {int(state['seed'])}, expected {self.seed}: give that seed")
        if (rounds := int(state["rounds"])) < 0:
            raise ValueError(rounds)
        with torch.no_grad():
            for name, parameter in self._network.parameters.items():
                parameter.copy_(_like(state[f"parameter_{name}"], parameter))
                self._mean[name].copy_(_like(state[f"mean_{name}"], parameter))
                if rounds:
                    self._optimiser.state[parameter] = {
                        "step": torch.tensor(float(state[f"step_{name}"])),
                        "exp_avg": _like(state[f"exp_avg_{name}"], parameter),
                        "exp_avg_sq": _like(state[f"exp_avg_sq_{name}"], parameter),
                    }
        self.rounds = rounds


def _like(array: NDArray[Any], parameter: Tensor) -> Tensor:
    made = torch.from_numpy(np.array(array, dtype=np.float32))
    if made.shape != parameter.shape or not bool(torch.isfinite(made).all()):
        raise ValueError(made.shape)
    return made


def _tensors(examples: Examples, chosen: NDArray[np.int64]) -> dict[str, Tensor]:
    arrays = {
        "piece": examples.piece,
        "source": examples.source,
        "target": examples.target,
        "step": examples.step,
        "regret": examples.regret,
        "open": examples.open,
    }
    return {name: torch.from_numpy(array[chosen]) for name, array in arrays.items()}


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums in one order, whatever the machine has."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)

"""IDRQN: deep Q-learning with an LSTM and a set of candidate networks, as far as it is public; its constants are ours.

The set's use, as we read it: of some copies of what was learned, the one whose ways cost least on a round's problems
says what a state is worth, and is the policy; the worst gives place to a copy of what is learning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from layerlift.emulator.studies.learning.parameters import fitting, like, one_thread
from layerlift.emulator.studies.learning.reinforced.optimised import Parameters
from layerlift.emulator.studies.learning.reinforced.routes import Route, endless, together
from layerlift.emulator.studies.learning.reinforced.sequences import Sequences
from layerlift.emulator.world import streams
from layerlift.models.sums import left_sum
from layerlift.planners.learned.features import LARGEST
from layerlift.planners.learned.literal.dense import ADDED
from layerlift.planners.learned.literal.journey import ACTIONS, OF_UNIT, Journey, Seen
from layerlift.planners.learned.literal.recurrent import INSIDE, RECURRENT, SHAPES
from layerlift.planners.learned.policy_file import Weights

CANDIDATES: Final = 3
STEPS: Final = 16
"""Of the optimiser, in a round."""
BATCH: Final = 32
"""Ways that one looks at."""
RATE: Final = 1e-3
ASTRAY: Final = (1.0, 0.05)
"""How often any node is taken: at first, and after `ROUNDS`."""
ROUNDS: Final = 60
COMPARED: Final = 16
"""Problems of a round on which candidates are compared."""
Named = Mapping[str, Tensor]


class Idrqn:
    """A policy on its way."""

    def __init__(self, seed: int) -> None:
        self.seed, self.rounds = seed, 0
        self._held = Parameters(_begun(seed), RATE)
        self._candidates = [_copy(self._held.named) for _ in range(CANDIDATES)]
        """The best first."""
        self.memory = Sequences()

    def round(self, routes: Sequence[Route]) -> float:
        """One round of ways through some problems; the mean loss over its steps."""
        with one_thread():
            return self._round(routes)

    def _round(self, routes: Sequence[Route]) -> float:
        rng = np.random.default_rng(streams.family(self.seed, "learning", f"round {self.rounds}").getrandbits(64))
        self._compare(routes[:COMPARED])
        for way in _walked(routes, Player(self._held.named, rng, self._astray)):
            self.memory.take_up(way)
        losses = []
        for _ in range(STEPS):
            found = self.memory.some(rng.integers(0, self.memory.known, size=BATCH))
            losses.append(self._held.step(loss_of(self._held.named, self._candidates[0], found)))
        self._candidates[-1] = _copy(self._held.named)
        self.rounds += 1
        return left_sum(losses) / STEPS

    @property
    def _astray(self) -> float:
        return max(ASTRAY[1], ASTRAY[0] - (ASTRAY[0] - ASTRAY[1]) * self.rounds / ROUNDS)

    def _compare(self, routes: Sequence[Route]) -> None:
        """Put the candidates in order of what their ways cost."""
        costs = []
        for named in self._candidates:
            ways = _walked(routes, Player(named, np.random.default_rng(0), 0.0))
            costs.append(left_sum(spent for way in ways for _, _, spent in way))
        self._candidates = [self._candidates[number] for number in np.argsort(costs, kind="stable").tolist()]

    def policy(self, notes: Mapping[str, str]) -> Weights:
        """The best candidate."""
        return Weights(RECURRENT, tables_of(self._candidates[0]), dict(notes))

    def state(self) -> dict[str, NDArray[Any]]:
        """All of it as arrays: what `resume` goes on from, bit for bit."""
        made = {"seed": np.array(self.seed), "rounds": np.array(self.rounds)} | self._held.state()
        for number, named in enumerate(self._candidates):
            made |= {f"candidate_{number}_{name}": each.numpy().copy() for name, each in named.items()}
        return made | {f"memory_{name}": table for name, table in self.memory.state().items()}

    def resume(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on where `state` was taken. Raises `RunError` for one that does not fit."""
        with fitting(state, self.seed) as rounds:
            self._held.take(state)
            for number, named in enumerate(self._candidates):
                for name, each in named.items():
                    each.copy_(like(state[f"candidate_{number}_{name}"], each))
            self.memory.resume({name: state[f"memory_{name}"] for name in self.memory.state()})
            self.rounds = rounds


class Player:
    """What chooses the next node of many journeys at once, and remembers what each has seen."""

    def __init__(self, named: Named, rng: np.random.Generator, astray: float) -> None:
        self._named, self._rng, self._astray = named, rng, astray
        self._kept: tuple[Tensor, Tensor] | None = None

    def __call__(self, seen: Seen) -> NDArray[np.int64]:
        """See `Choose`."""
        with torch.no_grad():
            worth, self._kept = worths(self._named, torch.from_numpy(seen[:, None].astype(np.float32)), self._kept)
        best: NDArray[np.int64] = worth[:, 0].argmax(1).numpy()
        drawn = self._rng.integers(0, ACTIONS, size=len(seen))
        return np.where(self._rng.random(len(seen)) < self._astray, drawn, best)


def _walked(routes: Sequence[Route], player: Player) -> list[list[tuple[Seen, int, float]]]:
    return together([Journey(*route, endless(route)) for route in routes], OF_UNIT, player)


def _begun(seed: int) -> dict[str, Tensor]:
    """Parameters as torch's modules begin with."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        lstm, worth = torch.nn.LSTM(OF_UNIT, INSIDE), torch.nn.Linear(INSIDE, ACTIONS)
    made = {**dict(lstm.named_parameters()), "worth": worth.weight, "worth_bias": worth.bias}
    return {name: each.detach().clone().requires_grad_() for name, each in made.items()}


def _copy(named: Named) -> dict[str, Tensor]:
    return {name: each.detach().clone() for name, each in named.items()}


def worths(named: Named, seen: Tensor, kept: tuple[Tensor, Tensor] | None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """What each node is worth at each unit, and what the LSTM keeps: shapes (B, T, OF_UNIT) -> (B, T, ACTIONS)."""
    nothing = torch.zeros(1, len(seen), INSIDE)
    gates = [named[f"{name}_l0"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    said, told, cell = torch.lstm(
        seen * (1.0 / LARGEST), kept or (nothing, nothing), gates, True, 1, 0.0, False, False, True
    )
    return said @ named["worth"].T + named["worth_bias"], (told, cell)


def loss_of(named: Named, target: Named, found: Mapping[str, Tensor]) -> Tensor:
    """How far what steps are thought to be worth is from what they came to, small errors squared, mean over steps."""
    worth, _ = worths(named, found["seen"], None)
    with torch.no_grad():
        later = worths(target, found["seen"], None)[0].amax(2)[:, 1:]
        later = torch.cat([later, torch.zeros(len(later), 1)], 1)
        came = torch.where(found["last"], 0.0, later) - found["spent"]
    told = worth.gather(2, found["chosen"][:, :, None])[:, :, 0]
    apart = torch.nn.functional.smooth_l1_loss(told, came, reduction="none", beta=0.1)
    return (apart * found["counts"]).sum() / found["counts"].sum()


def tables_of(named: Named) -> dict[str, NDArray[np.float32]]:
    """Torch's numbers as the tables of a policy: ONNX has the gates in another order, and inputs before outputs."""
    made = {
        "gates_seen": _gates(named["weight_ih_l0"])[None],
        "gates_kept": _gates(named["weight_hh_l0"])[None],
        "gates" + ADDED: np.concatenate([_gates(named[f"bias_{each}_l0"]) for each in ("ih", "hh")])[None],
        "worth": named["worth"].detach().numpy().T.copy(),
        "worth" + ADDED: named["worth_bias"].detach().numpy().copy(),
    }
    return {name: made[name] for name in SHAPES}


def _gates(table: Tensor) -> NDArray[np.float32]:
    """Gates as ONNX has them, input, output, forget, cell; torch has input, forget, cell, output."""
    given, forget, cell, output = np.split(table.detach().numpy(), 4)
    return np.concatenate([given, output, forget, cell])

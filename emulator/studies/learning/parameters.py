"""What trainings with torch have in common: one order of sums, and states that fit or are refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from layerlift.models.errors import RunError


@contextmanager
def one_thread() -> Iterator[None]:
    """Sums in one order, whatever the machine has."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def fitting(state: Mapping[str, NDArray[Any]], seed: int) -> Iterator[int]:
    """The rounds of a state that is taken up within. Raises `RunError` for another seed's, or for what does not fit."""
    try:
        if int(state["seed"]) != seed:
            raise RunError(f"what was kept is of --seed {int(state['seed'])}, expected {seed}: give that seed")
        if (rounds := int(state["rounds"])) < 0:
            raise ValueError(rounds)
        with torch.no_grad():
            yield rounds
    except (KeyError, ValueError, TypeError, RuntimeError, IndexError, OverflowError):
        raise RunError(
            "what was kept of the training does not fit it: give another folder with --out, or leave --resume away"
        ) from None


def like(array: NDArray[Any], parameter: Tensor) -> Tensor:
    """The array as a tensor. Raises `ValueError` where it is not shaped as `parameter`, or not finite."""
    made = torch.from_numpy(np.array(array, dtype=np.float32))
    if made.shape != parameter.shape or not bool(torch.isfinite(made).all()):
        raise ValueError(made.shape)
    return made


def finite(array: NDArray[Any]) -> float:
    """A number that was kept. Raises `ValueError` for what is none."""
    value = float(array)
    if not np.isfinite(value):
        raise ValueError(value)
    return value


def remembered(state: Mapping[str, NDArray[Any]], name: str, parameter: Tensor) -> dict[str, Tensor]:
    """What Adam remembers of a parameter. Raises `ValueError` or `KeyError` for what does not fit."""
    return {
        "step": torch.tensor(float(state[f"step_{name}"])),
        "exp_avg": like(state[f"exp_avg_{name}"], parameter),
        "exp_avg_sq": like(state[f"exp_avg_sq_{name}"], parameter),
    }


def as_arrays(
    seed: int, rounds: int, parameters: Mapping[str, Tensor], optimiser: torch.optim.Optimizer | None
) -> dict[str, NDArray[Any]]:
    """Parameters, and what an optimiser remembers of them, as arrays."""
    made: dict[str, NDArray[Any]] = {"seed": np.array(seed), "rounds": np.array(rounds)}
    for name, parameter in parameters.items():
        made[f"parameter_{name}"] = parameter.detach().numpy().copy()
        for kind, value in (optimiser.state.get(parameter, {}) if optimiser is not None else {}).items():
            made[f"{kind}_{name}"] = value.detach().numpy().copy()
    return made

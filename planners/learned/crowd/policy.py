"""Whole numbers that score a user's servers and its staying at home; the same on every processor.

A server's score is a weighted sum of what is seen of it, home's of what the user sees of itself; a power of two,
rounding down and a clip come after. No sum can reach 2^24, below which float32 holds every whole number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from layerlift.models.errors import PlanError
from layerlift.planners.learned.crowd.features import OWN, SERVER, View
from layerlift.planners.learned.features import LARGEST
from layerlift.planners.learned.policy import EXACT, MOST_SCORE, Table
from layerlift.planners.learned.policy_file import AGAIN

MOST_WEIGHT: Final = 512
MOST_HOME: Final = 2**22
"""Of what is added to home's sum, in training."""
SHIFT: Final = 9
"""By which power of two sums are divided."""


@dataclass(frozen=True)
class Mixture:
    """The whole numbers of one policy."""

    server: Table
    """Shape (len(SERVER), 1)."""
    own: Table
    """Shape (len(OWN), 1): for home."""
    home: Table
    """Added to home's sum, shape (1,)."""

    @classmethod
    def of(cls, numbers: Table) -> Mixture:
        """The policy of its numbers in a row, see `numbers`."""
        server, own, home = np.split(numbers, [len(SERVER), len(SERVER) + len(OWN)])
        return cls(server[:, None], own[:, None], home)

    @property
    def tables(self) -> dict[str, Table]:
        """The arrays by name, in order."""
        return {"server": self.server, "own": self.own, "home": self.home}

    @property
    def numbers(self) -> Table:
        """All in a row, shape (len(SERVER) + len(OWN) + 1,)."""
        return np.concatenate([table.ravel() for table in self.tables.values()])

    def check(self, origin: str) -> None:
        """Raise `PlanError` unless shapes fit, and no sum can reach `EXACT`. `origin` names the file."""
        wanted = {"server": (len(SERVER), 1), "own": (len(OWN), 1), "home": (1,)}
        for name, table in self.tables.items():
            if table.shape != wanted[name]:
                raise PlanError(
                    f"policy {origin}: its table {name!r} has shape {table.shape}, expected {wanted[name]}; {AGAIN}"
                )
        of_server, of_own = (LARGEST * int(np.abs(table).sum()) for table in (self.server, self.own))
        largest = max(of_server, of_own + abs(int(self.home[0])))
        if largest >= EXACT:
            raise PlanError(
                f"policy {origin}: its sums may reach {largest}, expected less than {EXACT}, below which every "
                f"processor adds alike; {AGAIN}"
            )


def exact_scores(policy: Mixture, view: View) -> Table:
    """Scores of home and of each server, in 64-bit whole numbers, shape (1 + S,): what onnxruntime must say too."""
    home = view.own.astype(np.int64) @ policy.own + policy.home
    servers = view.server.astype(np.int64) @ policy.server
    summed = np.concatenate([home, servers[:, 0]])
    made: Table = np.clip(summed >> SHIFT, -MOST_SCORE, MOST_SCORE)
    return made


def mixture(server: Mapping[str, int], own: Mapping[str, int], home: int) -> Mixture:
    """A policy from its numbers by name; what is not named is 0."""
    return Mixture(
        np.array([[server.get(name, 0)] for name in SERVER], dtype=np.int64),
        np.array([[own.get(name, 0)] for name in OWN], dtype=np.int64),
        np.array([home], dtype=np.int64),
    )


BY_HAND: Final = mixture({"gain": -100, "gain_beside": 200, "capacity": 200, "claimed": -100}, {}, 135_000)
"""Set by hand, after some thirty tries in worlds to train on and in the first seeds of `contention`.

In natural logarithms: 35 for all that there is to gain beside the others, which is next to taking the best; 17 less for
what there would be alone, so that those of whom nobody knows yet do not all take it; 2.3 for each e-fold of capacity,
less 1.2 for each of claims; home is worth 23.
"""

"""What several networks remember together: the latest examples, the oldest forgotten first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from layerlift.emulator.studies.learning.examples import Examples
from layerlift.emulator.studies.learning.proposals.labels import STATES
from layerlift.planners.learned.features import OF_NODE, OF_PIECE, OF_STEP
from layerlift.planners.learned.priced import MOST_NODES

PROBLEMS: Final = 1024
"""That are remembered."""
_PREFIX: Final = "memory_"


class Memory:
    """The examples of the last `PROBLEMS` problems, `STATES` of each."""

    def __init__(self) -> None:
        self.problems = 0
        """That were ever put in."""
        rows = PROBLEMS * STATES
        self._tables: dict[str, NDArray[Any]] = {
            "piece": np.zeros((rows, OF_PIECE), dtype=np.uint16),
            "source": np.zeros((rows, OF_NODE), dtype=np.uint16),
            "target": np.zeros((rows, MOST_NODES, OF_NODE), dtype=np.uint16),
            "step": np.zeros((rows, MOST_NODES, OF_STEP), dtype=np.uint16),
            "regret": np.zeros((rows, MOST_NODES), dtype=np.float32),
            "open": np.zeros((rows, MOST_NODES), dtype=np.uint16),
        }

    @property
    def rows(self) -> int:
        """Examples that there are."""
        return min(self.problems, PROBLEMS) * STATES

    def put(self, examples: Examples) -> None:
        """Remember the examples of one problem."""
        first = (self.problems % PROBLEMS) * STATES
        for name, table in self._tables.items():
            given = examples.__getattribute__(name)
            table[first : first + STATES] = 0
            table[first : first + STATES, : given.shape[1]] = given
        self.problems += 1

    def some(self, chosen: NDArray[np.int64]) -> Examples:
        """Some examples by number, with no more nodes than one of them has."""
        nodes = int(np.flatnonzero(self._tables["open"][chosen].any(axis=0)).max(initial=0)) + 1
        held = {name: table[chosen] for name, table in self._tables.items()}
        return Examples(
            held["piece"].astype(np.float32),
            held["source"].astype(np.float32),
            held["target"][:, :nodes].astype(np.float32),
            held["step"][:, :nodes].astype(np.float32),
            held["regret"][:, :nodes],
            held["open"][:, :nodes] != 0,
        )

    def state(self) -> dict[str, NDArray[Any]]:
        """All of it: what `take` goes on from."""
        made = {_PREFIX + name: table[: self.rows].copy() for name, table in self._tables.items()}
        return made | {_PREFIX + "problems": np.array(self.problems)}

    def take(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Remember what `state` holds. Raises `ValueError` or `KeyError` for what does not fit."""
        problems = int(state[_PREFIX + "problems"])
        rows = min(problems, PROBLEMS) * STATES
        for name, table in self._tables.items():
            given = state[_PREFIX + name]
            if given.dtype != table.dtype or given.shape != (rows, *table.shape[1:]) or not np.isfinite(given).all():
                raise ValueError(name)
            table[:rows] = given
        if problems < 0:
            raise ValueError(problems)
        self.problems = problems

"""A memory of whole ways: what was seen, chosen and spent at each step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from layerlift.planners.learned.literal.journey import ACTIONS, OF_UNIT, Seen

SIZE: Final = 512
"""Ways that are remembered; the oldest make room."""
LONGEST: Final = 128
"""Steps of a way that are remembered."""
MOST_SPENT: Final = 1.0
"""A step that costs more than staying local altogether is as bad as that."""


class Sequences:
    """Ways, each of at most `LONGEST` steps."""

    def __init__(self) -> None:
        self._seen = np.zeros((SIZE, LONGEST, OF_UNIT), dtype=np.uint16)
        self._chosen = np.zeros((SIZE, LONGEST), dtype=np.uint16)
        self._spent = np.zeros((SIZE, LONGEST), dtype=np.float32)
        self._steps = np.zeros(SIZE, dtype=np.int64)
        """How many steps each had, remembered or not."""
        self._count = 0

    @property
    def known(self) -> int:
        """How many there are."""
        return min(self._count, SIZE)

    def take_up(self, way: Sequence[tuple[Seen, int, float]]) -> None:
        """Remember a way: what was seen, chosen and spent, step by step."""
        at, kept = self._count % SIZE, min(len(way), LONGEST)
        self._seen[at] = self._chosen[at] = self._spent[at] = 0
        for number, (seen, chosen, spent) in enumerate(way[:kept]):
            self._seen[at, number], self._chosen[at, number] = seen, chosen
            self._spent[at, number] = min(spent, MOST_SPENT)
        self._steps[at] = len(way)
        self._count += 1

    def some(self, which: NDArray[np.int64]) -> dict[str, Tensor]:
        """Some ways by their numbers, as long as the longest of them; `counts` says which steps can be learned from."""
        steps, long = self._steps[which][:, None], int(min(self._steps[which].max(), LONGEST))
        number = np.arange(long)[None, :]
        last = number == steps - 1
        # What comes after the last step that is remembered is not known, unless it was the way's own last.
        counts = (number < steps) & ((number < LONGEST - 1) | last)
        made: dict[str, NDArray[Any]] = {
            "seen": self._seen[which, :long].astype(np.float32),
            "chosen": self._chosen[which, :long].astype(np.int64),
            "spent": self._spent[which, :long],
            "last": last,
            "counts": counts.astype(np.float32),
        }
        return {name: torch.from_numpy(table) for name, table in made.items()}

    @property
    def _held(self) -> dict[str, NDArray[Any]]:
        return {"seen": self._seen, "chosen": self._chosen, "spent": self._spent, "steps": self._steps}

    def state(self) -> dict[str, NDArray[Any]]:
        """All of it as arrays."""
        return {name: table.copy() for name, table in self._held.items()} | {"count": np.array(self._count)}

    def resume(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on from `state`. Raises `ValueError` for what does not fit."""
        for name, table in self._held.items():
            given = state[name]
            if given.shape != table.shape or given.dtype != table.dtype or not np.isfinite(given).all():
                raise ValueError(name)
            table[:] = given
        self._count = int(state["count"])
        if self._count < 0 or self._chosen.max() >= ACTIONS or (self._steps[: self.known] < 1).any():
            raise ValueError("count")

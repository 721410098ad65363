"""Keeping virtual time in step with the wall clock, and saying honestly how well that went."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from layerlift.models.errors import RunError

TRUSTED_P99_S: Final = 0.02
"""A paced run is to be trusted while 99 windows in 100 begin at most this late (seconds of wall clock)."""


@dataclass(frozen=True, slots=True)
class Fidelity:
    """How late the windows of a paced run began, in seconds of wall clock."""

    pace: float | None
    windows: int
    median_s: float
    p99_s: float
    worst_s: float
    trusted: bool
    reason: str

    def as_dict(self) -> dict[str, object]:
        """For run.json."""
        return {name: getattr(self, name) for name in self.__slots__}


class Pacer:
    """Sleeps so that virtual time runs at `pace` times the wall clock; None: as fast as it can.

    Deadlines are absolute, so that lateness is never carried into the next window.
    Raises `RunError` for a pace that is not a positive number.
    """

    def __init__(
        self,
        pace: float | None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        if pace is not None and not 0 < pace < math.inf:
            raise RunError(
                f"pace is {pace}, expected a positive number: 1 keeps step with the wall clock, 0.1 is slower"
            )
        self._pace, self._clock, self._sleep = pace, clock, sleep
        self._began: float | None = None
        self.lateness: list[tuple[float, float]] = []
        """Virtual time of each window, and how many seconds of wall clock late it began."""

    def wait(self, now_s: float) -> None:
        """Called before the window that begins at virtual time `now_s`."""
        if self._pace is None:
            return
        if self._began is None:
            self._began = self._clock() - now_s / self._pace
        due = self._began + now_s / self._pace
        early = due - self._clock()
        if early > 0:
            self._sleep(early)
        self.lateness.append((now_s, max(0.0, self._clock() - due)))

    def fidelity(self) -> Fidelity:
        """What the run's lateness was, and whether its timing may be trusted."""
        if self._pace is None:
            why = "virtual time was not paced: its times are exact, whatever this machine's speed"
            return Fidelity(None, 0, 0.0, 0.0, 0.0, True, why)
        late = sorted(seconds for _, seconds in self.lateness) or [0.0]
        p99 = late[(99 * len(late) + 99) // 100 - 1]
        trusted = p99 <= TRUSTED_P99_S
        bound = f"p99 of lateness {p99 * 1e3:.1f} ms, at most {TRUSTED_P99_S * 1e3:.0f} ms"
        why = f"{bound} is trusted" if trusted else f"{bound} would be trusted: use a slower --pace or fewer nodes"
        return Fidelity(self._pace, len(self.lateness), late[len(late) // 2], p99, late[-1], trusted, why)

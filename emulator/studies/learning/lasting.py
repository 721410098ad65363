"""How long a training lasts, and which one may be gone on with: the same for all that train in rounds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from math import inf
from pathlib import Path
from typing import Any, Final

from layerlift.models.errors import RunError, quoted

MOST_SEED: Final = 40
"""Lessons of seeds up to this one are of worlds that nobody is judged on."""


def check_asked(minutes: float, rounds: int | None, workers: int, seed: int) -> None:
    """Raise `RunError` for a training that would have no end, no worker or no worlds."""
    if isinstance(minutes, bool) or not (isinstance(minutes, int | float) and 0.0 < minutes < inf):
        raise RunError(f"minutes is {quoted(minutes, 40)}, expected a number above 0, such as 10")
    if rounds is not None:
        check_whole("rounds", rounds, 1, 1_000_000)
    check_whole("workers", workers, 1, 256)
    check_whole("seed", seed, 0, MOST_SEED)


def check_whole(name: str, value: Any, least: int, most: int) -> None:
    """Raise `RunError` for what is no whole number between two."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise RunError(f"{name} is {quoted(value, 40)}, expected a whole number from {least} to {most:,}")


def check_flags(flags: Mapping[str, Any]) -> None:
    """Raise `RunError` for what is neither True nor False: `force="no"` would replace what is there."""
    for name, value in flags.items():
        if not isinstance(value, bool):
            raise RunError(f"{name} is {quoted(value, 40)}, expected True or False")


def until(rounds_over: Callable[[], int], minutes: float, rounds: int | None) -> Iterator[float]:
    """The share of the whole that is over before each round to come: of `minutes`, or of so many `rounds`."""
    began = time.monotonic()
    while True:
        share = (time.monotonic() - began) / (60.0 * minutes) if rounds is None else rounds_over() / rounds
        if share >= 1.0:
            return
        yield share


def check_same(asked: Mapping[str, Any], kept: Mapping[str, Any], out: Path) -> None:
    """Raise `RunError` unless the training that `out` holds was asked for the same."""
    for key, value in asked.items():
        if kept.get(key) != value:
            raise RunError(
                f"the training in {out} has {key} {kept.get(key)!r}, asked for is {value!r}: "
                "ask for the same to go on, or give another --out"
            )

"""How long a training lasts, and which one may be gone on with: the same for all that train in rounds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from layerlift.models.errors import RunError


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

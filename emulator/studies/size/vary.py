"""`--vary nodes.0.count=1..20`: a field and the values to try, in the order of size."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from layerlift.emulator.studies.compare.sweep import Sweep
from layerlift.models.errors import ScenarioError

MOST_VALUES: Final = 1000
OTHERS: Final = ("seed", "execution")
"""Fields that a sizing sets by itself."""
_RANGE: Final = re.compile(r"(\d{1,99})\.\.(\d{1,99})(?::(\d{1,99}))?")


def parsed(text: str) -> tuple[str, list[float]]:
    """Read `PATH=FIRST..LAST`, `PATH=FIRST..LAST:STEP` or `PATH=V1,V2,...`: a path and its numbers.

    Raises `ScenarioError` for anything else.
    """
    path, equals, rest = text.partition("=")
    found = _RANGE.fullmatch(rest.strip())
    if equals and path.strip() and found:
        first, last, step = int(found[1]), int(found[2]), int(found[3] or 1)
        if step and first < last and (last - first) // step < MOST_VALUES:
            return path.strip(), list(range(first, last + 1, step))
        raise ScenarioError(
            f"--vary is {text!r}, expected PATH=FIRST..LAST with FIRST below LAST and at most {MOST_VALUES} values"
        )
    try:
        return path.strip(), [float(word) if "." in word or "e" in word else int(word) for word in rest.split(",")]
    except ValueError:
        raise ScenarioError(
            f"--vary is {text!r}, expected PATH=1..20, PATH=1..20:5 or PATH=1,2,4 with numbers that grow"
        ) from None


def of(path: str, values: Sequence[float]) -> Sweep:
    """The field at `path` (as overrides name it, or `users`) and two or more numbers that grow.

    Raises `ScenarioError` when they do not.
    """
    if path in OTHERS:
        raise ScenarioError(f"{path} is to vary, but it is the same at every step: expected a field that can grow")
    swept = Sweep.of(path, list(values))
    if not all(type(value) in (int, float) for value in values) or any(
        not before < after for before, after in zip(values, list(values)[1:], strict=False)
    ):
        raise ScenarioError(f"{path} is to take {list(values)[:8]}, expected numbers that grow: 1, 2, 4")
    return swept

"""Instants that files give: seconds from the beginning of a run, neither before it nor absurdly far behind it."""

from __future__ import annotations

import math
from typing import Annotated, Final

from pydantic import Field

from layerlift.models.errors import ScenarioError

FARTHEST_S: Final = 1e9
"""Thirty-one years. The clocks of machines, which count from 1970, are beyond it."""

Start = Annotated[float, Field(strict=True, ge=-1e12, le=FARTHEST_S)]
"""Where second 0 of a file lies in the run; below 0 for a file that counts from long ago, such as from 1970."""


def since_start(at_s: float, start_s: float, place: str, column: str = "time_s") -> float:
    """Return an instant of a file as seconds of the run, rounded to 1 ns.

    Raises `ScenarioError`, with the place and the remedy, for one that lies before the run or absurdly far ahead.
    """
    instant = round(at_s + start_s, 9)
    if instant > FARTHEST_S:
        years = instant / 31_557_600
        raise ScenarioError(
            f"{place}: {column} is {at_s:.15g}, {years:,.3g} years after the beginning: expected seconds of the run; "
            f"where a file counts from 1970, give start_s: {-math.floor(at_s)}"
        )
    if instant < 0:
        given = f"{at_s:g}" if start_s == 0 else f"{at_s:.15g}, with start_s {start_s:.15g} before the beginning"
        raise ScenarioError(f"{place}: {column} is {given}, expected seconds of at least 0")
    return instant

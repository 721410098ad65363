"""The pace of this machine while it was tried: what its layers really cost, over what their profile says."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from typing import Final

from layerlift.emulator.studies.validate.records import Query

MOST_DRIFT: Final = 0.30
"""Of a pace since the profile, beyond which computing is not judged."""


def pace(queries: Iterable[Query], profile_s: float) -> float:
    """How many times the profile's seconds the layers of a query took by their threads' own clocks; the median.

    It is 1 where no query says so. Neither what the wall clock saw nor what the emulation says has a part in it: else
    it could make a wrong emulation look right.
    """
    spent = [query.cpu_s for query in queries if query.cpu_s > 0]
    return statistics.median(spent) / profile_s if spent else 1.0

"""How often what is tried, so that it all ends within three minutes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from layerlift.emulator.studies.validate.situations import Situation
from layerlift.emulator.studies.validate.verdicts import FEWEST
from layerlift.models.sums import left_sum

BUDGET_S: Final = 155.0
"""For rounds; with the profile and the start of the processes three minutes in all."""


@dataclass(frozen=True, slots=True)
class Planned:
    """How often a situation is carried out, with how many queries before and after the upload."""

    number: int
    situation: Situation
    repeats: int
    before: int
    after: int
    after_s: float
    """A query after the upload."""
    upload_s: float
    """The upload, were there no queries."""
    round_s: float
    """All of a round."""


def asked(each: Planned, local_s: float, repeats: int) -> tuple[int, int]:
    """How many queries before and after an upload: enough to be judged, and otherwise few; `local_s` is one at home."""
    return queries(local_s, 1.0, 10, repeats), queries(each.after_s, 1.5, 8, repeats)


def queries(latency_s: float, within_s: float, most: int, repeats: int) -> int:
    """How many queries of a phase in each repeat: those of some time, but enough of them to be judged in all."""
    return max(-(-FEWEST // repeats), min(most, int(within_s / latency_s)))


def shares(repeats: int, kinds: int) -> list[int]:
    """How often each situation is carried out: the first one `repeats` times, the others about half as often."""
    return [repeats] + [(repeats + 1) // 2] * (kinds - 1)


def within_budget(round_s: Sequence[float], repeats: int) -> tuple[int, int]:
    """How many of the situations, whose rounds take so long, are tried how often; 0 of them where not even one can.

    Situations are kept as long as there is one repeat of each, before repeats are.
    """
    for kept in range(len(round_s), 0, -1):
        for often in range(repeats, 0, -1):
            if left_sum(s * n for s, n in zip(round_s[:kept], shares(often, kept), strict=True)) <= BUDGET_S:
                return kept, often
    return 0, 0

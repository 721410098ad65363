"""Distributed deep learning: several scorers that learn from the best of what all of them propose."""

from __future__ import annotations

from layerlift.planners.learned.base import Learned
from layerlift.planners.learned.flips import FLIPS
from layerlift.planners.learned.literal.ddlo import DECISIONS, MEMBERS


class Ddlo(Learned):
    """Distributed deep learning for offloading: several scorers propose ways, and the true cost picks the best.

    Each scorer proposes its best way and those that leave it at one step, closest calls first; `walks` in all. They
    were trained on the best of each other's proposals, which a shared memory holds, and on nothing exact: for what has
    no exact answer too. Nothing is drawn. Under a deadline or a budget proposals lean towards it as well. `policy`
    names the file of a policy that `layerlift train ddlo` wrote, instead of the one that ships.
    """

    NAME = "ddlo"
    KIND = FLIPS
    LITERAL = DECISIONS
    LITERAL_WALKS = MEMBERS

    @classmethod
    def cite(cls) -> str:
        """The source of the algorithm."""
        return "after Huang et al., Distributed deep learning-based offloading, Mobile Netw. Appl. 2018"

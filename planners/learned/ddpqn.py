"""Double, dueling, prioritised Q-learning: the authors' follow-up to their paper."""

from __future__ import annotations

from layerlift.planners.learned.base import Learned
from layerlift.planners.learned.literal.coordinated import COORDINATED


class Ddpqn(Learned):
    """Double, dueling, prioritised Q-learning: scores of steps by a policy that learned most from its worst mistakes.

    All else is as of `drl`. `literal` is rewarded by the coupling coordination degree of latency, energy and money,
    less how unevenly servers are used, whatever the objective: it takes, unit after unit, the best of `ACTIONS` nodes.
    """

    NAME = "ddpqn"
    LITERAL = COORDINATED

    @classmethod
    def cite(cls) -> str:
        """The source of the algorithm."""
        return "after Xue, Wu, Peng, Wolter, DDPQN, IEEE Trans. Services Computing; Schaul et al., ICLR 2016"

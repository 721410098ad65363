"""Deep reinforcement learning: a policy that has learned from ways of its own what steps come to."""

from __future__ import annotations

from layerlift.planners.learned.base import Learned
from layerlift.planners.learned.literal.recurrent import RECURRENT


class Drl(Learned):
    """Deep reinforcement learning: scores of steps by a policy that learned from ways of its own; the best of walks.

    Double, dueling, n-step Q-learning over (unit, node before, next node), which was told what its own steps came to
    and never an exact answer. All else is as of `dil`, `walks` and `policy` too. `literal` is IDRQN: a recurrent
    network that says what each of `ACTIONS` nodes is worth, unit after unit, and takes the best; its constants are
    ours, for they are not public.
    """

    NAME = "drl"
    LITERAL = RECURRENT

    @classmethod
    def cite(cls) -> str:
        """The source of the algorithm."""
        return "after Lu et al., Optimization of lightweight task offloading strategy for MEC, FGCS 102 (2020)"

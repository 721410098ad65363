"""Meta reinforcement learning: a policy from which few episodes lead to one for the case at hand."""

from __future__ import annotations

from layerlift.planners.learned.base import Learned
from layerlift.planners.learned.literal.seq2seq import SEQ2SEQ


class MetaDrl(Learned):
    """Meta deep reinforcement learning: walks by a policy that learned from episodes, and was made to learn on from.

    It was trained without a label, by what walks cost in truth, over tasks that differ in worlds, networks, objectives
    and in how wrong servers and links are about themselves (Reptile). `layerlift train meta_drl --adapt SCENARIO` goes
    on from it in a scenario; `policy` names what that wrote. `walks` are drawn, the first without chance; the cost
    model decides between the best, the best single cut and staying local. With `alone` it decides nothing: the plan is
    the walk without chance, by a policy that has met what the cost model is not told. `literal` is MRLCO: a network
    from sequence to sequence that says home or away, unit by unit, to the server where all would cost least.
    Alone and without limits, `units` is exact and faster.
    """

    NAME = "meta_drl"
    LITERAL = SEQ2SEQ

    def __init__(self, walks: int = 64, policy: str = "", literal: bool = False, alone: bool = False) -> None:
        super().__init__(1 if alone else walks, policy, literal)
        if alone:
            self.own, self.optimises = True, "nothing"

    @classmethod
    def cite(cls) -> str:
        """The source of the algorithm."""
        return "after Wang et al., Fast adaptive task offloading by meta reinforcement learning, IEEE TPDS 2021"

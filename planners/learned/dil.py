"""Deep imitation learning: a policy that has learned from the exact answers, and walks of its own."""

from __future__ import annotations

from layerlift.planners.learned.base import Learned


class Dil(Learned):
    """Deep imitation learning: scores of every step (unit, node, next node) by a policy, and the best of some walks.

    The policy was trained on what each step costs beyond the best, by the exact dynamic program of `units`, from every
    node and not from those on optimal paths alone, so that a step aside is no disaster. It knows no sizes: any network,
    any number of servers. `walks` of them are drawn, the first without chance; the true cost decides between the best,
    the best single cut and staying local. Under a deadline or a budget walks lean towards it too. `policy` names the
    file of a policy that `layerlift train dil` wrote, instead of the one that ships.
    Alone and without limits, `units` is exact and faster: this is for comparing, and for what has no exact answer.
    """

    NAME = "dil"

    @classmethod
    def cite(cls) -> str:
        """The source of the algorithm."""
        return "after Yu et al., Intelligent edge: leveraging deep imitation learning, IEEE Wireless Commun. 2020"

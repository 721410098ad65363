"""The alpha-fair family over query rates, with its two famous members: proportional (1) and max-min (infinite)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import fsum, inf, sqrt

from layerlift.emulator.kernel.water_filling import fill
from layerlift.emulator.policies.allocation import LEAST, Capacity, Claim, Grant, PolicyBase, PolicyError
from layerlift.emulator.policies.arrival import no_memory


class AlphaFair(PolicyBase):
    """CPU and link so that the sum of weight * U_alpha(queries per second) is as large as each of them allows.

    U_alpha(x) = x^(1 - alpha) / (1 - alpha), and log x for alpha = 1. A user whose query costs c of a resource has a
    weight there in proportion to c * (weight / c)^(1/alpha): c^(1 - 1/alpha) for users of equal weight. Nobody can use
    more than its own demand of c / period; what it leaves goes to the others by the same weights, which is the optimum
    under those demands. CPU and link are each optimised as if the other were no bottleneck.

    Memory is filled like water up to what each wants, with weights weight^(1/alpha): the same optimum over bytes.
    The larger alpha, the more it cares for those who have least, and the less for weights.
    """

    starves = False

    def __init__(self, alpha: float = 2.0) -> None:
        if not alpha > 0.0:
            raise PolicyError(
                f"policy alpha_fair: alpha={alpha} was given, expected more than 0 (1 is proportional, inf is max_min)"
            )
        self.alpha = alpha

    @classmethod
    def cite(cls) -> str:
        """The source of the rule."""
        return "Mo, Walrand, IEEE/ACM ToN 8(5):556, 2000, doi:10.1109/90.879343"

    def divide(self, capacity: Capacity, claims: Sequence[Claim], before: Mapping[int, Grant]) -> list[Grant]:
        """See `PolicyBase.divide`."""
        weights = [claim.weight for claim in claims]
        wanted = [claim.memory_bytes for claim in claims]
        quotas = fill(capacity.memory_bytes, pulls([1.0] * len(claims), weights, self.alpha), wanted)
        cpu = _parts(pulls([claim.work_s for claim in claims], weights, self.alpha))
        link = _parts(pulls([claim.link_bytes for claim in claims], weights, self.alpha))
        return [
            Grant(
                memory_bytes=inf if capacity.memory_bytes == inf else quotas[n],
                cpu=capacity.cores * cpu[n],
                link=link[n],
                reason=no_memory(capacity) if claim.memory_bytes > 0.0 >= quotas[n] else "",
            )
            for n, claim in enumerate(claims)
        ]


class Proportional(AlphaFair):
    """Proportional fairness (alpha = 1): the product of all query rates is largest.

    CPU and link by weight, whatever a query costs: among users of equal weight an equal split of what they compete for.
    Memory is filled like water by weight.
    """

    def __init__(self) -> None:
        super().__init__(1.0)

    @classmethod
    def cite(cls) -> str:
        """The source of the rule."""
        return "Kelly, Maulloo, Tan, J. Oper. Res. Soc. 49(3):237, 1998, doi:10.1057/palgrave.jors.2600523"


class MaxMin(AlphaFair):
    """Max-min fairness (alpha infinite): nobody's query rate can grow but at the cost of one that is no higher.

    Memory is filled like water up to what each wants. Weights do not count: use `proportional` or `priority`.
    """

    def __init__(self) -> None:
        super().__init__(inf)

    @classmethod
    def cite(cls) -> str:
        """The source of the rule."""
        return "Bertsekas, Gallager, Data Networks (2nd ed., 1992), section 6.5.2"


def pulls(costs: Sequence[float], weights: Sequence[float], alpha: float) -> list[float]:
    """Weights by which a resource is alpha-fair over rates, when one unit of rate costs so much; the scale is free.

    Powers may differ in the last bits between processors, so they are rounded to 9 significant digits: what is made
    with them, and with that the run's digest, then is the same everywhere. The usual alphas need no powers.
    """
    if alpha == 1.0:
        return [weight if cost > 0.0 else 0.0 for cost, weight in zip(costs, weights, strict=True)]
    if alpha == inf:
        return list(costs)
    if alpha == 2.0:
        return [sqrt(cost * weight) for cost, weight in zip(costs, weights, strict=True)]
    ratios = [weight / cost if cost > 0.0 else 0.0 for cost, weight in zip(costs, weights, strict=True)]
    most = max(ratios, default=0.0) or 1.0
    return [cost * float(f"{(ratio / most) ** (1.0 / alpha):.9g}") for cost, ratio in zip(costs, ratios, strict=True)]


def _parts(weights: Sequence[float]) -> list[float]:
    """Parts of one, in proportion; equal when nobody wants anything, and never less than `LEAST`."""
    total = fsum(weights)
    if total <= 0.0:
        return [1.0 / len(weights)] * len(weights)
    return [max(LEAST, weight / total) for weight in weights]

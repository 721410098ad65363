"""What a problem says of the others: who is at the servers, how often people ask, and how old that is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from layerlift.models.errors import PlanError
from layerlift.planners.problem.arrays import Floats
from layerlift.planners.problem.media_news import MediaNews


@dataclass(frozen=True, slots=True)
class Asking:
    """How often a user asks. Either by the clock (`per_s`), or some time after each answer (`think_s`)."""

    per_s: float | None = None
    """Questions a second, on average; None: the next one comes `think_s` after an answer."""
    think_s: float = 0.0
    """Mean pause between an answer and the next question, where `per_s` is None."""
    in_flight: int = 1
    """Queries that may be under way at once; further questions wait."""
    variation: float = 1.0
    """Squared coefficient of variation of the gaps between questions: 0 regular, 1 at random."""

    def __post_init__(self) -> None:
        if not ((self.per_s is None or 0.0 <= self.per_s < np.inf) and 0.0 <= self.think_s < np.inf):
            raise PlanError(
                f"a user asks {self.per_s} a second and thinks {self.think_s} s, expected finite numbers >= 0"
            )
        if self.in_flight < 1 or not 0.0 <= self.variation < np.inf:
            raise PlanError(
                f"a user has {self.in_flight} queries in flight, gaps vary by {self.variation}, expected >= 1 and >= 0"
            )


@dataclass(frozen=True, eq=False)
class CrowdNews:
    """What is known of the others when a user is planned, and the user's own number and habit.

    Arrays have shape (N,), as the problem's nodes; the client's entry is 0. What a server says of itself is as old as
    `age_s`: it came with its answer to hello, or with its last heartbeat where there are some.
    """

    user: int
    """The user's number in the world: what tells equal users apart."""
    asking: Asking
    uplink_bytes_s: Floats
    """What each node can send to all together; infinite where nobody said. The client's entry is its own."""
    downlink_bytes_s: Floats
    """What each node can receive from all together."""
    age_s: Floats
    """Seconds since each server said the rest; infinite where it has said nothing."""
    users: Floats
    """Users whose plans want something of each server."""
    promised_bytes: Floats
    """Bytes of parameters that those plans want to keep there."""
    plans: Floats
    """Plans that have come to each server in the last seconds."""
    asks_per_s: Floats
    """Questions a second of its users together, by what they say of themselves."""
    work: Floats
    """Core-seconds a second that those questions cost it, by the plans."""
    received_bytes_s: Floats
    """What each server has received over the last seconds; over `downlink_bytes_s` it is the link's use."""
    sent_bytes_s: Floats
    media: MediaNews | None = None
    """What is known of the shared media; None where there are none."""

    def __post_init__(self) -> None:
        for name, array in self.arrays().items():
            if array.shape != self.age_s.shape or bool(np.isnan(array).any()) or bool((array < 0.0).any()):
                raise PlanError(
                    f"problem.crowd.{name} is {array.tolist()}, expected {len(self.age_s)} numbers of at least 0"
                )
            array.setflags(write=False)
        if self.media is not None and self.media.crosses.shape[1] != len(self.age_s):
            raise PlanError(
                f"problem.crowd.media knows {self.media.crosses.shape[1]} nodes, expected the problem's "
                f"{len(self.age_s)}"
            )

    @property
    def uplink_use(self) -> Floats:
        """Share of each node's uplink that was in use over the last seconds, shape (N,)."""
        used: Floats = self.sent_bytes_s / self.uplink_bytes_s
        return used

    @property
    def downlink_use(self) -> Floats:
        """Share of each node's downlink that was in use over the last seconds, shape (N,)."""
        used: Floats = self.received_bytes_s / self.downlink_bytes_s
        return used

    def arrays(self) -> dict[str, Floats]:
        """The arrays by name; their order is part of a problem's digest."""
        return {
            "uplink_bytes_s": self.uplink_bytes_s,
            "downlink_bytes_s": self.downlink_bytes_s,
            "age_s": self.age_s,
            "users": self.users,
            "promised_bytes": self.promised_bytes,
            "plans": self.plans,
            "asks_per_s": self.asks_per_s,
            "work": self.work,
            "received_bytes_s": self.received_bytes_s,
            "sent_bytes_s": self.sent_bytes_s,
        }

    def __setstate__(self, state: dict[str, object]) -> None:
        """Come out of a pickle as read-only as before."""
        self.__dict__.update(state)
        for array in self.arrays().values():
            array.setflags(write=False)

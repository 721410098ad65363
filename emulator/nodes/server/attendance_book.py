"""What a server knows of its crowd: whose plans want something of it, how often they ask, what its links carry."""

from __future__ import annotations

from typing import Final

from layerlift.emulator.nodes.ports import HostPort
from layerlift.emulator.protocol.messages import Attendance, ClaimRequest
from layerlift.models.sums import int_sum, left_sum

SPAN_S: Final = 5.0
"""What "the last seconds" are."""


class Recent:
    """How much has come within about the last `SPAN_S` seconds.

    Kept as two sums, of the span under way and the one before it; of the latter the part counts that is not older,
    as if it had come evenly.
    """

    __slots__ = ("_before", "_began_s", "_now")

    def __init__(self) -> None:
        self._began_s = self._before = self._now = 0.0

    def add(self, at_s: float, amount: float) -> None:
        """Count an amount; instants do not fall."""
        self._turn(at_s)
        self._now += amount

    def amount(self, at_s: float) -> float:
        """What has come in the last `SPAN_S` seconds."""
        self._turn(at_s)
        return self._now + self._before * (1.0 - (at_s - self._began_s) / SPAN_S)

    def _turn(self, at_s: float) -> None:
        spans = (at_s - self._began_s) // SPAN_S
        if spans >= 1.0:
            self._before = self._now if spans == 1.0 else 0.0
            self._now = 0.0
            # The product may be rounded beyond the instant itself, and nothing is younger than now.
            self._began_s = min(at_s, self._began_s + spans * SPAN_S)


class AttendanceBook:
    """Belongs to one server of a world in which a planner wants to know the crowd."""

    __slots__ = ("_claims", "_host", "_plans", "_received", "_sent")

    def __init__(self, host: HostPort) -> None:
        self._host = host
        self._claims: dict[int, ClaimRequest] = {}
        self._plans, self._received, self._sent = Recent(), Recent(), Recent()

    def claim(self, message: ClaimRequest, at_s: float) -> None:
        """A user's plan wants these layers here, or none any more."""
        known = self._claims.get(message.user)
        if not message.layers:
            self._claims.pop(message.user, None)
            return
        if known is None or known.layers != message.layers:
            self._plans.add(at_s, 1.0)
        self._claims[message.user] = message

    def leave(self, user: int) -> None:
        """A user is gone."""
        self._claims.pop(user, None)

    def clear(self) -> None:
        """The server has crashed: nobody is there."""
        self._claims.clear()

    def received(self, at_s: float, size: int) -> None:
        """So many bytes have come."""
        self._received.add(at_s, size)

    def sent(self, at_s: float, size: int) -> None:
        """So many bytes have been sent off."""
        self._sent.add(at_s, size)

    def read(self, at_s: float) -> Attendance:
        """Everything as of now."""
        claims = [self._claims[user] for user in sorted(self._claims)]
        rates = [self._per_s(claim) for claim in claims]
        return Attendance(
            at_s=at_s,
            users=len(claims),
            promised_bytes=int_sum(self._host.model_of(claim.user).graph.held_bytes(claim.layers) for claim in claims),
            plans=self._plans.amount(at_s),
            asks_per_s=left_sum(rates),
            work=left_sum(rate * claim.work_s for rate, claim in zip(rates, claims, strict=True)),
            received_bytes_s=self._received.amount(at_s) / SPAN_S,
            sent_bytes_s=self._sent.amount(at_s) / SPAN_S,
        )

    def _per_s(self, claim: ClaimRequest) -> float:
        """Questions a second: by the clock, or as answers come when the user is alone."""
        per_s = self._host.world.users[claim.user].asking.per_s
        return 1.0 / claim.period_s if per_s is None else per_s

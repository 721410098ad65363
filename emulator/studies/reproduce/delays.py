"""What a run's queries tell about the delay at any time of the upload: the latency of a query begun then."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any, Final

from layerlift.emulator.results.reader import RunResult
from layerlift.emulator.studies.reproduce.steps import Steps
from layerlift.models.errors import RunError

Seen = tuple[float, float]
"""When a query began, and its latency."""

_MORE: Final = ("begun_s", "ended_s", "latency_s", "sent_bytes", "received_bytes")


@dataclass(slots=True)
class ClientDelays:
    """One user of a run. Times are in seconds since the first part of any user was sent.

    Its *state* is the number of its parts that are confirmed: queries read it once, when they begin.
    """

    user: str
    changes_s: tuple[float, ...]
    """When each part was confirmed, ascending: state k begins at `changes_s[k - 1]`."""
    parts: tuple[tuple[str, int, int], ...]
    """Server, layers and bytes of each part, in the order of `changes_s`."""
    seen: dict[int, list[Seen]]
    """Answered queries by their state, as they began."""
    answered_s: tuple[float, ...]
    """When queries were answered, ascending."""
    carried_bytes: int = 0
    """What its queries sent and received while its parts were uploaded."""

    @property
    def ended_s(self) -> float:
        """When the last part was confirmed; 0 without parts."""
        return self.changes_s[-1] if self.changes_s else 0.0

    def window(self, state: int) -> tuple[float, float]:
        """From when to when the user is in a state."""
        return (self.changes_s[state - 1] if state else -inf, (*self.changes_s, inf)[state])

    def unseen(self) -> list[int]:
        """States in which no query began, the longest first."""
        states = [state for state in range(len(self.changes_s) + 1) if state not in self.seen]
        return sorted(states, key=lambda state: self.window(state)[0] - self.window(state)[1])

    def delay(self) -> Steps:
        """The latency of a query begun at any time.

        Between two queries begun in one state it is the earlier one's, and the first one's from the state's beginning
        on. In a state that is unseen, nobody knows: it is taken to be that of the next state that is seen.
        """
        return Steps.of(self._changes())

    def _changes(self) -> Iterator[Seen]:
        for state in range(len(self.changes_s) + 1):
            begins_s = self.window(state)[0]
            known = next((self.seen[k] for k in range(state, len(self.changes_s) + 1) if k in self.seen), None)
            if known is None:
                raise RunError(f"{self.user} asked no query after its upload: let the run be longer")
            yield begins_s, known[0][1]
            if state in self.seen:
                yield from ((begun_s, latency_s) for begun_s, latency_s in known if begun_s > begins_s)


@dataclass(frozen=True, slots=True)
class Delays:
    """All users of a run."""

    began_s: float
    """Virtual time of the first part sent."""
    clients: tuple[ClientDelays, ...]
    complete: bool
    """Whether all parts of all users were confirmed."""
    notes: tuple[str, ...]
    placements: tuple[str, ...]
    digest: str

    @property
    def ended_s(self) -> float:
        """When the last user's last part was confirmed."""
        return max(client.ended_s for client in self.clients)

    def answered_by(self, until_s: float) -> int:
        """How many queries were answered after the upload began, up to `until_s`."""
        return sum(bisect_right(c.answered_s, until_s) - bisect_right(c.answered_s, 0.0) for c in self.clients)

    def answered(self, number: int) -> float | None:
        """When the `number`-th query since the upload began was answered; None: not in this run."""
        times = sorted(at for client in self.clients for at in client.answered_s if at > 0.0)
        return times[number - 1] if 0 < number <= len(times) else None


def sight(result: RunResult) -> Delays:
    """Read a run whose users all had one plan. Raises `RunError` for a user whose planning failed or has not ended."""
    users = [user["name"] for user in result.run["world"]["users"]]
    plans = {row["user"]: row for row in result.plans.to_pylist()}
    for user in users:
        if user not in plans:
            raise RunError(f"{user} has no plan yet at the end of the run")
        if plans[user]["status"] != "accepted":
            raise RunError(f"planner {plans[user]['planner']} failed for {user}: {plans[user]['reason']}")
    uploads = result.uploads.to_pylist()
    began_s = min((row["sent_s"] for row in uploads), default=max(plan["at_s"] for plan in plans.values()))
    rows = result.queries.select(["user", "status", "confirmed_parts", *_MORE]).to_pylist()
    clients = tuple(
        _client(user, began_s, [r for r in uploads if r["user"] == user], [r for r in rows if r["user"] == user])
        for user in users
    )
    return Delays(
        began_s,
        clients,
        all(len(client.parts) == plans[client.user]["parts"] for client in clients),
        tuple(dict.fromkeys(plans[user]["note"] for user in users)),
        tuple(plans[user]["placement"] for user in users),
        result.digest,
    )


def _client(
    user: str, began_s: float, uploads: list[Mapping[str, Any]], queries: list[Mapping[str, Any]]
) -> ClientDelays:
    confirmed = sorted((row for row in uploads if row["status"] == "confirmed"), key=lambda row: row["ended_s"])
    seen: dict[int, list[Seen]] = {}
    answered = [row for row in queries if row["status"] == "answered"]
    for row in answered:
        seen.setdefault(row["confirmed_parts"], []).append((row["begun_s"] - began_s, row["latency_s"]))
    changes_s = tuple(row["ended_s"] - began_s for row in confirmed)
    during = [row for row in answered if 0.0 <= row["begun_s"] - began_s < (changes_s[-1] if changes_s else 0.0)]
    return ClientDelays(
        user,
        changes_s,
        tuple((row["server"], row["layers"], row["bytes"]) for row in confirmed),
        seen,
        tuple(row["ended_s"] - began_s for row in answered),
        sum(row["sent_bytes"] + row["received_bytes"] for row in during),
    )

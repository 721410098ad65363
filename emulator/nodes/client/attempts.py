"""Sendings of parts that have had no answer yet: what each was, who waits for it, and the row that tells its end."""

from __future__ import annotations

from math import inf
from typing import Final, Literal, NamedTuple

from layerlift.emulator.kernel.clock import Signal
from layerlift.emulator.nodes.ports import Uploading
from layerlift.emulator.results.rows import UploadRow, UploadStatus


class Attempt(NamedTuple):
    """One sending of a part."""

    attempt: int
    server: int
    sequence: int
    sent_s: float
    layers: int
    size: int
    copied_from: int
    """Node index of the server that sends the part; -1: the client does."""


class Outcome(NamedTuple):
    """What became of an attempt."""

    what: Literal["confirmed", "refused", "gone", "failed", "lost", "moved"]
    """`gone`: refused, because parameters that it was to share have left. `moved`: it is for another server now."""
    reason: str = ""
    wasted_bytes: int = 0


MOVED: Final = Outcome("moved")

_STATUS: Final[dict[str, UploadStatus]] = {
    "confirmed": "confirmed", "refused": "refused", "gone": "refused", "failed": "failed", "lost": "lost",
}  # fmt: skip
"""What the table `uploads` calls each outcome; an attempt whose part has moved was reported as cancelled already."""


class Attempts:
    """The open attempts of one client, at most one for each part of the plan in force."""

    __slots__ = ("_client", "_signals", "open")

    def __init__(self, client: Uploading) -> None:
        self._client = client
        self._signals: dict[tuple[int, int, int], Signal] = {}
        self.open: dict[int, Attempt] = {}
        """By part."""

    async def outcome(self, version: int, part: int) -> Outcome:
        """What becomes of a part's open attempt; `lost` when there is no confirm result in time."""
        tried = self.open[part]
        key = version, part, tried.attempt
        signal = self._signals[key] = self._client.signal()
        timeout_s = self._client.user.cr_timeout_s
        if timeout_s < inf:
            late = Outcome("lost", "no confirm result in time", tried.size)
            self._client.call_at(self._client.kernel.now + timeout_s, signal.set, late)
        outcome: Outcome = await signal
        self._signals.pop(key, None)
        return outcome

    def answer(self, version: int, part: int, attempt: int, outcome: Outcome) -> None:
        """Tell whoever waits for an attempt what became of it; a late answer finds nobody."""
        signal = self._signals.pop((version, part, attempt), None)
        if signal is not None:
            signal.set(outcome)

    def ended(self, version: int, part: int, tried: Attempt, outcome: Outcome) -> None:
        """Report an attempt that has come to an end by itself."""
        self.report(version, part, tried, _STATUS[outcome.what], outcome.reason, outcome.wasted_bytes)

    def report(
        self, version: int, part: int, tried: Attempt, status: UploadStatus, reason: str, wasted_bytes: int
    ) -> None:
        """Write the row of an attempt."""
        client = self._client
        names = client.host.world.nodes
        client.row(
            UploadRow(
                at_s=client.kernel.now,
                client=client.name,
                user=client.user.name,
                plan_version=version,
                part=part,
                attempt=tried.attempt,
                server=names[tried.server].name,
                layers=tried.layers,
                bytes=tried.size,
                sent_s=tried.sent_s,
                ended_s=client.kernel.now,
                status=status,
                reason=reason,
                wasted_bytes=wasted_bytes,
                source=client.name if tried.copied_from < 0 else names[tried.copied_from].name,
            )
        )

"""Sendings of parts that have had no answer yet: what each was, who waits for it, and the row that tells its end."""

from __future__ import annotations

from math import inf
from typing import Final, Literal, NamedTuple

from layerlift.emulator.kernel.clock import Signal
from layerlift.emulator.nodes.ports import HostPort, Uploading
from layerlift.emulator.protocol.messages import Confirm, RoomRequest, RoomReturn, UploadPart
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
    asked: bool = False
    """Whether room was asked for first. Until the answer has come nothing is sent, and `sequence` is negative."""

    @property
    def sent_bytes(self) -> int:
        """What has been sent of it."""
        return self.size if self.sequence >= 0 else 0


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


def refuses(host: HostPort, server: int) -> bool:
    """Whether a server (node index) may ever refuse a part: its memory has an end, or its policy chooses."""
    return host.world.nodes[server].memory_bytes < inf or host.claims(server)


class Attempts:
    """The open attempts of one client, at most one for each part of the plan in force."""

    __slots__ = ("_asked", "_client", "_signals", "open")

    def __init__(self, client: Uploading) -> None:
        self._client = client
        self._signals: dict[tuple[int, int, int], Signal] = {}
        self.open: dict[int, Attempt] = {}
        """By part."""
        self._asked: dict[int, UploadPart] = {}
        """By part: what is to be sent when there is room for it."""

    def send(self, message: UploadPart, server: int, layers: int, size: int) -> None:
        """Let a part leave for a server (node index); whoever does not leave out what is refused asks for room first.

        Asking costs a header and a round trip, and parts that there is no room for do not travel in vain.
        """
        client, header = self._client, self._client.host.world.header_bytes
        asked = client.user.on_refusal != "skip" and refuses(client.host, server)
        if asked:
            client.send(server, header, RoomRequest(message))
            self._asked[message.part] = message
        sequence = -1 if asked else client.send(server, size + header, message)
        self.open[message.part] = Attempt(message.attempt, server, sequence, client.kernel.now, layers, size, -1, asked)

    def go_ahead(self, version: int, part: int, attempt: int) -> None:
        """There is room for a part: it leaves now, if it is still wanted."""
        client, tried, message = self._client, self.open.get(part), self._asked.get(part)
        if tried is None or message is None or (message.version, message.attempt) != (version, attempt):
            return
        del self._asked[part]
        sequence = client.send(tried.server, tried.size + client.host.world.header_bytes, message)
        self.open[part] = tried._replace(sequence=sequence, sent_s=client.kernel.now)

    def clear(self) -> None:
        """Nothing is under way any more. Servers free what they have promised when they hear of another plan."""
        self.open.clear()
        self._asked.clear()

    def give_back(self, version: int, part: int, tried: Attempt) -> None:
        """Tell the server that the room which an attempt has asked for is not wanted by it any more."""
        self._asked.pop(part, None)
        if tried.asked:
            returned = RoomReturn(self._client.user.index, version, part, tried.attempt)
            self._client.send(tried.server, self._client.host.world.header_bytes, returned)

    async def outcome(self, version: int, part: int) -> Outcome:
        """What becomes of a part's open attempt; `lost` when there is no confirm result in time."""
        tried = self.open[part]
        key = version, part, tried.attempt
        signal = self._signals[key] = self._client.signal()
        timeout_s = self._client.user.cr_timeout_s
        if timeout_s < inf:
            self._client.call_at(self._client.kernel.now + timeout_s, self._late, (part, tried.attempt, signal))
        outcome: Outcome = await signal
        self._signals.pop(key, None)
        return outcome

    def _late(self, waited: tuple[int, int, Signal]) -> None:
        part, attempt, signal = waited
        tried = self.open.get(part)
        wasted = tried.sent_bytes if tried is not None and tried.attempt == attempt else 0
        signal.set(Outcome("lost", "no confirm result in time", wasted))

    def answer(self, version: int, part: int, attempt: int, outcome: Outcome) -> None:
        """Tell whoever waits for an attempt what became of it; a late answer finds nobody."""
        signal = self._signals.pop((version, part, attempt), None)
        if signal is not None:
            signal.set(outcome)

    def outcome_of(self, message: Confirm) -> Outcome:
        """What a confirm result makes of the attempt that it is about."""
        if message.verdict == "stored":
            return Outcome("confirmed")
        if message.verdict == "failed":
            return Outcome("failed", message.reason, message.wasted_bytes)
        # What had been sent has got there, and nothing of it was kept.
        tried = self.open.get(message.part)
        wasted = tried.sent_bytes if tried is not None else 0
        return Outcome("gone" if message.verdict == "gone" else "refused", message.reason, wasted)

    def ended(self, version: int, part: int, tried: Attempt, outcome: Outcome) -> None:
        """Report an attempt that has come to an end by itself."""
        if outcome.what in ("failed", "lost"):
            self.give_back(version, part, tried)
        self._asked.pop(part, None)
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

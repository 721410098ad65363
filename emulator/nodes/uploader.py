"""The upload thread: parts (P3) go out one by one, or one per server at a time, each until its confirm result."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from emulator.kernel import Signal
from emulator.messages import Cancel, Confirm, PlanReply, UploadPart
from planners.plan import Upload

if TYPE_CHECKING:
    from emulator.nodes.client import Client


class Uploader:
    """Belongs to one client. Knows the plan in force and what of it is confirmed."""

    __slots__ = (
        "_awaited", "_client", "_confirmed", "_held", "_open", "_placement", "_replans", "_signals", "_stopped",
        "confirmed_parts", "servers", "version",
    )  # fmt: skip

    def __init__(self, client: Client) -> None:
        self._client = client
        self._placement: tuple[int, ...] = ()
        self._confirmed: set[tuple[int, int]] = set()
        self._held: dict[int, set[int]] = {}
        self._signals: dict[tuple[int, int, int], Signal] = {}
        self._open: dict[tuple[int, int], tuple[int, int, int, float, int, int]] = {}
        self._stopped = False
        self._awaited = self._replans = 0
        self.version = self.confirmed_parts = 0
        self.servers: set[int] = set()
        """Node indices of the servers that were ever sent a part."""

    def placement(self, layers: int) -> tuple[int, ...]:
        """Where each layer of the next query runs: as planned where confirmed, otherwise on the client (0)."""
        if not self._placement or self.confirmed_parts < self._awaited:
            return (0,) * layers
        return tuple(
            server if (server, layer) in self._confirmed else 0 for layer, server in enumerate(self._placement)
        )

    def follow(self, plan: PlanReply) -> None:
        """Take up a plan. Layers that an earlier plan has put on the same server need not travel again."""
        self.stop("new plan")
        self._stopped = False
        self.version, self._placement = plan.version, plan.placement
        self.confirmed_parts = 0
        self._awaited = len(plan.uploads) if plan.whole else 0
        parts = list(enumerate(plan.uploads))
        if self._client.user.uploads_at_once == "one":
            self._client.spawn(self._run(plan.version, parts))
            return
        for server in sorted({upload.server for upload in plan.uploads}):
            mine = [(number, upload) for number, upload in parts if upload.server == server]
            self._client.spawn(self._run(plan.version, mine))

    def stop(self, reason: str) -> None:
        """Give up what is under way: transfers are cancelled, and each open part is reported with `reason`."""
        self._stopped = True
        for (_, part), (attempt, server, sequence, sent_s, layers, size) in sorted(self._open.items()):
            self._client.send(server, 0, Cancel(sequence))
            self._report(part, attempt, server, layers, size, sent_s, "cancelled", reason)
        self._open.clear()

    def confirm(self, message: Confirm) -> None:
        """Hand a confirm result to the part that waits for it; a late one finds nobody."""
        signal = self._signals.pop((message.version, message.part, message.attempt), None)
        if signal is not None:
            signal.set(message.reason or "confirmed")

    async def _run(self, version: int, parts: list[tuple[int, Upload]]) -> None:
        for number, upload in parts:
            if not await self._upload(version, number, upload):
                return

    async def _upload(self, version: int, part: int, upload: Upload) -> bool:
        """Send one part until it is confirmed, given up or the plan is stopped; False stops the thread."""
        client, user = self._client, self._client.user
        world = client.host.world
        server = world.servers[upload.server - 1]
        graph = client.host.model_of(user.index).graph
        held = self._held.setdefault(server, set())
        parameters = tuple(sorted(graph.parameters_of(upload.layers) - held))
        size = sum(graph.parameters[p].upload_bytes for p in parameters)
        for attempt in range(1, user.retries + 2):
            if self._stopped or version != self.version:
                return False
            sent_s = client.kernel.now
            message = UploadPart(user.index, version, part, attempt, upload.layers, parameters)
            sequence = client.send(server, size + world.header_bytes, message)
            self.servers.add(server)
            self._open[version, part] = (attempt, server, sequence, sent_s, len(upload.layers), size)
            answer = await self._answer(version, part, attempt)
            if self._open.pop((version, part), None) is None:
                return False
            status = {"confirmed": "confirmed", "": "lost"}.get(answer, "refused")
            reason = "" if status == "confirmed" else answer or "no confirm result in time"
            self._report(part, attempt, server, len(upload.layers), size, sent_s, status, reason)
            if status == "confirmed":
                held.update(parameters)
                self._confirmed.update((upload.server, layer) for layer in upload.layers)
                self.confirmed_parts += 1
                client.changed()
                return True
            if status == "refused":
                if user.on_refusal == "replan" and self._replans < user.retries:
                    self._replans += 1
                    client.replan()
                    return False
                if user.on_refusal != "wait":
                    return True
                await client.sleep(user.retry_wait_s)
        return True

    async def _answer(self, version: int, part: int, attempt: int) -> str:
        """The confirm result: `confirmed`, a reason, or nothing when it is late."""
        signal = self._signals[version, part, attempt] = self._client.signal()
        timeout_s = self._client.user.cr_timeout_s
        if timeout_s < inf:
            self._client.call_at(self._client.kernel.now + timeout_s, signal.set, "")
        answer: str = await signal
        self._signals.pop((version, part, attempt), None)
        return answer

    def _report(
        self, part: int, attempt: int, server: int, layers: int, size: int, sent_s: float, status: str, reason: str
    ) -> None:
        client = self._client
        name = client.host.world.nodes[server].name
        client.row(
            "uploads", client.user.name, self.version, part, attempt, name, layers, size, sent_s, client.kernel.now,
            status, reason,
        )  # fmt: skip

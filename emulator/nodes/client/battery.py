"""A client's battery: what its clock, its CPU and its radio have drawn, and the moment at which nothing is left.

The CPU is the client's own; how long the radio was on, only the network knows. So the client asks its meter as often
as it must: never before the charge could be gone at full power, and to the hundredth of a second at the end.
"""

from __future__ import annotations

from layerlift.emulator.nodes.ports import Powered
from layerlift.emulator.protocol.messages import Meter, ReadMeter

_STEP_S = 0.01
"""The end of a battery is found to this, in seconds at full power."""


class Battery:
    """Charged with `battery_j` when its user arrives. Watts and joules are those of the client's `NodeSpec`.

    It never gives more than it holds, whether its user is there or has left: the last reading comes before that could
    be, even at full power.
    """

    __slots__ = ("_began_s", "_busy_s", "_client", "_empty", "_radio_s", "charge_j")

    def __init__(self, client: Powered, charge_j: float) -> None:
        self._client, self.charge_j = client, charge_j
        self._began_s = client.kernel.now
        self._busy_s = client.busy_s(self._began_s)
        self._radio_s = 0.0
        self._empty = False

    def left_j(self) -> float:
        """What is left now, as far as the last reading of the meter tells; not below 0."""
        client, now = self._client, self._client.kernel.now
        spec = client.spec
        drawn = spec.idle_w * (now - self._began_s) + spec.compute_w * (client.busy_s(now) - self._busy_s)
        return max(0.0, self.charge_j - drawn - spec.radio_w * self._radio_s)

    def meter(self, message: Meter) -> None:
        """Take a reading; the battery is empty, or is looked at again when it could be."""
        self._radio_s = message.radio_s
        if not self._empty:
            self.watch()

    def watch(self) -> None:
        """Have the meter read before the charge could be gone at full power; if that is too soon, it is gone."""
        client, spec = self._client, self._client.spec
        full_w = spec.idle_w + spec.compute_w * spec.cores + spec.radio_w
        if full_w <= 0.0:
            return
        left_s, reading_s = self.left_j() / full_w, client.host.world.lookahead_s
        if left_s <= max(_STEP_S, reading_s):
            self._empty = True
            client.die()
        else:
            client.call_at(client.kernel.now + left_s - reading_s, self._read)

    def _read(self, _: object) -> None:
        self._client.send(self._client.host.world.planner, 0, ReadMeter())

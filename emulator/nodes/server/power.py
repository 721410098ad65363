"""A server that is switched on and off: it starts, serves, closes, and tells its users and whoever decides."""

from __future__ import annotations

from typing import Protocol

from layerlift.emulator.nodes.ports import Living
from layerlift.emulator.protocol.messages import Closing, Opened, PowerState, Switch, Use
from layerlift.emulator.results.rows import ChangeKind
from layerlift.emulator.world.scaling import Scaling


class Switched(Living, Protocol):
    """What the power asks of its server."""

    @property
    def index(self) -> int:
        """Its number in the world."""
        ...

    @property
    def alive(self) -> bool:
        """Whether it has not crashed."""
        ...

    def busy_s(self, until: float) -> float:
        """Core-seconds of work that the CPU has done up to a moment."""
        ...

    def switch(self, on: bool) -> None:
        """Draw power, or do not."""
        ...

    def change(self, kind: ChangeKind, note: str = "") -> None:
        """Report something that happened to it."""
        ...

    def guests(self) -> list[int]:
        """Users who have something there or were promised room, ascending."""
        ...

    def empty(self, reason: str) -> None:
        """Let go of everything; users are told as when a policy takes memory back."""
        ...


class Power:
    """Belongs to one server of a group that is scaled. What it is to be comes by message from the planner's place.

    A crash does not change what it is to be: a server that comes back is on, and empty, if it was on.
    """

    __slots__ = ("_busy_s", "_scaling", "_server", "_told_s", "_turned_away", "state")

    def __init__(self, server: Switched, scaling: Scaling) -> None:
        self._server, self._scaling = server, scaling
        self.state: PowerState = "on" if server.index in scaling.servers[: scaling.least] else "off"
        self._busy_s = self._told_s = 0.0
        self._turned_away: set[int] = set()
        """Users who have asked while it took nothing."""
        server.call_at(scaling.check_s, self._beat, 1)

    @property
    def drawing(self) -> bool:
        """Whether the machine draws power, unless it has crashed."""
        return self.state != "off"

    @property
    def refusal(self) -> str | None:
        """Why no part may come now, in words; None when it may."""
        return None if self.state == "on" else f"{self._server.spec.name} is {self.state}"

    def turn_away(self, user: int) -> None:
        """A user has asked in vain, and will be told when it is worth asking again."""
        self._turned_away.add(user)

    def leave(self, user: int) -> None:
        """A user is gone."""
        self._turned_away.discard(user)

    def order(self, message: Switch) -> None:
        """Start, or close; an order that says what is being done already changes nothing."""
        server, now = self._server, self._server.kernel.now
        if message.on and self.state == "off":
            self._become("starting", f"use {message.use:.3f}")
            server.switch(on=True)
            server.call_at(now + self._scaling.start_s, self._started)
        elif not message.on and self.state == "on":
            self._become("closing", f"use {message.use:.3f}")
            for user in server.guests():
                server.send(server.host.client_of(user), server.host.world.header_bytes, Closing(server.index))
            server.call_at(now + self._scaling.stop_s, self._stopped)

    def _started(self, _: object) -> None:
        server = self._server
        self._become("on")
        self._busy_s, self._told_s = server.busy_s(server.kernel.now), server.kernel.now
        self._tell()
        if server.alive:
            for user in sorted(self._turned_away):
                server.send(server.host.client_of(user), server.host.world.header_bytes, Opened(server.index))
            self._turned_away.clear()

    def _stopped(self, _: object) -> None:
        server = self._server
        server.empty(f"{server.spec.name} is switched off")
        self._become("off")
        self._tell()
        server.switch(on=False)

    def _become(self, state: PowerState, note: str = "") -> None:
        self.state = state
        self._server.change(state, note)

    def _beat(self, number: int) -> None:
        if self.state in ("on", "closing"):
            self._tell()
        self._server.call_at((number + 1) * self._scaling.check_s, self._beat, number + 1)

    def _tell(self) -> None:
        """Tell whoever decides; a server that has crashed says nothing."""
        server, now = self._server, self._server.kernel.now
        if not server.alive:
            return
        busy_s = server.busy_s(now)
        use = Use(server.index, self.state, busy_s - self._busy_s, now - self._told_s)
        self._busy_s, self._told_s = busy_s, now
        server.send(server.host.world.planner, server.host.world.header_bytes, use)

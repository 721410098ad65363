"""How many host actors, and where the time plane runs: choices that change nothing but speed."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from typing import Final, Literal

from layerlift.emulator.runtime.host import pack
from layerlift.emulator.world.world import World
from layerlift.models.errors import RunError, quoted

TimePlane = Literal["actors", "local"]

ACTORS_AT_LEAST: Final = 16
ACTORS_PER_CORE: Final = 4
"""An actor is a process of about 60 MB that takes 0.4 s of CPU to start: up to these, each node has its own."""
TIME_PLANE_NODES: Final = 24
"""Above this many nodes one remote call per active host and window costs more than it shows."""


WITHOUT_ADDRESS: Final = "without --address it is done on this machine"
"""What is to be tried where a cluster cannot be joined."""
_REACH_S: Final = 5.0
_SETTINGS: Final = b"\x04"
_HELLO: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0" + _SETTINGS + b"\0\0\0\0\0"
"""How one begins to speak HTTP/2, which gRPC and Ray are spoken over: a frame of settings, answered by another."""


@dataclass(frozen=True, slots=True)
class Placing:
    """A choice, and the reason for it in words."""

    groups: list[list[int]]
    time_plane: TimePlane
    why: str


def place(world: World, actors: str | int = "auto", time_plane: str = "auto", cores: int | None = None) -> Placing:
    """Choose host actors for `world`: `actors` is a number or `auto`, `time_plane` `actors`, `local` or `auto`.

    Raises `RunError` for other values.
    """
    nodes = len(world.nodes)
    number = _number(world, actors, cores or os.cpu_count() or 1)
    if time_plane not in ("auto", "actors", "local"):
        raise RunError(f"time plane is {time_plane!r}, expected auto, actors or local")
    chosen: TimePlane = (
        "local" if time_plane == "local" or (time_plane == "auto" and nodes > TIME_PLANE_NODES) else "actors"
    )
    groups = pack(world, number)
    each = "one per node" if len(groups) == nodes else f"{len(groups)} actor{'s' * (len(groups) > 1)} for {nodes} nodes"
    where = (
        "in the actors"
        if chosen == "actors"
        else f"in the conductor ({nodes} nodes; above {TIME_PLANE_NODES} that is the default)"
        if time_plane == "auto"
        else "in the conductor"
    )
    return Placing(groups, chosen, f"on Ray actors, {each}, time plane {where}")


def _number(world: World, actors: str | int, cores: int) -> int:
    number, nodes = count_of(actors), len(world.nodes)
    return min(nodes, max(ACTORS_AT_LEAST, ACTORS_PER_CORE * cores) if number is None else number)


def count_of(actors: str | int) -> int | None:
    """How many actors are wanted; None: as many as do. Raises `RunError` for what is no number of actors."""
    if actors == "auto":
        return None
    try:
        number = int(actors)
    except (ValueError, TypeError):
        number = 0
    if number < 1:
        raise RunError(f"actors is {quoted(actors)}, expected auto or a whole number of at least 1")
    return number


def reach(address: str) -> None:
    """Raise `RunError` when nobody answers at `host:port` as Ray does; Ray itself would try for minutes."""
    if not isinstance(address, str) or not address.strip():
        raise RunError(f"address is {quoted(address)}, expected auto or HOST:PORT of a Ray cluster")
    host, _, port = address.rpartition("/")[2].rpartition(":")
    if not port.isdigit():
        return
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_REACH_S) as connection:
            if not os.environ.get("RAY_USE_TLS"):
                connection.sendall(_HELLO)
                if connection.recv(4)[3:] != _SETTINGS:
                    raise OSError("what listens there is no Ray")
    except ValueError:  # what encodes names, and what reads numbers, say so
        raise RunError(f"address is {quoted(address)}, which names no machine and port; {WITHOUT_ADDRESS}") from None
    except (OSError, OverflowError) as error:
        why = "nobody answers in time" if isinstance(error, TimeoutError) else error
        raise RunError(f"cannot join Ray at {address}: {why}; {WITHOUT_ADDRESS}") from None

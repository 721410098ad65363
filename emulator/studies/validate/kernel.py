"""The kernel's own links between processes: namespaces of the network, a router between them, and its shapers.

Needs root, `ip` and `tc`. What was made is taken away by a process of its own that waits for this one's end, so that it
is gone however this one ends.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, get_args

from layerlift.emulator.studies.validate.real import Way
from layerlift.models.errors import RunError, sentence

Shape = Literal["fair", "sender", "bbr", "modem"]
SHAPES: Final[tuple[Shape, ...]] = get_args(Shape)
_PACKET_BYTES: Final = 1514
"""What a full packet takes of a link; of them 1448 are somebody's own."""
_BURST_S: Final = 0.0016
"""16 KB at 80 Mbit/s."""
BUFFER_MS: Final = 50
LATENCY_S: Final = 5e-5
"""Of two virtual cables and a router, about."""
_CONGESTION: Final = Path("/proc/sys/net/ipv4/tcp_available_congestion_control")
_CLIENT, _SERVER, _BEFORE_CLIENT, _BEFORE_SERVER = "10.91.1.2", "10.91.2.2", "10.91.1.1", "10.91.2.1"
_TIMEOUT_S: Final = 20.0


@dataclass(frozen=True, slots=True)
class Kind:
    """A kernel's link and what the emulation is told of it."""

    congestion: str
    link: Mapping[str, Any]
    """Fields of a link in a scenario; none: what is measured on it."""
    bound: float
    words: str
    classes: bool = False
    """Whether uploads and queries have a class each."""


KINDS: Final[Mapping[Shape, Kind]] = {
    "fair": Kind("cubic", {"profile": "fair"}, 0.10, "shared fairly by classes (htb)", True),
    "sender": Kind(
        "cubic", {"efficiency": 0.956, "queue_ms": 13.0, "query_weight": 0.83}, 0.10, "shaped at the senders (tbf)"
    ),
    "bbr": Kind("bbr", {"profile": "bbr"}, 0.20, f"shaped by a router with a buffer of {BUFFER_MS} ms (tbf)"),
    # What a message gets behind a buffer that drops its tail hangs on how long it is beside the buffer: on the rate.
    "modem": Kind("cubic", {}, 0.20, f"shaped by a router with a buffer of {BUFFER_MS} ms (tbf)"),
}


def check(shape: Shape) -> None:
    """Raise `RunError` when something is missing that `--kernel` needs."""
    if os.geteuid() != 0:
        raise RunError(
            "--kernel makes namespaces of the network, which only root may: run it with sudo, or leave it out"
        )
    for program in ("ip", "tc"):
        if shutil.which(program) is None:
            raise RunError(
                f"--kernel needs the program {program}, which is not there: install iproute2, or leave it out"
            )
    known = _CONGESTION.read_text(encoding="ascii").split() if _CONGESTION.exists() else []
    if KINDS[shape].congestion not in known:
        raise RunError(
            f"--kernel {shape} needs TCP's congestion control {KINDS[shape].congestion}, which this kernel has not "
            f"loaded (it has {', '.join(known)}): load it, or take another shape"
        )


class Namespaces:
    """A client's network, a router's and the servers', for a `with` block. Raises `RunError` where none can be made."""

    def __init__(self, shape: Shape, bytes_s: float) -> None:
        self._kind, self._shape, self._bytes_s = KINDS[shape], shape, bytes_s
        mark = secrets.token_hex(4)
        self._client, self._router, self._server = (f"ll{mark}{name}" for name in "crs")

    def way(self) -> Way:
        """How processes are connected by it; there is one address for servers."""
        within = tuple(("ip", "netns", "exec", name) for name in (self._client, self._server))
        priorities = (1 << 16 | 1, 1 << 16 | 2) if self._kind.classes else ()
        return Way(self._bytes_s, LATENCY_S, False, (_SERVER,), within, self._kind.congestion, priorities)

    def __enter__(self) -> Namespaces:
        names = (self._client, self._router, self._server)
        # A pipe that ends with this process, whatever ends it: then the namespaces go.
        undo = "; ".join(f"ip netns del {name} 2>/dev/null" for name in names)
        self._sweeper = subprocess.Popen(
            ["sh", "-c", f"cat >/dev/null; {undo}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            for name in names:
                _do("ip", "netns", "add", name)
                self._within(name, "ip", "link", "set", "lo", "up")
            self._cable(self._client, "c0", _CLIENT, "r0", _BEFORE_CLIENT)
            self._cable(self._server, "s0", _SERVER, "r1", _BEFORE_SERVER)
            self._within(self._router, "sysctl", "-qw", "net.ipv4.ip_forward=1")
            self._shape_all()
        except BaseException:
            self._sweep()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sweep()

    def _sweep(self) -> None:
        assert self._sweeper.stdin is not None
        self._sweeper.stdin.close()
        self._sweeper.wait(_TIMEOUT_S)

    def _cable(self, end: str, name: str, address: str, router_name: str, router_address: str) -> None:
        _do("ip", "link", "add", name, "netns", end, "type", "veth", "peer", "name", router_name, "netns", self._router)
        for where, device, own in ((end, name, address), (self._router, router_name, router_address)):
            self._within(where, "ip", "address", "add", f"{own}/24", "dev", device)
            # Packets of the size that a wire has: a shaper with a small burst would have to cut larger ones.
            self._within(where, "ip", "link", "set", device, "gso_max_segs", "1", "up")
        self._within(end, "ip", "route", "add", "default", "via", router_address)

    def _shape_all(self) -> None:
        at_router = self._shape in ("bbr", "modem")
        places = (
            ((self._router, "r1"), (self._router, "r0")) if at_router else ((self._client, "c0"), (self._server, "s0"))
        )
        for where, device in places:
            for command in self._commands(device):
                self._within(where, "tc", *command)

    def _commands(self, device: str) -> list[list[str]]:
        bits = f"{self._bytes_s * 8:.0f}bit"
        # A link saves nothing up while it is idle. A shaper does, and gives it to each query that has computed: no more
        # than it needs, which are two packets, and some ticks of its clock.
        burst = f"{max(2 * _PACKET_BYTES, self._bytes_s * _BURST_S):.0f}"
        if not self._kind.classes:
            limit = f"{max(8000, self._bytes_s * BUFFER_MS / 1e3):.0f}"
            return [["qdisc", "add", "dev", device, "root", "tbf", "rate", bits, "burst", burst, "limit", limit]]
        half = f"{self._bytes_s * 4:.0f}bit"
        made = [
            ["qdisc", "add", "dev", device, "root", "handle", "1:", "htb", "default", "2"],
            ["class", "add", "dev", device, "parent", "1:", "classid", "1:9", "htb", "rate", bits, "burst", burst],
        ]
        for number in ("1:1", "1:2"):
            rates = ["rate", half, "ceil", bits, "burst", burst, "cburst", burst, "quantum", "1514"]
            made.append(["class", "add", "dev", device, "parent", "1:9", "classid", number, "htb", *rates])
        return made

    def _within(self, name: str, *command: str) -> None:
        _do("ip", "netns", "exec", name, *command)


def _do(*command: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RunError(sentence(f"--kernel cannot run {command[0]} ({error}): leave it out")) from None
    if done.returncode:
        said = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        raise RunError(
            sentence(f"--kernel cannot do {' '.join(command)!r} ({said}): leave it out, or run it elsewhere")
        )

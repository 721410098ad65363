"""`layerlift link`: the fields out of what was seen, both ends over loopback, and strangers."""

from __future__ import annotations

import json
import math
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from layerlift.emulator.cli.commands.link import address
from layerlift.emulator.cli.main import main
from layerlift.emulator.scenario.schema.link_sections import LinkSection
from layerlift.emulator.studies.link import wire
from layerlift.emulator.studies.link.estimate import LARGE, SMALL, Seen, cold_size, fields
from layerlift.emulator.studies.link.measuring import Measured, Measurement
from layerlift.emulator.studies.link.server import LinkServer
from layerlift.emulator.studies.link.told import Told
from layerlift.models.errors import RunError

GREETING = struct.Struct("!8s32scI")


def seen_of(bytes_s: float, latency_s: float, queue_s: float, weight: float, slow: bool) -> Seen:
    """What the closed form says of a link, an answer taking one latency."""

    def took(size: int, beside: bool) -> float:
        part = (1 + weight) / weight if beside else 1.0
        return 2 * latency_s + (queue_s if beside else 0.0) + size * part / bytes_s

    size = cold_size(2 * latency_s, bytes_s)
    warm_s = took(size, False)
    cold_s = max(warm_s, 2 * latency_s * math.log2(1 + size / 14480) + latency_s) if slow else warm_s
    return Seen(
        bytes_s, [took(SMALL, False)], [took(LARGE, False)], [took(SMALL, True)], [took(LARGE, True)],
        [warm_s], [cold_s], size,
    )  # fmt: skip


@given(st.floats(1e5, 1e9), st.floats(0.0005, 0.2), st.floats(0.0, 0.4), st.floats(0.05, 20.0), st.booleans())
def test_the_fields_are_those_of_the_closed_form(
    bytes_s: float, latency_s: float, queue_s: float, weight: float, slow: bool
) -> None:
    found = fields(seen_of(bytes_s, latency_s, queue_s, weight, slow))
    assert found.latency_ms == pytest.approx(1000 * latency_s, rel=1e-6)
    assert found.queue_ms == pytest.approx(1000 * queue_s, rel=1e-6, abs=1e-6)
    assert found.query_weight == pytest.approx(weight, rel=1e-6)
    assert found.slow_start == (slow and found.told)
    assert found.goodput_mbit_s == bytes_s / 125_000


def test_a_slow_start_is_told_where_it_matters_and_only_there() -> None:
    assert fields(seen_of(1e7, 0.02, 0.0, 1.0, True)).slow_start
    assert fields(seen_of(1e7, 0.02, 0.0, 1.0, False)).told
    short = fields(seen_of(1e7, 0.00005, 0.0, 1.0, True))
    assert not short.told
    assert not short.slow_start


def test_what_is_printed_is_a_scenario() -> None:
    up = seen_of(9.56e6, 0.005, 0.04, 0.6, True)
    told = Told(Measured(up, seen_of(2e7, 0.005, 0.0, 1.0, False), "cubic", 20.0), [80.0])
    links = {key: LinkSection(**link) for key, link in yaml.safe_load("\n".join(told.scenario()))["links"].items()}
    assert links["client-edge"] == LinkSection(
        bandwidth_mbit_s=80.0, efficiency=0.956, latency_ms=5.0, queue_ms=40.0, query_weight=0.6, slow_start=True
    )
    assert links["edge-client"].bandwidth_mbit_s == 160.0
    assert "buffer_ms: 50" in told.sentences()[0]


@pytest.mark.parametrize(
    ("weight", "said"), [(1.2, "shares fairly"), (9.9, "no message waits"), (0.6, "a short queue")]
)
def test_only_a_fair_weight_is_called_fair(weight: float, said: str) -> None:
    told = Told(Measured(seen_of(1e7, 0.02, 0.0, weight, False), None, "bbr", 1.0), [])
    assert said in told.sentences()[0]


@contextmanager
def served(**options: object) -> Iterator[LinkServer]:
    server = LinkServer(port=0, **options)  # type: ignore[arg-type]
    thread = threading.Thread(target=server.serve, args=(60.0,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.close()
        thread.join(10.0)


@pytest.mark.long
def test_both_ends_over_loopback() -> None:
    words: list[str] = []
    with served() as server:
        found = Measurement("127.0.0.1", server.port, server.token, words.append).run(0.5)
    for seen in (found.up, found.down):
        assert seen is not None
        assert seen.goodput_bytes_s > 0.0
        assert min(len(each) for each in (seen.small_s, seen.large_s, seen.small_beside_s, seen.large_beside_s)) >= 1
    told = Told(found)
    LinkSection(**told.as_dict()["links"]["client-edge"])
    assert any("down" in each for each in words)


def test_strangers_are_sent_away_and_the_client_is_served_all_the_same() -> None:
    with served() as server:
        good = server.token.encode()
        for junk in (
            b"GET / HTTP/1.1\r\n\r\n" + b"x" * 100,
            GREETING.pack(wire.MAGIC, b"0" * 32, b"U", 0),
            GREETING.pack(wire.MAGIC, b"\xff" * 32, b"U", 0),
            GREETING.pack(wire.MAGIC, good, b"X", 0),
            GREETING.pack(b"LLlink9\n", good, b"U", 0),
            b"",
            b"LL",
        ):
            with closing(socket.create_connection(("127.0.0.1", server.port), timeout=10)) as stranger:
                with suppress(OSError):  # who is sent away early cannot go on talking
                    stranger.sendall(junk)
                    stranger.shutdown(socket.SHUT_WR)
                with suppress(ConnectionResetError):
                    assert stranger.recv(100) == b""
        assert server.refused == 7
        with closing(socket.create_connection(("127.0.0.1", server.port), timeout=10)) as client:
            wire.greet(client, wire.Greeting(server.token, "M", 0))
            room = memoryview(bytearray(1000))
            assert wire.ask(client, 300_000, 5, room) > 0.0


@pytest.mark.long
@pytest.mark.parametrize("sizes", [(wire.LARGEST + 1, 1), (1, wire.LARGEST + 1), (2**32 - 1, 2**32 - 1), (5, 0)])
def test_a_message_that_is_too_large_ends_its_connection(sizes: tuple[int, int]) -> None:
    with served() as server, closing(socket.create_connection(("127.0.0.1", server.port), timeout=10)) as client:
        wire.greet(client, wire.Greeting(server.token, "M", 0))
        client.sendall(struct.pack("!II", *sizes) + b"12345")
        with suppress(ConnectionResetError):
            assert client.recv(10) == b""


@pytest.mark.parametrize(
    "said",
    [b"", b"no\n", b"SSH-2.0-OpenSSH\r\n", wire.WELCOME + struct.pack("!I", 2**31)],
)
def test_another_server_is_told_from_ours(said: bytes) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:

        def talk() -> None:
            for _ in range(3):
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with closing(connection):
                    connection.sendall(said)

        threading.Thread(target=talk, daemon=True).start()
        with pytest.raises(RunError, match=r"127.0.0.1:\d+: "):
            Measurement("127.0.0.1", listener.getsockname()[1], "0" * 32, lambda _: None).run(0.5)


@pytest.mark.parametrize("samples", [[3, 2], [2**63, 1]])
def test_samples_that_cannot_be_are_not_believed(samples: list[int]) -> None:
    one, other = socket.socketpair()
    with closing(one), closing(other):
        one.sendall(struct.pack(f"!I{len(samples)}Q", len(samples), *samples))
        with pytest.raises(RunError, match="cannot be"):
            wire.hear_samples(other)
    one, other = socket.socketpair()
    with closing(one), closing(other):
        one.sendall(struct.pack("!I", 2**32 - 1))
        with pytest.raises(RunError, match="cannot be"):
            wire.hear_samples(other)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("host", ("host", wire.PORT)), ("host:5", ("host", 5)), ("10.0.0.1:65535", ("10.0.0.1", 65535)),
        ("[::1]:7", ("::1", 7)), ("[::1]", ("::1", wire.PORT)), ("::1", ("::1", wire.PORT)),
    ],
)  # fmt: skip
def test_addresses(text: str, found: tuple[str, int]) -> None:
    assert address(text) == found


@pytest.mark.parametrize("text", ["", ":5", "host:", "host:0", "host:65536", "host:x", "[::1]5", "[]:5", "h:-1"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(RunError, match="is no address"):
        address(text)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("link", "expected a HOST"),
        ("link here", "expected a HOST and the --token"),
        ("link here --serve", "beside --serve"),
        ("link --serve --token short", "32 letters"),
        ("link h --token x --nominal nan", "--nominal is 'nan'"),
        ("link h --token x --nominal 1,2,3", "--nominal is '1,2,3'"),
        ("link 127.0.0.1:1 --token x --seconds 0.5", "127.0.0.1:1: "),
        ("link --serve --bind 203.0.113.7 --port 0", "cannot listen on 203.0.113.7:0"),
    ],
)
def test_mistakes_are_one_sentence(line: str, said: str) -> None:
    done = CliRunner().invoke(main, line.split())
    assert done.exit_code == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr) <= 310


@pytest.mark.long
def test_the_command_prints_json() -> None:
    with served() as server:
        line = f"link 127.0.0.1:{server.port} --token {server.token} --seconds 0.5 --one-way --json"
        done = CliRunner().invoke(main, line.split())
    assert done.exit_code == 0, done.stderr
    assert list(json.loads(done.stdout)["links"]) == ["client-edge"]


@pytest.mark.parametrize(("done", "code"), [(True, 0), (False, 1)])
def test_the_other_side_says_by_its_exit_code_whether_it_was_measured(
    done: bool, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LinkServer, "serve", lambda server, for_s: (server.close(), done)[1])
    ended = CliRunner().invoke(main, ["link", "--serve", "--port", "0"])
    assert ended.exit_code == code
    assert ("Nobody has measured" in ended.stderr) is not done
    assert "Traceback" not in ended.stderr


class Slow:
    """The server's end of a connection whose client is silent before each message; remembers how long that may be."""

    def __init__(self) -> None:
        self.may_take_s: list[float] = []
        self._heads = [struct.pack("!II", 0, 16)]

    def settimeout(self, seconds: float) -> None:
        self.may_take_s.append(seconds)

    def recv(self, size: int) -> bytes:
        return self._heads.pop()

    def send(self, data: bytes) -> int:
        return len(data)


def test_between_messages_there_may_be_as_much_silence_as_a_long_transfer_takes() -> None:
    """`--seconds 100` lets a transfer have the link for twelve; a message that has begun may not pause for so long."""
    client = Slow()
    wire.answer(client, wire.Deadline(wire.LONGEST_S), memoryview(bytearray(16)))  # type: ignore[arg-type]
    before, within = client.may_take_s
    assert before > 100
    assert within == wire.SILENCE_S

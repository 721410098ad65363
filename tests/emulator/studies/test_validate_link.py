"""Validating: links that pace themselves, and the messages that cross them."""

from __future__ import annotations

import math
import socket

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_nets import normal

from layerlift.emulator.studies.validate.processes.bucket import Bucket, slots
from layerlift.emulator.studies.validate.processes.messages import HEADER_BYTES, Broken, packed, received, unpacked
from layerlift.emulator.studies.validate.processes.node import Node
from layerlift.emulator.studies.validate.processes.pieces import Described, apart, together
from layerlift.emulator.studies.validate.real import Books


class Clock:
    """A clock that somebody sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


# The link


def test_a_sender_alone_has_the_whole_link() -> None:
    clock = Clock()
    bucket = Bucket(1e6, clock=clock)
    for number in range(500):
        clock.now = bucket.reserve(4000, first=number == 0)
    assert clock.now == pytest.approx(100 + 500 * 4000 / 1e6)
    assert bucket.granted == 500 * 4000


@given(st.integers(1, 60), st.integers(1, 60))
def test_two_senders_take_turns(one: int, other: int) -> None:
    clock = Clock()
    bucket = Bucket(1e6, clock=clock)
    left, ends = {"a": one, "b": other}, {"a": 0.0, "b": 0.0}
    due = {name: bucket.reserve(4000, first=True) for name in left}
    while due:
        name = min(due, key=lambda each: due[each])
        clock.now = due.pop(name)
        left[name] -= 1
        if left[name]:
            due[name] = bucket.reserve(4000, first=False)
        else:
            ends[name] = clock.now - 100
    both = 2 * min(one, other) * 0.004
    assert min(ends.values()) == pytest.approx(both, abs=0.0041)
    assert max(ends.values()) == pytest.approx((one + other) * 0.004)


def test_who_wakes_late_catches_up_within_the_burst_and_no_further() -> None:
    clock = Clock()
    bucket = Bucket(1e6, burst_bytes=16_000, clock=clock)
    due = bucket.reserve(4000, first=True)
    clock.now = due + 0.015
    assert bucket.reserve(4000, first=False) == pytest.approx(due + 0.004)  # it is as if it had not been late
    clock.now = due + 0.1
    assert bucket.reserve(4000, first=False) == pytest.approx(clock.now - 0.016 + 0.004)


def test_nothing_is_saved_up_while_nobody_sends() -> None:
    clock = Clock()
    bucket = Bucket(1e6, clock=clock)
    bucket.reserve(4000, first=True)
    clock.now += 50
    assert bucket.reserve(4000, first=True) == pytest.approx(clock.now + 0.004)


@given(st.integers(0, 10**6), st.integers(500, 70_000))
@settings(max_examples=30)
def test_slots_are_all_of_it_once(size: int, most: int) -> None:
    cut = list(slots(size, most))
    assert [begin for begin, _ in cut] == [0, *(end for _, end in cut[:-1])][: len(cut)]
    assert (cut[-1][1] if cut else 0) == size
    assert all(0 < end - begin <= most for begin, end in cut)


def test_the_rate_error_is_of_the_time_that_the_link_was_busy() -> None:
    books = Books()
    books.add(
        [{"crossing_s": 2.0, "granted": 1_960_000, "bytes": 1_000_000, "sent_s": 1.0, "ended_s": 3.5}], [[1e6, 0.1]]
    )
    assert books.rate_error(1e6) == pytest.approx(-0.02)
    assert books.load_s_per_byte == pytest.approx(1e-7)
    assert math.isnan(Books().rate_error(1e6))
    assert Books().load_s_per_byte == 0


# Messages


@given(st.dictionaries(st.sampled_from(["query", "up", "tensor"]), st.integers(0, 2**40)), st.binary(max_size=2000))
@settings(max_examples=30)
def test_messages_arrive_as_they_were_sent(head: dict[str, int], payload: bytes) -> None:
    here, there = socket.socketpair()
    with here, there:
        header = packed(head, len(payload))
        assert len(header) == HEADER_BYTES
        here.sendall(header + payload)
        found, got = received(there, 2000)
    assert (found, bytes(got)) == (head, payload)


@pytest.mark.parametrize(
    "header", [b"", b"x" * HEADER_BYTES, b"[1]", b"{}", b'{"size":-1}', b'{"size":true}', b'{"size":"9"}', b"[" * 5000]
)
def test_what_is_no_header_is_refused(header: bytes) -> None:
    with pytest.raises(Broken):
        unpacked(header)


def test_too_much_and_too_little_are_refused() -> None:
    here, there = socket.socketpair()
    with here, there:
        here.sendall(packed({}, 1000))
        with pytest.raises(Broken, match="1000 bytes came, expected 999"):
            received(there, 999)
        here.sendall(packed({}, 10) + b"12345")
        here.shutdown(socket.SHUT_WR)
        with pytest.raises(Broken, match="ended early"):
            received(there, 10)
    with pytest.raises(Broken, match="expected 256 at most"):
        packed({"name": "x" * 300})


def test_arrays_are_the_same_apart() -> None:
    arrays = [normal(3, 4), np.arange(5, dtype=np.int64), np.float32(2).reshape(())]
    described = [Described(str(n), array.dtype.str, array.shape) for n, array in enumerate(arrays)]
    found = apart(together(arrays), described)
    for number, array in enumerate(arrays):
        assert found[str(number)].tobytes() == array.tobytes()
        assert found[str(number)].shape == array.shape
    with pytest.raises(Broken):
        apart(together(arrays)[1:], described)
    with pytest.raises(Broken):
        described[0].array(memoryview(b"abc"))


def test_strangers_are_not_let_in() -> None:
    setup = {"tensors": [], "situations": [], "limit_s": 5, "token": "right", "bytes_s": 1e6}
    server = Node(1, setup, [], print)
    for told, expected in (
        (packed({"token": "right", "from": 0, "for": "queries"}), (0, "queries")),
        (packed({"token": "wrong", "from": 0, "for": "queries"}), None),
        (packed({"token": "right"}), None),
        (packed({"token": ["right"], "from": 0, "for": "queries"}), None),
        (packed({"token": "right", "from": 0, "for": "queries"}, 5) + b"12345", None),
        (b"GET / HTTP/1.1\r\n\r\n".ljust(HEADER_BYTES), None),
    ):
        here, there = socket.socketpair()
        with here, there:
            here.sendall(told)
            assert server.greeted(there) == expected

"""Virtual time: the order of events, signals, coroutines, and how a host's kernel stops."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds import examples

from layerlift.emulator.kernel.clock import Kernel, Node

Log = list[tuple[float, object]]


@pytest.fixture
def kernel() -> Kernel:
    return Kernel()


@pytest.fixture
def log() -> Log:
    return []


def test_events_come_in_order_of_time_then_node_then_order_of_setting(kernel: Kernel, log: Log) -> None:
    nodes = [Node(kernel, index) for index in range(3)]
    for index, at, name in [(2, 1.0, "c"), (1, 1.0, "b1"), (1, 1.0, "b2"), (0, 2.0, "d"), (0, 1.0, "a")]:
        nodes[index].call_at(at, lambda what: log.append((kernel.now, what)), name)
    kernel.run_before(inf)
    assert log == [(1.0, "a"), (1.0, "b1"), (1.0, "b2"), (1.0, "c"), (2.0, "d")]


def test_deliveries_come_before_timers_of_the_same_node_and_instant(kernel: Kernel, log: Log) -> None:
    note = lambda what: log.append((kernel.now, what))  # noqa: E731
    node, lower = Node(kernel, 5), Node(kernel, 4)
    node.call_at(1.0, note, "timer")
    kernel.deliver(1.0, 9, 1, 5, note, "from 9")
    kernel.deliver(1.0, 2, 8, 5, note, "second from 2")
    kernel.deliver(1.0, 2, 7, 5, note, "first from 2")
    lower.call_at(1.0, note, "timer of a lower node")
    kernel.run_before(inf)
    assert [what for _, what in log] == ["timer of a lower node", "first from 2", "second from 2", "from 9", "timer"]


def test_a_delivery_from_the_last_node_still_comes_before_the_first_timer(kernel: Kernel, log: Log) -> None:
    node = Node(kernel, 0)
    node.call_at(1.0, log.append, "timer")
    kernel.deliver(1.0, 2_000_000, 900_000_000_000, 0, log.append, "delivery")
    kernel.run_before(inf)
    assert log == ["delivery", "timer"]


@given(st.lists(st.tuples(st.sampled_from((0.0, 0.5, 1.0)), st.integers(0, 3)), max_size=20))
@examples(60)
def test_a_node_sees_the_same_whoever_shares_its_kernel(timers: list[tuple[float, int]]) -> None:
    """Each timer sets another one at its own instant: the log of a node does not depend on the others' timers."""

    def run(indices: list[int]) -> dict[int, Log]:
        kernel = Kernel()
        nodes = {index: Node(kernel, index) for index in indices}
        logs: dict[int, Log] = {index: [] for index in indices}

        def fire(what: tuple[int, int, bool]) -> None:
            index, number, first = what
            logs[index].append((kernel.now, what))
            if first:
                nodes[index].call_at(kernel.now, fire, (index, number, False))

        for number, (at, index) in enumerate(timers):
            if index in nodes:
                nodes[index].call_at(at, fire, (index, number, True))
        kernel.run_before(inf)
        return logs

    together = run([0, 1, 2, 3])
    for index in range(4):
        assert run([index])[index] == together[index]


def test_running_stops_before_the_horizon_and_goes_on_later(kernel: Kernel, log: Log) -> None:
    node = Node(kernel, 0)
    for at in (1.0, 2.0, 3.0):
        node.call_at(at, lambda _: log.append((kernel.now, None)))
    kernel.run_before(2.0)
    assert [at for at, _ in log] == [1.0]
    assert kernel.peek() == 2.0
    kernel.run_before(3.0)
    assert kernel.now == 2.0
    kernel.run_before(inf)
    assert kernel.peek() == inf


def test_a_halted_kernel_does_nothing_more_until_it_is_released(kernel: Kernel, log: Log) -> None:
    node = Node(kernel, 0)

    def halt(_: object) -> None:
        kernel.halted = True

    node.call_at(1.0, halt)
    node.call_at(1.0, log.append, (1.0, "after"))
    kernel.run_before(inf)
    assert (log, kernel.now) == ([], 1.0)
    kernel.halted = False
    kernel.run_before(inf)
    assert log == [(1.0, "after")]


def test_coroutines_sleep_and_wait_for_signals(kernel: Kernel, log: Log) -> None:
    node = Node(kernel, 0)
    signal = node.signal()

    async def waiter(name: str) -> None:
        value = await signal
        log.append((kernel.now, f"{name} {value}"))

    async def setter() -> None:
        await node.sleep(1.5)
        signal.set("yes")
        await node.sleep(0.5)
        log.append((kernel.now, f"late {await signal}"))

    for task in (waiter("a"), waiter("b"), setter()):
        node.spawn(task)
    kernel.run_before(inf)
    assert log == [(1.5, "a yes"), (1.5, "b yes"), (2.0, "late yes")]


def test_setting_a_signal_again_changes_nothing(kernel: Kernel, log: Log) -> None:
    node = Node(kernel, 0)
    signal = node.signal()

    async def waiter() -> None:
        value = await signal
        log.append((kernel.now, value))

    node.spawn(waiter())
    node.call_at(1.0, signal.set, "first")
    node.call_at(1.0, signal.set, "again")
    node.call_at(2.0, signal.set, "late")
    kernel.run_before(inf)
    assert log == [(1.0, "first")]
    assert signal.value == "first"


@pytest.mark.parametrize("awaits", [False, True])
def test_an_exception_in_a_coroutine_ends_the_run(kernel: Kernel, awaits: bool) -> None:
    node = Node(kernel, 0)

    async def broken() -> None:
        if awaits:
            await node.sleep(1.0)
        raise ValueError("a bug")

    node.spawn(broken())
    with pytest.raises(ValueError, match="a bug"):
        kernel.run_before(inf)


def test_a_coroutine_runs_before_the_next_event_of_the_same_instant(kernel: Kernel, log: Log) -> None:
    node = Node(kernel, 0)

    async def task() -> None:
        log.append((kernel.now, "coroutine"))

    node.call_at(1.0, lambda _: node.spawn(task()))
    node.call_at(1.0, lambda _: log.append((kernel.now, "timer")))
    kernel.run_before(inf)
    assert [what for _, what in log] == ["coroutine", "timer"]

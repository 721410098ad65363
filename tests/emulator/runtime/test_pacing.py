"""Pacing with a clock of our own: virtual time keeps step with the wall clock, and lateness is told as it was."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layerlift.emulator.runtime.pacing import TRUSTED_P99_S, Pacer
from layerlift.models.errors import RunError


class Clock:
    """A wall clock that moves only when it is slept on, or by `work`; sleeps last `over` seconds too long."""

    def __init__(self, over: float = 0.0) -> None:
        self.now, self.over, self.slept = 1000.0, over, []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0.0
        self.slept.append(seconds)
        self.now += seconds + self.over

    def work(self, seconds: float) -> None:
        self.now += seconds


def paced(pace: float | None, over: float = 0.0) -> tuple[Pacer, Clock]:
    clock = Clock(over)
    return Pacer(pace, clock, clock.sleep), clock


def test_without_a_pace_nobody_sleeps_and_times_are_exact() -> None:
    pacer, clock = paced(None)
    for now_s in (0.0, 5.0, 500.0):
        pacer.wait(now_s)
    fidelity = pacer.fidelity()
    assert clock.slept == []
    assert (fidelity.pace, fidelity.windows, fidelity.worst_s, fidelity.trusted) == (None, 0, 0.0, True)
    assert "not paced" in fidelity.reason


@pytest.mark.parametrize("pace", [0.1, 1.0, 4.0])
def test_a_window_begins_when_the_wall_clock_says_so(pace: float) -> None:
    pacer, clock = paced(pace)
    for now_s in (0.0, 1.0, 1.5, 4.0):
        clock.work(0.01)
        pacer.wait(now_s)
        assert clock.now == pytest.approx(1000.01 + now_s / pace, abs=1e-9)
    assert pacer.fidelity().worst_s == pytest.approx(0.0, abs=1e-9)


def test_the_clock_starts_with_the_first_window_whenever_that_is() -> None:
    pacer, clock = paced(2.0)
    pacer.wait(7.0)
    assert clock.slept == []
    pacer.wait(8.0)
    assert clock.slept == [pytest.approx(0.5)]


def test_sleeps_that_last_too_long_do_not_add_up() -> None:
    pacer, clock = paced(1.0, over=0.004)
    for window in range(101):
        pacer.wait(window * 0.05)
    assert clock.now == pytest.approx(1000.0 + 5.0 + 0.004, abs=1e-9)
    assert pacer.fidelity().worst_s == pytest.approx(0.004, abs=1e-9)


def test_a_slow_window_is_caught_up_with_in_the_next() -> None:
    pacer, clock = paced(1.0)
    pacer.wait(0.0)
    clock.work(0.3)
    pacer.wait(0.1)
    pacer.wait(0.25)
    pacer.wait(1.0)
    fidelity = pacer.fidelity()
    assert fidelity.windows == 4
    assert fidelity.worst_s == pytest.approx(0.2, abs=1e-9)
    assert clock.now == pytest.approx(1001.0, abs=1e-9)


@given(st.lists(st.floats(0.0, 0.5), min_size=1, max_size=60))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_the_numbers_are_those_of_the_windows(work: list[float]) -> None:
    """Windows follow so closely that none sleeps: each is late by all the work since the first began."""
    pacer, clock = paced(1.0)
    late = []
    for number, seconds in enumerate(work):
        pacer.wait(number * 1e-9)
        late.append(max(0.0, clock.now - 1000.0 - number * 1e-9))
        clock.work(seconds)
    late.sort()
    fidelity = pacer.fidelity()
    assert fidelity.windows == len(work)
    assert fidelity.median_s == pytest.approx(late[len(late) // 2], abs=1e-6)
    assert fidelity.worst_s == pytest.approx(late[-1], abs=1e-6)
    assert sum(each <= fidelity.p99_s + 1e-9 for each in late) >= 0.99 * len(late)
    assert fidelity.trusted == (fidelity.p99_s <= TRUSTED_P99_S)


@pytest.mark.parametrize(("slow", "trusted"), [(0, True), (1, True), (2, False)])
def test_one_window_in_a_hundred_may_be_late(slow: int, trusted: bool) -> None:
    pacer, clock = paced(1.0)
    for window in range(100):
        pacer.wait(window * 1.0)
        clock.work(1.0 + 2 * TRUSTED_P99_S if window % 10 == 0 and window < 10 * slow else 0.0)
    fidelity = pacer.fidelity()
    assert fidelity.trusted is trusted
    assert fidelity.worst_s == pytest.approx(2 * TRUSTED_P99_S if slow else 0.0, abs=1e-6)
    assert ("slower --pace" in fidelity.reason) is not trusted
    assert fidelity.as_dict()["trusted"] is trusted


@pytest.mark.parametrize("pace", [0.0, -1.0, float("nan"), float("inf")])
def test_a_pace_that_is_not_positive_is_refused(pace: float) -> None:
    with pytest.raises(RunError, match="expected a positive number"):
        Pacer(pace)

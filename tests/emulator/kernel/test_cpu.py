"""CPUs: closed forms, and a brute-force simulation of both disciplines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds import examples

from layerlift.emulator.kernel.clock import Kernel, Node
from layerlift.emulator.kernel.cpu import Cpu, FifoCpu

DISCIPLINES = {"sharing": Cpu, "fifo": FifoCpu}


@dataclass
class Work:
    """A piece that comes at `at`, takes `work_s` alone, and may be taken out at `cancel_s`."""

    at: float
    work_s: float
    cancel_s: float = inf


class Bench:
    """A CPU with pieces on their way to it."""

    def __init__(self, discipline: str, cores: int, works: Sequence[Work]) -> None:
        self.kernel = Kernel()
        self.node = Node(self.kernel, 0)
        self.cpu = DISCIPLINES[discipline](self.node, cores)
        self.ended: dict[int, float] = {}
        self.order: list[int] = []
        self.jobs: dict[int, int] = {}
        for number, work in enumerate(works):
            self.node.call_at(work.at, self._serve, (number, work))

    def _serve(self, given_: tuple[int, Work]) -> None:
        number, work = given_
        self.jobs[number] = self.cpu.serve(work.work_s, self._end, number)
        if work.cancel_s < inf:
            self.node.call_at(work.cancel_s, self.cpu.cancel, self.jobs[number])

    def _end(self, number: int) -> None:
        self.ended[number] = self.kernel.now
        self.order.append(number)

    def run(self, until: float = inf) -> dict[int, float]:
        self.kernel.run_before(until)
        return self.ended


def brute_force(discipline: str, cores: int, works: Sequence[Work]) -> tuple[dict[int, Fraction], Fraction]:
    """End of each piece and core-seconds done, exactly: everything is worked out again at every event."""
    left = [Fraction(work.work_s) for work in works]
    coming = sorted(range(len(works)), key=lambda k: (works[k].at, k))
    present: list[int] = []
    ended: dict[int, Fraction] = {}
    now = busy = Fraction(0)
    while coming or present:
        if discipline == "sharing":
            rate = min(Fraction(1), Fraction(cores, len(present))) if present else Fraction(0)
            rates = dict.fromkeys(present, rate)
        else:
            rates = {k: Fraction(position < cores) for position, k in enumerate(present)}
        ends = [now + left[k] / rate for k, rate in rates.items() if rate]
        stops = [Fraction(works[k].cancel_s) for k in present if works[k].cancel_s < inf]
        comes = [Fraction(works[coming[0]].at)] if coming else []
        then = min([*ends, *stops, *comes])
        for k, rate in rates.items():
            left[k] -= rate * (then - now)
            busy += rate * (then - now)
        now = then
        finished = [k for k in present if left[k] == 0 and (rates[k] or not works[k].work_s)]
        if finished and (ends and then == min(ends)):
            ended |= dict.fromkeys(finished, now)
            present = [k for k in present if k not in finished]
        elif then in stops:
            present = [k for k in present if works[k].cancel_s != now]
        else:
            present.append(coming.pop(0))
    return ended, busy


@pytest.mark.parametrize("discipline", DISCIPLINES)
def test_a_lone_piece_takes_its_own_time_whatever_the_cores(discipline: str) -> None:
    for cores in (1, 4):
        assert Bench(discipline, cores, [Work(2.0, 3.5)]).run() == {0: 5.5}


def test_sharing_slows_all_alike() -> None:
    assert Bench("sharing", 1, [Work(0.0, 1.0), Work(0.0, 2.0), Work(0.0, 3.0)]).run() == {0: 3.0, 1: 5.0, 2: 6.0}


def test_sharing_uses_every_core_and_no_more() -> None:
    four = [Work(0.0, 1.0)] * 4
    assert Bench("sharing", 4, four).run() == dict.fromkeys(range(4), 1.0)
    assert Bench("sharing", 2, four).run() == dict.fromkeys(range(4), 2.0)


def test_sharing_lets_a_latecomer_in() -> None:
    assert Bench("sharing", 1, [Work(0.0, 2.0), Work(1.0, 0.5)]).run() == {1: 2.0, 0: 2.5}


def test_fifo_serves_in_turn_on_each_core() -> None:
    three = [Work(0.0, 2.0), Work(0.5, 2.0), Work(1.0, 1.0)]
    assert Bench("fifo", 1, three).run() == {0: 2.0, 1: 4.0, 2: 5.0}
    assert Bench("fifo", 2, three).run() == {0: 2.0, 1: 2.5, 2: 3.0}


@pytest.mark.parametrize("discipline", DISCIPLINES)
def test_equal_pieces_end_at_one_instant_in_their_order(discipline: str) -> None:
    bench = Bench(discipline, 3, [Work(0.1, 0.7)] * 3)
    assert set(bench.run().values()) == {0.1 + 0.7}
    assert bench.order == [0, 1, 2]


@pytest.mark.parametrize("discipline", DISCIPLINES)
def test_what_was_done_of_a_cancelled_piece_stays_in_the_books(discipline: str) -> None:
    bench = Bench(discipline, 1, [Work(0.0, 4.0, cancel_s=1.0)])
    assert bench.run() == {}
    assert bench.cpu.busy_s(2.0) == 1.0
    assert len(bench.cpu) == 0


def test_cancelling_speeds_the_others_up() -> None:
    bench = Bench("sharing", 1, [Work(0.0, 4.0, cancel_s=2.0), Work(0.0, 3.0)])
    assert bench.run() == {1: 4.0}
    assert bench.cpu.busy_s(9.0) == 4.0
    queue = Bench("fifo", 1, [Work(0.0, 4.0, cancel_s=2.0), Work(0.0, 3.0, cancel_s=1.0), Work(0.0, 3.0)])
    assert queue.run() == {2: 5.0}
    assert queue.cpu.busy_s(9.0) == 5.0


@pytest.mark.parametrize("discipline", DISCIPLINES)
def test_cancelling_a_finished_piece_changes_nothing(discipline: str) -> None:
    bench = Bench(discipline, 1, [Work(0.0, 1.0, cancel_s=2.5), Work(0.0, 2.0)])
    assert set(bench.run()) == {0, 1}
    assert bench.cpu.busy_s(3.0) == 3.0


_works = st.builds(
    Work,
    st.one_of(st.sampled_from((0.0, 0.5, 1.0)), st.floats(0.0, 3.0)),
    st.one_of(st.sampled_from((0.5, 1.0)), st.floats(0.001, 3.0)),
)


@st.composite
def crowds(draw: st.DrawFn) -> list[Work]:
    works = draw(st.lists(_works, min_size=1, max_size=12))
    for work in works:
        if draw(st.integers(0, 3)) == 0:
            work.cancel_s = work.at + 0.00171 + 0.99311 * draw(st.floats(0.0, 4.0))
    return works


@pytest.mark.long
@given(st.sampled_from(sorted(DISCIPLINES)), st.integers(1, 4), crowds())
@examples(200)
def test_ends_and_busy_time_are_those_of_the_brute_force(discipline: str, cores: int, works: list[Work]) -> None:
    ends, busy = brute_force(discipline, cores, works)
    bench = Bench(discipline, cores, works)
    assert bench.run() == pytest.approx({k: float(end) for k, end in ends.items()}, rel=1e-12)
    assert bench.cpu.busy_s(bench.kernel.now) == pytest.approx(float(busy), rel=1e-12, abs=1e-12)


@given(st.sampled_from(sorted(DISCIPLINES)), st.integers(1, 3), crowds(), st.floats(0.01, 6.0))
@examples(80)
def test_busy_time_can_be_read_at_any_moment(discipline: str, cores: int, works: list[Work], at: float) -> None:
    bench = Bench(discipline, cores, works)
    bench.run(at)
    cut = [Work(work.at, work.work_s, min(work.cancel_s, at)) for work in works if work.at < at]
    assert bench.cpu.busy_s(at) == pytest.approx(float(brute_force(discipline, cores, cut)[1]), rel=1e-12, abs=1e-12)


@pytest.mark.long
def test_a_cpu_that_is_never_idle_does_not_drift(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two chains of pieces keep one core busy for 20,000 s; each piece of 1/3 s then takes 2/3 s to the last."""
    monkeypatch.setattr("layerlift.emulator.kernel.cpu._REBASE_S", 1000.0)
    kernel = Kernel()
    node = Node(kernel, 0)
    cpu = Cpu(node, 1)
    ends: dict[int, list[float]] = {0: [], 1: []}

    def again(chain: int) -> None:
        ends[chain].append(kernel.now)
        cpu.serve(1.0 / 3.0, again, chain)

    cpu.serve(1.0 / 3.0, again, 0)
    cpu.serve(1.0 / 3.0, again, 1)
    kernel.run_before(20_000.0)
    assert cpu._served < 2_000.0
    assert len(ends[0]) == pytest.approx(30_000, abs=1)
    last = ends[0][-1]
    assert last == pytest.approx(len(ends[0]) * 2.0 / 3.0, rel=1e-12)
    assert cpu.busy_s(20_000.0) == pytest.approx(20_000.0, rel=1e-12)


def test_rebasing_keeps_the_marks_of_all_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    works = [Work(0.0, 60.0), Work(0.0, 45.0), Work(10.0, 30.0, cancel_s=77.0), *(Work(k, 1.5) for k in range(20, 60))]
    plain = Bench("sharing", 2, works).run()
    monkeypatch.setattr("layerlift.emulator.kernel.cpu._REBASE_S", 0.25)
    assert Bench("sharing", 2, works).run() == pytest.approx(plain, rel=1e-12)

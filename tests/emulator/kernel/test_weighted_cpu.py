"""The CPU that is shared by weight: closed forms, the plain CPU as its special case, and a fluid brute force."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds import examples

from layerlift.emulator.kernel.clock import Kernel, Node
from layerlift.emulator.kernel.cpu import Cpu, FifoCpu
from layerlift.emulator.kernel.weighted_cpu import WeightedCpu


@dataclass
class Work:
    """A piece of `owner` that comes at `at`, takes `work_s` alone, and may be taken out at `cancel_s`."""

    at: float
    work_s: float
    owner: int = 0
    cancel_s: float = inf


@dataclass
class Weighing:
    """What an owner weighs from `at` on."""

    at: float
    owner: int
    weight: float
    cap: float = inf


class Bench:
    """A CPU with pieces on their way to it."""

    def __init__(
        self,
        works: Sequence[Work],
        weighings: Sequence[Weighing] = (),
        cores: int = 1,
        made: Callable[[Node, int], Any] = WeightedCpu,
    ) -> None:
        self.kernel = Kernel()
        self.node = Node(self.kernel, 0)
        self.cpu = made(self.node, cores)
        self.ended: dict[int, float] = {}
        self.jobs: dict[int, int] = {}
        for each in weighings:
            self.node.call_at(each.at, self._weigh, each)
        for number, work in enumerate(works):
            self.node.call_at(work.at, self._serve, (number, work))

    def _weigh(self, each: Weighing) -> None:
        self.cpu.weigh(each.owner, each.weight, each.cap)

    def _serve(self, given_: tuple[int, Work]) -> None:
        number, work = given_
        self.jobs[number] = self.cpu.serve(work.work_s, self._end, number, owner=work.owner)
        if work.cancel_s < inf:
            self.node.call_at(work.cancel_s, self.cpu.cancel, self.jobs[number])

    def _end(self, number: int) -> None:
        self.ended[number] = self.kernel.now

    def run(self, until: float = inf) -> dict[int, float]:
        self.kernel.run_before(until)
        return self.ended


def rates_of(cores: int, owners: Sequence[int], laws: dict[int, tuple[Fraction, float]]) -> list[Fraction]:
    """Rates of pieces by the definition: raise a common level until the cores are used up, capping whom it must."""
    count = Counter(owners)
    law = {o: laws.get(o, (Fraction(1), inf)) for o in count}
    most = {o: Fraction(min(float(n), law[o][1])) for o, n in count.items()}
    weight = {o: law[o][0] for o in count}
    capped: set[int] = set()
    while True:
        free = [o for o in count if o not in capped]
        left = cores - sum(most[o] for o in capped)
        level = left / sum(weight[o] for o in free) if free else Fraction(0)
        over = {o for o in free if weight[o] * level >= most[o]}
        if not over:
            break
        capped |= over
    return [(most[o] if o in capped else weight[o] * level) / count[o] for o in owners]


def brute_force(
    cores: int, works: Sequence[Work], weighings: Sequence[Weighing]
) -> tuple[dict[int, Fraction], Fraction]:
    """End of each piece and core-seconds done, exactly: everything is worked out again at every event."""
    left = [Fraction(work.work_s) for work in works]
    coming = sorted(range(len(works)), key=lambda k: (works[k].at, k))
    changes = sorted(weighings, key=lambda each: each.at)
    laws: dict[int, tuple[Fraction, float]] = {}
    present: list[int] = []
    ended: dict[int, Fraction] = {}
    now = busy = Fraction(0)
    while coming or present:
        rates = rates_of(cores, [works[k].owner for k in present], laws)
        events = [(now + left[k] / rate, 0, k) for k, rate in zip(present, rates, strict=True)]
        events += [(Fraction(works[k].cancel_s), 1, k) for k in present if works[k].cancel_s < inf]
        events += [(Fraction(each.at), 2, 0) for each in changes[:1]] + [(Fraction(works[k].at), 3, k) for k in coming]
        then, kind, who = min(events)
        for k, rate in zip(present, rates, strict=True):
            left[k] -= rate * (then - now)
            busy += rate * (then - now)
        now = then
        if kind == 0:
            ended[who] = now
            present.remove(who)
        elif kind == 1:
            present.remove(who)
        elif kind == 2:
            each = changes.pop(0)
            laws[each.owner] = (Fraction(each.weight), each.cap)
        else:
            coming.remove(who)
            present.append(who)
    return ended, busy


def test_a_lone_piece_has_one_core_whatever_its_weight() -> None:
    for cores in (1, 4):
        for weight in (0.001, 1.0, 1000.0):
            assert Bench([Work(2.0, 3.5)], [Weighing(0.0, 0, weight)], cores).run() == {0: 5.5}


def test_owners_share_by_weight() -> None:
    bench = Bench([Work(0.0, 3.0, 0), Work(0.0, 3.0, 1)], [Weighing(0.0, 0, 3.0)])
    assert bench.run() == {0: 4.0, 1: 6.0}
    assert bench.cpu.busy_s(10.0) == 6.0


def test_pieces_of_one_owner_divide_what_it_has() -> None:
    assert Bench([Work(0.0, 1.0, 0), Work(0.0, 1.0, 0), Work(0.0, 2.0, 1)]).run() == {0: 4.0, 1: 4.0, 2: 4.0}


def test_a_heavy_owner_cannot_use_more_cores_than_it_has_pieces() -> None:
    works = [Work(0.0, 1.0, 0), Work(0.0, 1.0, 1), Work(0.0, 1.0, 1)]
    assert Bench(works, [Weighing(0.0, 0, 100.0)], cores=2).run() == {0: 1.0, 1: 1.5, 2: 1.5}


def test_a_cap_holds_even_if_others_idle_and_what_it_leaves_is_used() -> None:
    bench = Bench([Work(0.0, 1.0, 0)], [Weighing(0.0, 0, 1.0, cap=0.25)], cores=4)
    assert bench.run() == {0: 4.0}
    assert bench.cpu.busy_s(4.0) == 1.0
    assert Bench([Work(0.0, 1.0, 0), Work(0.0, 3.0, 1)], [Weighing(0.0, 0, 9.0, cap=0.25)]).run() == {0: 4.0, 1: 4.0}
    two = [Work(0.0, 1.0, 0), Work(0.0, 1.0, 0)]
    assert Bench(two, [Weighing(0.0, 0, 1.0, cap=1.0)], cores=4).run() == {0: 2.0, 1: 2.0}


def test_a_change_of_weight_counts_from_then_on() -> None:
    works = [Work(0.0, 2.0, 0), Work(0.0, 2.0, 1)]
    assert Bench(works, [Weighing(2.0, 0, 3.0)]).run() == {0: pytest.approx(10 / 3), 1: 4.0}


def test_equal_pieces_end_at_one_instant_in_their_order() -> None:
    bench = Bench([Work(0.1, 0.7, k) for k in range(3)], cores=2)
    assert len(set(bench.run().values())) == 1
    assert list(bench.ended) == [0, 1, 2]


@pytest.mark.parametrize(("weight", "cap"), [(0.0, 1.0), (-1.0, 1.0), (1.0, 0.0), (float("nan"), 1.0), (inf, 1.0)])
def test_work_that_would_never_end_is_refused(weight: float, cap: float) -> None:
    with pytest.raises(ValueError, match="expected numbers above 0"):
        Bench([]).cpu.weigh(0, weight, cap)


@pytest.mark.parametrize("made", [Cpu, FifoCpu])
def test_the_plain_cpus_take_an_owner_and_do_not_care(made: Callable[[Node, int], Any]) -> None:
    works = [Work(0.0, 1.0, 0), Work(0.5, 2.0, 1), Work(0.6, 1.0, 1)]
    same = [Work(work.at, work.work_s, 7) for work in works]
    assert Bench(works, made=made).run() == Bench(same, made=made).run()


times = st.one_of(st.sampled_from((0.0, 0.5, 1.0)), st.floats(0.0, 3.0))
lengths = st.one_of(st.sampled_from((0.5, 1.0)), st.floats(0.001, 3.0))


@st.composite
def crowds(draw: st.DrawFn, owners: int = 4) -> list[Work]:
    works = draw(st.lists(st.builds(Work, times, lengths, st.integers(0, owners - 1)), min_size=1, max_size=10))
    for work in works:
        if draw(st.integers(0, 3)) == 0:
            work.cancel_s = work.at + 0.00171 + 0.99311 * draw(st.floats(0.0, 4.0))
    return works


weights = st.one_of(st.sampled_from((0.5, 1.0, 2.0)), st.floats(0.01, 100.0))
caps = st.one_of(st.just(inf), st.sampled_from((0.5, 1.0, 2.0)), st.floats(0.05, 4.0))
changes = st.lists(st.builds(Weighing, st.floats(0.0, 3.0), st.integers(0, 3), weights, caps), max_size=6)


@given(crowds(), st.integers(1, 4), weights)
@examples(200)
def test_owners_of_equal_weight_with_a_piece_each_share_as_on_the_plain_cpu(
    works: list[Work], cores: int, weight: float
) -> None:
    alone = [Work(work.at, work.work_s, owner, work.cancel_s) for owner, work in enumerate(works)]
    weighings = [Weighing(0.0, owner, weight) for owner in range(len(works))]
    ours, plain = Bench(alone, weighings, cores), Bench(alone, cores=cores, made=Cpu)
    assert ours.run() == pytest.approx(plain.run(), rel=1e-9)
    assert ours.cpu.busy_s(50.0) == pytest.approx(plain.cpu.busy_s(50.0), rel=1e-9, abs=1e-12)


@given(crowds(), changes, st.integers(1, 4))
@examples(300)
def test_ends_and_busy_time_are_those_of_the_brute_force(
    works: list[Work], weighings: list[Weighing], cores: int
) -> None:
    ends, busy = brute_force(cores, works, weighings)
    bench = Bench(works, weighings, cores)
    assert bench.run() == pytest.approx({k: float(end) for k, end in ends.items()}, rel=1e-9)
    assert bench.cpu.busy_s(bench.kernel.now) == pytest.approx(float(busy), rel=1e-9, abs=1e-12)
    assert len(bench.cpu) == 0

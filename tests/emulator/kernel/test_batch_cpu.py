"""The CPU that batches: cases worked out by hand, a simulation of its rule, and the bulk queue's closed forms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, inf
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds import examples

from layerlift.emulator.kernel.batch_cpu import Batch, BatchCpu
from layerlift.emulator.kernel.clock import Kernel, Node


@dataclass
class Work:
    """A piece that comes at `at`, and may be taken out at `cancel_s`."""

    at: float
    kind: str = "a"
    cancel_s: float = inf
    waits_since: float | None = None
    """When it was ready, if not as it came."""

    @property
    def waits_since_s(self) -> float:
        return self.at if self.waits_since is None else self.waits_since


def cost(kind: str, size: int) -> float:
    """One second, and a quarter more for each further piece; of kind b twice that."""
    return (1.0 + 0.25 * (size - 1)) * (2.0 if kind == "b" else 1.0)


class Bench:
    """A CPU with pieces on their way to it."""

    def __init__(self, works: Sequence[Work], cores: int = 1, most: int = 4, wait_s: float = 0.5) -> None:
        self.kernel = Kernel()
        self.node = Node(self.kernel, 0)
        self.batches: list[Batch] = []
        self.cpu = BatchCpu(self.node, cores, most, wait_s, cost, self.batches.append)
        self.works = works
        self.ended: dict[int, float] = {}
        self.turned: dict[int, float] = {}
        for number, work in enumerate(works):
            self.node.call_at(work.at, self._serve, number)
        self.kernel.run_before(inf)

    def _serve(self, number: int) -> None:
        work = self.works[number]
        job = self.cpu.serve(cost(work.kind, 1), lambda _: self._end(number), work)
        if work.cancel_s < inf:
            self.node.call_at(work.cancel_s, self.cpu.cancel, job)

    def _end(self, number: int) -> None:
        self.ended[number] = self.kernel.now
        self.turned[number] = self.cpu.turned_s

    @property
    def sizes(self) -> list[int]:
        return [batch.size for batch in self.batches]


def test_a_lone_piece_waits_for_company_in_vain() -> None:
    bench = Bench([Work(2.0)])
    assert bench.ended == {0: 3.5}
    assert (bench.batches[0].company_s, bench.turned[0]) == (0.5, 2.5)
    assert bench.cpu.busy_s(9.0) == 1.0


def test_a_batch_of_one_at_most_waits_for_nobody() -> None:
    assert Bench([Work(2.0), Work(2.25)], most=1).ended == {0: 3.0, 1: 4.0}


def test_a_full_batch_begins_at_once() -> None:
    bench = Bench([Work(0.0), Work(0.125), Work(0.25), Work(0.375)])
    assert bench.ended == dict.fromkeys(range(4), 0.375 + 1.75)
    assert [batch.company_s for batch in bench.batches] == [0.375]


def test_whoever_comes_before_the_first_has_waited_long_enough_is_taken_along() -> None:
    bench = Bench([Work(0.0), Work(0.25), Work(0.75)])
    assert bench.ended == {0: 1.75, 1: 1.75, 2: 2.75}
    assert bench.sizes == [2, 1]
    assert [batch.company_s for batch in bench.batches] == [0.5, 0.0]


def test_what_came_while_the_core_was_busy_runs_together_up_to_the_most() -> None:
    bench = Bench([Work(0.0), *(Work(0.0625 * k) for k in range(1, 7))], wait_s=0.0)
    assert bench.sizes == [1, 4, 2]
    assert bench.ended == {0: 1.0, **dict.fromkeys(range(1, 5), 2.75), 5: 4.0, 6: 4.0}


def test_time_in_which_a_piece_was_ready_before_it_came_counts() -> None:
    assert Bench([Work(2.0, waits_since=1.75)]).ended == {0: 3.25}
    assert Bench([Work(2.0, waits_since=0.0)]).ended == {0: 3.0}


def test_kinds_never_mix_and_the_one_that_came_first_begins() -> None:
    bench = Bench([Work(0.0, "a"), Work(0.125, "b"), Work(0.25, "a"), Work(0.375, "b")], wait_s=0.0)
    assert bench.ended == {0: 1.0, 1: 3.5, 3: 3.5, 2: 4.5}
    assert bench.sizes == [1, 2, 1]


def test_a_kind_that_is_full_does_not_wait_for_one_that_came_before() -> None:
    bench = Bench([Work(0.0, "b"), Work(0.125, "a"), Work(0.25, "a")], most=2)
    assert bench.ended == {1: 1.5, 2: 1.5, 0: 3.5}


def test_every_core_serves_batches() -> None:
    bench = Bench([Work(0.125 * k) for k in range(4)], cores=2, most=2, wait_s=9.0)
    assert bench.ended == {0: 1.375, 1: 1.375, 2: 1.625, 3: 1.625}
    assert bench.cpu.busy_s(9.0) == 2.5


def test_a_batch_goes_on_without_who_leaves_it_and_stops_when_nobody_is_left() -> None:
    bench = Bench([Work(0.0), Work(0.25, cancel_s=1.0), Work(0.75, cancel_s=2.0), Work(1.0, cancel_s=1.25)])
    assert bench.ended == {0: 1.75}
    assert (bench.sizes, [len(batch.members) for batch in bench.batches]) == ([2], [1])
    assert bench.cpu.busy_s(9.0) == 1.25 + 0.25
    assert len(bench.cpu) == 0


def test_a_core_that_is_given_up_is_free_for_the_next() -> None:
    assert Bench([Work(0.0, cancel_s=0.75), Work(0.25, "b")], wait_s=0.0).ended == {1: 2.75}


def test_cancelling_a_finished_piece_changes_nothing() -> None:
    bench = Bench([Work(0.0, cancel_s=1.75), Work(1.5)])
    assert bench.ended == {0: 1.5, 1: 3.0}


def test_clear_keeps_the_time_that_was_spent() -> None:
    bench = Bench([Work(0.0), Work(0.125, "b")], wait_s=0.0)
    again = Kernel()
    node = Node(again, 0)
    cpu = BatchCpu(node, 1, 4, 0.0, cost, lambda batch: None)
    cpu.serve(1.0, lambda _: pytest.fail("it was cleared"), Work(0.0))
    cpu.serve(1.0, lambda _: pytest.fail("it was cleared"), Work(0.0, "b"))
    node.call_at(0.75, lambda _: cpu.clear())
    again.run_before(inf)
    assert (cpu.busy_s(9.0), len(cpu)) == (0.75, 0)
    assert bench.cpu.busy_s(9.0) == 3.0


def simulated(works: Sequence[Work], cores: int, most: int, wait_s: float) -> tuple[dict[int, float], float]:
    """Ends and core-seconds by the rule as it is written down, looked at anew at every instant."""
    instants = sorted({*(work.at for work in works), *(work.at + wait_s for work in works)})
    waiting: list[int] = []
    running: list[tuple[float, list[int]]] = []
    ended: dict[int, float] = {}
    busy = 0.0
    while instants:
        now = instants.pop(0)
        for end, members in [each for each in running if each[0] == now]:
            running.remove((end, members))
            ended |= dict.fromkeys(members, now)
        waiting += [number for number, work in enumerate(works) if work.at == now]
        while len(running) < cores:
            kinds = {
                kind: [number for number in waiting if works[number].kind == kind]
                for kind in sorted({works[number].kind for number in waiting})
            }
            able = [own for own in kinds.values() if len(own) >= most or works[own[0]].at + wait_s <= now]
            if not able:
                break
            chosen = min(able)[:most]
            waiting = [number for number in waiting if number not in chosen]
            work_s = cost(works[chosen[0]].kind, len(chosen))
            busy += work_s
            running.append((now + work_s, chosen))
            instants = sorted({*instants, now + work_s})
    return ended, busy


@pytest.mark.long
@given(
    st.integers(0, 10**6), st.integers(1, 14), st.sampled_from((1, 2, 3)), st.sampled_from((1, 2, 5)),
    st.sampled_from((0.0, 0.17, 1.3)), st.sampled_from((0.3, 1.0, 4.0)),
)  # fmt: skip
@examples(200)
def test_ends_and_busy_time_are_those_of_the_rule(
    seed: int, count: int, cores: int, most: int, wait_s: float, rate: float
) -> None:
    rng, now, works = Random(seed), 0.0, []
    for _ in range(count):
        now += rng.expovariate(rate)
        works.append(Work(now, rng.choice("aab")))
    ended, busy = simulated(works, cores, most, wait_s)
    bench = Bench(works, cores, most, wait_s)
    assert bench.ended == ended
    assert bench.cpu.busy_s(bench.kernel.now) == pytest.approx(busy, rel=1e-12)


def test_periodic_pieces_fill_batches_as_their_period_says() -> None:
    """D/D[b]/1: one every 0.1 s. While the first runs ten come, while four run (1.75 s) 17.5: all others are full."""
    bench = Bench([Work(0.1 * k) for k in range(60)], wait_s=0.0)
    assert bench.sizes == [1, *[4] * 14, 3]
    assert bench.ended[59] == pytest.approx(1.0 + 14 * 1.75 + 1.5)


@pytest.mark.long
@pytest.mark.parametrize("each", [0.5, 0.8])
def test_company_that_seldom_comes(each: float) -> None:
    """Two at most, cores for all, Poisson arrivals: the first waits min(X, w), X exponential; company if X < w."""
    rng, now, works = Random(7), 0.0, []
    for _ in range(40_000):
        now += rng.expovariate(1.0)
        works.append(Work(now))
    bench = Bench(works, cores=50_000, most=2, wait_s=each)
    found = len(works) / len(bench.batches)
    assert found == pytest.approx(2.0 - exp(-each), rel=0.01)
    mean = sum(batch.company_s for batch in bench.batches) / len(bench.batches)
    assert mean == pytest.approx(1.0 - exp(-each), rel=0.02)

"""What grants mean: shares, weights of flows, who is disrupted, and who makes room."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st
from policy_worlds import SERVER, user
from worlds import examples

from layerlift.emulator.kernel.clock import Kernel, Node
from layerlift.emulator.kernel.weighted_cpu import WeightedCpu
from layerlift.emulator.policies.allocation import (
    LEAST,
    Capacity,
    Claim,
    Grant,
    PolicyBase,
    flow_weights,
    loses,
    share_of,
    victims,
)


def holders(*held: float) -> list[Claim]:
    return [user(number, held_bytes=each) for number, each in enumerate(held)]


def quotas(*allowed: float) -> list[Grant]:
    return [Grant(each, 1.0, 0.25) for each in allowed]


def test_nobody_is_taken_from_while_there_is_room() -> None:
    assert victims(SERVER, holders(60.0, 20.0, 0.0), quotas(30.0, 30.0, 30.0), 20.0, 2) == []
    assert victims(Capacity(inf, 1, inf), holders(60.0, 20.0), quotas(0.0, 0.0), 1e9, 1) == []


def test_the_largest_overshoot_goes_first_and_no_more_than_is_missing() -> None:
    claims, grants = holders(45.0, 40.0, 15.0, 0.0), quotas(30.0, 20.0, 15.0, 35.0)
    assert victims(SERVER, claims, grants, 12.0, 3) == [(1, 12.0)]
    assert victims(SERVER, claims, grants, 30.0, 3) == [(1, 20.0), (0, 10.0)]
    assert victims(SERVER, claims, grants, 35.0, 3) == [(1, 20.0), (0, 15.0)]


def test_of_equal_overshoots_the_latest_arrival_goes_first() -> None:
    claims = [user(0, held_bytes=50.0, order=7), user(1, held_bytes=50.0, order=3), user(2)]
    assert victims(SERVER, claims, quotas(40.0, 40.0, 20.0), 5.0, 2) == [(0, 5.0)]


def test_none_means_that_it_cannot_be() -> None:
    claims, grants = holders(45.0, 40.0, 15.0, 0.0), quotas(30.0, 20.0, 15.0, 35.0)
    assert victims(SERVER, claims, grants, 35.5, 3) is None
    assert victims(SERVER, claims, grants, 30.0, 3, most=1) is None
    assert victims(SERVER, claims, grants, 1.0, 3, most=0) is None
    assert victims(SERVER, holders(100.0, 0.0), quotas(0.0, 100.0), 1.0, 0) is None


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=1, max_size=6),
    st.integers(1, 60),
    st.integers(0, 3),
)
@examples(200)
def test_what_is_taken_makes_just_enough_room_from_whom_it_may(
    people: list[tuple[int, int]], wanted: int, most: int
) -> None:
    claims, grants = holders(*(float(held) for held, _ in people)), quotas(*(float(quota) for _, quota in people))
    held = sum(each for each, _ in people)
    over = sorted((max(0, has - may) for n, (has, may) in enumerate(people) if n), reverse=True)
    taken = victims(SERVER, claims, grants, float(wanted), 0, most)
    assert (taken is None) == (held + wanted - sum(over[:most]) > 100)
    if taken is not None:
        assert sum(each for _, each in taken) == max(0, held + wanted - 100)
        assert len(taken) <= most
        assert all(0 < each <= people[who][0] - people[who][1] and who for who, each in taken)


@pytest.mark.parametrize(
    ("cores", "weights", "caps", "expected"),
    [
        (1, [1.0], [inf], [1.0]),
        (1, [1.0, 1.0], [inf, inf], [0.5, 0.5]),
        (4, [1.0, 1.0], [inf, inf], [1.0, 1.0]),
        (2, [2.0, 1.0, 1.0], [inf] * 3, [1.0, 0.5, 0.5]),
        (2, [9.0, 1.0, 1.0], [inf] * 3, [1.0, 0.5, 0.5]),
        (4, [1.0, 1.0], [0.25, inf], [0.25, 1.0]),
        (1, [1.0, 0.0], [1.0, 0.0], [1.0, LEAST]),
    ],
)
def test_the_cpu_share_is_what_a_piece_has_when_all_are_busy(
    cores: int, weights: list[float], caps: list[float], expected: list[float]
) -> None:
    grants = [Grant(1.0, weight, 0.1, cap) for weight, cap in zip(weights, caps, strict=True)]
    shares = [share_of(Capacity(1.0, cores, 1.0), grants, index) for index in range(len(grants))]
    assert [cpu for cpu, _ in shares] == pytest.approx(expected)
    assert [link for _, link in shares] == pytest.approx([1.0 / len(grants)] * len(grants))


def test_a_piece_takes_one_over_the_share_as_long_on_the_weighted_cpu() -> None:
    grants = [Grant(1.0, 0.5, 0.1), Grant(1.0, 1.0, 0.1, cpu_cap=0.6), Grant(1.0, 3.0, 0.1)]
    kernel = Kernel()
    cpu = WeightedCpu(Node(kernel, 0), 2)
    ends: dict[int, float] = {}
    shares = [share_of(Capacity(1.0, 2, 1.0), grants, index)[0] for index in range(3)]
    for owner, grant in enumerate(grants):
        cpu.weigh(owner, grant.cpu, grant.cpu_cap)
        cpu.serve(5.0 * shares[owner], lambda who: ends.setdefault(who, kernel.now), owner, owner)
    kernel.run_before(inf)
    assert ends == pytest.approx(dict.fromkeys(range(3), 5.0))


def test_flows_weigh_one_on_average_whatever_the_crowd() -> None:
    assert flow_weights([Grant(1.0, 1.0, 0.25)] * 4) == [1.0] * 4
    assert flow_weights([Grant(1.0, 1.0, 0.6), Grant(1.0, 1.0, 0.2)]) == pytest.approx([1.5, 0.5])
    assert flow_weights([]) == []


def test_a_user_loses_only_what_it_still_wants() -> None:
    wants = user(0, memory_bytes=50.0, work_s=0.5, link_bytes=2.0)
    had = Grant(60.0, 1.0, 0.5)
    assert not loses(SERVER, wants, had, Grant(50.0, 0.5, 0.2))
    assert loses(SERVER, wants, had, Grant(49.0, 1.0, 0.5))
    assert loses(SERVER, wants, had, Grant(60.0, 0.4, 0.5))
    assert loses(SERVER, wants, had, Grant(60.0, 1.0, 0.1))
    assert loses(SERVER, wants, had, Grant(60.0, 1.0, 0.5, cpu_cap=0.5))

    class MemoryOnly(PolicyBase):
        weighs_cpu = weighs_links = False

    assert not loses(SERVER, wants, had, Grant(60.0, 0.1, 0.1, 0.1), MemoryOnly())

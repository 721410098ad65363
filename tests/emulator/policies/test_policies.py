"""Policies against their definitions: worked by hand, by their axioms, and by independent optima."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st
from policy_worlds import SERVER, parts_granted, parts_needed, servers, speed, user, users
from worlds import examples

from layerlift.emulator import policies
from layerlift.emulator.kernel.water_filling import fill
from layerlift.emulator.policies.allocation import LEAST, Capacity, Claim, Grant

SLACK = 1e-6
"""Relative: rounding, and `LEAST` for those who are entitled to nothing."""


def grants(policy: str, claims: list[Claim], capacity: Capacity = SERVER, before: dict[int, Grant] | None = None):
    return policies.make(policy).grants(capacity, claims, before or {})


def quotas(policy: str, claims: list[Claim], capacity: Capacity = SERVER) -> list[float]:
    return [grant.memory_bytes for grant in grants(policy, claims, capacity)]


# By hand


HUNGRY = [user(0, memory_bytes=70.0), user(1, memory_bytes=10.0), user(2, memory_bytes=60.0, weight=2.0)]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("first_come", [70.0, 10.0, 20.0]),
        ("equal", [100 / 3] * 3),
        ("priority", [40.0, 0.0, 60.0]),
        ("max_min", [45.0, 10.0, 45.0]),
        ("proportional", [30.0, 10.0, 60.0]),
        ("drf", [33.0 + 1 / 3 - 10 / 3, 10.0, 60.0]),
    ],
)
def test_memory_is_divided_as_the_policy_says(policy: str, expected: list[float]) -> None:
    assert quotas(policy, HUNGRY) == pytest.approx(expected)


def test_first_come_keeps_what_is_held() -> None:
    claims = [user(0, memory_bytes=80.0, held_bytes=10.0), user(1, memory_bytes=50.0, held_bytes=50.0), *HUNGRY[2:]]
    assert quotas("first_come", claims) == [50.0, 50.0, 0.0]
    assert grants("first_come", claims)[2].reason == "memory: all 100 bytes are taken"


def test_who_is_light_finds_no_memory_under_priority_and_hears_why() -> None:
    assert grants("priority", [HUNGRY[0], user(1, memory_bytes=100.0, weight=5.0)])[0].reason.startswith("memory: all")


def test_cpu_and_link_follow_the_weights_under_priority_and_proportional() -> None:
    claims = [user(0, work_s=9.0, link_bytes=1.0), user(1, work_s=1.0, link_bytes=50.0, weight=3.0)]
    for policy in ("priority", "proportional"):
        assert [(grant.cpu, grant.link) for grant in grants(policy, claims)] == [(0.5, 0.25), (1.5, 0.75)]


def test_greedy_reserves_cores_and_memory_until_their_user_leaves() -> None:
    claims = [user(0, memory_bytes=70.0), user(1, memory_bytes=70.0), user(2, memory_bytes=70.0)]
    first = grants("greedy", claims[:1])
    assert (first[0].memory_bytes, first[0].cpu, first[0].cpu_cap) == (70.0, 1.0, 1.0)
    two = grants("greedy", claims[:2], before={0: first[0]})
    assert [grant.memory_bytes for grant in two] == [70.0, 30.0]
    three = grants("greedy", claims, before=dict(enumerate(two)))
    assert three[:2] == [replace(grant, link=1 / 3) for grant in two]
    assert (three[2].memory_bytes, three[2].cpu, three[2].cpu_cap) == (0.0, 0.0, 0.0)
    assert three[2].reason == "memory: all 100 bytes are taken"
    after = grants("greedy", claims[1:], before=dict(enumerate(three)))
    assert [(grant.memory_bytes, grant.cpu) for grant in after] == [(70.0, 1.0), (30.0, 1.0)]


def test_greedy_says_which_cores_are_missing() -> None:
    claims = [user(number, work_s=0.1) for number in range(3)]
    assert [grant.reason for grant in grants("greedy", claims)] == ["", "", "cpu: all 2 cores are reserved"]
    assert grants("greedy:cores=1.5", claims)[1].reason == "cpu: 1.5 cores wanted, 0.5 of 2 are not reserved"
    assert [grant.cpu for grant in grants("greedy:cores=0.5", claims)] == [0.5] * 3
    assert [grant.cpu for grant in grants("greedy:cores=9", claims)] == [2.0, 0.0, 0.0]


def test_the_example_of_the_drf_paper() -> None:
    """9 cores and 18 GB: A needs 1 core and 4 GB per task, B 3 cores and 1 GB: A gets 3 tasks, B gets 2 (NSDI 2011)."""
    cluster = Capacity(18.0, 9, inf)
    many = [user(0, memory_bytes=4.0 * 100, work_s=1.0 * 100), user(1, memory_bytes=1.0 * 100, work_s=3.0 * 100)]
    a, b = grants("drf:spare=false", many, cluster)
    assert (a.memory_bytes, a.cpu) == pytest.approx((12.0, 3.0))
    assert (b.memory_bytes, b.cpu) == pytest.approx((2.0, 6.0))


def test_what_drf_has_left_goes_by_weight() -> None:
    claims = [user(0, memory_bytes=90.0, work_s=4.0), user(1, memory_bytes=30.0, work_s=4.0, weight=3.0)]
    strict, spare = grants("drf:spare=false", claims), grants("drf", claims)
    assert [grant.cpu for grant in strict] == [grant.cpu for grant in spare] == pytest.approx([0.5, 1.5])
    assert [grant.memory_bytes for grant in strict] == pytest.approx([11.25, 11.25])
    assert [grant.memory_bytes for grant in spare] == pytest.approx([70.0, 30.0])


def test_dynamic_drf_leaves_the_late_what_is_left() -> None:
    claims = [user(number, memory_bytes=100.0) for number in range(3)]

    def lived(policy: str) -> list[list[float]]:
        before: dict[int, Grant] = {}
        rows = []
        for count in (1, 2, 3):
            before = dict(enumerate(grants(policy, claims[:count], before=before)))
            rows.append([before[number].memory_bytes for number in range(count)])
        return rows

    assert lived("dynamic_drf") == [[100.0], [100.0, 0.0], [100.0, 0.0, 0.0]]
    third = pytest.approx(100 / 3)
    assert lived("dynamic_drf:disruptions=1") == [[100.0], [50.0, 50.0], [50.0, third, pytest.approx(50 / 3)]]
    assert lived("dynamic_drf:disruptions=2") == [[100.0], [50.0, 50.0], [third, third, third]]
    assert lived("dynamic_drf:expected=4") == [[25.0], [25.0, 25.0], [25.0, 25.0, 25.0]]


@pytest.mark.parametrize(("disruptions", "cut"), [(0, 0), (1, 2), (2, 4)])
def test_dynamic_drf_disrupts_so_many_users_for_each_who_arrives(disruptions: int, cut: int) -> None:
    """Five hold a fifth of the memory each; two come at one instant. A seventh is everybody's fair share."""
    claims = [user(number, memory_bytes=100.0) for number in range(7)]
    before = {number: Grant(20.0, 0.1, 0.1) for number in range(5)}
    made = grants(f"dynamic_drf:disruptions={disruptions}", claims, before=before)
    held = [grant.memory_bytes for grant in made]
    assert sum(share < 19.0 for share in held[:5]) == cut
    assert sum(held) == pytest.approx(100.0)
    assert held[5:] == pytest.approx([cut * (20.0 - 100 / 7) / 2.0] * 2)


def test_dynamic_drf_gives_back_what_a_user_wants_no_more() -> None:
    first = grants("dynamic_drf", [user(0, memory_bytes=100.0)])[0]
    two = [user(0, memory_bytes=40.0), user(1, memory_bytes=100.0)]
    assert [grant.memory_bytes for grant in grants("dynamic_drf", two, before={0: first})] == pytest.approx(
        [40.0, 60.0]
    )
    holding = [user(0, memory_bytes=40.0, held_bytes=70.0), two[1]]
    assert [grant.memory_bytes for grant in grants("dynamic_drf", holding, before={0: first})] == pytest.approx(
        [70.0, 30.0]
    )


def test_dynamic_drf_lets_a_user_go_as_fast_as_what_it_has_allows() -> None:
    """Memory is used up at a dominant share of 0.4, but the first user has all that it wants of it and needs CPU."""
    before = {0: Grant(60.0, 0.2, 0.1)}
    made = grants("dynamic_drf", [user(0, memory_bytes=60.0, work_s=1.0), user(1, memory_bytes=100.0)], before=before)
    assert [grant.memory_bytes for grant in made] == pytest.approx([60.0, 40.0])
    assert made[0].cpu == pytest.approx(1.0)


# Axioms


@given(servers(), users(equal_weights=True), st.sampled_from(("drf", "drf:spare=false")))
@examples(100)
def test_drf_gives_everybody_an_incentive_to_share(capacity: Capacity, claims: list[Claim], policy: str) -> None:
    """Nobody would be faster alone with 1/n of everything."""
    for claim, grant in zip(claims, grants(policy, claims, capacity), strict=True):
        needed = max(parts_needed(capacity, claim))
        alone = min(1.0, 1.0 / len(claims) / needed) if needed else 1.0
        assert speed(capacity, claim, grant) >= alone * (1.0 - SLACK)


@given(servers(), users(equal_weights=True))
@examples(100)
def test_nobody_envies_anothers_bundle_under_drf(capacity: Capacity, claims: list[Claim]) -> None:
    made = grants("drf:spare=false", claims, capacity)
    for claim, own in zip(claims, made, strict=True):
        for other in made:
            extra = 2 * LEAST * max([1.0] + [1.0 / need for need in parts_needed(capacity, claim) if need > 0.0])
            assert speed(capacity, claim, other) <= speed(capacity, claim, own) * (1.0 + SLACK) + extra


@given(servers(), users(), st.sampled_from(("drf", "drf:spare=false")))
@examples(100)
def test_drf_is_pareto_efficient(capacity: Capacity, claims: list[Claim], policy: str) -> None:
    """Whoever is not at full speed needs something of which others use all that is left: nobody's gain is free."""
    speeds = [speed(capacity, *each) for each in zip(claims, grants(policy, claims, capacity), strict=True)]
    used = [
        sum(pace * parts_needed(capacity, claim)[r] for pace, claim in zip(speeds, claims, strict=True))
        for r in range(3)
    ]
    for claim, pace in zip(claims, speeds, strict=True):
        needed = [r for r in range(3) if parts_needed(capacity, claim)[r] > 0.0]
        assert pace >= 1.0 - SLACK or any(used[r] >= 1.0 - SLACK for r in needed)
    assert all(each <= 1.0 + 10 * SLACK for each in used)


@given(servers(), users(equal_weights=True), st.tuples(*[st.floats(0.1, 10.0)] * 3))
@examples(150)
def test_lying_about_ones_needs_does_not_pay_under_drf(
    capacity: Capacity, claims: list[Claim], lie: tuple[float, float, float]
) -> None:
    honest = speed(capacity, claims[0], grants("drf:spare=false", claims, capacity)[0])
    liar = replace(
        claims[0],
        memory_bytes=claims[0].memory_bytes * lie[0],
        work_s=claims[0].work_s * lie[1],
        link_bytes=claims[0].link_bytes * lie[2],
    )
    lied = grants("drf:spare=false", [liar, *claims[1:]], capacity)[0]
    extra = 2 * LEAST * max([1.0] + [1.0 / need for need in parts_needed(capacity, claims[0]) if need > 0.0])
    assert speed(capacity, claims[0], lied) <= honest * (1.0 + SLACK) + extra


@given(servers(), users())
@examples(100)
def test_drf_equals_weighted_dominant_shares_until_something_stops_one(capacity: Capacity, claims: list[Claim]) -> None:
    """A user with a smaller weighted dominant share than another's is at full speed, or what stops it is used up."""
    made = grants("drf:spare=false", claims, capacity)
    speeds = [speed(capacity, *each) for each in zip(claims, made, strict=True)]
    needs = [parts_needed(capacity, claim) for claim in claims]
    shares = [max(need) * pace / claim.weight for need, pace, claim in zip(needs, speeds, claims, strict=True)]
    for u, share in enumerate(shares):
        richer = [v for v in range(len(claims)) if shares[v] > share * (1.0 + SLACK) + 10 * LEAST]
        if speeds[u] >= 1.0 - SLACK or not richer:
            continue
        used = [sum(need[r] * pace for need, pace in zip(needs, speeds, strict=True)) for r in range(3)]
        stops = [r for r in range(3) if needs[u][r] > 0.0 and used[r] > 1.0 - SLACK]
        assert any(all(needs[v][r] * speeds[v] <= 10 * LEAST for v in richer) for r in stops)


@given(servers(), users())
@examples(150)
def test_dynamic_drf_of_a_crowd_that_comes_at_once_is_drf(capacity: Capacity, claims: list[Claim]) -> None:
    for ours, theirs in zip(
        grants("dynamic_drf", claims, capacity), grants("drf:spare=false", claims, capacity), strict=True
    ):
        assert parts_granted(capacity, ours) == pytest.approx(parts_granted(capacity, theirs), rel=1e-9)


@given(servers(), users(most=8), st.integers(0, 2), st.integers(0, 8), st.randoms(use_true_random=False))
@examples(150)
def test_dynamic_drf_takes_back_from_no_more_users_than_it_may(
    capacity: Capacity, claims: list[Claim], most: int, expected: int, chance
) -> None:
    policy = policies.make(f"dynamic_drf:disruptions={most},expected={expected}")
    before: dict[int, Grant] = {}
    present: list[Claim] = []
    for claim in claims:
        if len(present) > 1 and chance.random() < 0.4:
            present.remove(chance.choice(present))
        present.append(claim)
        now = {c.user: g for c, g in zip(present, policy.grants(capacity, present, before), strict=True)}
        stayed = [c for c in present if c.user in before]
        shrunk = [
            c
            for c in stayed
            if any(
                new < old * (1 - 1e-9)
                for old, new in zip(
                    parts_granted(capacity, before[c.user]), parts_granted(capacity, now[c.user]), strict=True
                )
            )
        ]
        assert len(shrunk) <= most
        before = now


@given(servers(), users(equal_weights=True, most=5))
@examples(100)
def test_with_the_number_of_users_known_nobody_is_left_behind(capacity: Capacity, claims: list[Claim]) -> None:
    """Who comes last still gets what 1/n of everything would give it (sharing incentive of Kash et al.)."""
    policy = policies.make(f"dynamic_drf:expected={len(claims)}")
    before: dict[int, Grant] = {}
    for count in range(1, len(claims) + 1):
        made = policy.grants(capacity, claims[:count], before)
        before = {claim.user: grant for claim, grant in zip(claims, made, strict=False)}
    for claim in claims:
        needed = max(parts_needed(capacity, claim))
        alone = min(1.0, 1.0 / len(claims) / needed) if needed else 1.0
        assert speed(capacity, claim, before[claim.user]) >= alone * (1.0 - 10 * SLACK)


# Optima


def water(capacity: float, wanted: list[float]) -> list[Fraction]:
    """Brute force: divide what is left equally among those who want more, until nothing is or nobody does."""
    left, has = Fraction(capacity), [Fraction(0)] * len(wanted)
    while left > 0 and (thirsty := [n for n, want in enumerate(wanted) if has[n] < Fraction(want)]):
        drop = min([left / len(thirsty)] + [Fraction(wanted[n]) - has[n] for n in thirsty])
        for n in thirsty:
            has[n] += drop
        left -= drop * len(thirsty)
        if drop == 0:
            break
    return has


@given(servers(endless=False), users(most=10))
@examples(100)
def test_max_min_memory_is_that_of_the_brute_force(capacity: Capacity, claims: list[Claim]) -> None:
    expected = [float(each) for each in water(capacity.memory_bytes, [claim.memory_bytes for claim in claims])]
    assert quotas("max_min", claims, capacity) == pytest.approx(expected, rel=1e-9)


def best_rates(capacity: float, costs: list[float], claims: list[Claim], alpha: float) -> list[float]:
    """Queries per second that are best for the sum of w U(x): from the multiplier of the constraint, by bisection."""

    def rates(price: float) -> list[float]:
        return [
            min(1.0 / claim.period_s, (claim.weight / (price * cost)) ** (1.0 / alpha))
            for claim, cost in zip(claims, costs, strict=True)
        ]

    low, high = 1e-30, 1e30
    for _ in range(400):
        price = (low * high) ** 0.5
        enough = sum(x * cost for x, cost in zip(rates(price), costs, strict=True)) <= capacity
        low, high = (low, price) if enough else (price, high)
    return rates(high)


def rates_under(weights: list[float], capacity: float, costs: list[float], claims: list[Claim]) -> list[float]:
    """Queries per second when a resource is shared by these weights and nobody uses more than it wants."""
    wanted = [cost / claim.period_s for cost, claim in zip(costs, claims, strict=True)]
    return [got / cost for got, cost in zip(fill(capacity, weights, wanted), costs, strict=True)]


@given(servers(endless=False), users(wants_all=True), st.sampled_from((0.5, 1.0, 1.7, 2.0, 5.0)))
@examples(100)
def test_alpha_fair_weights_lead_to_the_best_rates(capacity: Capacity, claims: list[Claim], alpha: float) -> None:
    made = grants(f"alpha_fair:alpha={alpha}", claims, capacity)
    for weights, room, costs in (
        ([grant.cpu for grant in made], float(capacity.cores), [claim.work_s for claim in claims]),
        ([grant.link for grant in made], capacity.link_bytes_s, [claim.link_bytes for claim in claims]),
    ):
        if min(weights) > 2 * LEAST * max(1.0, sum(weights)):
            best = best_rates(room, costs, claims, alpha)
            assert rates_under(weights, room, costs, claims) == pytest.approx(best, rel=1e-6)


@given(servers(endless=False), users(wants_all=True))
@examples(100)
def test_alpha_of_one_is_proportional_and_a_large_one_is_nearly_max_min(
    capacity: Capacity, claims: list[Claim]
) -> None:
    assert grants("alpha_fair:alpha=1", claims, capacity) == grants("proportional", claims, capacity)
    assert grants("alpha_fair:alpha=inf", claims, capacity) == grants("max_min", claims, capacity)
    large, limit = grants("alpha_fair:alpha=5000", claims, capacity), grants("max_min", claims, capacity)
    for ours, theirs in zip(large, limit, strict=True):
        assert parts_granted(capacity, ours) == pytest.approx(parts_granted(capacity, theirs), rel=0.01)


@given(servers(endless=False), users(wants_all=True))
@examples(150)
def test_under_max_min_a_slower_user_is_at_full_speed(capacity: Capacity, claims: list[Claim]) -> None:
    made = grants("max_min", claims, capacity)
    costs = [claim.work_s for claim in claims]
    rates = rates_under([grant.cpu for grant in made], float(capacity.cores), costs, claims)
    slowest = [rate for rate, claim in zip(rates, claims, strict=True) if rate < (1 - SLACK) / claim.period_s]
    if slowest:
        assert max(rates) <= max(slowest) * (1 + 1e-3)
        assert sum(rate * cost for rate, cost in zip(rates, costs, strict=True)) == pytest.approx(capacity.cores)


@given(st.floats(1.0, 100.0), st.lists(st.tuples(st.floats(0.1, 9.0), st.floats(0.0, 60.0)), min_size=1, max_size=9))
@examples(100)
def test_filling_gives_by_weight_and_wastes_nothing(capacity: float, users_: list[tuple[float, float]]) -> None:
    weights, wanted = [w for w, _ in users_], [want for _, want in users_]
    got = fill(capacity, weights, wanted)
    assert sum(got) == pytest.approx(min(capacity, sum(wanted)))
    assert all(has <= want for has, want in zip(got, wanted, strict=True))
    level = max(has / weight for has, weight in zip(got, weights, strict=True))
    assert all(has >= min(want, level * w) * (1 - 1e-9) for has, want, w in zip(got, wanted, weights, strict=True))

"""Shared media: closed forms, textbook filling over any number of hops, and the slow simulator in random sites."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice, product
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slow_network import Sent, fair_rates, simulate
from worlds import chain_graph, examples, small_world

from layerlift.emulator.conditions.conditions import Conditions
from layerlift.emulator.kernel.flows import Flow, Pair, Port, settle
from layerlift.emulator.network.byte_ledger import ByteLedger
from layerlift.emulator.network.fabric import Fabric
from layerlift.emulator.protocol.messages import Departure, UploadPart
from layerlift.emulator.world.faults import Fault, Loss, OnOff, Outage, Pairs, Through, Trace
from layerlift.emulator.world.links import Crossing, LinkSpec, MediumSpec, Way
from layerlift.emulator.world.mobility import Journey
from layerlift.emulator.world.world import World
from layerlift.models.errors import ScenarioError

DELAY, RATE = 0.01, 1000.0
CELL, SITE, BACKHAUL = 0, 1, 2


def up(*media: int) -> tuple[Crossing, ...]:
    return tuple(Crossing(medium, "up") for medium in media)


def down(*media: int) -> tuple[Crossing, ...]:
    return tuple(Crossing(medium, "down") for medium in media)


def world_of(
    media: Sequence[MediumSpec], behind: Sequence[int], clients: int = 2, share: bool = True, **changes: object
) -> World:
    """Equal links; the first nodes are clients, then come edge servers, each behind the medium that is named for it."""
    servers = len(behind) - clients
    plain = small_world(chain_graph([1, 1], [1]), [1.0], clients=clients, servers=servers, share_links=share, **changes)
    nodes = [replace(node, behind=at) for node, at in zip(plain.nodes, [*behind, -1], strict=True)]
    one = LinkSpec(DELAY, RATE)
    links = dict.fromkeys(product(("client", "edge"), repeat=2), one)
    return replace(plain, nodes=tuple(nodes), links=links, media=tuple(media))


def arrivals(world: World, messages: Sequence[tuple[float, int, int, int]]) -> list[float]:
    """When each message (at, source, to, bytes) arrives."""
    fabric = Fabric(world)
    fabric.take(
        [
            Departure(at, source, number, to, size, 0, UploadPart(0, 1, number, 1, (), ()))
            for number, (at, source, to, size) in enumerate(messages)
        ]
    )
    found = {each.sequence: each.at for each in fabric.arrivals_before(inf)}
    return [found[number] for number in range(len(messages))]


# The way


def three_tiers() -> World:
    """Two clients in a cell of a site, one outside; an edge server in the site, another outside; a back-haul."""
    media = [
        MediumSpec("backhaul", 500.0, 400.0, 0.02, 2e-9),
        MediumSpec("site", 600.0, inf, 0.0, 0.0, 0),
        MediumSpec("cell", 200.0, 300.0, 0.004, 1e-9, 1),
    ]
    return world_of(media, [2, 2, -1, 1, -1], clients=3)


def test_what_both_ends_are_behind_is_not_crossed() -> None:
    world = three_tiers()
    assert world.path(0, 3) == up(2)
    assert world.path(3, 0) == down(2)
    assert world.path(0, 4) == up(2, 1, 0)
    assert world.path(4, 0) == down(0, 1, 2)
    assert world.path(3, 4) == up(1, 0)
    assert world.path(2, 3) == down(0, 1)
    assert world.path(2, 4) == ()
    assert world.path(0, 1) == (), "two clients of a cell"


def test_a_way_adds_latencies_and_prices_up_and_is_as_wide_as_its_narrowest_part() -> None:
    world = three_tiers()
    assert world.link(0, 4) == LinkSpec(DELAY + 0.004 + 0.02, 200.0, 1e-9 + 2e-9)
    assert world.link(4, 0) == LinkSpec(DELAY + 0.02 + 0.004, 300.0, 2e-9 + 1e-9)
    assert world.link(3, 4).bandwidth_bytes_s == 500.0
    assert world.link(2, 4) == LinkSpec(DELAY, RATE)
    far = replace(world.planning, loopback_s=1.0)
    assert replace(world, planning=far).lookahead_s == DELAY
    latency_s, bandwidth, _ = world.server_links
    assert (latency_s[0, 1], bandwidth[1, 0]) == (DELAY + 0.02, 400.0)


def test_a_link_crosses_what_it_says_between_what_its_ends_are_behind() -> None:
    world = three_tiers()
    over = {**world.links, ("client", "edge"): LinkSpec(DELAY, RATE, 0.0, (Crossing(0, "up"), Crossing(1, "down")))}
    over["edge", "client"] = LinkSpec(DELAY, RATE, 0.0, (Crossing(1, "up"), Crossing(0, "down")))
    world = replace(world, links=over)
    assert world.path(2, 4) == (Crossing(0, "up"), Crossing(1, "down"))
    assert world.path(4, 2) == (Crossing(1, "up"), Crossing(0, "down"))
    assert world.path(0, 3) == (Crossing(2, "up"), Crossing(0, "up"), Crossing(1, "down"))
    assert world.path(0, 4) == (*up(2, 1, 0), Crossing(1, "down")), "once each way"


def test_a_planner_is_behind_what_its_place_is_behind() -> None:
    world = three_tiers()
    at_home = world.path(0, world.planner)
    world = replace(world, planning=replace(world.planning, at=4))
    assert at_home == ()
    assert world.path(0, world.planner) == world.path(0, 4)
    assert world.path(world.planner, 4) == ()


def test_media_come_in_the_order_in_which_they_lie_behind_each_other() -> None:
    with pytest.raises(ScenarioError, match="medium 'a' comes before the one that it is behind"):
        world_of([MediumSpec("a", behind=1), MediumSpec("b")], [-1, -1, -1])


# Closed forms


@pytest.mark.parametrize("users", [1, 2, 5, 10])
def test_as_many_as_share_a_back_haul_have_equal_parts_of_it(users: int) -> None:
    """Every link has 1000 bytes/s, the back-haul 1500 up: 1 has 1000, n > 1 have 1500 / n."""
    world = world_of([MediumSpec("backhaul", 1500.0, inf)], [0] * users + [-1], clients=users)
    each = arrivals(world, [(0.0, user, users, 900) for user in range(users)])
    assert each == pytest.approx([DELAY + 900 / min(1000.0, 1500.0 / users)] * users, rel=1e-12)
    back = arrivals(world, [(0.0, users, user, 900) for user in range(users)])
    assert back == pytest.approx([DELAY + 0.9] * users, rel=1e-12), "the other way has its own"


def test_a_parking_lot_is_shared_as_in_the_book() -> None:
    """Three hops of 1, 2 and 1: the long flow has half of the first, and the others what it leaves them."""
    first, second, third = Port(1.0), Port(2.0), Port(1.0)
    pairs = [Pair(inf, ports) for ports in ((first, second, third), (first,), (second,), (third,))]
    flows = [Flow(pair, 100, 1.0, 0.0, None) for pair in pairs]
    for flow in flows:
        flow.pair.add(flow)
        settle(flow.pair, 0.0)
    assert [flow.rate for flow in flows] == [0.5, 0.5, 1.5, 0.5]
    pairs[1].remove(flows[1])
    settle(pairs[1], 1.0)
    assert [flow.rate for flow in (flows[0], *flows[2:])] == [0.5, 1.5, 0.5]
    pairs[3].remove(flows[3])
    settle(pairs[3], 2.0)
    assert [flows[0].rate, flows[2].rate] == [1.0, 1.0]


def test_a_port_that_is_made_wider_is_shared_by_what_its_pairs_ask_of_it_now() -> None:
    port = Port(1.0)
    pairs = [Pair(10.0, (port,)) for _ in range(2)]
    flows = [Flow(pair, 100, 1.0, 0.0, None) for pair in pairs]
    for flow in flows:
        flow.pair.add(flow)
        settle(flow.pair, 0.0)
    for capacity in (10.0, 2.0, 16.0, 40.0, 3.0):
        port.resize(capacity)
        settle(pairs[0], 1.0)
        assert [flow.rate for flow in flows] == [min(10.0, capacity / 2)] * 2


def test_traffic_within_a_site_does_not_cross_its_uplink() -> None:
    """Two servers of a site and one outside: inside both have 1000 bytes/s, out of it they share 1000."""
    world = world_of([MediumSpec("site", 1000.0, 1000.0)], [-1, 0, 0, -1], clients=1)
    inside = arrivals(world, [(0.0, 1, 2, 500), (0.0, 2, 1, 500)])
    assert inside == pytest.approx([DELAY + 0.5] * 2)
    outside = arrivals(world, [(0.0, 1, 3, 500), (0.0, 2, 3, 500), (0.0, 1, 2, 500)])
    assert outside == pytest.approx([DELAY + 1.0, DELAY + 1.0, DELAY + 0.5])


def test_links_that_are_not_shared_have_all_of_every_medium() -> None:
    world = world_of([MediumSpec("backhaul", 500.0, inf, 0.25)], [0, 0, -1], share=False)
    assert arrivals(world, [(0.0, 0, 2, 500), (0.0, 1, 2, 500)]) == pytest.approx([DELAY + 0.25 + 1.0] * 2)


# Faults


def under(*faults: Fault, share: bool = True) -> World:
    """Two clients behind a back-haul of 1000 bytes/s each way."""
    world = world_of([MediumSpec("backhaul", 1000.0, 1000.0)], [0, 0, -1], share=share)
    return replace(world, faults=faults, resend_s=0.5)


def test_a_trace_changes_what_all_share() -> None:
    """1000 bytes/s for both until 1 s, 400 until 3 s, then 1000 again; each link alone could do 1000."""
    world = under(Trace(Through(0, "up"), ((1.0, 400.0, None), (3.0, None, None))))
    first, second = arrivals(world, [(1.0 - DELAY - 0.2, 0, 2, 500), (1.0 - DELAY - 0.2, 1, 2, 700)])
    assert first == pytest.approx(3.0)  # 100 bytes each at 1 s, and 200 a second from there on
    assert second == pytest.approx(3.2)  # 200 bytes are left, and it is alone
    assert arrivals(world, [(1.5, 2, 0, 500)])[0] == pytest.approx(1.5 + DELAY + 0.5), "the other way has its own"


def test_what_nobody_watched_is_looked_up_when_it_is_crossed_again() -> None:
    world = under(Trace(Through(0), ((1.0, 400.0, None), (3.0, None, None))))
    sent = [(0.0, 0, 2, 100), (5.0, 0, 2, 1000), (5.0, 1, 2, 1000)]
    assert arrivals(world, sent) == pytest.approx([DELAY + 0.1, DELAY + 7.0, DELAY + 7.0])
    sent = [(2.0, 0, 2, 100), (2.0, 1, 2, 100)]
    assert arrivals(world, sent) == pytest.approx([2.0 + DELAY + 0.5] * 2)


def test_a_trace_holds_where_no_link_alone_could_notice() -> None:
    """Links carry 1000, the back-haul 1500 until 1 s and 1200 from there on."""
    world = replace(under(Trace(Through(0), ((1.0, 1200.0, None),))), media=(MediumSpec("backhaul", 1500.0, 1500.0),))
    both = arrivals(world, [(0.8 - DELAY, 0, 2, 300), (0.8 - DELAY, 1, 2, 300)])
    assert both == pytest.approx([1.0 + 150 / 600] * 2)


def test_what_comes_and_goes_on_a_medium_has_one_course_for_all() -> None:
    world = under(OnOff(Through(0), 0.3, 0.2))
    conditions = Conditions(world)
    courses = [list(islice(conditions.changes(*ends), 40)) for ends in ((0, 2), (1, 2), (2, 1))]
    assert [[(at, state.up) for at, state in course] for course in courses] == [
        [(at, state.up) for at, state in courses[0]]
    ] * 3
    bursts = Conditions(under(Loss(Through(0), 0.1, 0.9, 0.3, 0.2)))
    lost = [[bursts.loss(*ends, 0.05 * k) for k in range(60)] for ends in ((0, 2), (1, 2), (2, 1))]
    assert lost == [lost[0]] * 3
    assert set(lost[0]) == {0.1, 0.9}


def test_a_medium_that_is_unlimited_until_a_trace_says_otherwise() -> None:
    world = replace(under(), media=(MediumSpec("cell", inf, inf),))
    world = replace(world, faults=(Trace(Through(0), ((1.0, 400.0, None), (2.0, None, None))),))
    first, second = arrivals(world, [(0.5 - DELAY, 0, 2, 1000), (0.5 - DELAY, 1, 2, 1000)])
    # 500 each at 1 s; 200 a second until 2 s; the last 300 at full speed.
    assert (first, second) == (pytest.approx(2.3), pytest.approx(2.3))


def test_an_outage_of_a_medium_takes_down_all_that_cross_it() -> None:
    world = under(Outage(Through(0, "up"), 0.25, 0.5))
    fabric = Fabric(world)
    departures = [
        Departure(0.0, source, number, to, 500, 0, UploadPart(0, 1, number, 1, (), ()))
        for number, (source, to) in enumerate([(0, 2), (1, 2), (2, 0)])
    ]
    fabric.take(departures)
    reached = [(each.to, type(each.message).__name__) for each in fabric.arrivals_before(0.6)]
    assert sorted(reached) == [(0, "Failed"), (0, "UploadPart"), (1, "Failed")]
    assert fabric.ledger.lost_bytes == 1000


def test_a_trace_of_a_medium_changes_its_latency_and_not_the_links() -> None:
    world = under(Trace(Through(0), ((1.0, None, 0.3), (4.0, 0.0, None))))
    assert arrivals(world, [(0.0, 0, 2, 0), (2.0, 1, 2, 0)]) == pytest.approx([DELAY, 2.0 + DELAY + 0.3])
    assert Fabric(world).next_event() == inf, "a medium at rest costs nothing"


@pytest.mark.parametrize("share", [True, False])
def test_a_trace_holds_on_links_that_are_not_shared_too(share: bool) -> None:
    world = under(Trace(Through(0), ((1.0, 400.0, None),)), share=share)
    assert arrivals(world, [(0.5 - DELAY, 0, 2, 900)]) == pytest.approx([1.0 + 400 / 400])


def test_loss_on_a_medium_is_loss_on_every_way_over_it() -> None:
    world = under(Loss(Through(0, "up"), 0.999999))
    fabric = Fabric(world)
    assert all(each.link is not None for each in (fabric._channels[0, 2], fabric._channels[1, 2]))
    assert fabric._channels[2, 0].link is None, "nothing ever happens on the way down"
    fabric.take([Departure(0.0, 0, 1, 2, 500, 0, UploadPart(0, 1, 1, 1, (), ()))])
    assert [type(each.message).__name__ for each in fabric.arrivals_before(0.9)] == ["Failed"]


def test_faults_of_links_and_of_media_add_up() -> None:
    world = under(Trace(Pairs(0, 2), ((1.0, 300.0, None),)), Trace(Through(0), ((2.0, 100.0, None),)))
    # 1000 until 1 s, 300 until 2 s, 100 from there on.
    assert arrivals(world, [(0.5 - DELAY, 0, 2, 1000)]) == pytest.approx([4.0])


def test_who_moves_crosses_what_lies_on_its_new_way() -> None:
    """Both share `first` down, 100 bytes/s each; from 1 s on the mover comes through the second server's 50 up."""
    media = [MediumSpec("first", 1000.0, 200.0), MediumSpec("second", 50.0, 1000.0)]
    world = world_of(media, [-1, -1, 0, 1])
    world = replace(world, mobility=(Journey((0,), ((0.0, 2), (1.0, 3))),))
    both = arrivals(world, [(0.5 - DELAY, 0, 2, 150), (0.5 - DELAY, 1, 2, 150)])
    assert both == pytest.approx([1.0 + 100 / 50, 1.0 + 100 / 150])
    fabric = Fabric(world)
    fabric.take([Departure(0.0, 0, 1, 3, 100, 0, UploadPart(0, 1, 1, 1, (), ()))])
    fabric.arrivals_before(0.05)
    names = [crossing for crossing, _ in fabric._conditions.state(0, 3, 0.05).via]
    assert names == [Crossing(0, "down"), Crossing(0, "up"), Crossing(1, "down")]
    assert [crossing for crossing, _ in fabric._conditions.state(0, 3, 1.5).via] == [Crossing(1, "down")]


def test_who_moves_onto_a_medium_shares_it_and_who_moves_off_leaves_it() -> None:
    """The mover's way to the first server is its own link, but from 1 to 2 s it goes over the second's uplink."""
    world = world_of([MediumSpec("second", 1000.0, inf)], [-1, -1, -1, 0])
    world = replace(world, mobility=(Journey((0,), ((0.0, 2), (1.0, 3), (2.0, 2))),))
    mover, other = arrivals(world, [(0.9 - DELAY, 0, 2, 900), (0.8 - DELAY, 3, 2, 1000)])
    # 100 of the mover's are there at 1 s, 600 at 2 s; the other has 200, 700, and then all of the uplink again.
    assert (mover, other) == (pytest.approx(2.0 + 0.3), pytest.approx(2.0 + 0.3))


def test_books_of_who_moves_are_undone_in_the_order_in_which_things_happened() -> None:
    ledger = ByteLedger(three_tiers())
    account = ledger.account(0, 3, 0.0, up(CELL))
    ledger.delivered(account, 10)
    ledger.reroute(account, up(SITE), 1.0)
    ledger.delivered(account, 7)
    ledger.reroute(account, up(BACKHAUL), 2.0)
    ledger.delivered(account, 5)
    for at, size in ((2.5, 5), (1.5, 7)):
        ledger.route_back(at)
        ledger.undo(account, size)
    found = ledger.crossed_bytes()
    assert {crossing: size for crossing, size in found.items() if size} == {Crossing(CELL, "up"): 10}


# Against textbook filling


@given(st.data())
@examples(150)
def test_rates_over_any_number_of_hops_are_fair_after_every_change(data: st.DataObject) -> None:
    """Flows join and leave, ports get another capacity, pairs another bandwidth or other ports."""
    rates = st.sampled_from((1.0, 2.5, 3.0, 7.0, 10.0))
    ports = [Port(data.draw(rates)) for _ in range(data.draw(st.integers(2, 6)))]
    ways = st.lists(st.sampled_from(ports), max_size=5, unique_by=id).map(tuple)
    pairs = [Pair(data.draw(rates), data.draw(ways)) for _ in range(data.draw(st.integers(1, 7)))]
    flows: list[Flow] = []
    for now in range(data.draw(st.integers(1, 15))):
        change = data.draw(st.sampled_from(("join", "join", "leave", "capacity", "bandwidth", "way")))
        pair = data.draw(st.sampled_from(pairs))
        if change == "join":
            flows.append(Flow(pair, 10**9, 1.0, float(now), None))
            pair.add(flows[-1])
            settle(pair, float(now))
        elif change == "leave" and flows:
            gone = flows.pop(data.draw(st.integers(0, len(flows) - 1)))
            gone.pair.remove(gone)
            settle(gone.pair, float(now))
        elif change == "capacity":
            port = data.draw(st.sampled_from(ports))
            port.resize(data.draw(rates))
            for other in list(port.pairs)[:1]:
                settle(other, float(now))
        elif change == "bandwidth":
            pair.resize(data.draw(rates))
            settle(pair, float(now))
        elif change == "way":
            before = pair.ports
            pair.reroute(data.draw(ways))
            for other in [other for port in before for other in list(port.pairs)[:1]]:
                settle(other, float(now))
            settle(pair, float(now))
        capacity: dict[object, float] = {port: port.capacity for port in ports}
        capacity |= {pair: pair.bandwidth for pair in pairs}
        expected = fair_rates([(flow.pair, *flow.pair.ports) for flow in flows], capacity)
        assert [flow.rate for flow in flows] == pytest.approx(expected, rel=1e-12)


@st.composite
def sites(draw: st.DrawFn) -> World:
    """Media in a tree of any shape, nodes behind any of them, links over one more."""
    rates = st.sampled_from((inf, 150.0, 400.0, 1000.0, 1700.0))
    count = draw(st.integers(1, 5))
    media = [
        MediumSpec(f"m{k}", draw(rates), draw(rates), draw(st.sampled_from((0.0, 0.03))), 0.0,
                   draw(st.integers(-1, k - 1)))
        for k in range(count)
    ]  # fmt: skip
    clients, servers = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    behind = [draw(st.integers(-1, count - 1)) for _ in range(clients + servers)]
    world = world_of(media, behind, clients, draw(st.sampled_from((True, True, True, False))))
    ways: tuple[Way, ...] = ("up", "down")
    via = [(Crossing(draw(st.integers(0, count - 1)), draw(st.sampled_from(ways))),) for _ in range(4)]
    links = {
        ends: replace(link, via=crossed if draw(st.booleans()) else ())
        for (ends, link), crossed in zip(world.links.items(), via, strict=True)
    }
    ports = {"uplink_bytes_s": draw(rates), "downlink_bytes_s": draw(rates)}
    nodes = tuple(node if node.tier == "planner" else replace(node, **ports) for node in world.nodes)
    return replace(world, links=links, nodes=nodes)


@given(sites(), st.data())
@examples(150)
def test_arrivals_in_sites_are_those_of_the_slow_simulator(world: World, data: st.DataObject) -> None:
    ends = range(len(world.nodes) - 1)
    some = st.sampled_from(ends)
    messages = [
        Sent(round(data.draw(st.floats(0.0, 2.0)), 6), data.draw(some), number, data.draw(some),
             data.draw(st.integers(1, 3000)))
        for number in range(data.draw(st.integers(1, 12)))
    ]  # fmt: skip
    messages = sorted((m for m in messages if m.source != m.to), key=lambda m: m.at)
    for number, message in enumerate(messages):
        message.sequence = number
    pairs = {(m.source, m.to) for m in messages}
    simulate(
        messages,
        {pair: world.link(*pair).latency_s for pair in pairs},
        {pair: world.link(*pair).bandwidth_bytes_s for pair in pairs},
        {node.index: node.uplink_bytes_s for node in world.nodes},
        {node.index: node.downlink_bytes_s for node in world.nodes},
        world.share_links,
        {pair: world.path(*pair) for pair in pairs},
        {
            Crossing(place, way): medium.bytes_s(way)
            for place, medium in enumerate(world.media)
            for way in ("up", "down")
            if medium.bytes_s(way) < inf
        },
    )
    found = arrivals(world, [(m.at, m.source, m.to, m.size) for m in messages])
    assert found == pytest.approx([m.ended_s for m in messages], rel=1e-9)

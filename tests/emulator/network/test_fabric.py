"""The network: closed forms, and a slow simulator of the same fluid model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slow_network import Sent, fair_rates, simulate, union_s
from worlds import chain_graph, examples, small_world

from layerlift.emulator.kernel.flows import Flow, Pair, Port, settle
from layerlift.emulator.network.byte_ledger import Sample
from layerlift.emulator.network.fabric import Fabric
from layerlift.emulator.protocol.messages import Cancel, Departure, UploadPart
from layerlift.emulator.world.links import LinkSpec
from layerlift.emulator.world.world import World

DELAY, RATE = 0.01, 1000.0


def star(clients: int = 2, servers: int = 1, **changes: object) -> World:
    """Equal links; nodes 0 to clients - 1 are clients, then come servers."""
    plain = small_world(chain_graph([1, 1], [1]), [1.0], clients=clients, servers=servers, **changes)
    one = LinkSpec(DELAY, RATE)
    return replace(plain, links={(a, b): one for a in ("client", "edge") for b in ("client", "edge")})


def with_ports(world: World, uplink: Mapping[int, float], downlink: Mapping[int, float]) -> World:
    """The same nodes with limited up- and downlinks."""
    nodes = tuple(
        replace(node, uplink_bytes_s=uplink.get(node.index, inf), downlink_bytes_s=downlink.get(node.index, inf))
        for node in world.nodes
    )
    return replace(world, nodes=nodes)


def sent(at: float, source: int, to: int, size: int, sequence: int = 1, stream: int = 0, user: int = 0) -> Departure:
    return Departure(at, source, sequence, to, size, stream, UploadPart(user, 1, sequence, 1, (), ()))


def arrivals(world: World, departures: Sequence[Departure]) -> dict[tuple[int, int], float]:
    """Arrival time by (source, sequence)."""
    fabric = Fabric(world)
    fabric.take(departures)
    return {(each.source, each.sequence): each.at for each in fabric.arrivals_before(inf)}


@pytest.mark.parametrize("share", [True, False])
def test_one_transfer_takes_its_latency_and_its_bytes(share: bool) -> None:
    world = star(share_links=share)
    assert arrivals(world, [sent(1.0, 0, 2, 500)])[0, 1] == pytest.approx(1.0 + DELAY + 0.5, rel=1e-12)
    assert arrivals(world, [sent(1.0, 0, 2, 0)])[0, 1] == 1.0 + DELAY


def test_two_transfers_of_a_pair_share_its_bandwidth() -> None:
    both = arrivals(star(share_links=True), [sent(0.0, 0, 2, 500, 1), sent(0.0, 0, 2, 1000, 2)])
    assert both[0, 1] == pytest.approx(DELAY + 1.0, rel=1e-12)
    assert both[0, 2] == pytest.approx(DELAY + 1.5, rel=1e-12)


def test_on_independent_links_every_transfer_has_the_pair_whole() -> None:
    world = with_ports(star(share_links=False), {0: 1.0}, {2: 1.0})
    both = arrivals(world, [sent(0.0, 0, 2, 500, 1), sent(0.0, 0, 2, 1000, 2), sent(0.0, 1, 2, 1000, 1)])
    assert both == pytest.approx({(0, 1): DELAY + 0.5, (0, 2): DELAY + 1.0, (1, 1): DELAY + 1.0}, rel=1e-12)


def test_a_late_joiner_takes_half_from_then_on() -> None:
    both = arrivals(star(share_links=True), [sent(0.0, 0, 2, 1000, 1), sent(0.6, 0, 2, 100, 2)])
    assert both[0, 2] == pytest.approx(DELAY + 0.8, rel=1e-12)
    assert both[0, 1] == pytest.approx(DELAY + 1.1, rel=1e-12)


def test_a_downlink_is_shared_by_pairs_and_an_uplink_too() -> None:
    down = with_ports(star(share_links=True), {}, {2: 1000.0})
    assert arrivals(down, [sent(0.0, 0, 2, 500), sent(0.0, 1, 2, 500)]) == pytest.approx(
        {(0, 1): DELAY + 1.0, (1, 1): DELAY + 1.0}, rel=1e-12
    )
    up = with_ports(star(servers=2, share_links=True), {0: 1000.0}, {})
    assert arrivals(up, [sent(0.0, 0, 2, 500, 1), sent(0.0, 0, 3, 500, 2)]) == pytest.approx(
        {(0, 1): DELAY + 1.0, (0, 2): DELAY + 1.0}, rel=1e-12
    )


def test_a_pair_that_cannot_use_its_share_leaves_it_to_others() -> None:
    world = with_ports(star(share_links=True), {}, {2: 1200.0})
    world = replace(world, pairs={(0, 2): LinkSpec(DELAY, 200.0)})
    both = arrivals(world, [sent(0.0, 0, 2, 200), sent(0.0, 1, 2, 1000)])
    assert both == pytest.approx({(0, 1): DELAY + 1.0, (1, 1): DELAY + 1.0}, rel=1e-12)


@pytest.mark.parametrize("share", [True, False])
def test_tensors_of_one_query_go_one_at_a_time_on_their_pair(share: bool) -> None:
    world = star(servers=2, share_links=share)
    found = arrivals(
        world,
        [
            sent(0.0, 0, 2, 1000, 1, stream=1),
            sent(0.2, 0, 2, 0, 2, stream=1),
            sent(0.3, 0, 2, 500, 3, stream=1),
            sent(0.0, 0, 3, 700, 4, stream=1),
            sent(0.0, 2, 0, 800, 1, stream=1),
            sent(3.0, 0, 2, 500, 5, stream=1),
        ],
    )
    expected = {(0, 1): 1.0, (0, 2): 1.0, (0, 3): 1.5, (0, 4): 0.7, (2, 1): 0.8, (0, 5): 3.5}
    assert found == pytest.approx({key: DELAY + value for key, value in expected.items()}, rel=1e-12)


def test_what_is_past_is_forgotten_and_what_is_not_is_still_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("layerlift.emulator.network.tensor_queues._KEPT", 0)
    fabric = Fabric(star(share_links=False))
    fabric.take([sent(0.0, 0, 2, 1000, 1, stream=1), sent(0.0, 0, 2, 100, 2, stream=2)])
    assert [each.sequence for each in fabric.arrivals_before(0.5)] == [2]
    fabric.take([sent(0.5, 0, 2, 100, 3, stream=1), sent(0.5, 0, 2, 100, 4, stream=2)])
    found = {each.sequence: each.at for each in fabric.arrivals_before(9.0)}
    assert found == pytest.approx({1: DELAY + 1.0, 3: DELAY + 1.1, 4: DELAY + 0.6})


def test_tensors_of_different_queries_and_users_do_not_wait_for_each_other() -> None:
    world = star(share_links=False)
    found = arrivals(
        world,
        [
            sent(0.0, 2, 0, 1000, 1, stream=1),
            sent(0.0, 2, 0, 100, 2, stream=2),
            sent(0.0, 2, 0, 100, 3, stream=1, user=1),
        ],
    )
    assert found == pytest.approx({(2, 1): DELAY + 1.0, (2, 2): DELAY + 0.1, (2, 3): DELAY + 0.1}, rel=1e-12)


@pytest.mark.parametrize("share", [True, False])
def test_a_cancelled_transfer_ends_one_latency_later_and_frees_the_link(share: bool) -> None:
    world = star(share_links=share)
    fabric = Fabric(world)
    fabric.take(
        [sent(0.0, 0, 2, 1000, 1), sent(0.0, 0, 2, 900, 2), Departure(0.6, 0, 3, 2, 0, 0, Cancel(1))],
    )
    (only,) = fabric.arrivals_before(inf)
    assert only.sequence == 2
    assert only.at == pytest.approx(DELAY + (1.2 if share else 0.9), rel=1e-12)
    ledger = fabric.ledger
    assert (ledger.sent_bytes, ledger.delivered_bytes, ledger.cancelled_bytes) == (1900, 900, 1000)
    assert ledger.in_flight_bytes == 0


@pytest.mark.parametrize("share", [True, False])
def test_a_cancel_that_comes_too_late_changes_nothing(share: bool) -> None:
    fabric = Fabric(star(share_links=share))
    fabric.take(
        [
            sent(0.0, 0, 2, 100, 1),
            sent(0.05, 0, 2, 400, 2),
            sent(0.0, 1, 2, 1000, 1),
            Departure(0.16, 0, 3, 2, 0, 0, Cancel(1)),
            Departure(0.3, 0, 4, 2, 0, 0, Cancel(99)),
        ]
    )
    assert len(fabric.arrivals_before(inf)) == 3
    assert fabric.ledger.cancelled_bytes == 0
    assert fabric.ledger.delivered_bytes == fabric.ledger.sent_bytes == 1500


@pytest.mark.parametrize("share", [True, False])
def test_a_transfer_that_ends_as_it_is_cancelled_has_arrived(share: bool) -> None:
    """At one instant completions come before cancels: both are at 1.25 s exactly."""
    fabric = Fabric(replace(star(share_links=share), pairs={(0, 2): LinkSpec(0.25, 1024.0)}))
    fabric.take([sent(0.0, 0, 2, 1024, 1), Departure(1.0, 0, 2, 2, 0, 0, Cancel(1))])
    assert [arrived.at for arrived in fabric.arrivals_before(inf)] == [1.25]
    assert fabric.ledger.cancelled_bytes == 0


def test_only_what_arrives_before_the_horizon_is_handed_over() -> None:
    fabric = Fabric(star(share_links=True))
    fabric.take([sent(0.0, 0, 2, 500)])
    assert fabric.next_event() == DELAY
    assert fabric.arrivals_before(DELAY + 0.5) == []
    assert fabric.ledger.in_flight_bytes == 500
    (found,) = fabric.arrivals_before(DELAY + 0.51)
    assert found.at == pytest.approx(DELAY + 0.5)
    assert fabric.next_event() == inf


def test_what_arrived_after_the_end_of_the_run_is_in_flight_again() -> None:
    fabric = Fabric(star(share_links=False))
    fabric.take([sent(0.0, 0, 2, 500), sent(0.0, 1, 2, 600)])
    fabric.arrivals_before(0.7)
    fabric.rewind(DELAY + 0.55)
    assert (fabric.ledger.delivered_bytes, fabric.ledger.in_flight_bytes) == (500, 600)
    last = fabric.ledger.last(DELAY + 0.55)
    assert (last[0].sent_bytes, last[1].sent_bytes, last[2].received_bytes) == (500, 0, 500)


@pytest.mark.parametrize("share", [True, False])
def test_what_was_cancelled_after_the_end_of_the_run_is_in_flight_again(share: bool) -> None:
    for end, cancelled in [(0.2, 0), (0.3 + DELAY, 5000), (0.4, 5000)]:
        fabric = Fabric(star(share_links=share))
        fabric.take([sent(0.0, 0, 2, 5000, 1), Departure(0.3, 0, 2, 2, 0, 0, Cancel(1))])
        fabric.arrivals_before(0.5)
        fabric.rewind(end)
        assert fabric.ledger.cancelled_bytes == cancelled
        assert fabric.ledger.in_flight_bytes == 5000 - cancelled
        assert fabric.ledger.last(end)[0].radio_s == pytest.approx(min(end, 0.3 + DELAY) - DELAY)


@pytest.mark.parametrize("share", [True, False])
def test_radio_time_that_may_have_to_be_taken_back_is_not_added_up_yet(
    share: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spans are added up when there are many of them, here at once; but not those of the window that is under way."""
    monkeypatch.setattr("layerlift.emulator.network.byte_ledger._SPANS", 0)
    fabric = Fabric(star(share_links=share))
    fabric.take([sent(0.0, 0, 2, 100, 1), sent(0.2, 0, 2, 100, 2), sent(0.4, 0, 2, 100, 3), sent(0.0, 1, 2, 500, 1)])
    fabric.arrivals_before(0.3)
    fabric.arrivals_before(0.7)
    fabric.take([sent(0.44, 0, 2, 1, number) for number in range(4, 14)])
    fabric.rewind(0.45)
    last = fabric.ledger.last(0.45)
    assert [last[node].radio_s for node in (0, 1)] == pytest.approx([0.1 + 0.1 + 0.45 - 0.41, 0.45 - DELAY])


def test_of_two_transfers_that_end_together_the_one_that_was_stopped_is_cut() -> None:
    """To server 1 from 0.5 s on and to server 2 from 0.25 s on, both until 1.5 s; the second is stopped at 0.375 s."""
    pairs = {(0, 1): LinkSpec(0.5, 1024.0), (0, 2): LinkSpec(0.25, 1024.0)}
    fabric = Fabric(replace(star(clients=1, servers=2, share_links=False), pairs=pairs))
    fabric.take([sent(0.0, 0, 1, 1024, 1), sent(0.0, 0, 2, 1280, 2), Departure(0.125, 0, 3, 2, 0, 0, Cancel(2))])
    fabric.arrivals_before(2.0)
    assert fabric.ledger.last(2.0)[0].radio_s == 0.125 + 1.0


def test_money_is_exact_even_where_deliveries_are_undone() -> None:
    """0.1 + 0.2 - 0.2 is not 0.1 in floating point: money is counted from whole bytes."""
    world = replace(
        star(clients=1, servers=2), pairs={(0, 1): LinkSpec(DELAY, RATE, 0.1), (0, 2): LinkSpec(0.5, RATE, 0.1)}
    )
    fabric = Fabric(world)
    fabric.take([sent(0.0, 0, 1, 3, 1), sent(0.0, 0, 2, 7, 2)])
    fabric.arrivals_before(1.0)
    fabric.rewind(0.1)
    assert fabric.ledger.last(0.1)[0].money == 3 * 0.1


@pytest.mark.parametrize("share", [True, False])
def test_a_byte_costs_what_its_own_direction_costs_and_its_sender_pays(share: bool) -> None:
    prices = {(0, 1): LinkSpec(DELAY, RATE, 0.5), (1, 0): LinkSpec(DELAY, RATE, 0.125)}
    fabric = Fabric(replace(star(clients=1, share_links=share), pairs=prices))
    fabric.take([sent(0.0, 0, 1, 3, 1), sent(0.0, 1, 0, 80, 1)])
    fabric.arrivals_before(1.0)
    last = fabric.ledger.last(1.0)
    assert (last[0].money, last[1].money) == (3 * 0.5, 80 * 0.125)


@pytest.mark.parametrize("share", [True, False])
def test_a_delivery_belongs_to_the_period_in_which_it_comes(share: bool) -> None:
    """Periods of 0.5 s, windows that end with them: 300 bytes arrive at 0.31 s and 600 at 0.61 s."""
    fabric = Fabric(star(share_links=share, sample_s=0.5))
    fabric.take([sent(0.0, 0, 2, 300), sent(0.0, 1, 2, 600)])
    for horizon in (0.5, 1.0, 1.5):
        fabric.arrivals_before(horizon)
    closed = fabric.ledger.take()
    assert {number: samples[2].received_bytes for number, samples in closed.items()} == {1: 300, 2: 600}


@pytest.mark.parametrize("share", [True, False])
def test_what_arrives_at_a_sampling_instant_belongs_to_the_period_that_it_ends(share: bool) -> None:
    """256 bytes arrive at 0.5 s exactly, 768 at 1 s: the ends of the first two periods, and of windows."""
    world = replace(star(share_links=share, sample_s=0.5), links=dict.fromkeys(star().links, LinkSpec(0.25, 1024.0)))
    for horizons in ((0.5, 1.0, 1.5), (0.25, 0.75, 1.25), (0.4, 1.0, 1.1), (2.0,)):
        fabric = Fabric(world)
        fabric.take([sent(0.0, 0, 2, 256), sent(0.0, 1, 2, 768)])
        for horizon in horizons:
            fabric.arrivals_before(horizon)
        closed = fabric.ledger.take()
        assert {number: samples[2].received_bytes for number, samples in closed.items()} == {1: 256, 2: 768}


# Against the slow simulator

_ports = st.one_of(st.just(inf), st.just(inf), st.sampled_from((500.0, 1000.0, 2000.0)), st.floats(100.0, 5000.0))
_times = st.one_of(st.sampled_from((0.0, 0.0, 0.5, 1.0)), st.floats(0.0, 2.0))


@st.composite
def traffics(draw: st.DrawFn, cancels: bool = True) -> tuple[World, list[Sent]]:
    """A random network and messages on it."""
    clients, servers = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    nodes = range(clients + servers)
    world = star(clients, servers, share_links=draw(st.sampled_from((True, True, True, False))))
    world = with_ports(world, {n: draw(_ports) for n in nodes}, {n: draw(_ports) for n in nodes})
    pairs = {}
    for _ in range(draw(st.integers(0, 4))):
        pair = draw(st.integers(0, clients - 1)), draw(st.integers(clients, clients + servers - 1))
        pairs[pair] = LinkSpec(draw(st.floats(0.005, 0.3)), draw(st.sampled_from((100.0, 1000.0, 3333.3))))
    messages = []
    for number in range(draw(st.integers(1, 14))):
        here, there = draw(st.integers(0, clients - 1)), draw(st.integers(clients, clients + servers - 1))
        if draw(st.booleans()):
            here, there = there, here
        size = draw(st.one_of(st.sampled_from((0, 100, 500, 1000)), st.integers(1, 3000)))
        stream = draw(st.sampled_from((0, 0, 1, 2)))
        at = draw(_times)
        cancel_s = (
            at + 0.01231 + 0.99311 * draw(st.floats(0.0, 3.0))
            if cancels and not stream and draw(st.booleans())
            else inf
        )
        messages.append(Sent(at, here, number, there, size, draw(st.integers(0, 1)), stream, cancel_s))
    messages.sort(key=lambda message: message.at)
    for number, message in enumerate(messages):
        message.sequence = number
    return replace(world, pairs=pairs), messages


def departures_of(messages: Sequence[Sent]) -> list[Departure]:
    found = [sent(m.at, m.source, m.to, m.size, m.sequence, m.stream, m.user) for m in messages]
    for m in messages:
        if m.cancel_s < inf:
            found.append(Departure(m.cancel_s, m.source, 1000 + m.sequence, m.to, 0, 0, Cancel(m.sequence)))
    return found


def _run(world: World, messages: list[Sent]) -> None:
    """Let the slow simulator fill `messages` in."""
    pairs = [(m.source, m.to) for m in messages]
    nodes = world.nodes
    simulate(
        messages,
        {pair: world.link(*pair).latency_s for pair in pairs},
        {pair: world.link(*pair).bandwidth_bytes_s for pair in pairs},
        {node.index: node.uplink_bytes_s for node in nodes},
        {node.index: node.downlink_bytes_s for node in nodes},
        world.share_links,
    )


@given(traffics())
@examples(250)
def test_arrivals_are_those_of_the_slow_simulator(given_: tuple[World, list[Sent]]) -> None:
    world, messages = given_
    _run(world, messages)
    found = arrivals(world, departures_of(messages))
    expected = {(m.source, m.sequence): m.ended_s for m in messages if m.ended_s < inf}
    assert found == pytest.approx(expected, rel=1e-9)


@given(traffics(), st.floats(0.01, 0.9))
@examples(150)
def test_bytes_and_radio_seconds_of_every_period_are_those_of_the_slow_simulator(
    given_: tuple[World, list[Sent]], period_s: float
) -> None:
    world, messages = given_
    world = replace(world, sample_s=period_s)
    _run(world, messages)
    ends = [m.ended_s for m in messages if m.ended_s < inf] + [m.stopped_s for m in messages if m.stopped_s < inf]
    fabric = Fabric(world)
    departures = departures_of(messages)
    begin, number, end = 0.0, 1, max(ends) + 0.001
    while begin < end:
        horizon = min(number * period_s, begin + 0.004, end)
        fabric.take([d for d in departures if begin <= d.at < horizon])
        fabric.arrivals_before(horizon)
        if horizon == number * period_s and horizon < end:
            fabric.arrivals_before(horizon + 1e-15 if horizon < 1e-3 else horizon * (1 + 1e-15))
            closed = fabric.ledger.take().get(number, {})
            for node in world.clients:
                radio_s = closed.get(node, Sample()).radio_s
                _check_radio(radio_s, messages, node, horizon - period_s, horizon)
            number += 1
        begin = horizon
    last = fabric.ledger.last(end)
    for node in world.clients:
        found = last[node].radio_s if node in last else 0.0
        _check_radio(found, messages, node, (number - 1) * period_s, end)
    ledger = fabric.ledger
    assert ledger.sent_bytes == sum(m.size for m in messages)
    assert ledger.delivered_bytes == sum(m.size for m in messages if m.ended_s < inf)
    assert ledger.cancelled_bytes == sum(m.size for m in messages if m.stopped_s < inf)


def _check_radio(found_s: float, messages: Sequence[Sent], node: int, begin: float, end: float) -> None:
    spans = [(m.began_s, min(m.ended_s, m.stopped_s)) for m in messages if node in (m.source, m.to)]
    assert found_s == pytest.approx(union_s(spans, begin, end), rel=1e-9, abs=1e-9)


@given(st.data())
@examples(100)
def test_rates_are_fair_after_every_change(data: st.DataObject) -> None:
    """System: up to four uplinks and three downlinks, a pair for each; flows join and leave at random."""
    ups = [Port(data.draw(st.sampled_from((1.0, 3.0, 10.0)))) for _ in range(data.draw(st.integers(1, 4)))]
    downs = [Port(data.draw(st.sampled_from((1.0, 2.5, 7.0)))) for _ in range(data.draw(st.integers(1, 3)))]
    pairs = [Pair(data.draw(st.sampled_from((0.5, 2.0, 9.0))), (up, down)) for up in ups for down in downs]
    capacity: dict[object, float] = {port: port.capacity for port in [*ups, *downs]}
    capacity |= {pair: pair.bandwidth for pair in pairs}
    flows: list[Flow] = []
    for now in range(data.draw(st.integers(1, 12))):
        if flows and data.draw(st.booleans()):
            gone = flows.pop(data.draw(st.integers(0, len(flows) - 1)))
            gone.pair.remove(gone)
            settle(gone.pair, float(now))
        else:
            flow = Flow(data.draw(st.sampled_from(pairs)), 10**9, 1.0, float(now), None)
            flows.append(flow)
            flow.pair.add(flow)
            settle(flow.pair, float(now))
        expected = fair_rates([(flow.pair, *flow.pair.ports) for flow in flows], capacity)
        assert [flow.rate for flow in flows] == pytest.approx(expected, rel=1e-12)


def test_weights_divide_a_bottleneck() -> None:
    port = Port(9.0)
    heavy, light = Pair(100.0, (port,)), Pair(100.0, (port,))
    flows = [Flow(heavy, 100, 2.0, 0.0, None), Flow(light, 100, 1.0, 0.0, None)]
    for flow in flows:
        flow.pair.add(flow)
        settle(flow.pair, 0.0)
    assert [flow.rate for flow in flows] == [6.0, 3.0]
    heavy.remove(flows[0])
    settle(heavy, 1.0)
    assert flows[1].rate == 9.0


def test_settling_tells_only_of_flows_whose_rate_changed() -> None:
    left, right = Port(1.0), Port(1.0)
    one, other = Pair(9.0, (left,)), Pair(9.0, (right,))
    first, second = Flow(one, 10, 1.0, 0.0, None), Flow(other, 10, 1.0, 0.0, None)
    one.add(first)
    assert settle(one, 0.0) == [first]
    other.add(second)
    assert settle(other, 0.0) == [second]
    again = Flow(one, 10, 1.0, 4.0, None)
    one.add(again)
    assert settle(one, 4.0) == [first, again]
    assert (first.remaining, first.end_s) == (6.0, 16.0)


def test_a_pair_without_a_limit_of_its_own_takes_what_its_port_has() -> None:
    port = Port(10.0)
    free, other = Pair(inf, (port,)), Pair(4.0, (port,))
    first, second = Flow(free, 100, 1.0, 0.0, None), Flow(other, 100, 1.0, 0.0, None)
    for flow in (first, second):
        flow.pair.add(flow)
        settle(flow.pair, 0.0)
    assert (first.rate, second.rate) == (6.0, 4.0)
    free.remove(first)
    settle(free, 1.0)
    assert second.rate == 4.0
    free.add(first)
    settle(free, 2.0)
    assert (first.rate, second.rate) == (6.0, 4.0)

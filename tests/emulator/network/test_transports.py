"""Transports: the closed forms, and a slow simulator of the same model on random traffic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slow_transport import Lane, Talk, simulate_talks
from test_fabric import star, with_ports
from test_media import world_of
from worlds import examples

from layerlift.emulator.network.fabric import Fabric
from layerlift.emulator.protocol.messages import Cancel, Departure, QueryStep, UploadPart, Weigh
from layerlift.emulator.world.faults import Outage, Pairs, Trace
from layerlift.emulator.world.links import LinkSpec, MediumSpec, Transport
from layerlift.emulator.world.world import World
from layerlift.planners.cost.slow_start import log2, slow_start_s

LATENCY_S, RATE = 0.005, 1e6
LONG = 10**9
"""Bytes of an upload that lasts."""


def part(at: float, size: int = LONG, sequence: int = 1, source: int = 0, to: int = 1) -> Departure:
    return Departure(at, source, sequence, to, size, 0, UploadPart(0, 1, sequence, 1, (), ()))


def tensor(at: float, size: int, sequence: int = 2, stream: int = 0, source: int = 0, to: int = 1) -> Departure:
    return Departure(at, source, sequence, to, size, stream, QueryStep(0, sequence, "r", 0))


def world_with(transport: Transport, share: bool = True, **changes: object) -> World:
    """One client and one server, and a transport between them."""
    plain = star(clients=1, share_links=share, **changes)
    return replace(plain, links=dict.fromkeys(plain.links, LinkSpec(LATENCY_S, RATE, transport=transport)))


def arrivals(world: World, departures: Sequence[Departure], until: float = 900.0) -> dict[tuple[int, int], float]:
    """Arrival times by (source, sequence); bytes are conserved on the way."""
    fabric = Fabric(world)
    fabric.take(departures)
    found = {}
    for horizon in (0.3, 0.7, until / 2, until):
        for each in fabric.arrivals_before(horizon):
            found[each.source, each.sequence] = each.at
        assert fabric.open_bytes() == fabric.ledger.in_flight_bytes
    return found


_transports = st.builds(
    Transport,
    st.just(1.0),
    st.sampled_from((0.0, 0.004, 0.04, 0.0731)),
    st.sampled_from((1.0, 0.6, 0.8, 1.7)),
    st.booleans(),
)


# The closed forms


@given(_transports, st.integers(1, 3_000_000), st.sampled_from((True, False)))
@examples(60)
def test_a_message_alone_and_beside_an_upload_takes_what_the_closed_form_says(
    transport: Transport, size: int, warm: bool
) -> None:
    """T = latency + D + S (1 + w) / (c w), at least RTT log2(1 + S / 14480) when cold; alone D = 0 and all of c."""
    first = [tensor(0.9, 1)] if warm else []
    for beside in (False, True):
        uploads = [part(0.0)] if beside else []
        found = arrivals(world_with(transport), [*uploads, *first, tensor(1.0, size, 3)], 900.0)[0, 3] - 1.0
        waits_s = transport.queue_s if beside else 0.0
        weight = transport.query_weight
        expected = LATENCY_S + waits_s + (size * (1 + weight) / weight if beside else size) / RATE
        if transport.slow_start and not warm:
            expected = max(expected, (2 * LATENCY_S + waits_s) * math.log2(1 + size / 14480))
        assert found == pytest.approx(expected, rel=1e-9)


@given(st.floats(1e-6, 1e9))
@examples(200)
def test_the_logarithm_that_digests_rest_on_is_one(value: float) -> None:
    assert log2(value) == pytest.approx(math.log2(value), rel=1e-14, abs=1e-14)
    assert slow_start_s(0.05, 14480) == 0.05


def test_results_lose_nothing_where_uploads_go_the_other_way() -> None:
    world = world_with(Transport(1.0, 0.04, 0.6))
    found = arrivals(world, [part(0.0), tensor(1.0, 500_000, 1, source=1, to=0)])
    assert found[1, 1] == pytest.approx(1.0 + LATENCY_S + 0.5, rel=1e-12)


def test_an_upload_is_slowed_by_the_weight_of_what_is_beside_it_and_never_waits_itself() -> None:
    """Beside a tensor of weight 0.6 it has 1 / 1.6 of the link; of two uploads each has half, and neither waits."""
    world = world_with(Transport(1.0, 0.04, 0.6))
    both = arrivals(world, [part(0.0, 500_000, 1), part(0.0, 500_000, 2)])
    assert both == pytest.approx({(0, 1): LATENCY_S + 1.0, (0, 2): LATENCY_S + 1.0}, rel=1e-12)
    beside = arrivals(world, [part(0.0, 1_000_000, 1), tensor(0.1, 300_000)])
    assert beside[0, 2] == pytest.approx(0.1 + LATENCY_S + 0.04 + 0.3 * 1.6 / 0.6, rel=1e-12)
    assert beside[0, 1] == pytest.approx(LATENCY_S + 1.0 + 0.3, rel=1e-12)


def test_beside_two_uploads_a_tensor_waits_once_and_has_its_part_of_three() -> None:
    world = world_with(Transport(1.0, 0.04, 0.6))
    found = arrivals(world, [part(0.0, LONG, 1), part(0.0, LONG, 3), tensor(0.1, 60_000)])
    assert found[0, 2] == pytest.approx(0.1 + LATENCY_S + 0.04 + 0.06 * 2.6 / 0.6, rel=1e-12)


def test_a_part_smaller_than_the_queue_cannot_fill_it() -> None:
    """The queue holds 40,000 bytes: a part of as many fills it, one of a byte less does not."""
    world = world_with(Transport(1.0, 0.04, 1.0))
    for size, waits_s in ((40_000, 0.04), (39_999, 0.0)):
        found = arrivals(world, [part(0.0, size), tensor(0.01, 1)])
        assert found[0, 2] == pytest.approx(0.01 + LATENCY_S + waits_s, abs=1e-5)


def test_who_waits_is_not_overtaken_and_waits_to_the_end_though_the_upload_has_ended() -> None:
    """The upload ends at 0.105 s. Who came before that waits until 0.14 s, and so does who comes at 0.125 s."""
    world = world_with(Transport(1.0, 0.04, 1.0))
    found = arrivals(world, [part(0.0, 100_000), tensor(0.095, 1000, 2), tensor(0.12, 1000, 3), tensor(0.2, 1000, 4)])
    assert found[0, 1] == pytest.approx(LATENCY_S + 0.1, rel=1e-12)
    assert found[0, 2] == found[0, 3] == pytest.approx(0.095 + LATENCY_S + 0.04 + 0.002, rel=1e-12)
    assert found[0, 4] == pytest.approx(0.2 + LATENCY_S + 0.001, rel=1e-12)


def test_tensors_of_one_query_wait_side_by_side_and_not_one_after_the_other() -> None:
    world = world_with(Transport(1.0, 0.04, 1.0))
    found = arrivals(world, [part(0.0), tensor(0.1, 10_000, 2, stream=1), tensor(0.1, 0, 3, stream=1)])
    assert found[0, 3] == found[0, 2] == pytest.approx(0.1 + LATENCY_S + 0.04 + 0.02, rel=1e-12)


def test_where_links_are_independent_nobody_waits_but_connections_begin_slowly() -> None:
    world = world_with(Transport(1.0, 0.04, 0.6, True), share=False)
    found = arrivals(world, [part(0.0, 10_000_000), tensor(0.1, 144_800, 2), tensor(1.0, 144_800, 3)])
    slow_s = 2 * LATENCY_S * math.log2(11)
    assert found[0, 2] - 0.1 == pytest.approx(max(slow_s, LATENCY_S + 0.1448), rel=1e-12)
    fast = replace(world, links=dict.fromkeys(world.links, LinkSpec(0.1, 1e9, transport=Transport(slow_start=True))))
    found = arrivals(fast, [tensor(0.0, 144_800, 2), tensor(0.8, 144_800, 3), tensor(1.6, 144_800, 4)])
    slow_s = 0.2 * math.log2(11)
    assert found == pytest.approx({(0, 2): slow_s, (0, 3): 0.9 + 144_800 / 1e9, (0, 4): 1.6 + slow_s}, rel=1e-9)


def test_who_is_slow_at_first_leaves_the_link_to_others_when_its_bytes_have_crossed() -> None:
    transport = Transport(1.0, 0.0, 1.0, True)
    world = replace(world_with(transport), pairs={(0, 1): LinkSpec(0.1, 1e6, transport=transport)})
    found = arrivals(world, [tensor(0.0, 50_000, 2), tensor(0.0, 100_000, 3)])
    assert found[0, 2] == pytest.approx(0.2 * math.log2(1 + 50_000 / 14480), rel=1e-9)
    assert found[0, 3] == pytest.approx(0.1 + 0.15, rel=1e-9), "the second finds its connection in use"


def test_a_cancelled_upload_leaves_no_queue() -> None:
    world = world_with(Transport(1.0, 0.04, 0.6))
    cancel = Departure(0.5, 0, 2, 1, 0, 0, Cancel(1))
    found = arrivals(world, [part(0.0), cancel, tensor(0.6, 1000, 3)])
    assert found == pytest.approx({(0, 3): 0.6 + LATENCY_S + 0.001}, rel=1e-12)


def test_a_users_weight_and_what_a_message_is_multiply() -> None:
    """A user of weight 3 on the same port as one of weight 1: an upload of the one, a tensor of the other."""
    transport = Transport(1.0, 0.0, 0.5)
    world = with_ports(star(clients=2, share_links=True), {}, {2: RATE})
    world = replace(world, links=dict.fromkeys(world.links, LinkSpec(LATENCY_S, 1e9, transport=transport)))
    weigh = Departure(0.0, 2, 1, 0, 0, 0, Weigh(3.0))
    found = arrivals(world, [weigh, part(0.1, LONG, 1, 1, 2), tensor(0.5, 60_000, 2, 0, 0, 2)])
    assert found[0, 2] == pytest.approx(0.5 + LATENCY_S + 0.06 * 2.5 / 1.5, rel=1e-9)


# Where the queue stands


def test_an_upload_that_a_servers_downlink_holds_back_fills_the_links_of_all_who_go_there() -> None:
    transport = Transport(1.0, 0.04, 1.0)
    plain = with_ports(star(clients=2, servers=2, share_links=True), {}, {2: RATE})
    world = replace(plain, links=dict.fromkeys(plain.links, LinkSpec(LATENCY_S, 3e6, transport=transport)))
    found = arrivals(
        world, [part(0.0, LONG, 1, 1, 2), tensor(0.1, 10_000, 1, 0, 0, 2), tensor(0.3, 30_000, 2, 0, 0, 3)]
    )
    assert found[0, 1] == pytest.approx(0.1 + LATENCY_S + 0.04 + 0.02, rel=1e-9)
    assert found[0, 2] == pytest.approx(0.3 + LATENCY_S + 0.01, rel=1e-9), "the other server's downlink is free"


@pytest.mark.parametrize(("medium_bytes_s", "waits_s"), [(RATE, 0.02), (9e6, 0.04), (2e6, 0.02)])
def test_the_queue_stands_where_the_way_is_narrowest(medium_bytes_s: float, waits_s: float) -> None:
    """A link of 2 MB/s with a queue of 40 ms over a medium with one of 20 ms; where they are alike it is the medium."""
    medium = MediumSpec("dsl", medium_bytes_s, inf, transport=Transport(1.0, 0.02, 1.0))
    world = world_of([medium], [0, -1], clients=1)
    link = LinkSpec(LATENCY_S, 2e6, transport=Transport(1.0, 0.04, 1.0))
    world = replace(world, links=dict.fromkeys(world.links, link))
    found = arrivals(world, [part(0.0), tensor(0.1, 1000)])
    assert found[0, 2] == pytest.approx(0.1 + LATENCY_S + waits_s + 2000 / min(2e6, medium_bytes_s), rel=1e-9)


def test_a_medium_is_shared_by_weight_over_several_links_and_fills_for_all() -> None:
    """A modem of 1 MB/s in front of two clients: one uploads, the other's tensor waits 40 ms and has 0.6 of 1.6."""
    modem = MediumSpec("dsl", RATE, inf, transport=Transport(1.0, 0.04, 0.6))
    world = world_of([modem], [0, 0, -1], clients=2)
    world = replace(world, links=dict.fromkeys(world.links, LinkSpec(LATENCY_S, 1e8)))
    found = arrivals(
        world, [part(0.0, LONG, 1, 1, 2), tensor(0.1, 60_000, 1, 0, 0, 2), tensor(0.1, 500_000, 1, 0, 2, 0)]
    )
    assert found[0, 1] == pytest.approx(0.1 + LATENCY_S + 0.04 + 0.06 * 1.6 / 0.6, rel=1e-9)
    assert found[2, 1] == pytest.approx(0.1 + LATENCY_S + 0.005, rel=1e-9), "down it has no limit"


# Links that change


def test_a_link_that_breaks_takes_who_waits_with_it() -> None:
    world = world_with(Transport(1.0, 0.04, 1.0), faults=(Outage(Pairs(0, 1), 0.12, 1.0),))
    fabric = Fabric(world)
    fabric.take([part(0.0), tensor(0.1, 1000)])
    fabric.arrivals_before(0.5)
    assert fabric.ledger.lost_bytes == LONG + 1000
    assert fabric.open_bytes() == fabric.ledger.in_flight_bytes == 0


def test_a_break_takes_a_message_that_is_slow_at_first_and_a_trace_does_not_hurry_it() -> None:
    transport = Transport(0.5, 0.0, 1.0, True)
    link = LinkSpec(0.1, 1e6, transport=transport)
    slow_s = 0.2 * math.log2(1 + 50_000 / 14480)
    for share in (True, False):
        plain = world_with(transport, share)
        traced = replace(plain, faults=(Trace(Pairs(0, 1), ((0.16, 8e6, None), (0.3, 4e6, None)), None),))
        found = arrivals(replace(traced, pairs={(0, 1): link}), [tensor(0.0, 50_000), tensor(0.41, 1_000_000, 3)])
        assert found[0, 2] == pytest.approx(slow_s, rel=1e-9)
        assert found[0, 3] == pytest.approx(0.51 + 0.5, rel=1e-9), "4 MB/s on the wire is 2 MB/s of payload"
        broken = replace(plain, faults=(Outage(Pairs(0, 1), 0.3, 1.0),), pairs={(0, 1): link})
        fabric = Fabric(broken)
        fabric.take([tensor(0.0, 50_000)])
        fabric.arrivals_before(0.29)
        assert fabric.open_bytes() == fabric.ledger.in_flight_bytes == 50_000
        fabric.arrivals_before(0.5)
        assert (fabric.ledger.lost_bytes, fabric.ledger.in_flight_bytes) == (50_000, 0)


# Against the slow simulator


@st.composite
def talking(draw: st.DrawFn) -> tuple[World, list[Talk], dict[tuple[int, int], Lane], dict[object, float]]:
    """One to three clients behind a medium, two servers, ports and transports drawn, and traffic that goes up."""
    clients = draw(st.integers(1, 3))
    wide = draw(st.sampled_from((0.7e6, 1.9e6, 5e6)))
    medium = MediumSpec("m", wide, inf, transport=draw(_transports))
    behind = [draw(st.sampled_from((0, -1))) for _ in range(clients)]
    world = world_of([medium], [*behind, -1, -1], clients=clients)
    downlinks = {clients + k: draw(st.sampled_from((inf, 0.9e6, 1.3e6))) for k in range(2)}
    world = with_ports(world, {}, downlinks)
    capacity: dict[object, float] = {"medium": wide} | {
        ("down", k): rate for k, rate in downlinks.items() if rate < inf
    }
    pairs, lanes = {}, {}
    for source in range(clients):
        for to in (clients, clients + 1):
            own = draw(_transports)
            rate, latency_s = draw(st.sampled_from((0.6e6, 1e6, 2.3e6))), draw(st.floats(0.001, 0.03))
            pairs[source, to] = LinkSpec(latency_s, rate, transport=own)
            over = behind[source] == 0
            capacity["pair", source, to] = min(rate, wide) if over else rate
            ports = (("down", to),) if downlinks[to] < inf else ()
            resources = (("pair", source, to), *(("medium",) if over else ()), *ports)
            places = [*ports] if over and rate >= wide else [("pair", source, to), *ports]
            own_queue = [(tuple(places), own.queue_s)]
            queues = own_queue + ([(("medium",), medium.transport.queue_s)] if over else [])
            lanes[source, to] = Lane(
                latency_s, resources, tuple(queues),
                own.query_weight * (medium.transport.query_weight if over else 1.0),
                own.slow_start or (over and medium.transport.slow_start),
            )  # fmt: skip
    talks = []
    for number in range(draw(st.integers(1, 12))):
        upload = draw(st.booleans())
        size = draw(st.integers(1, 900_000 if upload else 300_000))
        at = 0.0137 + draw(st.floats(0.0, 2.0)) * 0.99371
        source, to = draw(st.integers(0, clients - 1)), clients + draw(st.integers(0, 1))
        talks.append(Talk(at, source, number, to, size, upload))
    return replace(world, pairs=pairs), talks, lanes, capacity


@given(talking())
@examples(120)
def test_arrivals_are_those_of_the_slow_simulator(
    given_: tuple[World, list[Talk], dict[tuple[int, int], Lane], dict[object, float]],
) -> None:
    world, talks, lanes, capacity = given_
    talks.sort(key=lambda talk: talk.at)
    for number, talk in enumerate(talks):
        talk.sequence = number
    simulate_talks(talks, lanes, capacity)
    departures = [
        (part if talk.upload else tensor)(talk.at, talk.size, talk.sequence, source=talk.source, to=talk.to)
        for talk in talks
    ]
    expected = {(talk.source, talk.sequence): talk.ended_s for talk in talks}
    assert arrivals(world, departures) == pytest.approx(expected, rel=1e-9)

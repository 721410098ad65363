"""Links that change, with a fake of the fabric: what they book, whom they tell, and when."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any

import pytest
from worlds import chain_graph, small_world

from layerlift.emulator.conditions.conditions import Conditions
from layerlift.emulator.kernel.flows import Flow, Pair
from layerlift.emulator.network.byte_ledger import Book
from layerlift.emulator.network.changing_links import ChangingLink, ChangingLinks, Wires
from layerlift.emulator.protocol.messages import (
    Broken,
    Departure,
    Failed,
    Hello,
    LinkUp,
    Message,
    NodeDown,
    NodeUp,
    QueryStep,
    UploadPart,
)
from layerlift.emulator.world.faults import Crash, Fault, Loss, Outage, Pairs, Trace
from layerlift.emulator.world.links import LinkSpec

DELAY, RATE = 0.25, 1000.0
CLIENT, SERVER = 0, 1
BOTH = Pairs(CLIENT, SERVER)


class FakeWires:
    """Keeps what it is asked for. `run` does what was put off, in order of time."""

    def __init__(self) -> None:
        self.now = 0.0
        self.later: list[tuple[float, Callable[[Any], object], Any]] = []
        self.told: list[tuple[float, int, Message]] = []
        self.books: list[tuple[Book, int]] = []
        self.arrived: list[int] = []
        self.begun: list[tuple[float, int]] = []
        self.resized: list[tuple[float, float]] = []
        self.went_on: list[int] = []
        self.link: ChangingLink | None = None

    def at(self, when: float, source: int, sequence: int, call: Callable[[Any], object], argument: Any) -> None:
        self.later.append((when, call, argument))

    def change_at(self, when: float, order: tuple[int, ...], call: Callable[[Any], object], argument: Any) -> None:
        self.later.append((when, call, argument))

    def tell(self, to: int, message: Message) -> None:
        self.told.append((self.now, to, message))

    def book(self, book: Book, size: int) -> None:
        self.books.append((book, size))

    def part_arrived(self, departure: Departure, size: int) -> None:
        self.arrived.append(size)

    def transfer(self, departure: Departure) -> None:
        self.begun.append((self.now, departure.sequence))

    def stop(self, flow: Flow) -> Departure:
        assert self.link is not None
        del self.link.flows[flow]
        departure = flow.tag
        assert isinstance(departure, Departure)
        return departure

    def resize(self, pair: Pair, bandwidth: float) -> None:
        self.resized.append((self.now, bandwidth))

    def go_on(self, departure: Departure) -> None:
        self.went_on.append(departure.sequence)

    def run(self, until: float) -> None:
        while self.later:
            when, call, argument = min(self.later, key=lambda each: each[0])
            if when > until:
                break
            self.later.remove((when, call, argument))
            self.now = when
            call(argument)
        self.now = until


def made(*faults: Fault, resume: bool = False) -> tuple[FakeWires, ChangingLinks, ChangingLink]:
    """A client's link to its server, 0.25 s and 1000 bytes per second, and what may happen to it."""
    graph, user = chain_graph([1, 1], [1]), {"resume": resume}
    world = small_world(graph, [1.0], link=LinkSpec(DELAY, RATE), faults=faults, user=user, resend_s=0.5)
    wires = FakeWires()
    links = ChangingLinks(wires, world, Conditions(world))
    link = links.link(CLIENT, SERVER, Pair(RATE, ()))
    assert link is not None
    wires.link = link
    return wires, links, link


PART, STEP, HELLO = UploadPart(0, 1, 0, 1, (), ()), QueryStep(0, 0, "route", 1), Hello(0, 0)


def departure(message: Message, size: int = 800, sequence: int = 1) -> Departure:
    return Departure(0.0, CLIENT, sequence, SERVER, size, 0, message)


def begin(wires: FakeWires, links: ChangingLinks, link: ChangingLink, message: Message) -> Flow:
    """Let a message of 800 bytes begin to cross, alone."""
    sent = departure(message)
    assert links.admit(sent, link)
    flow = Flow(link.pair, link.carries(sent), 1.0, wires.now, sent)
    flow.rate = RATE
    link.flows[flow] = None
    return flow


def test_the_fake_is_what_links_ask_for() -> None:
    wires: Wires = FakeWires()
    assert wires.now == 0.0


def test_a_link_to_which_nothing_happens_is_none() -> None:
    _, links, _ = made(Outage(BOTH, 1.0, 1.0))
    assert links.link(SERVER, 2, Pair(RATE, ())) is None


def test_a_part_that_breaks_off_is_lost_and_its_client_hears_of_break_and_repair() -> None:
    """Down in [0.5, 2): half a second of 800 bytes has crossed; told one latency later, and of the repair likewise."""
    wires, links, link = made(Outage(BOTH, 0.5, 1.5))
    begin(wires, links, link, PART)
    wires.run(1.0)
    assert wires.books == [("lost", 800)]
    assert (link.flows, link.carried, wires.went_on) == ({}, {}, [1])
    failed = Failed(1, "link", "link c0 > s1 is down", 499, 0, True)
    assert wires.told == [(0.75, CLIENT, failed)]
    wires.run(3.0)
    assert wires.told[1:] == [(2.0 + DELAY, CLIENT, LinkUp(SERVER))]
    assert wires.begun == []


def test_what_has_crossed_of_a_part_is_kept_where_its_user_resumes() -> None:
    wires, links, link = made(Outage(BOTH, 0.5, 1.5), resume=True)
    begin(wires, links, link, PART)
    wires.run(1.0)
    assert (wires.arrived, wires.books) == ([499], [("lost", 301)])
    assert wires.told == [(0.75, CLIENT, Failed(1, "link", "link c0 > s1 is down", 499, 499, True))]


def test_a_copy_between_servers_is_never_resumed() -> None:
    """Only a client knows what it has still to send: a server is asked for the whole part."""
    there = Pairs(SERVER, 2)
    world = small_world(
        chain_graph([1, 1], [1]), [1.0], servers=2, link=LinkSpec(DELAY, RATE), faults=(Outage(there, 0.5, 1.5),),
        user={"resume": True},
    )  # fmt: skip
    wires = FakeWires()
    links = ChangingLinks(wires, world, Conditions(world))
    link = wires.link = links.link(SERVER, 2, Pair(RATE, ()))
    assert link is not None
    sent = Departure(0.0, SERVER, 1, 2, 800, 0, PART)
    assert links.admit(sent, link)
    flow = Flow(link.pair, 800, 1.0, 0.0, sent)
    flow.rate = RATE
    link.flows[flow] = None
    wires.run(1.0)
    assert (wires.arrived, wires.books) == ([], [("lost", 800)])
    assert wires.told == [(0.75, SERVER, Failed(1, "link", "link s1 > s2 is down", 499, 0, True))]


def test_a_tensor_that_breaks_off_is_lost_and_the_client_hears_where() -> None:
    wires, links, link = made(Outage(BOTH, 0.5, 1.5))
    begin(wires, links, link, STEP)
    wires.run(1.0)
    assert wires.books == [("lost", 800)]
    assert wires.told == [(0.75, CLIENT, Broken(0, "route", "link", "link c0 > s1 is down", SERVER, True))]


def test_anything_else_that_breaks_off_waits_for_the_link_and_nobody_hears_of_it() -> None:
    wires, links, link = made(Outage(BOTH, 0.5, 1.5))
    begin(wires, links, link, HELLO)
    wires.run(1.0)
    assert wires.books == [("lost", 800), ("again", 800)]
    assert [held.sequence for held in link.held] == [1]
    wires.run(3.0)
    assert (wires.begun, link.held, wires.told) == ([(2.0, 1)], [], [])


def test_what_comes_while_the_link_is_down_waits_or_is_lost_at_once() -> None:
    wires, links, link = made(Outage(BOTH, 0.5, 1.5))
    wires.run(1.0)
    assert not links.admit(departure(HELLO, sequence=1), link)
    assert not links.admit(departure(PART, sequence=2), link)
    assert (wires.books, [held.sequence for held in link.held]) == ([("lost", 800)], [1])
    wires.run(3.0)
    assert wires.begun == [(2.0, 1)]
    assert wires.told == [
        (1.25, CLIENT, Failed(2, "link", "link c0 > s1 is down", 0, 0, True)), (2.25, CLIENT, LinkUp(SERVER)),
    ]  # fmt: skip


def test_nobody_hears_that_a_link_is_up_before_it_heard_that_it_was_down() -> None:
    """Lost at 1.9 s, told at 2.15; up at 2 s, over a way that is faster by now: told at 2.15 all the same."""
    faster = Trace(BOTH, ((0.0, None, None), (1.95, None, 0.01)))
    wires, links, link = made(Outage(BOTH, 0.5, 1.5), faster)
    wires.run(1.9)
    assert not links.admit(departure(PART), link)
    wires.run(3.0)
    assert [(at, type(message)) for at, _, message in wires.told] == [(2.15, Failed), (2.15, LinkUp)]


def test_of_two_late_news_the_later_one_counts() -> None:
    """A part is lost at 1.9 s, told at 2.15, another at 1.96 over a faster way, told at 1.97. The link is up at 2."""
    faster = Trace(BOTH, ((0.0, None, None), (1.95, None, 0.01)))
    wires, links, link = made(Outage(BOTH, 0.5, 1.5), faster)
    for at, sequence in ((1.9, 1), (1.96, 2)):
        wires.run(at)
        assert not links.admit(departure(PART, sequence=sequence), link)
    wires.run(3.0)
    told = [(round(at, 9), type(message)) for at, _, message in wires.told]
    assert told == [(1.97, Failed), (2.15, Failed), (2.15, LinkUp)]


def test_a_link_changes_its_bandwidth_only_while_something_crosses_it() -> None:
    slower = Trace(BOTH, ((0.0, None, None), (0.5, 100.0, None), (1.0, 50.0, None)))
    wires, links, link = made(slower)
    flow = begin(wires, links, link, PART)
    wires.run(0.75)
    assert wires.resized == [(0.5, 100.0)]
    del link.flows[flow]
    wires.run(2.0)
    assert wires.resized == [(0.5, 100.0)]
    assert link.state.bandwidth_bytes_s == 50.0
    assert wires.later == [], "nobody looks at it any more"


def test_a_link_that_nobody_watched_is_looked_at_when_something_comes() -> None:
    wires, links, link = made(Trace(BOTH, ((0.0, None, None), (0.5, 100.0, None))))
    wires.run(1.0)
    assert links.admit(departure(PART), link)
    assert (link.state.bandwidth_bytes_s, link.pair.bandwidth, wires.resized) == (100.0, 100.0, [])


def lossy() -> tuple[FakeWires, ChangingLinks, ChangingLink]:
    """A link that loses nearly everything."""
    return made(Loss(BOTH, 0.999999))


def test_a_lost_part_crosses_in_part_and_its_client_hears_of_it() -> None:
    wires, links, link = lossy()
    flow = begin(wires, links, link, PART)
    carried = int(flow.remaining)
    assert 0 <= carried < 800
    wires.now = 1.0
    assert links.perished(departure(PART), link)
    wires.run(2.0)
    assert wires.books == [("lost", 800)]
    assert wires.told == [(1.25, CLIENT, Failed(1, "lost", "lost on link c0 > s1", carried, 0, False))]
    assert not links.perished(departure(PART), link), "lost once only"


def test_the_fate_of_a_copy_that_broke_off_is_not_that_of_the_next() -> None:
    wires, links, link = made(Loss(BOTH, 0.999999), Outage(BOTH, 0.5, 1.5))
    flow = begin(wires, links, link, HELLO)
    flow.remaining = 800.0
    assert list(link.carried) == [(CLIENT, 1)]
    wires.run(1.0)
    assert (link.carried, [held.sequence for held in link.held]) == ({}, [1])


def test_any_other_lost_message_is_sent_again_and_nobody_hears_of_it() -> None:
    wires, links, link = lossy()
    begin(wires, links, link, STEP)
    wires.now = 1.0
    assert links.perished(departure(STEP), link)
    assert wires.books == [("lost", 800)]
    wires.run(1.25)
    assert wires.begun == []
    wires.run(1.75)
    assert wires.begun == [(1.5, 1)]
    assert wires.books == [("lost", 800), ("again", 800)]
    assert (wires.told, wires.went_on) == ([], [])


@pytest.mark.parametrize("message", [PART, STEP, HELLO])
def test_a_dead_server_takes_nothing_and_everybody_hears_of_it(message: Message) -> None:
    wires, links, link = made(Crash((SERVER,), 0.5, 1.5))
    begin(wires, links, link, message)
    wires.run(1.0)
    assert wires.books == [("lost", 800)]
    assert (0.75, CLIENT, NodeDown(SERVER)) in wires.told
    assert not links.admit(departure(message, sequence=2), link)
    assert wires.books == [("lost", 800), ("lost", 800)]
    wires.run(3.0)
    assert wires.told[-1] == (2.25, CLIENT, NodeUp(SERVER))
    assert links.admit(departure(message, sequence=3), link)
    assert not any(isinstance(told, LinkUp) for _, _, told in wires.told), "the link was never down"


def test_whatever_waits_for_a_server_dies_with_it() -> None:
    wires, links, link = made(Outage(BOTH, 0.25, 2.0), Crash((SERVER,), 0.5, inf))
    wires.run(0.375)
    assert not links.admit(departure(HELLO), link)
    assert wires.books == []
    wires.run(1.0)
    assert (wires.books, link.held) == ([("lost", 800)], [])
    refused = [at for at, to, told in wires.told if told == NodeDown(SERVER)]
    assert refused == [0.75, 0.75], "its sender, and everybody"


def test_what_a_dead_node_has_still_to_say_is_only_what_has_no_bytes() -> None:
    wires, links, _ = made(Crash((SERVER,), 0.5, inf))
    back = links.link(SERVER, CLIENT, Pair(RATE, ()))
    assert back is not None
    wires.run(1.0)
    assert links.admit(Departure(0.9, SERVER, 1, CLIENT, 0, 0, HELLO), back)
    assert not links.admit(Departure(0.9, SERVER, 2, CLIENT, 10, 0, HELLO), back)
    assert wires.books == [("lost", 10)]


def test_a_server_that_is_back_may_die_again() -> None:
    wires, _, _ = made(Crash((SERVER,), 0.5, 0.5, 2.0))
    wires.run(5.0)
    assert wires.told == [
        (0.75, CLIENT, NodeDown(SERVER)), (1.25, CLIENT, NodeUp(SERVER)),
        (2.75, CLIENT, NodeDown(SERVER)), (3.25, CLIENT, NodeUp(SERVER)), (4.75, CLIENT, NodeDown(SERVER)),
    ]  # fmt: skip

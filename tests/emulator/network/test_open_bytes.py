"""Law 5, counted: what the network says is under way is what its books leave open, wherever a message may be."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slow_network import Sent
from test_fabric import DELAY, departures_of, sent, star, traffics
from wild import wild_worlds
from worlds import InlinePlans, chain_graph, examples, fixed, run_world, small_world

from layerlift.emulator.network.byte_ledger import Account, Book, ByteLedger
from layerlift.emulator.network.changing_links import ChangingLinks
from layerlift.emulator.network.fabric import Fabric
from layerlift.emulator.protocol.messages import Cancel, Departure, Hello
from layerlift.emulator.runtime.one_clock import OneClock
from layerlift.emulator.world.faults import Crash, Fault, Loss, Outage, Pairs
from layerlift.emulator.world.links import LinkSpec
from layerlift.emulator.world.world import World
from layerlift.models.errors import RunError

WAY = Pairs(0, 2)


def open_at(fabric: Fabric, until: float) -> int:
    """What is open when everything before `until` has happened; the books say the same."""
    fabric.arrivals_before(until)
    counted = fabric.open_bytes()
    assert counted == fabric.ledger.in_flight_bytes
    return counted


@pytest.mark.parametrize("faults", [(), (Outage(WAY, 50.0, 1.0),)])
@pytest.mark.parametrize("share", [True, False])
def test_what_is_in_its_latency_or_on_its_way_is_open(share: bool, faults: tuple[Fault, ...]) -> None:
    fabric = Fabric(star(share_links=share, faults=faults))
    fabric.take([sent(0.0, 0, 2, 500, 1), sent(0.0, 0, 2, 100, 2), sent(0.0, 1, 2, 30, 1)])
    assert [open_at(fabric, until) for until in (DELAY / 2, 0.011, 0.1, 5.0)] == [630, 630, 600, 0]


@pytest.mark.parametrize("share", [True, False])
def test_tensors_that_wait_for_those_before_them_are_open(share: bool) -> None:
    fabric = Fabric(star(share_links=share))
    fabric.take([sent(0.0, 0, 2, size, number, stream=1) for number, size in enumerate((500, 300, 20))])
    assert [open_at(fabric, until) for until in (0.2, 0.6, 0.815, 1.0)] == [820, 320, 20, 0]


@pytest.mark.parametrize("share", [True, False])
def test_what_was_cancelled_is_open_until_the_cancelling_has_come(share: bool) -> None:
    fabric = Fabric(star(share_links=share))
    fabric.take([sent(0.0, 0, 2, 1000, 1), Departure(0.3, 0, 2, 2, 0, 0, Cancel(1))])
    assert [open_at(fabric, until) for until in (0.3, 0.32, 2.0)] == [1000, 0, 0]


@pytest.mark.parametrize("share", [True, False])
def test_what_waits_for_a_link_is_open_and_what_waits_to_be_sent_again_is_lost(share: bool) -> None:
    """Down in [0.5, 2): `Hello` waits for it, whole, and arrives a second after it is up. The loss on the other link is
    for certain, and what is lost there is sent again 0.25 s later: it is under way and lost in turn."""
    world = star(share_links=share, faults=(Outage(WAY, 0.5, 1.5), Loss(Pairs(1, 2), 0.9999)), resend_s=0.25)
    fabric = Fabric(world)
    fabric.take([sent(0.0, 0, 2, 1000, 1)._replace(message=Hello(0, 0))])
    assert [open_at(fabric, until) for until in (0.4, 1.0, 2.5, 3.5)] == [1000, 1000, 1000, 0]
    fabric.take([sent(4.0, 1, 2, 100, 1)._replace(message=Hello(0, 0))])
    seen = [open_at(fabric, 4.0 + step / 100.0) for step in range(1, 200)]
    assert set(seen) == {0, 100}
    assert fabric.ledger.sent_bytes > 1000 + 1000 + 200


@pytest.mark.parametrize("share", [True, False])
def test_what_broke_off_is_open_no_more(share: bool) -> None:
    for fault in (Outage(WAY, 0.5, 1.5), Crash((2,), 0.5, 1.5)):
        fabric = Fabric(star(share_links=share, faults=(fault,)))
        fabric.take([sent(0.0, 0, 2, 1000, 1), sent(0.0, 0, 2, 900, 2)])
        assert [open_at(fabric, until) for until in (0.5, 0.6, 3.0)] == [1900, 0, 0]


@pytest.mark.parametrize("share", [True, False])
def test_what_ended_after_the_end_of_the_run_is_open_again(share: bool) -> None:
    """Arrived at 0.51, cancelled at 0.61, lost and waiting again since 0.7."""
    world = star(share_links=share, servers=2, faults=(Outage(Pairs(1, 2), 0.7, 9.0),))
    for end, expected in ((0.4, 2700), (0.55, 2200), (0.65, 1200), (0.75, 1200)):
        fabric = Fabric(world)
        fabric.take([sent(0.0, 0, 2, 500, 1), sent(0.0, 0, 3, 1000, 2), Departure(0.6, 0, 3, 3, 0, 0, Cancel(2))])
        fabric.take([sent(0.0, 1, 2, 1200, 1)._replace(message=Hello(1, 0))])
        fabric.arrivals_before(0.8)
        fabric.rewind(end)
        assert fabric.open_bytes() == fabric.ledger.in_flight_bytes == expected


def test_what_was_sent_again_after_the_end_of_the_run_was_lost_at_the_end() -> None:
    """Lost between 0.01 and 0.11 s and sent again 0.25 s later."""
    fabric = Fabric(star(faults=(Loss(WAY, 0.9999),), resend_s=0.25))
    fabric.take([sent(0.0, 0, 2, 100, 1)._replace(message=Hello(0, 0))])
    fabric.arrivals_before(0.37)
    assert fabric.ledger.sent_bytes == 200
    fabric.rewind(0.2)
    assert (fabric.open_bytes(), fabric.ledger.in_flight_bytes, fabric.ledger.lost_bytes) == (0, 0, 100)


@given(traffics(), st.lists(st.floats(0.0, 9.0), min_size=3, max_size=3), st.booleans())
@examples(60)
def test_at_any_moment_the_network_holds_what_its_books_leave_open(
    given_: tuple[World, list[Sent]], moments: list[float], fragile: bool
) -> None:
    world, messages = given_
    if fragile:
        world = star(
            len(world.clients), len(world.servers), share_links=world.share_links,
            faults=(Outage(Pairs(), 0.7, 0.2, 0.9), Loss(Pairs(), 0.3), Crash((world.servers[0],), 1.3, 0.5)),
        )  # fmt: skip
    for message in messages:
        message.user %= len(world.users)  # whoever hears of a loss must exist
    fabric = Fabric(world)
    fabric.take(departures_of(messages))
    for moment in sorted(moments):
        open_at(fabric, moment)
    assert open_at(fabric, 500.0) == 0


# A run whose books are wrong does not end as if nothing were


class Forgetful(ByteLedger):
    """Books in which some bytes are never put down."""

    def put_down(self, book: Book, size: int) -> None:
        pass


class Generous(ByteLedger):
    """Books in which every message arrives with one byte too many."""

    def delivered(self, account: Account, size: int) -> None:
        super().delivered(account, size + 1)


def one_upload(faults: tuple[Fault, ...] = ()) -> World:
    """A part that takes 4 s, in a run of 3.5 s."""
    graph = chain_graph([0, 0], [4_000_000])
    user = {"queries": 9, "think_s": 0.5, "cr_timeout_s": inf}
    return small_world(graph, (0.01,), fixed((1,)), link=LinkSpec(0.01, 1e6), user=user, until_s=3.5, faults=faults)


def lockstep(world: World) -> object:
    return run_world(world)


def one_clock(world: World) -> object:
    return OneClock(world, InlinePlans(world), lambda table, rows: None).run()


@pytest.mark.parametrize("runner", [lockstep, one_clock])
@pytest.mark.parametrize(
    ("ledger", "faults"), [(Forgetful, (Outage(Pairs(), 2.0, 0.5),)), (Generous, ())], ids=["forgotten", "made up"]
)
def test_a_run_whose_books_are_wrong_raises(
    runner: Callable[[World], object],
    ledger: type[ByteLedger],
    faults: tuple[Fault, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runner(one_upload(faults))
    monkeypatch.setattr("layerlift.emulator.network.fabric.ByteLedger", ledger)
    with pytest.raises(RunError, match="lost or made up"):
        runner(one_upload(faults))


@pytest.mark.parametrize("runner", [lockstep, one_clock])
def test_a_run_whose_network_loses_a_message_raises(
    runner: Callable[[World], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the network drops without a word is in no book either: only a count of what is there can tell."""
    monkeypatch.setattr(ChangingLinks, "_lose", lambda *_: None)
    with pytest.raises(RunError, match="lost or made up"):
        runner(one_upload((Outage(Pairs(), 2.0, 0.5),)))


@pytest.mark.long
@given(wild_worlds())
@examples(30)
def test_one_clock_and_lockstep_leave_the_same_bytes_open(world: World) -> None:
    """The lockstep overshoots its end and takes back what came after; on one clock nothing ever comes after."""
    ending = OneClock(world, InlinePlans(world), lambda table, rows: None).run()
    assert run_world(world).ending.in_flight_bytes == ending.in_flight_bytes

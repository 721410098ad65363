"""The parts of a client, each alone: a fake client of a few methods notes what they do."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest
from fake_client import FakeClient, Question

from layerlift.emulator.nodes.client.battery import Battery
from layerlift.emulator.nodes.client.bill import Bill, refusal
from layerlift.emulator.nodes.client.installer import Installer
from layerlift.emulator.nodes.client.questions import Questions
from layerlift.emulator.nodes.client.reachability import Reachability
from layerlift.emulator.nodes.client.roaming import Roaming
from layerlift.emulator.protocol.messages import (
    Hello,
    LinkUp,
    Meter,
    NodeDown,
    NodeUp,
    PlanRequest,
    Prediction,
    ReadMeter,
)
from layerlift.emulator.world.faults import Outage, Pairs
from layerlift.emulator.world.laws import Regular
from layerlift.emulator.world.mobility import Journey

# The battery


class Powered(FakeClient):
    """Works all the time on one core, and its radio is on half of the time."""

    died_s = inf

    def busy_s(self, until: float) -> float:
        return until

    def die(self) -> None:
        self.died_s, self.left = self.kernel.now, True

    def send(self, to: int, size: int, message: Any, stream: int = 0) -> int:
        assert type(message) is ReadMeter
        when = self.kernel.now + self.host.world.lookahead_s
        self.call_at(when, lambda _: self.battery.meter(Meter(self.kernel.now / 2)))
        return super().send(to, size, message, stream)

    battery: Battery


def test_a_battery_is_empty_when_clock_cpu_and_radio_have_drawn_its_charge() -> None:
    client = Powered(client={"idle_w": 1.0, "compute_w": 2.0, "radio_w": 4.0, "cores": 2})
    client.battery = Battery(client, 50.0)
    client.battery.watch()
    client.run(100.0)
    assert client.died_s == pytest.approx(50.0 / (1.0 + 2.0 + 2.0), abs=0.02)
    assert client.battery.left_j() < 0.02 * 9.0
    assert len(client.sent) < 40, "it is asked now and then, more often towards the end"


def test_a_battery_that_nothing_draws_from_lasts() -> None:
    client = Powered()
    client.battery = Battery(client, 1.0)
    client.battery.watch()
    client.run(1e6)
    assert (client.died_s, client.battery.left_j(), len(client.sent)) == (inf, 1.0, 0)


def test_a_battery_that_could_be_gone_before_it_is_read_is_empty_at_once() -> None:
    client = Powered(client={"idle_w": 1.0})
    client.battery = Battery(client, 0.009)
    client.battery.watch()
    assert client.died_s == 0.0


# The questions


class Asking(FakeClient):
    """Its queries take a second each, and fail at once when `fails`."""

    def __init__(self, **user: Any) -> None:
        super().__init__(user=user)
        self.open: dict[int, Question] = {}
        self.begun: list[tuple[int, float, float]] = []
        self.unbegun: list[tuple[int, str]] = []
        self.fails = False
        self.questions = Questions(self)
        self.spawn(self.questions.run())

    def begin(self, number: int, asked_s: float) -> Question | None:
        self.begun.append((number, asked_s, self.kernel.now))
        if self.fails:
            return None
        query = self.open[number] = Question(self)
        self.call_at(self.kernel.now + 1.0, self._end, number)
        return query

    def _end(self, number: int) -> None:
        self.open.pop(number).done.set()
        self.questions.ended()

    def fail_unbegun(self, number: int, asked_s: float, reason: str) -> None:
        self.unbegun.append((number, reason))


def test_back_to_back_with_pauses() -> None:
    client = Asking(queries=3, think_s=0.5)
    client.run(10.0)
    assert client.begun == [(0, 0.0, 0.0), (1, 1.5, 1.5), (2, 3.0, 3.0)]


def test_a_question_that_fails_at_once_is_followed_by_a_wait() -> None:
    client = Asking(queries=3)
    client.fails = True
    client.run(10.0)
    assert [begun_s for _, _, begun_s in client.begun] == [0.0, 1.0, 2.0]


@pytest.mark.parametrize(
    ("late", "unbegun", "asked"),
    [
        ("keep", [(3, "queue full"), (4, "queue full")], [0, 1, 2]),
        ("drop", [(1, "late"), (2, "late"), (3, "late")], [0, 4]),
    ],
)
def test_a_full_queue_gives_up_the_newest_or_the_oldest(
    late: str, unbegun: list[tuple[int, str]], asked: list[int]
) -> None:
    client = Asking(queries=5, asks=Regular(100.0), queue=2, late=late)
    client.run(10.0)
    assert client.unbegun == unbegun
    assert [number for number, _, _ in client.begun] == asked


def test_who_gives_up_leaves_what_waits_unbegun() -> None:
    client = Asking(queries=3, asks=Regular(100.0))
    client.run(0.5)
    client.questions.give_up("battery empty")
    client.run(10.0)
    assert (client.begun, client.unbegun) == ([(0, 0.0, 0.0)], [(1, "battery empty"), (2, "battery empty")])


# The installer


def prediction(server: int, *seconds: float) -> Prediction:
    return Prediction(0, server, seconds or (0.1, 0.1, 0.1), inf, 0.0, 1.0)


def test_a_plan_is_asked_for_when_every_server_has_answered() -> None:
    client = FakeClient(servers=2)
    installer = Installer(client)
    installer.greet()
    installer.start("arrival")
    assert [(to, type(message)) for to, _, message in client.sent] == [(1, Hello), (2, Hello)]
    installer.predict(prediction(2))
    client.run(5.0)
    assert not client.messages(PlanRequest), "one is still silent"
    installer.predict(prediction(1))
    client.run(6.0)
    [request] = client.messages(PlanRequest)
    assert (request.cause, request.seconds, request.seen_bytes_s) == ("arrival", (0.1, 0.2, 0.3), ((1, 5e5),))
    assert [told.server for told in request.predictions] == [1, 2]


def test_in_a_world_of_faults_nobody_waits_for_ever() -> None:
    client = FakeClient(faults=(Outage(Pairs(), 100.0, 1.0),))
    installer = Installer(client)
    installer.greet()
    installer.start("arrival")
    installer.predict(prediction(1))
    client.run(2.1)
    [request] = client.messages(PlanRequest)
    assert [told.server for told in request.predictions] == [1]


def test_the_dead_are_not_asked_and_a_second_wish_waits_for_the_first() -> None:
    client = FakeClient(servers=2)
    client.reachability.dead.add(1)
    installer = Installer(client)
    installer.greet()
    installer.start("arrival")
    installer.replan("evicted")  # the first is not over: it is remembered
    installer.predict(prediction(2))
    client.run(1.0)
    assert [to for to, _, message in client.sent if type(message) is Hello] == [2]
    installer.planned()
    assert [to for to, _, message in client.sent if type(message) is Hello] == [2, 2]
    installer.predict(prediction(2))
    client.run(2.0)
    assert [request.cause for request in client.messages(PlanRequest)] == ["arrival", "evicted"]


def test_a_claim_says_what_a_query_will_cost_there() -> None:
    client = FakeClient(user={"think_s": 0.25})
    installer = Installer(client)
    installer.predict(prediction(2, 1.0, 2.0, 4.0))
    one, other = installer.claim(2, (0, 2), False), installer.claim(1, (0, 2), True)
    assert (one.work_s, one.link_bytes, one.period_s, one.only) == (5.0, 400, 0.75, False)
    assert other.work_s == pytest.approx(0.4), "without a prediction: what its own machine takes"
    assert other.stamp > one.stamp


# Reachability


def test_a_link_is_cut_off_once_and_told_of_again_when_it_works() -> None:
    client = FakeClient()
    reachability = Reachability(client)
    reachability.cut_off(1)
    reachability.cut_off(1)
    assert (reachability.can(1), reachability.can(2)) == (False, True)
    reachability.link_up(LinkUp(2))  # nobody had missed it
    assert client.changes == [("link down", "s1", "")]
    reachability.link_up(LinkUp(1))
    assert client.changes == [("link down", "s1", ""), ("link up", "s1", "")]
    assert client.uploader.told == [("resume", 1)]
    assert client.installer.told == [("on change", "up")]


def test_a_dead_server_is_given_up_whatever_it_is_called() -> None:
    """A server named like a link is a server: the cause is a field, the words are for people."""
    client = FakeClient()
    reachability = Reachability(client)
    reachability.node_down(NodeDown(1))
    reachability.node_down(NodeDown(1))
    assert client.told == [("changed",), ("fall back", 1, "server", "s1 is down")]
    assert client.uploader.told == [("lost", 1)]
    reachability.cut_off(1)
    reachability.node_up(NodeUp(1))
    assert not reachability.can(1), "it is back, behind a link that is down"
    assert client.installer.told == [("count",), ("on change", "down"), ("greet again", 1)]


# Roaming


def journey(handover: str, *stops: tuple[float, int]) -> Any:
    return Journey((0,), stops, handover=handover)  # type: ignore[arg-type]


def test_what_a_user_has_comes_along_when_the_new_server_can_be_reached() -> None:
    client = FakeClient(mobility=(journey("copy", (0.0, 1), (5.0, 2), (9.0, 1)),))
    client.reachability.cut.add(2)
    roaming = Roaming(client)
    client.run(6.0)
    assert client.changes == [("hand-over", "s2", "from s1, copy")]
    assert client.uploader.told == [], "the new server is out of reach"
    client.reachability.cut.clear()
    roaming.reached(2)
    roaming.reached(2)
    assert client.uploader.told == [("move", 1, 2, True)]
    client.run(10.0)
    assert client.uploader.told == [("move", 1, 2, True), ("move", 2, 1, True)]


def test_with_forward_everything_stays_where_it_is() -> None:
    client = FakeClient(mobility=(journey("forward", (0.0, 1), (5.0, 2)),))
    Roaming(client)
    client.run(6.0)
    assert client.changes == [("hand-over", "s2", "from s1, forward")]
    assert client.uploader.told == []


def test_before_it_has_arrived_a_user_has_nothing_to_take_along() -> None:
    client = FakeClient(mobility=(journey("reupload", (0.0, 1), (5.0, 2), (9.0, 1)),), user={"arrival_s": 7.0})
    Roaming(client)
    client.run(8.0)
    assert (client.changes, client.uploader.told, client.installer.told) == ([], [], [])
    client.run(10.0)
    assert client.uploader.told == [("move", 2, 1, False)], "from where it was when it arrived"


# The bill


def test_a_bill_adds_up_work_bytes_and_money_of_a_route() -> None:
    client = FakeClient(header_bytes=10, server={"price_per_s": 2.0, "ghz": 2.0})
    itinerary = client.host.routes.named(0, "dataflow", (0, 1, 0))
    figures = Bill(client.host, 0, itinerary).figures
    assert figures.client_work_s == pytest.approx(0.4)
    assert figures.server_work_s == pytest.approx(0.1)
    assert (figures.sent_bytes, figures.received_bytes) == (110, 110)
    assert figures.money == pytest.approx(0.2)


def test_a_client_without_room_says_how_much_it_lacks() -> None:
    client = FakeClient(client={"memory_bytes": 2999.0})
    assert refusal(client.host, 0, [0]) is None
    assert refusal(client.host, 0, [0, 1]) == "client memory: 3000 bytes needed, 2999 there"

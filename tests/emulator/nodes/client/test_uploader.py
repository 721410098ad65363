"""The uploader alone: what it sends, and what it makes of every verdict. No text is read, whatever it says."""

from __future__ import annotations

from typing import Any

import pytest
from fake_client import FakeClient

from layerlift.emulator.nodes.client.uploader import Uploader
from layerlift.emulator.protocol.messages import (
    Cancel,
    Confirm,
    CopyPart,
    Failed,
    PlanReply,
    UploadPart,
    Verdict,
)
from layerlift.planners.problem.plan import Upload

PLAN = PlanReply(0, 1, (1, 1, 2), (Upload(1, (0,)), Upload(1, (1,)), Upload(2, (2,))), False, True, 0.5)
"""Parts of 1000 and 2000 bytes to the first server (node 1), of 3000 to the second (node 2)."""


class Device:
    """A client with an uploader that follows `PLAN`."""

    def __init__(self, claims: bool = False, plan: PlanReply = PLAN, **user: Any) -> None:
        self.client = FakeClient(claims=claims, user={"backoff_s": 1.0, "retries": 2, "retry_wait_s": 4.0, **user})
        self.uploader = Uploader(self.client)
        self.uploader.follow(plan)
        self.client.run(0.001)

    @property
    def sent(self) -> list[tuple[int, int]]:
        """(part, attempt) of what was sent, in order."""
        return [(message.part, message.attempt) for message in self.client.messages(UploadPart)]

    @property
    def statuses(self) -> list[tuple[int, str, str, int]]:
        return [(row.part, row.status, row.reason, row.wasted_bytes) for row in self.client.rows]  # type: ignore[union-attr]

    def answer(self, part: int, attempt: int, verdict: Verdict = "stored", reason: str = "", wasted: int = 0) -> None:
        self.uploader.confirm(Confirm(0, 1, part, attempt, verdict, reason, wasted))
        self.pass_on()

    def pass_on(self, seconds: float = 0.001) -> None:
        self.client.run(self.client.kernel.now + seconds)
        self.uploader.validate()


def test_parts_go_out_one_by_one() -> None:
    device = Device()
    assert device.sent == [(0, 1)]
    device.answer(0, 1)
    device.answer(1, 1)
    assert device.sent == [(0, 1), (1, 1), (2, 1)]
    assert device.uploader.placement() == (1, 1, 0)
    device.answer(2, 1)
    assert device.uploader.placement() == (1, 1, 2)
    assert [status for _, status, *_ in device.statuses] == ["confirmed"] * 3


def test_or_one_per_server_at_a_time() -> None:
    device = Device(uploads_at_once="per_server")
    assert device.sent == [(0, 1), (2, 1)]
    device.answer(2, 1)
    device.answer(0, 1)
    assert device.sent == [(0, 1), (2, 1), (1, 1)]


WORDS = ("failed: we are full", "failed:7:x", "gone fishing", "confirmed", "moved", "")


@pytest.mark.parametrize("words", WORDS)
def test_the_words_of_a_refusal_are_only_shown(words: str) -> None:
    device = Device(on_refusal="skip")
    device.answer(0, 1, "refused", words)
    device.pass_on(60.0)
    assert device.sent == [(0, 1), (1, 1)], "it is not tried again; the next part's turn comes"
    assert device.statuses == [(0, "refused", words, 1000)]
    assert device.uploader.deployment.states[0] == "skipped"


@pytest.mark.parametrize("words", WORDS)
def test_who_waits_tries_a_refused_part_again(words: str) -> None:
    device = Device(on_refusal="wait")
    device.answer(0, 1, "refused", words)
    device.pass_on(3.9)
    assert device.sent == [(0, 1)]
    device.pass_on(0.2)
    assert device.sent == [(0, 1), (0, 2)]


def test_who_replans_asks_for_another_plan_as_often_as_it_retries() -> None:
    device = Device(on_refusal="replan", retries=1)
    device.answer(0, 1, "refused", "gone fishing")
    assert device.client.installer.told == [("replan", "refused")]
    device.uploader.go_on()  # the plan that comes of it is none: the other parts go
    device.pass_on()
    device.answer(1, 1, "refused", "full")
    assert device.client.installer.told == [("replan", "refused")]
    assert device.uploader.deployment.states[1] == "skipped"


def test_who_is_refused_again_asks_for_plans_ever_more_rarely() -> None:
    device = Device(on_refusal="replan", retries=3, retry_wait_s=4.0)
    asked = device.client.installer.told
    device.answer(0, 1, "refused")
    assert len(asked) == 1
    device.uploader.go_on()
    device.pass_on()
    device.answer(1, 1, "refused")
    device.pass_on(3.9)
    assert len(asked) == 1
    device.pass_on(0.2)
    assert len(asked) == 2
    device.uploader.go_on()
    device.pass_on()
    device.answer(2, 1, "refused")
    device.pass_on(7.9)
    assert len(asked) == 2
    device.pass_on(0.2)
    assert len(asked) == 3


def test_a_plan_that_comes_while_a_refused_user_waits_to_ask_is_all_that_it_wanted() -> None:
    device = Device(on_refusal="replan", retries=3, retry_wait_s=4.0)
    device.answer(0, 1, "refused")
    device.uploader.go_on()
    device.pass_on()
    device.answer(1, 1, "refused")
    device.uploader.follow(PLAN._replace(version=2, placement=(2, 2, 2), uploads=(Upload(2, (0, 1, 2)),)))
    device.pass_on(9.0)
    assert device.client.installer.told == [("replan", "refused")]


def test_what_others_held_has_left_and_all_of_the_part_travels_at_once() -> None:
    client = FakeClient(user={"retries": 2})
    client.installer.has = (0,)
    uploader = Uploader(client)
    uploader.follow(PLAN)
    client.run(0.001)
    [first] = client.messages(UploadPart)
    assert first.parameters == ()
    uploader.confirm(Confirm(0, 1, 0, 1, "gone", "they left"))
    client.run(0.002)
    _, second = client.messages(UploadPart)
    assert (second.part, second.parameters) == (0, (0,))
    assert [row.status for row in client.rows] == ["refused"]  # type: ignore[union-attr]


def test_what_breaks_off_is_tried_again_after_longer_and_longer_waits() -> None:
    device = Device()
    for attempt, wait_s in ((1, 1.0), (2, 2.0)):
        device.uploader.failed(Failed(attempt, "lost", "lost on link c0 > s1", 400, 0, False))
        device.pass_on(wait_s - 0.01)
        assert device.sent[-1] == (0, attempt)
        device.pass_on(0.02)
        assert device.sent[-1] == (0, attempt + 1)
    assert device.statuses == [(0, "failed", "lost on link c0 > s1", 400)] * 2
    device.uploader.failed(Failed(3, "lost", "again", 400, 0, False))
    device.pass_on(60.0)
    assert device.sent[-1] == (1, 1), "after three attempts the next part's turn comes"
    assert device.uploader.deployment.states[0] == "idle"


def test_with_resume_only_what_is_left_travels() -> None:
    device = Device()
    device.uploader.failed(Failed(1, "lost", "lost", 400, 400, False))
    device.pass_on(1.1)
    device.answer(0, 2)
    assert [row.bytes for row in device.client.rows] == [1000, 600]  # type: ignore[union-attr]
    assert [row.wasted_bytes for row in device.client.rows] == [0, 0]  # type: ignore[union-attr]


def test_a_link_that_is_down_is_not_sent_over_before_it_works_again() -> None:
    device = Device()
    device.uploader.failed(Failed(1, "link", "link c0 > s1 is down", 0, 0, True))
    device.pass_on(60.0)
    assert device.sent == [(0, 1), (2, 1)], "the second server can be reached"
    device.answer(2, 1)
    device.client.reachability.cut.clear()
    device.uploader.resume(1)
    device.pass_on()
    assert device.sent == [(0, 1), (2, 1), (0, 2)]


def test_no_confirm_result_in_time_is_a_lost_part() -> None:
    device = Device(cr_timeout_s=2.0, retries=0)
    device.pass_on(2.1)
    assert device.statuses == [(0, "lost", "no confirm result in time", 1000)]
    device.answer(0, 1)  # too late: nobody waits
    assert device.uploader.confirmed_parts == 0
    assert device.sent == [(0, 1), (1, 1)]


def test_a_server_that_crashes_has_nothing_and_gets_all_again() -> None:
    device = Device()
    device.answer(0, 1)
    device.client.reachability.dead.add(1)
    device.uploader.lost(1)
    device.pass_on()
    assert device.statuses[-1] == (1, "failed", "s1 is down", 2000)
    assert device.uploader.placement() == (0, 0, 0)
    device.client.reachability.dead.clear()
    device.uploader.resume(1)
    device.pass_on(9.0)
    assert device.sent == [(0, 1), (1, 1), (2, 1)], "one thing at a time: the last part is still on its way"
    device.answer(2, 1)
    device.answer(0, 2)
    assert device.sent[3:] == [(0, 2), (1, 2)]


def test_an_evicted_part_is_not_sent_again_before_the_next_plan() -> None:
    device = Device()
    for part in range(3):
        device.answer(part, 1)
    device.uploader.forget(1, (1,))
    device.uploader.resume(1)
    device.pass_on(60.0)
    assert device.sent == [(0, 1), (1, 1), (2, 1)]
    assert device.uploader.placement() == (1, 0, 2)
    device.uploader.follow(PLAN._replace(version=2))
    device.pass_on()
    assert device.sent[3:] == [(0, 1)], "a new plan sends what is not there; what is there travels in no bytes"


def test_a_part_that_is_queued_twice_and_then_skipped_is_not_sent() -> None:
    """Its server comes back while it waits to be tried again: it is in a lane and between two attempts."""
    device = Device(on_refusal="skip")
    device.uploader.failed(Failed(1, "lost", "lost", 0, 0, False))
    device.pass_on(0.5)
    device.uploader.resume(1)
    device.pass_on(0.6)
    device.answer(0, 2, "refused", "full")
    device.pass_on(60.0)
    assert device.uploader.deployment.states[0] == "skipped"
    assert (0, 3) not in device.sent


def test_a_moving_user_has_its_parts_copied_and_what_is_on_its_way_sent_anew() -> None:
    device = Device()
    device.answer(0, 1)
    device.uploader.move(1, 2, copy=True)
    device.pass_on()
    assert device.client.messages(Cancel) == [Cancel(2)]
    assert device.statuses[-1] == (1, "cancelled", "hand-over", 0)
    assert device.uploader.placement() == (1, 0, 0), "the old server goes on serving"
    device.answer(2, 1)
    [copied] = device.client.messages(CopyPart)
    assert (copied.to, copied.bytes, copied.part.part) == (2, 1000, 0)
    device.answer(0, 2)
    assert device.uploader.placement() == (2, 0, 2)
    direct = {1: 1e6, 2: 3e6}
    assert dict(device.uploader.seen()) == pytest.approx(direct), "a copy measures no link of the client's own"


def test_a_plan_that_says_what_is_being_done_changes_nothing() -> None:
    device = Device()
    device.uploader.follow(PLAN._replace(version=2, predicted_s=0.4))
    device.pass_on()
    assert (device.uploader.version, device.uploader.predicted_s, device.sent) == (1, 0.4, [(0, 1)])


def test_what_another_plan_has_put_there_need_not_travel_again() -> None:
    device = Device()
    device.answer(0, 1)
    device.uploader.follow(PlanReply(0, 2, (1, 0, 0), (Upload(1, (0,)),), False, True))
    device.pass_on()
    assert device.statuses[-1] == (1, "cancelled", "new plan", 0)
    assert device.client.messages(UploadPart)[-1].parameters == ()


def test_claims_go_before_parts_and_with_them_where_a_policy_asks() -> None:
    device = Device(claims=True)
    [part] = device.client.messages(UploadPart)
    assert part.claim is not None
    assert part.claim.stamp < part.stamp
    assert part.claim.layers == (0, 1)

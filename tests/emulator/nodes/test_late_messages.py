"""What overtakes what: a server that hears a client's words in another order than they were said in."""

from __future__ import annotations

from typing import Any

from worlds import chain_graph, small_world

from layerlift.emulator.protocol.messages import ClaimRequest, Delivery, Leave, Message, UploadPart
from layerlift.emulator.results.tables import TABLES
from layerlift.emulator.runtime.host import Host

CLIENT, SERVER = 0, 1


def heard(*messages: Message) -> list[tuple[str, int]]:
    """Event and bytes held after it, of every change of the server's memory; a message each 0.1 s."""
    host = Host(small_world(chain_graph([0] * 3, [100, 20]), (0.1, 0.1)), [SERVER])
    deliveries = [
        Delivery(0.1 * (number + 1), CLIENT, number + 1, SERVER, message) for number, message in enumerate(messages)
    ]
    answer = host.advance(9.0, deliveries)
    names = [name for name, _ in TABLES["allocations"]]
    rows: list[dict[str, Any]] = [dict(zip(names, row, strict=True)) for row in answer.rows.get("allocations", [])]
    return [(row["event"], row["held_bytes"]) for row in rows]


def part(number: int, stamp: int) -> UploadPart:
    return UploadPart(0, 1, number, 1, (number,), (number,), stamp)


def only(stamp: int, *layers: int) -> ClaimRequest:
    """The user wants these layers, and whatever else is there may go."""
    return ClaimRequest(0, layers, True, stamp, 0.1, 0.0, 1.0)


def test_a_claim_that_is_older_than_a_part_takes_nothing_away() -> None:
    assert heard(part(0, stamp=3), only(2)) == [("admitted", 100)]
    assert heard(part(0, stamp=3), only(4)) == [("admitted", 100), ("released", 0)]


def test_a_late_part_makes_no_old_claim_young() -> None:
    """A part was said second and comes last but one; the claim that was said third is overtaken by the fifth."""
    assert heard(part(0, stamp=1), only(5, 0), part(1, stamp=2), only(3)) == [("admitted", 100), ("admitted", 120)]


def test_whoever_has_left_brings_nothing_any_more() -> None:
    assert heard(part(0, stamp=1), Leave(0), part(1, stamp=2)) == [("admitted", 100), ("released", 0)]

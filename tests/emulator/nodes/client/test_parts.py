"""The table of a part's states: what it allows, what it refuses, and that the page shows it."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerlift.emulator.nodes.client.parts import TABLE, Event, Parts, State, page

PAGE = (Path(__file__).parents[4] / "docs" / "architecture.md").read_text(encoding="utf-8")


def reached() -> set[State]:
    """Every state that a new part can come to."""
    found: set[State] = {"idle"}
    while more := {after for (state, _), after in TABLE.items() if state in found} - found:
        found |= more
    return found


def test_every_state_can_be_reached_and_every_event_can_happen() -> None:
    assert reached() == set(get_args(State))
    assert {event for _, event in TABLE} == set(get_args(Event))


@given(st.lists(st.sampled_from(get_args(Event)), max_size=12))
def test_a_part_is_what_the_table_says(events: list[Event]) -> None:
    parts, state = Parts(2), "idle"
    for event in events:
        after = TABLE.get((state, event))  # type: ignore[call-overload]
        if after is None:
            with pytest.raises(AssertionError, match=f"part 1 is {state}: '{event}' cannot happen"):
                parts.tell(1, event)
            continue
        parts.tell(1, event)
        state = after
    assert (parts[0], parts[1]) == ("idle", state)
    assert list(parts.of(state)) == ([0, 1] if state == "idle" else [1])  # type: ignore[arg-type]


def test_a_new_plan_leaves_nothing_on_its_way() -> None:
    """Whatever its state, a part whose plan is stopped is confirmed, skipped or idle."""
    assert {after for (_, event), after in TABLE.items() if event == "stopped"} == {"idle", "confirmed", "skipped"}


def test_what_was_taken_back_is_not_sent_again() -> None:
    assert ("skipped", "queued") not in TABLE
    assert ("skipped", "sent") not in TABLE


def test_the_page_shows_the_table() -> None:
    assert page() in PAGE

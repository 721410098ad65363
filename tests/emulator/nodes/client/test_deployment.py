"""A client's plan by itself: what is where, what is wanted, and what is sent again."""

from __future__ import annotations

from worlds import chain_graph

from layerlift.emulator.nodes.client.deployment import Deployment
from layerlift.emulator.nodes.client.parts import State
from layerlift.planners.problem.plan import Upload

GRAPH = chain_graph([0] * 4, [100, 20, 3])


def deployed(*places: int) -> Deployment:
    """A part for each layer that is not the client's own (place 0), each confirmed at its place."""
    made = Deployment(GRAPH)
    made.follow(places, [Upload(place, (layer,)) for layer, place in enumerate(places) if place], False)
    for part in range(len(made.parts)):
        made.states.tell(part, "queued")
        made.states.tell(part, "sent")
        made.confirm(part)
    return made


def of(made: Deployment, state: State) -> list[int]:
    return list(made.states.of(state))


def test_what_was_taken_back_is_not_sent_again_under_this_plan_and_whole_under_the_next() -> None:
    made = deployed(1, 1, 1)
    made.forget(1, (1, 2))
    assert (of(made, "confirmed"), of(made, "skipped"), made.missing(1)) == ([0], [1, 2], [])
    assert made.used({1: True}) == (1, 0, 0)
    made.follow(made.placement, made.parts, False)
    assert [made.wanted(part) for part in range(3)] == [(), (1,), (2,)]
    assert made.missing(1) == [0, 1, 2]


def test_what_a_dead_server_had_is_sent_again_whole() -> None:
    made = deployed(1, 1, 2)
    made.kept[1] = 15
    made.copies[1] = 1
    made.lose(1)
    assert (made.missing(1), made.missing(2), made.kept, made.copies) == ([0, 1], [], {}, {})
    assert made.wanted(0) == (0,)


def test_only_what_is_confirmed_can_be_copied_and_what_was_kept_was_kept_elsewhere() -> None:
    made = deployed(1, 1, 1)
    made.states.tell(2, "crashed")
    made.confirmed[1].intersection_update({0, 1})
    made.kept[2] = 2
    assert made.move(1, 2, True) == [0, 1, 2]
    assert (made.copies, made.kept, of(made, "confirmed"), made.former) == ({0: 1, 1: 1}, {}, [], {0: 1, 1: 1})
    assert made.placement == (2, 2, 2)


def test_until_all_is_where_it_belongs_queries_run_where_it_was_if_that_is_within_reach() -> None:
    made = deployed(1, 1, 0)
    made.move(1, 2, False)
    assert made.used({1: True, 2: True}) == (1, 1, 0)
    assert made.used({1: False, 2: True}) == (0, 0, 0)
    made.lose(1)
    assert made.used({1: True, 2: True}) == (0, 0, 0)


def test_who_moves_back_copies_nothing() -> None:
    made = deployed(1, 1, 0)
    made.move(1, 2, True)
    made.move(2, 1, True)
    assert (made.copies, made.placement) == ({}, (1, 1, 0))
    assert made.wanted(0) == ()

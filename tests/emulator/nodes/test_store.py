"""What users have uploaded to a server, by itself: what is freed, what is forgotten, what others may use."""

from __future__ import annotations

from worlds import chain_graph

from layerlift.emulator.nodes.server.store import Shelves
from layerlift.emulator.protocol.messages import UploadPart

GRAPH = chain_graph([0] * 4, [100, 20, 3])
USER, OTHER, MODEL = 0, 1, 0


def part(number: int, *layers: int, user: int = USER) -> UploadPart:
    return UploadPart(user, 1, number, 1, layers, layers)


def add(shelves: Shelves, message: UploadPart, ready: bool = True) -> int:
    """Store a part, and build it."""
    fresh = [p for p in message.layers if p not in shelves.of(message.user).parameters]
    size = shelves.add(message.user, MODEL, GRAPH, message, fresh)
    if ready:
        store = shelves.of(message.user)
        store.layers.update(message.layers)
        del store.building[message.version, message.part]
    return size


def test_a_part_that_is_let_go_while_it_is_built_is_not_built_any_more() -> None:
    shelves = Shelves(False)
    add(shelves, part(0, 0))
    add(shelves, part(1, 1, 2), ready=False)
    assert shelves.keep(USER, MODEL, GRAPH, {0}) == 23
    store = shelves.stores[USER]
    assert (store.building, list(store.parts), store.held_bytes) == ({}, [(1, 0)], 100)
    assert store.lacking(range(3)) == (1, 2)


def test_a_part_goes_as_soon_as_one_of_its_layers_does() -> None:
    shelves = Shelves(False)
    add(shelves, part(0, 0, 1))
    assert shelves.keep(USER, MODEL, GRAPH, {1, 2}) == 100
    store = shelves.stores[USER]
    assert (store.parts, tuple(store.layers), tuple(store.parameters), store.held_bytes) == ({}, (1,), (1,), 20)


def test_routes_are_checked_anew_when_something_was_let_go() -> None:
    shelves = Shelves(False)
    add(shelves, part(0, 0))
    add(shelves, part(1, 1))
    shelves.stores[USER].trusted.add("a route")
    shelves.keep(USER, MODEL, GRAPH, {0})
    assert shelves.stores[USER].trusted == set()


def test_who_has_only_what_is_being_built_still_has_a_store() -> None:
    shelves = Shelves(False)
    add(shelves, part(0, 0), ready=False)
    add(shelves, part(1, 1), ready=False)
    shelves.keep(USER, MODEL, GRAPH, {0})
    assert list(shelves.stores[USER].building) == [(1, 0)]
    shelves.keep(USER, MODEL, GRAPH, ())
    assert shelves.stores == {}


def test_what_two_users_share_is_freed_when_both_have_let_go() -> None:
    shelves = Shelves(True)
    assert [add(shelves, part(0, 0, 1)), add(shelves, part(0, 1, 2, user=OTHER))] == [120, 3]
    assert shelves.there(MODEL, GRAPH) == (0, 1, 2)
    assert shelves.keep(USER, MODEL, GRAPH, ()) == 100
    assert shelves.there(MODEL, GRAPH) == (1, 2)
    assert shelves.keep(OTHER, MODEL, GRAPH, ()) == 23
    assert shelves.there(MODEL, GRAPH) == ()


def test_who_leaves_hands_on_what_others_share() -> None:
    """The first was charged for all of it, and goes first; the other then lets go of one layer after the other."""
    shelves = Shelves(True)
    assert [add(shelves, part(0, 0, 1)), add(shelves, part(0, 0, 1, user=OTHER))] == [120, 0]
    assert [shelves.stores[user].held_bytes for user in (USER, OTHER)] == [120, 0]
    assert shelves.keep(USER, MODEL, GRAPH, ()) == 0
    assert shelves.stores[OTHER].held_bytes == 120
    assert shelves.keep(OTHER, MODEL, GRAPH, {1}) == 100
    assert shelves.stores[OTHER].held_bytes == 20
    assert shelves.keep(OTHER, MODEL, GRAPH, ()) == 20


def test_the_last_to_come_is_charged_nothing_when_it_leaves_first() -> None:
    shelves = Shelves(True)
    add(shelves, part(0, 0))
    add(shelves, part(0, 0, user=OTHER))
    assert shelves.keep(OTHER, MODEL, GRAPH, ()) == 0
    assert shelves.stores[USER].held_bytes == 100


def test_a_cleared_server_holds_nothing_for_anybody() -> None:
    shelves = Shelves(True)
    add(shelves, part(0, 0))
    shelves.clear()
    assert (shelves.stores, shelves.there(MODEL, GRAPH)) == ({}, ())
    assert shelves.more_bytes(MODEL, GRAPH, (0,)) == 100

"""Sets in a few bytes do what sets do."""

from __future__ import annotations

import pickle

from hypothesis import given
from hypothesis import strategies as st

from layerlift.emulator.nodes.index_set import IndexSet

numbers = st.sets(st.integers(0, 300))


@given(numbers, numbers, st.integers(0, 300))
def test_they_are_sets(first: set[int], second: set[int], one: int) -> None:
    made = IndexSet(first)
    assert set(made) == first
    assert list(made) == sorted(first)
    assert (len(made), bool(made)) == (len(first), bool(first))
    assert (one in made) == (one in first)
    for name in ("update", "difference_update", "intersection_update"):
        for other in (second, IndexSet(second), tuple(second)):
            changed, expected = IndexSet(first), set(first)
            getattr(changed, name)(other)
            getattr(expected, name)(other)
            assert set(changed) == expected
    made.add(one)
    assert made == first | {one}
    made.discard(one)
    assert made == first - {one}
    assert pickle.loads(pickle.dumps(made)) == made
    assert not IndexSet(first) & IndexSet(second) - IndexSet(second)

"""What a stranger's exception says, as text that can be shown and stored."""

from __future__ import annotations

import pytest

from layerlift.models.errors import LayerliftError, PlanError, near, quoted, storable, words_of


class Mute(ValueError):
    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError("oops"), "ValueError: oops"),
        (ValueError(), "ValueError, without a word"),
        (Mute(), "Mute, without a word"),
        (PlanError("too large"), "too large"),
        (LayerliftError(), "LayerliftError, without a word"),
        (OSError("bad \udcff name"), "OSError: bad \\udcff name"),
    ],
)
def test_words_of_any_exception(error: Exception, words: str) -> None:
    assert words_of(error) == words
    words_of(error).encode("utf-8")


def test_what_can_be_stored_is_left_alone() -> None:
    assert storable("naïve ☃") == "naïve ☃"


def test_a_list_too_long_for_a_sentence_begins_with_what_is_nearest() -> None:
    names = [f"field_{letter}" for letter in "abcdefghijklmnopqrstuv"] + ["planning", "profile_runs", "the_tier"]
    hint = near("Tier", names)
    assert hint.startswith("; known: the_tier, ")
    assert hint.endswith("... (25 in all, the nearest first)")
    assert len(hint) < 200
    assert near("xxxx", ["b", "a"]) == "; known: a, b", "a list that fits is in the order of the alphabet"


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (None, "None"),
        (True, "True"),
        ("a" * 58, repr("a" * 58)),
        ("a" * 59, "'" + "a" * 56 + "..."),
        pytest.param(10**5000, "a number of thousands of digits", id="huge"),
    ],
)
def test_whatever_is_given_can_be_quoted(value: object, told: str) -> None:
    assert quoted(value) == told
    assert len(quoted(value, 40)) <= 40

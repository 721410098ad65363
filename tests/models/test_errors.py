"""What a stranger's exception says, as text that can be shown and stored."""

from __future__ import annotations

import pytest

from layerlift.models.errors import LayerliftError, PlanError, storable, words_of


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

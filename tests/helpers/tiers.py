"""Parameters of a test of which a few stay in the quick tier."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import pytest

from layerlift.models.loading.zoo import classics


def long_but(values: Iterable[str], quick: Collection[str]) -> list[Any]:
    """All of `values`, marked `long` but for those of `quick`; each of these must be there."""
    every = list(values)
    assert set(quick) <= set(every), f"{quick} are to stay quick, of {every}"
    return [value if value in quick else pytest.param(value, marks=pytest.mark.long) for value in every]


def quick_one(quick: str = "squeezenet") -> list[Any]:
    """The nine networks of the paper, of which one is enough while you write."""
    return long_but(classics(), [quick])

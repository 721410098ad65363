"""The zoo's networks as parameters of a test: one stays in the quick tier, the others are long."""

from __future__ import annotations

from typing import Any

import pytest

from layerlift.models.loading.zoo import names


def quick_one(quick: str = "squeezenet") -> list[Any]:
    """All nine, all but `quick` marked `long`."""
    return [pytest.param(name, marks=[] if name == quick else pytest.mark.long) for name in names()]

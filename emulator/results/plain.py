"""Values in JSON's terms."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def jsonable(value: Any) -> Any:
    """`value` in JSON's terms: infinities as `"inf"` and `"-inf"`, NaN as null, numpy scalars as plain numbers.

    Anything else that JSON has no word for (a path, an enumeration) becomes its text.
    """
    if isinstance(value, (np.generic, np.ndarray)):
        value = value.tolist()
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None if math.isnan(value) else str(value)
    if isinstance(value, Mapping):
        return {str(key): jsonable(entry) for key, entry in value.items()}
    if isinstance(value, (Sequence, set, frozenset)) and not isinstance(value, bytes):
        return [jsonable(entry) for entry in (sorted(value) if isinstance(value, (set, frozenset)) else value)]
    return str(value)

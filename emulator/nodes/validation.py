"""Whether nodes check themselves after every message: `LAYERLIFT_VALIDATE=1`, as in all tests.

What each kind of node checks is its `validate`. A violation is a bug of the emulator, never of a scenario; it ends the
run in an `AssertionError`, which nothing takes for a mistake of the user's.
"""

from __future__ import annotations

import os

VARIABLE = "LAYERLIFT_VALIDATE"


def wanted() -> bool:
    """Whether nodes that are made now are to check themselves."""
    return os.environ.get(VARIABLE) == "1"

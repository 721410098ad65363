"""Whether nodes check themselves after messages: `LAYERLIFT_VALIDATE=1`, as in all tests.

What each kind of node checks is its `validate`. A violation is a bug of the emulator, never of a scenario; it ends the
run in an `AssertionError`, which nothing takes for a mistake of the user's.
"""

from __future__ import annotations

import os

VARIABLE = "LAYERLIFT_VALIDATE"


def every(users: int) -> int:
    """After how many messages a node of a world with so many users checks itself: after each one of a dozen users.

    What a server looks at grows with its users, and so does the number of its messages: in a crowd it looks at times.
    """
    return max(1, users // 10) ** 2


def wanted() -> bool:
    """Whether nodes that are made now are to check themselves."""
    return os.environ.get(VARIABLE) == "1"

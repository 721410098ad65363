"""Where Python finds modules: what this process can import, Ray's processes can.

Ray tells its workers of the script's folder and of the current one, and of nothing else that `sys.path` has. A planner
from elsewhere would then be there in one process and missing in an actor, with other plans and other rows.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable


def import_path() -> tuple[str, ...]:
    """The folders of this process's `sys.path`, whole."""
    return tuple(os.path.abspath(place) for place in sys.path if os.path.isdir(place or os.curdir))


def follow(path: Iterable[str]) -> None:
    """Look there too, after all that this process knows already."""
    sys.path.extend(place for place in path if place not in sys.path)

"""The lowest versions that the project says it works with, as constraints for pip.

`python tests/helpers/lowest.py > lowest.txt && pip install '.[exact,flow]' -c lowest.txt`
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
EXTRAS = ("exact", "flow")


def constraints(pyproject: str) -> list[str]:
    """One line for each dependency and each of the extras': its floor, pinned. Raises `ValueError` for one without."""
    project = tomllib.loads(pyproject)["project"]
    wanted = [*project["dependencies"], *(each for extra in EXTRAS for each in project["optional-dependencies"][extra])]
    return [_pinned(each) for each in wanted]


def _pinned(requirement: str) -> str:
    found = re.fullmatch(r"([\w.-]+)>=([\w.]+)", requirement)
    if found is None:
        raise ValueError(f"{requirement!r} has no floor: expected NAME>=VERSION")
    return f"{found[1]}=={found[2]}"


if __name__ == "__main__":
    print(*constraints((ROOT / "pyproject.toml").read_text(encoding="utf-8")), sep="\n")

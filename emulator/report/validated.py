"""The last validation of this machine, kept in the cache: what reports of later runs say of their fidelity."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any, Final

from layerlift.models.files import read_regular
from layerlift.models.loading.disk_cache import cache_dir, write_bytes
from layerlift.models.text import printable
from layerlift.models.timing import this_machine

_MOST_BYTES: Final = 1 << 16
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}")


def keep(date: str, worst: float, holds: bool, what: str) -> None:
    """Keep that the emulation was within `worst` of this machine. Raises `ModelError` where there is no room."""
    told = {"host": this_machine.description(), "date": date, "worst": worst, "holds": holds, "what": what}
    write_bytes(_place(), json.dumps(told).encode())


def last() -> str | None:
    """A sentence on the last validation; None where there was none on a machine like this."""
    try:
        told: Any = json.loads(read_regular(_place(), _MOST_BYTES))
        host, date, worst, holds, what = (told[key] for key in ("host", "date", "worst", "holds", "what"))
    except (OSError, ValueError, KeyError, TypeError, RecursionError, RuntimeError):
        return None
    sound = isinstance(date, str) and _DATE.fullmatch(date) and isinstance(what, str) and type(holds) is bool
    if not sound or type(worst) is not float or not math.isfinite(worst) or host != this_machine.description():
        return None
    verdict = "" if holds else ", beyond its bounds"
    return (
        f"The emulation was validated on this machine on {date}: within {worst:.1%}{verdict} ({printable(what)[:80]})."
    )


def _place() -> Path:
    return cache_dir() / "validate.json"

"""What died and what was raised: Ray's errors told apart, and told in a sentence with what to do."""

from __future__ import annotations

import errno
import re
from typing import Final

from ray.exceptions import RayError, RayTaskError

from layerlift.emulator.runtime.placing import WITHOUT_ADDRESS
from layerlift.models.errors import LayerliftError, RunError, storable

TRIES = 5
"""How often in a row the same may be lost before it is no accident."""
_LOCAL: Final = "--local runs the same without Ray"
_REMEDIES: Final = (
    (r"AF_UNIX path length|path too long|File name too long", "its folder for sockets has too long a name; set "
     "RAY_TMPDIR (or TMPDIR) to a short one, as /tmp"),
    (r"timed out during startup|timed out|Timed out", "it did not come up in time; this machine may be busy: try "
     "again"),
    (r"/dev/shm|shared memory|object store", "/dev/shm has too little room for its object store; enlarge it (with "
     "docker: --shm-size=1g)"),
    (r"[Pp]ermission denied|Read-only file system|Not a directory|No such file", "a folder that it needs cannot be "
     "written; set RAY_TMPDIR (or TMPDIR) and HOME to folders that can"),
    (r"No space left", "the disk with its folder is full; free some, or set RAY_TMPDIR to another"),
    (r"ersion mismatch", "it is of another version; install the same Ray and Python here and there"),
)  # fmt: skip
_DETAIL: Final = (
    r"Worker exit detail: (.*?)(?:\n|$)",
    r"The actor died because (.*?)(?:\n|$)",
    r"(?:The actor|Actor|Worker|Task).*?(?:died|crashed|killed).*?: *(.*?)(?:\n|$)",
)
_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")
_MOST: Final = 220
"""So many characters of what Ray says are in a sentence; --traceback shows the rest."""


def is_lost(error: RayError) -> bool:
    """Whether something died. The rest was raised by the host itself, and would be again."""
    return not isinstance(error, RayTaskError) and not getattr(error, "actor_init_failed", False)


def plain_error(error: RayError) -> LayerliftError:
    """The error that a host raised, without Ray's wrapping, where it is one of ours; else one that says its cause."""
    cause = getattr(error, "cause", None)
    return cause if isinstance(cause, LayerliftError) else RunError(f"a host actor failed: {cause_of(error)}")


def cause_of(error: BaseException) -> str:
    """Why something failed over Ray, on one line: what was raised there and where, or what the process died of."""
    text = _COLOUR.sub("", storable(str(error)))
    raised = [line for line in text.splitlines() if line.strip() and not line.startswith(" ")]
    if isinstance(error, RayTaskError) or getattr(error, "actor_init_failed", False):
        places = re.findall(r'File "([^"]*)", line (\d+)', text)
        where = f" ({places[-1][0].rpartition('/')[2]}:{places[-1][1]})" if places else ""
        return _short(raised[-1] if raised else text) + where
    for pattern in _DETAIL:
        found = re.search(pattern, text, re.DOTALL if "\n" not in pattern else 0)
        if found and found[1].strip():
            return _short(found[1])
    return _short(text)


def not_started(error: BaseException, address: str | None) -> str:
    """Why Ray could not be started or joined, and what to do."""
    where, otherwise = (f"join Ray at {address}", WITHOUT_ADDRESS) if address else ("start Ray", _LOCAL)
    text = str(error)
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        text = f"File name too long {text}"
    for pattern, remedy in _REMEDIES:
        if re.search(pattern, text):
            return f"cannot {where}: {remedy}; {otherwise}"
    return f"cannot {where}: {_short(text) or type(error).__name__}; {otherwise}"


def _short(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= _MOST else f"{words[: _MOST - 3]}..."

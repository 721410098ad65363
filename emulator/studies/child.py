"""The process in which a study's runs are made: `python -m layerlift.emulator.studies.child`.

It reads jobs from its standard input and writes answers to its standard output, as `processes` says. What a run prints
goes to standard error.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pickle
import signal
import sys
from typing import Any, Final

from layerlift.emulator.planning.stoppable import receive, send
from layerlift.models.errors import LayerliftError, RunError, words_of

_PR_SET_PDEATHSIG: Final = 1


def main(parent: int) -> None:
    """Answer until nobody asks any more."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        return
    jobs, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    while (job := receive(jobs)) is not None:
        send(answers, pickle.dumps(_answer(job)))


def _answer(packed: bytes) -> Any:
    try:
        call, job = pickle.loads(packed)
        return call(job)
    except LayerliftError as error:
        return error
    except BaseException as error:  # no Ctrl-C comes here, so that an interrupt too is the run's own
        return RunError(words_of(error))


if __name__ == "__main__":
    main(int(sys.argv[1]))

"""The process in which a planner runs that may be stopped: `python -m layerlift.emulator.planning.child`.

It reads questions from its standard input and writes answers to its standard output, as `stoppable` says. What the
planner prints goes to standard error. It dies with the process that started it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pickle
import signal
import sys
from typing import IO, Final

from layerlift.emulator.planning.answer import answer, stayed_local
from layerlift.emulator.planning.stoppable import BEGUN, receive, send
from layerlift.models.errors import trace_of, words_of

_PR_SET_PDEATHSIG: Final = 1


def main(parent: int) -> None:
    """Answer until nobody asks any more."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        return
    questions = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    while (question := receive(questions)) is not None:
        _answer(question, answers)


def _answer(question: bytes, answers: IO[bytes]) -> None:
    try:
        planner, job, seed = pickle.loads(question)
    except BaseException as error:  # the module of a stranger's planner is imported here, and may do anything
        send(answers, pickle.dumps(words_of(error)))
        return
    send(answers, pickle.dumps(BEGUN))
    try:
        found = answer(job, seed, maker=lambda _: planner)
    except BaseException as error:  # no Ctrl-C comes here, so that an interrupt too is the planner's own
        found = stayed_local(job, f"{job.planner} raised {words_of(error)}")._replace(trace=trace_of(error))
    send(answers, pickle.dumps(found))


if __name__ == "__main__":
    main(int(sys.argv[1]))

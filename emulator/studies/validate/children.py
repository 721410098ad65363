"""The processes of a validation, from the study's side: started, asked, and ended whatever happens."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Final

from layerlift.models.errors import RunError, sentence
from layerlift.models.loading import frames
from layerlift.models.loading.opener import environment

_ROOM: Final = "layerlift.emulator.studies.validate"
_END_S: Final = 5.0


class Child:
    """One process. It ends with this one, for it reads its standard input; signals do not reach it."""

    def __init__(self, module: str, within: Sequence[str] = ()) -> None:
        """Start `module` of this folder; `within` is a command that starts it elsewhere (a network namespace)."""
        self.module = module
        try:
            self._popen = subprocess.Popen(
                [*within, sys.executable, "-P", "-m", f"{_ROOM}.{module}"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                cwd="/",
                env=environment(),
                start_new_session=True,
            )
        except OSError as error:
            raise RunError(f"no process can be started for the {module} ({error.strerror or error})") from None

    def tell(self, head: Mapping[str, Any], blobs: Sequence[bytes] = ()) -> None:
        """Ask something. Raises `RunError` when the process has gone."""
        assert self._popen.stdin is not None
        try:
            for chunk in (frames.pack(head, [len(blob) for blob in blobs]), *blobs):
                left = memoryview(chunk)
                while left:
                    left = left[self._popen.stdin.write(left) :]
        except OSError:
            raise self._gone() from None

    def hear(self, seconds: float) -> dict[str, Any]:
        """The answer. Raises `RunError` when none comes in time, or it is that something failed."""
        assert self._popen.stdout is not None
        source, due_s = self._popen.stdout.fileno(), time.monotonic() + seconds
        poll = select.poll()
        poll.register(source, select.POLLIN)

        def read(room: memoryview) -> int:
            left_s = due_s - time.monotonic()
            if left_s <= 0 or not poll.poll(left_s * 1000):
                raise RunError(
                    f"the {self.module} has not answered for {seconds:.0f} s: try a network or upload of less"
                )
            return os.readv(source, [room])

        try:
            head, _ = frames.unpack(read, 0)
        except (EOFError, frames.FrameError, OSError):
            raise self._gone() from None
        if "error" in head:
            raise RunError(sentence(f"the {self.module} could not go on: {head['error']}"))
        return head

    def ask(self, head: Mapping[str, Any], seconds: float, blobs: Sequence[bytes] = ()) -> dict[str, Any]:
        """Ask and hear."""
        self.tell(head, blobs)
        return self.hear(seconds)

    def end(self) -> None:
        """End the process, if it is still there."""
        self._popen.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(_END_S)
        for pipe in (self._popen.stdin, self._popen.stdout):
            if pipe is not None:
                pipe.close()

    def _gone(self) -> RunError:
        code = self._popen.poll()
        how = "no answer" if code is None else f"exit code {code}"
        return RunError(f"the {self.module} of the validation has ended ({how}): run it again on an idle machine")


class Children:
    """A client and its servers, for a `with` block."""

    def __init__(self) -> None:
        self.all: list[Child] = []

    def start(self, module: str, within: Sequence[str] = ()) -> Child:
        """Start one more."""
        self.all.append(Child(module, within))
        return self.all[-1]

    def __enter__(self) -> Children:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for child in self.all:
            child.end()

"""A live progress bar on a terminal; silence when the output is piped."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from layerlift.emulator.runtime.conductor import Progress
from layerlift.emulator.world.world import World

_EVERY_S = 0.1


class LiveProgress:
    """Shows how far a run is: queries of those asked for, or virtual time where queries have no end."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar: Bar | None = None
        self._shown = 0.0

    def __enter__(self) -> LiveProgress:
        if self._console.is_terminal:
            self._bar = Bar(
                TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
                TextColumn("{task.fields[clock]}", markup=False), console=self._console, transient=True,
            )  # fmt: skip
            self._task = self._bar.add_task("Starting", total=None, clock="")
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def notice(self, text: str) -> None:
        """Say what is being done, to a person who watches."""
        if self._bar is not None:
            self._bar.console.print(text, style="dim", highlight=False)

    def update(self, state: Progress, world: World) -> None:
        """Called before each window."""
        if self._bar is None:
            return
        now = time.monotonic()
        if now - self._shown < _EVERY_S:
            return
        self._shown = now
        counted = [user.queries for user in world.users]
        clock = f"{state.now_s:.1f} s virtual, {state.left} of {len(world.users)} users done"
        if None not in counted:
            total = sum(count for count in counted if count is not None)
            self._bar.update(self._task, description="Queries", total=total, completed=state.queries, clock=clock)
        else:
            until = min(world.until_s, 1e12)
            self._bar.update(
                self._task, description="Virtual seconds", total=int(until), completed=int(state.now_s), clock=clock
            )

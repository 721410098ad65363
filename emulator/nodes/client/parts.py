"""The states of a plan's parts (P3), as a table: what may happen to a part in which state, and what it is then.

The table is the law and docs/architecture.md shows it: whatever the uploader does with a part it tells here, and an
event that the table does not know ends the run.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

State = Literal["idle", "waiting", "sent", "between", "confirmed", "skipped"]
"""idle: nobody is sending it, `resume` would; waiting: in a lane; sent: no confirm result yet; between: an attempt has
ended and the next has not begun; confirmed: stored where the plan has it; skipped: not sent before the next plan."""

Event = Literal[
    "queued", "sent", "passed over", "confirmed", "failed", "lost", "refused", "gone", "given up", "skipped",
    "evicted", "crashed", "moved", "stopped",
]  # fmt: skip

TABLE: Final[dict[tuple[State, Event], State]] = {
    ("idle", "queued"): "waiting",
    # A lane that reaches a part leaves it alone when it is there already, or when its server is out of reach.
    # A part that was queued twice may be idle again, and its lane comes to it once more.
    ("idle", "passed over"): "idle",
    ("idle", "sent"): "sent",
    ("waiting", "passed over"): "idle",
    ("between", "passed over"): "idle",
    ("confirmed", "passed over"): "confirmed",
    ("waiting", "sent"): "sent",
    ("between", "sent"): "sent",
    # What becomes of an attempt.
    ("sent", "confirmed"): "confirmed",
    ("sent", "failed"): "between",
    ("sent", "lost"): "between",
    ("sent", "refused"): "between",
    ("sent", "gone"): "between",
    # What its user does about it. While it waits to try again, a server that comes back queues the part once more.
    ("between", "queued"): "between",
    ("between", "skipped"): "skipped",
    ("between", "given up"): "idle",
    # What befalls a part that is stored.
    ("confirmed", "evicted"): "skipped",
    ("confirmed", "crashed"): "idle",
    # A moving user has another server: whatever was on its way is begun anew, what was skipped stays so.
    ("idle", "moved"): "idle",
    ("waiting", "moved"): "idle",
    ("sent", "moved"): "idle",
    ("between", "moved"): "between",
    ("confirmed", "moved"): "idle",
    ("skipped", "moved"): "skipped",
    # The plan is given up, or its user leaves.
    ("idle", "stopped"): "idle",
    ("waiting", "stopped"): "idle",
    ("sent", "stopped"): "idle",
    ("between", "stopped"): "idle",
    ("confirmed", "stopped"): "confirmed",
    ("skipped", "stopped"): "skipped",
}


class Parts:
    """The states of the parts of one plan, by number."""

    __slots__ = ("_states",)

    def __init__(self, count: int = 0) -> None:
        self._states: list[State] = ["idle"] * count

    def __getitem__(self, part: int) -> State:
        return self._states[part]

    def __len__(self) -> int:
        return len(self._states)

    def tell(self, part: int, event: Event) -> None:
        """Let something happen to a part. Raises `AssertionError` for what the table does not know."""
        state = self._states[part]
        after = TABLE.get((state, event))
        assert after is not None, f"part {part} is {state}: {event!r} cannot happen to it"
        self._states[part] = after

    def tell_all(self, event: Event) -> None:
        """Let the same happen to all parts."""
        for part in range(len(self._states)):
            self.tell(part, event)

    def of(self, state: State) -> Iterator[int]:
        """Parts in a state, ascending."""
        return (part for part, own in enumerate(self._states) if own == state)

    def count(self, state: State) -> int:
        """How many parts are in a state."""
        return self._states.count(state)


def page() -> str:
    """The table as Markdown, a row an event: what docs/architecture.md shows."""
    states: tuple[State, ...] = ("idle", "waiting", "sent", "between", "confirmed", "skipped")
    events = dict.fromkeys(event for _, event in TABLE)
    lines = [f"| {event} | {' | '.join(TABLE.get((state, event), '') for state in states)} |" for event in events]
    return "\n".join([f"| event | {' | '.join(states)} |", "| --- " * (len(states) + 1) + "|", *lines]) + "\n"

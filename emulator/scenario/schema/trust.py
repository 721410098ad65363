"""Whose words a scenario holds: what somebody typed may name code (`module:Class`), what a file says may not."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Trust:
    """Which texts of a scenario may name code.

    All are equal: who wrote a scenario does not make it another one.
    """

    everything: bool = field(default=False, compare=False)
    typed: frozenset[str] = field(default=frozenset(), compare=False)
    """Whole texts of planners and policies, options included."""

    def allows(self, text: str) -> bool:
        """Whether a planner or policy written like this may name code."""
        return self.everything or text in self.typed

    def also(self, other: Trust) -> Trust:
        """What either allows."""
        return Trust(self.everything or other.everything, self.typed | other.typed)

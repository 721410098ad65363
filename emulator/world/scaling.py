"""Groups of servers that are switched on and off as they are used, as plain numbers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scaling:
    """A group of servers of which the planner's place keeps as many on as their use asks for."""

    servers: tuple[int, ...]
    """Node indices, in the order in which they are switched on; they are switched off in the opposite one."""
    least: int
    """So many of them are on from the start, at least 1."""
    most: int
    """No more are ever on, being started or about to be switched off."""
    target_use: float = 0.6
    """Share of the cores' time that is to be busy, in (0, 1]."""
    start_s: float = 30.0
    """From being switched on until it serves."""
    stop_s: float = 10.0
    """From word that it will be switched off until it is: users may move."""
    check_s: float = 5.0
    """How often servers tell their use and it is looked at."""
    calm_s: float = 60.0
    """How long fewer must have been enough before one is switched off."""

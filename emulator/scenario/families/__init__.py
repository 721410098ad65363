"""Families of worlds: a distribution over scenarios in a file, from which a seed draws one, the same everywhere."""

from layerlift.emulator.scenario.families.family import (
    HELD_OUT_FROM,
    Family,
    document,
    draw,
    held_out_seeds,
    load,
    shipped,
    training_seeds,
)

__all__ = ["HELD_OUT_FROM", "Family", "document", "draw", "held_out_seeds", "load", "shipped", "training_seeds"]

"""What a user writes, checked and resolved into a world."""

from layerlift.emulator.scenario.scenario import Scenario, bundled, source_text

__all__ = ["Scenario", "bundled", "source_text"]

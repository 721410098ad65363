"""The world that plans act in: scenario, hosts, fabric, conductor, results and the command line."""

from layerlift.emulator.results import RunResult
from layerlift.emulator.run import run
from layerlift.emulator.scenario import Scenario
from layerlift.models.errors import LayerliftError

__all__ = ["LayerliftError", "RunResult", "Scenario", "run"]

"""The world that plans act in: scenario, hosts, fabric, conductor, results and the command line."""

from emulator.results import RunResult
from emulator.run import run
from emulator.scenario import Scenario
from models.errors import LayerliftError

__all__ = ["LayerliftError", "RunResult", "Scenario", "run"]

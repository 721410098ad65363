"""What a plan costs: latency, energy, money, memory, alone and in a crowd."""

from layerlift.planners.cost.query import Cost, balance, energy, evaluate, fits, held_bytes, latency, money, period

__all__ = ["Cost", "balance", "energy", "evaluate", "fits", "held_bytes", "latency", "money", "period"]

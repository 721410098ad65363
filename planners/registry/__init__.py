"""Planners by name, with their options, alone or in pairs."""

from layerlift.planners.registry.planners import BUILTIN, GROUP, available, make, register, spec, specs, unregister

__all__ = ["BUILTIN", "GROUP", "available", "make", "register", "spec", "specs", "unregister"]

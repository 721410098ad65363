"""Planners by name, with their options, alone or in pairs."""

from layerlift.planners.registry.planners import (
    BUILTIN,
    GROUP,
    asked,
    available,
    make,
    register,
    spec,
    specs,
    unregister,
)

__all__ = ["BUILTIN", "GROUP", "asked", "available", "make", "register", "spec", "specs", "unregister"]

"""Environments in which an agent of anybody's learns to place layers: one user unit by unit, or a crowd in a run."""

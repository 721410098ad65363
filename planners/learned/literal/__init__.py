"""Policies as their publications have them: networks in floating point, and what makes legal plans of their answers."""

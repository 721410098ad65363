"""Planners that were trained: features of a problem, a small policy that scores steps, walks drawn from its scores."""

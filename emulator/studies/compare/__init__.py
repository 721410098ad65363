"""Runs side by side: planners, policies, values of a field, seeds paired."""

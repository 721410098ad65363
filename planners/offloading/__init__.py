"""Planners that place layers."""

"""Planners of a crowd: each user answers what the others do."""

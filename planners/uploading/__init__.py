"""Planners that divide what is to be uploaded, and order it."""

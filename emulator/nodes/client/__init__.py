"""A user's device and its parts."""

"""Moves hosts through virtual time: in lockstep windows, or all on one clock."""

"""Neurosurgeon, emulated again."""

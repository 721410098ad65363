"""Bandwidth, shared: what crosses links, what breaks on them, and the books of every byte."""

"""Whom a run hurt, and by how much."""

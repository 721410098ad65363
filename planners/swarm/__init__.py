"""Searches over many placements at once: particles, genes, annealing."""

"""Real layers, really run."""

"""Learning from the best of what some scorers propose, without exact answers."""
